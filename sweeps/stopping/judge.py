"""Define the interface of judges: a judge looks at a running trial after an evaluation, and may end the trial."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from unstuck.records.axis import Axis
from unstuck.records.measurement import Record
from unstuck.records.outcome import Outcome, Verdict
from unstuck.sweeps.stopping.live_trial import LiveTrial


class Judge(Protocol):
    """Interface of a judge (early-stopping rule), which decides after each evaluation if a trial ends, and how.

    Others add judges by the entry point `unstuck.judges`.
    """

    def judge(self, trial: LiveTrial, period: Sequence[Record]) -> Verdict | None:
        """Return outcome and reason if the trial has to end after an evaluation, or None if the trial may go on.

        Args:
            trial: The trial; `trial.records` holds the period already.
            period: Iterations since the last call, oldest first, at least one. The last one normally holds an
                evaluation.

        Returns:
            Outcome and reason of a trial that has to end; None for one that goes on.
        """


class LastStep:
    """Judge that ends a trial as completed when the trial has reached the full training length.

    Args:
        axis: Axis that the sweep counts trials by.

    Example:
        >>> from unstuck.records.axis import ITERATION
        >>> from unstuck.sweeps.config.settings import SweepConfig
        >>> trial, period = LiveTrial(0, SweepConfig()), [Record(20, 0, {})]
        >>> print(LastStep(Axis(ITERATION, 1, 40)).judge(trial, period))
        None
        >>> LastStep(Axis(ITERATION, 1, 20)).judge(trial, period).reason
        'reached iteration 20'
    """

    def __init__(self, axis: Axis) -> None:
        self._axis = axis

    def judge(self, trial: LiveTrial, period: Sequence[Record]) -> Verdict | None:
        """Return the outcome `completed` if the trial has reached the full training length, else None."""
        step = period[-1].step
        if step < self._axis.length:
            return None
        return Verdict(Outcome.COMPLETED, f"reached {self._axis.describe_step(step)}")


def first_verdict(judges: Iterable[Judge], trial: LiveTrial, period: Sequence[Record]) -> Verdict | None:
    """Ask judges about a trial one by one until one ends the trial; return outcome and reason, or None if none does."""
    return next(filter(None, (judge.judge(trial, period) for judge in judges)), None)
