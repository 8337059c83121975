"""Hold all that the driver knows of a running trial: settings, measurements, verdicts of earlier processes."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from unstuck.records.axis import Axis
from unstuck.records.measurement import Record
from unstuck.records.outcome import Verdict
from unstuck.records.rungs import RungEntry
from unstuck.records.score import compute_value_and_spread, summarize
from unstuck.records.unstick import MilestoneRecord
from unstuck.rl import metrics
from unstuck.sweeps.config.settings import SweepConfig

START_ITERATIONS = 3
"""Number of first iterations whose median value loss is the start of a trial. One iteration alone is noise, and a mean
would take an explosion in the third iteration for the starting level."""


@dataclass(frozen=True)
class TrialDiagnosis:
    """Short form of a trial's diagnosis: title and main sentence of the first finding, and notes to store.

    Attributes:
        title: Title of the first finding in two or three words, a doubt with a question mark; empty if nothing was
            found.
        headline: Sentence of the first finding with the numbers; empty if nothing was found.
        notes: Text that ledger and MLflow keep, by name.

    Example:
        >>> from unstuck.records.outcome import Outcome
        >>> diagnosis = TrialDiagnosis("policy frozen", "the policy has stopped changing", {})
        >>> diagnosis.explain(Verdict(Outcome.STUCK, "F1 0.210 <= 0.217")).reason
        'the policy has stopped changing; F1 0.210 <= 0.217'
    """

    title: str
    headline: str
    notes: Mapping[str, str]

    def explain(self, verdict: Verdict) -> Verdict:
        """Return outcome and reason of a stuck trial with the diagnosis's main sentence put before the reason."""
        return replace(verdict, reason=f"{self.headline or 'no rule says why'}; {verdict.reason}")


@dataclass
class LiveTrial:
    """State of one running trial in the main process: settings, metrics, diagnosis, an earlier process's decisions.

    The driver holds one object for each trial, which judges, diagnosis and screen read.

    Attributes:
        number: Number of the trial.
        config: Complete configuration of the trial.
        values: Searched settings by dotted path.
        is_control: True for the trial that others are compared with; only numbers that are not finite stop the control.
        summary_before: Numbers that an earlier process wrote when the trial was interrupted.
        last_judged_before_resume: Last step that an earlier process judged; records up to the step are replayed, not
            judged again.
        decision: Step and verdict of an earlier process that died before the end was recorded.
        rungs: Results at the scheduler's rungs.
        milestones: Decided milestones of an arm of an unstick, in the order in which they were decided.
        records: Iterations that the driver has received, oldest first.
        diagnosis: Latest diagnosis; None before the first.
        diagnosed_at: Iteration of the latest diagnosis.
        notes_on_record: Notes that ledger and tracker hold.
        started: Time of the start by the monotonic clock, in seconds.
    """

    number: int
    config: SweepConfig
    values: Mapping[str, Any] = field(default_factory=dict)
    is_control: bool = False
    summary_before: Mapping[str, float] = field(default_factory=dict)
    last_judged_before_resume: int = 0
    decision: tuple[int, Verdict] | None = None
    rungs: list[RungEntry] = field(default_factory=list)
    milestones: tuple[MilestoneRecord, ...] = ()
    records: list[Record] = field(default_factory=list)
    diagnosis: TrialDiagnosis | None = None
    diagnosed_at: int = 0
    notes_on_record: Mapping[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    @property
    def iteration(self) -> int:
        """Number of the trial's last iteration that has arrived in the main process; 0 before the first."""
        return self.records[-1].iteration if self.records else 0

    @property
    def last_step(self) -> int:
        """Last step of the trial that has arrived, in iterations or environment steps; 0 before the first."""
        return self.records[-1].step if self.records else 0

    @property
    def evaluations(self) -> list[Mapping[str, float]]:
        """Metrics of all iterations that ended with an evaluation, oldest first."""
        return [record.metrics for record in self.records if self.config.sweep.metric in record.metrics]

    @property
    def start_value_loss(self) -> float | None:
        """Median value loss of iterations 1 to 3; None if these have no value loss."""
        first = [record.metrics for record in self.records if record.iteration <= START_ITERATIONS]
        losses = [measured[metrics.VALUE_LOSS] for measured in first if metrics.VALUE_LOSS in measured]
        return median(losses) if losses else None

    @property
    def title(self) -> str:
        """Title of the trial's latest diagnosis, such as `policy frozen`; empty without finding or diagnosis."""
        return self.diagnosis.title if self.diagnosis else ""

    def score(self) -> tuple[float | None, float | None]:
        """Compute the trial's value so far (mean of the last evaluations) and spread over seeds; None if missing."""
        sweep = self.config.sweep
        return (
            compute_value_and_spread(self.evaluations, sweep.metric, sweep.seeds) if self.evaluations else (None, None)
        )

    def summary(self, axis: Axis) -> dict[str, float]:
        """Return the metrics to record at the trial's end by name: length, seconds, final value."""
        sweep, seconds = self.config.sweep, time.monotonic() - self.started
        last = max(self.last_step, self.last_judged_before_resume)
        return {
            **self.summary_before,
            metrics.FINAL_ITERATIONS: float(last // self.config.ppo.batch_size if axis.in_env_steps else last),
            **({metrics.FINAL_ENV_STEPS: float(last)} if axis.in_env_steps else {}),
            metrics.FINAL_SECONDS: self.summary_before.get(metrics.FINAL_SECONDS, 0.0) + seconds,
            **summarize(self.evaluations, sweep.metric, sweep.seeds),
        }

    def add(self, period: Sequence[Record]) -> None:
        """Add the metrics of the iterations up to an evaluation to the trial's `records`."""
        self.records += period
