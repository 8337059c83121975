"""Verdicts of an unstick: does the best arm's change fix the run, judged by fresh randomness on what no arm saw.

Best arm and control go on again from the same checkpoint, with actions, shuffles and episodes that no arm has used, and
are judged on test flows or episodes. So the choice of the best arm has not seen what the arm is judged by, and repeats
tell if the change fixes this run. Whether it fixes others like it, only the members (seeds of the run) can tell: there
the choice is paid for.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from unstuck.analysis.statistics import (
    Difference,
    NoInterval,
    compute_difference,
    compute_margin,
    compute_paired_difference,
    compute_welch,
)
from unstuck.analysis.sweep.readings import append_reading, read_list, warn_of_reading_again
from unstuck.records.names import restore_values

FILE = "verdicts.json"
"""File in a sweep's `report/`: a list of readings, the oldest first."""

LEAST_MEMBERS = 3
"""Members from which on a verdict says something of other runs like the run."""

MOST_MORE = 1000
"""Repeats or members beyond which a difference counts as one that no number of them tells."""

_WHAT = "verdicts of an unstick"


class Answer(StrEnum):
    """Answers to whether a stuck run's branch beats the control: wins, loses, or cannot be told."""

    WINS = "wins"
    LOSES = "loses"
    UNKNOWN = "cannot be told"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Values of a stuck run's best branch and the control, both trained again with fresh seeds, on unseen data.

    Attributes:
        trial: Number of the arm's trial.
        searched: Value of the arm among all arms, by which the arm was chosen.
        arm: Values of the arm, `[repeats][members]`.
        control: Values of the control, `[repeats][members]`; equal places have equal seeds.
        chosen_among: Number of arms that the best one was chosen among, the control not counted.
        values: Settings of the arm that differ from the control, by dotted path.
        at: Time of the reading, as ISO 8601.
        data: Fingerprint of the flows; None without flows.
    """

    trial: int
    searched: float
    arm: tuple[tuple[float, ...], ...]
    control: tuple[tuple[float, ...], ...]
    chosen_among: int
    values: Mapping[str, Any]
    at: str = ""
    data: str | None = None

    @property
    def repeats(self) -> int:
        """Number of times that a stuck run's best branch and the control were trained again."""
        return len(self.arm)

    @property
    def members(self) -> int:
        """Number of members (seeds) of the run."""
        return len(self.arm[0])


@dataclass(frozen=True)
class Judged:
    """Answer to one question about a change (wins, loses, cannot be told), with the difference behind it.

    Attributes:
        answer: Wins, loses, or cannot be told.
        difference: Arm minus control, with a 95 % interval.
        more: Further repeats or members, about, that would tell a difference of the size seen; None if the answer is
            known, if more than `MOST_MORE` would be needed, or if there is no interval to narrow.
    """

    answer: Answer
    difference: Difference
    more: int | None


@dataclass(frozen=True)
class Verdict:
    """Result of comparing a stuck run's branch with the control, for that run and for runs of other seeds.

    Attributes:
        reading: Values of arm and control, which the verdict judges.
        arm: Mean of the arm.
        control: Mean of the control.
        this_run: Answer for the run that was branched, by fresh repeats.
        alike: Answer for runs of other seeds, by members; None with fewer than `LEAST_MEMBERS`.
    """

    reading: Reading
    arm: float
    control: float
    this_run: Judged
    alike: Judged | None

    @property
    def answer(self) -> Answer:
        """Answer to whether the branch's change fixes the stuck run: wins, loses, or cannot be told."""
        return self.this_run.answer


@dataclass(frozen=True)
class Readings:
    """All repeated trainings of a stuck run's best branches, the oldest first."""

    readings: Sequence[Reading] = field(default=())

    @property
    def last(self) -> Reading | None:
        """Latest repeated training of a stuck run's best branch; None if there is none."""
        return self.readings[-1] if self.readings else None

    @property
    def configurations(self) -> int:
        """Number of different branches of a stuck run that were trained again."""
        kinds: list[tuple[int, Mapping[str, Any]]] = []
        for reading in self.readings:
            kinds += [(reading.trial, reading.values)] * ((reading.trial, reading.values) not in kinds)
        return len(kinds)

    def judge(self, reading: Reading, sign: int) -> Verdict:
        """Judge if a stuck run's branch beats the control, allowing for all branches trained again."""
        return judge_reading(reading, sign, self.configurations)

    @property
    def warning(self) -> str:
        """Warning that the test data was used more than once; else an empty text."""
        return warn_of_reading_again([reading.trial for reading in self.readings], self.configurations)


def judge_reading(reading: Reading, sign: int, configurations: int = 1) -> Verdict:
    """Judge if a stuck run's branch beats the control: for that run, and with enough seeds for runs like it.

    Repeats share nothing with what the best arm was chosen by, neither randomness nor flows, so for this run the choice
    is paid for. Members are the ones that the arm was chosen on, and each arm suits some of them by chance: an interval
    over members, paired since both sides start from the same states, holds for all arms at once (Bonferroni).

    Args:
        reading: The values.
        sign: 1 where more is better, -1 where less is.
        configurations: Number of arms that were read from the test part, among which the reading was chosen.
    """
    arm, control = np.array(reading.arm, dtype=np.float64), np.array(reading.control, dtype=np.float64)
    ours, theirs = arm.mean(axis=1), control.mean(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        _, error, freedom = compute_welch(ours, theirs)
    found = compute_difference(ours, theirs, configurations)
    this_run = _judge(found, sign, float(error), float(freedom), len(ours))
    alike = None
    if reading.members >= LEAST_MEMBERS:
        gaps = arm.mean(axis=0) - control.mean(axis=0)
        found = compute_paired_difference(gaps, np.zeros_like(gaps), max(reading.chosen_among, configurations))
        error = gaps.std(ddof=1) / math.sqrt(len(gaps))
        alike = _judge(found, sign, float(error), len(gaps) - 1, len(gaps))
    return Verdict(reading, float(arm.mean()), float(control.mean()), this_run, alike)


def _judge(found: Difference, sign: int, error: float, freedom: float, count: int) -> Judged:
    """Judge a difference (wins, loses, cannot be told), and how many more repeats would tell.

    Args:
        found: Arm minus control.
        sign: 1 where more is better, -1 where less is.
        error: Standard error of the difference.
        freedom: Degrees of freedom of the error.
        count: Units (repeats or members) behind the difference.
    """
    if found.side:
        return Judged(Answer.WINS if found.side == sign else Answer.LOSES, found, None)
    if isinstance(found.interval, NoInterval):
        return Judged(Answer.UNKNOWN, found, None)
    totals = np.arange(count + 1, count + MOST_MORE + 1)
    errors, freedoms = error * np.sqrt(count / totals), freedom * (totals - 1) / (count - 1)
    enough = np.flatnonzero(compute_margin(errors, freedoms, found.comparisons) < abs(found.mean))
    return Judged(Answer.UNKNOWN, found, int(totals[enough[0]]) - count if len(enough) else None)


def read_verdicts(report: Path) -> Readings:
    """Read the repeated trainings of a stuck run's best branches from a `report/` folder; or none.

    Raises:
        AnalysisError: The file holds something else.
    """
    return Readings(tuple(read_list(report / FILE, _parse_reading, _WHAT)))


def add_verdict(report: Path, reading: Reading) -> Readings:
    """Append a repeated training of a stuck run's best branch to a file in a `report/` folder; return all.

    Raises:
        AnalysisError: The file that is there holds something else.
    """
    append_reading(report / FILE, asdict(reading), _WHAT)
    return read_verdicts(report)


def _parse_reading(held: Mapping[str, Any]) -> Reading:
    sides = {name: tuple(tuple(map(float, repeat)) for repeat in held[name]) for name in ("arm", "control")}
    shapes = {tuple(map(len, side)) for side in sides.values()}
    if len(shapes) != 1 or not (shape := shapes.pop()) or len(set(shape)) != 1 or not shape[0]:
        raise ValueError("values of arm and control that are as many repeats of as many members")
    return Reading(
        trial=int(held["trial"]),
        searched=float(held["searched"]),
        arm=sides["arm"],
        control=sides["control"],
        chosen_among=int(held["chosen_among"]),
        values=restore_values(held["values"]),
        at=str(held["at"]),
        data=held["data"],
    )
