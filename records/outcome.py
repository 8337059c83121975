"""Outcomes of trials: one word and one reason, the same in Optuna, in MLflow and on the screen (docs/design.md, D5)."""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """Attributes:
    COMPLETED: Reached its last iteration.
    PRUNED: The scheduler stopped the trial: others did better at the same rung.
    STUCK: A health rule stopped the trial: value loss at its starting level and F1 no better than trivial.
    DIVERGED: A health rule stopped the trial: a loss not finite, or the value loss exploding.
    INFEASIBLE: The configuration cannot run; refused before training and not counted as a trial.
    CRASHED: The worker died more often than allowed, or the trainable raised.
    INTERRUPTED: The driver died, or the user or the time budget ended the sweep.
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
    """An outcome and its reason.

    Example:
        >>> verdict = Verdict(Outcome.PRUNED, "asha rung 2: 0.31 < 0.44")
        >>> f"{verdict.outcome}: {verdict.reason}"
        'pruned: asha rung 2: 0.31 < 0.44'
    """

    outcome: Outcome
    reason: str
