"""Score an unstick: which arm was best, what the verdict says, how far it came from random to healthy, and why not."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unstuck.analysis.sweep.trials import Sweep, Trial, are_equal_settings
from unstuck.analysis.sweep.verdicts import Answer, read_verdicts

from benchmarks.unstick.levels import Levels
from benchmarks.unstick.points import Point
from benchmarks.unstick.sweeps import FailedError, unstick

CLOSED = 0.9
"""Share of the way from random to healthy that an arm must have gone to count as a cure."""


@dataclass(frozen=True)
class Score:
    """Result of one point's unstick.

    Attributes:
        point: The starting point.
        broken: Share of the way from random to healthy that the broken run went.
        arms: Arms beside the control.
        best: Settings of the best arm that differ from the control's; empty without a verdict.
        control: Share that the control went, by the verdict's fresh runs; None without a verdict.
        closed: Share that the best arm went, likewise.
        verdict: The verdict's answer for this run; None without.
        alike: The verdict's answer for runs of other seeds; None without.
        reason: Why the point is not mended, in words; empty for an arm that wins and goes `CLOSED` of the way.
    """

    point: Point
    broken: float
    arms: int
    best: Mapping[str, Any]
    control: float | None
    closed: float | None
    verdict: Answer | None
    alike: Answer | None
    reason: str

    @property
    def wins(self) -> bool:
        """True if the best arm wins its verdict."""
        return self.verdict is Answer.WINS

    @property
    def is_cured(self) -> bool:
        """True if the best arm wins and goes `CLOSED` of the way."""
        return self.wins and self.closed is not None and self.closed >= CLOSED


def score(point: Point, broken: float, levels: Levels, look: str, folder: Path) -> Score:
    """Unstick a point's broken run unless that has been done, and score what came of it."""
    name = f"{point.name}-{look}"
    try:
        sweep = unstick(point.name, name, folder)
    except FailedError as error:
        return Score(point, broken, 0, {}, None, None, None, None, f"no unstick: {error}")
    changes = {trial.number: find_change(trial, sweep) for trial in sweep.trials if not trial.is_control}
    readings = read_verdicts(folder / name / "report")
    reading = readings.last
    if reading is None:
        return Score(point, broken, len(changes), {}, None, None, None, None, "no verdict")
    verdict = readings.judge(reading, sweep.sign)
    control, closed = levels.share(verdict.control), levels.share(verdict.arm)
    alike = verdict.alike.answer if verdict.alike else None
    reason = explain(point, changes, verdict.answer, closed)
    best = changes[reading.trial]
    return Score(point, broken, len(changes), best, control, closed, verdict.answer, alike, reason)


def find_change(trial: Trial, sweep: Sweep) -> dict[str, Any]:
    """Return the settings of an arm that differ from the control's, by dotted path."""
    control = sweep.control
    untouched = control.values if control else {}
    return {path: value for path, value in trial.values.items() if not are_equal_settings(untouched.get(path), value)}


def explain(point: Point, changes: Mapping[int, Mapping[str, Any]], answer: Answer, closed: float) -> str:
    """Explain in words why a point is not mended; empty if it is.

    The diagnosis is wrong if no arm changes a setting that the fault is in.
    """
    faulty = [path for path in point.fault if path.startswith("ppo.")]
    if answer is Answer.WINS and closed >= CLOSED:
        return ""
    if not any(path in change for change in changes.values() for path in faulty):
        return f"diagnosis wrong: no arm changes {' or '.join(path.removeprefix('ppo.') for path in faulty)}"
    if closed < CLOSED:
        return f"no arm cured: the best goes {closed:.0%} of the way"
    return "verdict cannot tell" if answer is Answer.UNKNOWN else "the control is better"
