"""Define the outcomes of trials: one word and one reason, alike in Optuna, MLflow and logs (docs/design.md, D5)."""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """Ways a trial can end: completed, pruned, stuck, diverged, infeasible, crashed or interrupted.

    Attributes:
        COMPLETED: Trial reached the last iteration.
        PRUNED: Scheduler stopped the trial: others did better at the same rung.
        STUCK: Health rule stopped the trial: value loss at its starting level and F1 no better than trivial.
        DIVERGED: Health rule stopped the trial: a loss not finite, or the value loss exploding.
        INFEASIBLE: Configuration cannot run; refused before training and not counted as a trial.
        CRASHED: Worker died more often than allowed, or the trainable raised.
        INTERRUPTED: Driver died, or the user or the time budget ended the sweep.
    """

    COMPLETED = "completed"
    PRUNED = "pruned"
    STUCK = "stuck"
    DIVERGED = "diverged"
    INFEASIBLE = "infeasible"
    CRASHED = "crashed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Verdict:
    """Decision that a trial has ended: an outcome, such as `pruned`, and the reason in words.

    Example:
        >>> verdict = Verdict(Outcome.PRUNED, "asha rung 2: 0.31 < 0.44")
        >>> f"{verdict.outcome}: {verdict.reason}"
        'pruned: asha rung 2: 0.31 < 0.44'
    """

    outcome: Outcome
    reason: str
