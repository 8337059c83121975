"""Define the record of one trial in the ledger, for all who read ledgers; Optuna is not needed to read an entry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from unstuck.records.axis import read_last_step
from unstuck.records.outcome import Outcome, Verdict
from unstuck.records.rungs import RungEntry
from unstuck.records.unstick import MilestoneRecord, make_milestone_tags
from unstuck.rl import metrics

_OPEN = "RUNNING"
"""Name of Optuna's state of a trial that has not ended."""


@dataclass(frozen=True)
class Entry:
    """Record of one trial in the ledger (Optuna): settings, outcome, value, curve and notes.

    Attributes:
        number: Number of the trial, the same in Ray Tune's name and in MLflow.
        outcome: Outcome of the trial; None while the trial runs.
        reason: Reason for the outcome, in words.
        values: Searched settings by dotted path, as the learner sees them.
        value: Objective: the mean of the last evaluations, for any outcome; None before the first evaluation.
        curve: Objective by iteration, or by environment step (`records.axis`).
        summary: Numbers written at the end, such as the spread over members and the wall time.
        started: Time at which the trial was asked for.
        state: Optuna's name for the trial's state.
        rungs: Results at the scheduler's rungs.
        notes: Notes by name: on the checkpoint by workers, on the curves by the rules of diagnosis.
        milestones: Decided milestones of an arm of an unstick.
        raw: Searched settings as the sampler drew them, which for some kinds of range are other numbers.
        is_control: True for the trial that all others are compared with; not on record in a sweep of format 1.
        run_id: Id of the MLflow run; empty if nothing is tracked.
        decision: Iteration and verdict with which the trial ends, on record before the end itself.
    """

    number: int
    outcome: Outcome | None
    reason: str
    values: Mapping[str, Any]
    value: float | None
    curve: Mapping[int, float]
    summary: Mapping[str, float]
    started: datetime | None
    state: str
    rungs: tuple[RungEntry, ...] = ()
    decision: tuple[int, Verdict] | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    run_id: str = ""
    is_control: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict)
    milestones: tuple[MilestoneRecord, ...] = ()

    @property
    def tags(self) -> Mapping[str, str]:
        """Tags that MLflow shows for the trial beside its settings: notes, and decided milestones (metric bounds)."""
        return {**self.notes, **make_milestone_tags(self.milestones)}

    @property
    def is_open(self) -> bool:
        """True if the trial has not ended: it is running, or was interrupted and can be resumed."""
        return self.state == _OPEN

    @property
    def last_step(self) -> int:
        """Last step (iteration or environment step) with an evaluation; 0 without any."""
        return max(self.curve, default=0)

    @property
    def iterations(self) -> int:
        """Length of the trial so far, in iterations or environment steps as the sweep counts."""
        return read_last_step(self.summary, self.last_step)

    @property
    def seeds(self) -> tuple[float, ...]:
        """Final value of each of the trial's seeds; empty before the trial has ended."""
        prefix = metrics.seed_metric(metrics.FINAL_VALUE, 0).removesuffix("0")
        return tuple(self.summary[name] for name in sorted(self.summary) if name.startswith(prefix))

    @property
    def seconds(self) -> float:
        """Seconds from the proposal of the trial to the trial's end; 0 for a trial that has not ended."""
        return float(self.summary.get(metrics.FINAL_SECONDS, 0.0))


def find_best(entries: Sequence[Entry], mode: str) -> Entry | None:
    """Find the completed trial with the highest or lowest value, as `mode` says; return None if none completed."""
    completed = [entry for entry in entries if entry.outcome is Outcome.COMPLETED and entry.value is not None]
    sign = 1 if mode == "max" else -1
    return max(completed, key=lambda entry: sign * (entry.value or 0.0), default=None)
