"""Report on the loading of data: rows and columns that were used or left out, as fields and as text for the user."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from unstuck.rl.config import DataConfig
from unstuck.rl.data.encode import Feature
from unstuck.rl.data.raw import RawFlows
from unstuck.rl.wording import pluralize

LISTED = 5  # columns that the line names at most, for each reason
WORTH_SAYING = 0.01  # share of the flows that are in training alone, from which it is said


@dataclass(frozen=True)
class LoadReport:
    """Report on loaded data: counts of network flows, threats, features; unused columns with reasons; warnings.

    Attributes:
        source: Source of the flows: a file's name, or `synthetic`.
        rows: Flows in the source.
        flows: Flows kept, in all three parts.
        threats: Threats among the flows kept.
        numbers: Columns of numbers that became features.
        names: Columns of names that became features.
        features: Number of features made of all columns.
        left_out: Columns that became no feature, by the reason.
        infinite: Infinite values, which count as missing, by column.
        vectors: Different feature vectors among the flows kept; None where the split does not look at them.
        alone: Flows in training alone, because too few vectors are about as frequent as theirs.
        hints: Hints on the columns, a line each, with the remedy.
        columns: Columns of a file that became features.
        share: Share of threats that was asked for, for which flows were left out; None for the file's own.
    """

    source: str
    rows: int
    flows: int
    threats: int
    numbers: int
    names: int
    features: int
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    infinite: Mapping[str, int] = field(default_factory=dict)
    vectors: int | None = None
    alone: int = 0
    hints: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    share: float | None = None

    def lines(self) -> list[str]:
        """Format the report as text: one line that describes the data, then one `warning: ...` line for each hint."""
        of = f" of {self.rows:,}" if self.rows != self.flows else ""
        text = f"Data: {self.flows:,}{of} flows ({self.source}), {self.threats:,} of them threats: "
        columns = [(self.numbers, "number"), (self.names, "name")]
        text += " and ".join(pluralize(count, noun) for count, noun in columns if count)
        text += f" ({pluralize(self.features, 'feature')})"
        if self.left_out:
            reasons = (f"{len(names)} {reason} ({_list(names)})" for reason, names in self.left_out.items())
            text += f"; left out: {', '.join(reasons)}"
        if self.infinite:
            text += f"; {sum(self.infinite.values()):,} infinite values count as missing ({_list([*self.infinite])})"
        if self.vectors is not None and self.vectors < self.flows:
            text += f"; {self.vectors:,} different vectors, rare and frequent ones alike in each part"
        if self.alone > WORTH_SAYING * self.flows:
            text += (
                f", but for {self.alone:,} flows ({self.alone / self.flows:.0%}) of vectors without two others about "
                "as frequent, which are in training alone: F1 says nothing of them"
            )
        if self.rows > self.flows and self.share is not None:
            why = f"so that {100 * self.share:.3g} % are threats (data.threat_share)"
            text += f"; {self.rows - self.flows:,} flows left out, {why}"
        if self.columns:
            text += f"; kept: {_list(self.columns)}"
        return [text, *(f"warning: {hint}" for hint in self.hints)]


def make_report(
    config: DataConfig,
    raw: RawFlows,
    features: Sequence[Feature],
    threats: Sequence[npt.NDArray[np.bool_]],
    hints: tuple[str, ...],
) -> LoadReport:
    """Make the report on loaded data from network flows as read, the features, and the labels in each part.

    Args:
        config: Source of the flows.
        raw: Flows of the source, all of them.
        features: Features made of the columns.
        threats: Labels of each part, bool `[n]`.
        hints: Hints from `rl.data.hints`.
    """
    used = {feature.column for feature in features}
    return LoadReport(
        source=Path(config.path).name if config.path else config.source,
        rows=len(raw.threat),
        flows=sum(map(len, threats)),
        threats=sum(int(threat.sum()) for threat in threats),
        numbers=len(used & raw.numbers.keys()),
        names=len(used & raw.categories.keys()),
        features=len(features),
        left_out=_left_out(config, raw, used),
        infinite=raw.infinite,
        hints=hints,
        columns=tuple(name for name in (*raw.numbers, *raw.categories) if name in used) if config.path else (),
        share=config.threat_share if config.path else None,
    )


def _left_out(config: DataConfig, raw: RawFlows, used: set[str]) -> dict[str, tuple[str, ...]]:
    """Group the columns that are not used as features by the reason, e.g. constant or dropped by the user."""
    reasons: dict[str, list[str]] = {"by data.drop": list(config.drop)}
    for name, values in raw.numbers.items():
        if name not in used:
            different = len(np.unique(values[~np.isnan(values)]))
            reason = "empty" if different == 0 else "constant" if different == 1 else "constant in training"
            reasons.setdefault(reason, []).append(name)
    for name, column in raw.categories.items():
        if name not in used:
            different = len(np.unique(column.codes))
            reason = "constant" if different == 1 else "all different" if different == len(column.codes) else "too rare"
            reasons.setdefault(reason, []).append(name)
    return {reason: tuple(names) for reason, names in reasons.items() if names}


def _list(names: Sequence[str]) -> str:
    return ", ".join([*names[:LISTED], *(["..."] if len(names) > LISTED else [])])
