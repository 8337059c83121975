"""Judgements of trials by fresh seeds and unseen flows: each reading of the test part, in the order made."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from unstuck.analysis.statistics import Difference, Estimate, compute_difference, estimate_over_seeds
from unstuck.analysis.sweep.readings import (
    append_reading,
    parse_file,
    read_list,
    warn_of_reading_again,
)
from unstuck.records.names import restore_values

FILE = "champions.json"
"""File in a sweep's `report/`: a list of judgements, the oldest first."""

_WHAT = "judgements of champions"

OLD_FILE = "champion.json"
"""The one judgement that commit 3fefaf5 and earlier kept."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Result of training a trial and the control again on fresh seeds, evaluated on the test data.

    Attributes:
        trial: Number of the trial whose configuration was trained again.
        searched: Value of the trial in the search.
        champion: Values on fresh seeds, one a seed.
        control: Values of the unchanged configuration on fresh seeds; empty if the trial is the control, or if the
            sweep had no control.
        values: Searched settings of the trial by dotted path; None where an old record does not say.
        at: Time of the reading, as ISO 8601; empty where an old record does not say.
        data: Fingerprint of the flows; None without flows, or where an old record does not say.

    Example:
        >>> Judgement(trial=3, searched=0.9, champion=(0.75, 0.875)).estimate.mean
        0.8125
    """

    trial: int
    searched: float
    champion: tuple[float, ...]
    control: tuple[float, ...] = ()
    values: Mapping[str, Any] | None = None
    at: str = ""
    data: str | None = None

    @property
    def estimate(self) -> Estimate:
        """Mean and spread over the fresh seeds on which the trial was trained again."""
        return estimate_over_seeds(self.champion)

    def is_about(self, trial: int, values: Mapping[str, Any], searched: float | None) -> bool:
        """True if the given trial is the one that was trained again on fresh seeds: equal number and settings.

        An old record holds no settings: then number and value must be the same.
        """
        if self.values is None:
            return self.trial == trial and searched is not None and math.isclose(self.searched, searched, rel_tol=1e-9)
        return self.trial == trial and self.values == values

    def has_configuration_of(self, other: "Judgement") -> bool:
        """True if two results of training again on fresh seeds are of the same trial with the same settings."""
        return self.trial == other.trial and (None in (self.values, other.values) or self.values == other.values)


@dataclass(frozen=True)
class Judgements:
    """All results of training a sweep's trials again on fresh seeds, the oldest first.

    Attributes:
        readings: Judgements, the oldest first.
    """

    readings: Sequence[Judgement] = field(default=())

    @property
    def distinct(self) -> list[Judgement]:
        """One result of training again on fresh seeds for each configuration: the one with most seeds."""
        kept: list[Judgement] = []
        for reading in sorted(self.readings, key=lambda reading: -len(reading.champion)):
            if not any(reading.has_configuration_of(other) for other in kept):
                kept.append(reading)
        return sorted(kept, key=self.readings.index)

    def find_judgement(self, trial: int, values: Mapping[str, Any], searched: float | None) -> Judgement | None:
        """Find the result of training a trial again on fresh seeds; None if that was not done."""
        return next((reading for reading in self.distinct if reading.is_about(trial, values, searched)), None)

    def difference(self, reading: Judgement) -> Difference | None:
        """Compute the value on fresh seeds of the retrained trial minus the control's, with an interval; or None."""
        return compute_difference(reading.champion, reading.control, self.comparisons) if reading.control else None

    @property
    def comparisons(self) -> int:
        """Number of configurations that were trained again on fresh seeds beside the control."""
        return sum(bool(reading.control) for reading in self.distinct)


def read_judgements(report: Path) -> Judgements:
    """Read the results of training trials again on fresh seeds from a sweep's `report/` folder.

    Raises:
        AnalysisError: A file holds something else.
    """
    found: list[Judgement] = []
    if (old := report / OLD_FILE).exists():
        found.append(parse_file(old, _parse_old_judgement, _WHAT))
    return Judgements((*found, *read_list(report / FILE, _parse_judgement, _WHAT)))


def add_judgement(report: Path, judgement: Judgement) -> Judgements:
    """Append the result of training a trial again on fresh seeds to a file in `report/`; return all results.

    Raises:
        AnalysisError: The file that is there holds something else.
    """
    append_reading(report / FILE, asdict(judgement), _WHAT)
    return read_judgements(report)


def warn_of_repeated_reading(judgements: Judgements) -> str:
    """Return a warning if trials were evaluated on the test data more than once; else an empty text."""
    return warn_of_reading_again([reading.trial for reading in judgements.readings], len(judgements.distinct))


def _parse_judgement(held: Mapping[str, Any]) -> Judgement:
    return Judgement(
        trial=int(held["trial"]),
        searched=float(held["searched"]),
        champion=tuple(map(float, held["champion"])),
        control=tuple(map(float, held["control"])),
        values=restore_values(held["values"]),
        at=str(held["at"]),
        data=held["data"],
    )


def _parse_old_judgement(held: Mapping[str, Any]) -> Judgement:
    control = held["control"]
    return Judgement(
        trial=int(held["trial"]),
        searched=float(held["searched"]),
        champion=tuple(map(float, held["champion"]["values"])),
        control=tuple(map(float, control["values"])) if control else (),
    )
