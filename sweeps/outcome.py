"""How a trial ended: one word and one reason, the same in Optuna, in MLflow and on the screen (DESIGN D5)."""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """Attributes:
    COMPLETED: Reached its last iteration.
    PRUNED: The scheduler stopped it: others did better at the same rung.
    STUCK: A health rule stopped it: value loss at its starting level and F1 no better than trivial.
    DIVERGED: A health rule stopped it: a loss not finite, or the value loss exploding.
    INFEASIBLE: The configuration cannot run; refused before training and not counted as a trial.
    CRASHED: Its worker died more often than allowed, or the trainable raised.
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
    """An outcome and why, e.g. `Verdict(Outcome.PRUNED, "asha rung 2: 0.31 < 0.44")`."""

    outcome: Outcome
    reason: str
