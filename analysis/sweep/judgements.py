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
    """Result of one test of a trial beside the control, trained on fresh seeds and evaluated on the data's test part.

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
        """Mean and spread of the tested trial's value over the fresh seeds."""
        return estimate_over_seeds(self.champion)

    def is_about(self, trial: int, values: Mapping[str, Any], searched: float | None) -> bool:
        """True if the judgement tested the given trial: same number and same settings.

        An old record holds no settings: then number and value must be the same.
        """
        if self.values is None:
            return self.trial == trial and searched is not None and math.isclose(self.searched, searched, rel_tol=1e-9)
        return self.trial == trial and self.values == values

    def has_configuration_of(self, other: "Judgement") -> bool:
        """True if two judgements tested the same trial with the same settings."""
        return self.trial == other.trial and (None in (self.values, other.values) or self.values == other.values)


@dataclass(frozen=True)
class Judgements:
    """All judgements (tests on fresh seeds) of a sweep's trials, the oldest first.

    Attributes:
        readings: Judgements, the oldest first.
    """

    readings: Sequence[Judgement] = field(default=())

    @property
    def distinct(self) -> list[Judgement]:
        """One judgement for each tested configuration: the one on the most seeds."""
        kept: list[Judgement] = []
        for reading in sorted(self.readings, key=lambda reading: -len(reading.champion)):
            if not any(reading.has_configuration_of(other) for other in kept):
                kept.append(reading)
        return sorted(kept, key=self.readings.index)

    def find_judgement(self, trial: int, values: Mapping[str, Any], searched: float | None) -> Judgement | None:
        """Find the judgement (test on fresh seeds) of a trial; None if the trial has not been tested."""
        return next((reading for reading in self.distinct if reading.is_about(trial, values, searched)), None)

    def difference(self, reading: Judgement) -> Difference | None:
        """Compute tested trial minus control, interval for all tested trials at once; None without a control."""
        return compute_difference(reading.champion, reading.control, self.comparisons) if reading.control else None

    @property
    def comparisons(self) -> int:
        """Number of configurations that were tested beside the control."""
        return sum(bool(reading.control) for reading in self.distinct)


def read_judgements(report: Path) -> Judgements:
    """Read all judgements from a sweep's `report/` folder, including the file that older versions wrote.

    Raises:
        AnalysisError: A file holds something else.
    """
    found: list[Judgement] = []
    if (old := report / OLD_FILE).exists():
        found.append(parse_file(old, _old, _WHAT))
    return Judgements((*found, *read_list(report / FILE, _judgement, _WHAT)))


def add_judgement(report: Path, judgement: Judgement) -> Judgements:
    """Append a judgement to the file in a sweep's `report/` folder, made if missing; return all judgements.

    Raises:
        AnalysisError: The file that is there holds something else.
    """
    append_reading(report / FILE, asdict(judgement), _WHAT)
    return read_judgements(report)


def warn_of_repeated_reading(judgements: Judgements) -> str:
    """Return a warning if trials were tested on the data's test part more than once; else an empty text."""
    return warn_of_reading_again([reading.trial for reading in judgements.readings], len(judgements.distinct))


def _judgement(held: Mapping[str, Any]) -> Judgement:
    return Judgement(
        trial=int(held["trial"]),
        searched=float(held["searched"]),
        champion=tuple(map(float, held["champion"])),
        control=tuple(map(float, held["control"])),
        values=restore_values(held["values"]),
        at=str(held["at"]),
        data=held["data"],
    )


def _old(held: Mapping[str, Any]) -> Judgement:
    control = held["control"]
    return Judgement(
        trial=int(held["trial"]),
        searched=float(held["searched"]),
        champion=tuple(map(float, held["champion"]["values"])),
        control=tuple(map(float, control["values"])) if control else (),
    )
