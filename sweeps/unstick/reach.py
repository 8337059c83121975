"""Tell how far a metric can go in an environment, so that no milestone asks for more than there is."""

from dataclasses import dataclass

import gymnasium
from unstuck.rl import metrics

_SHARES = (
    *(metrics.F1, metrics.F1_TRAIN, metrics.PRECISION, metrics.RECALL),
    *(metrics.EXPLAINED_VARIANCE, metrics.EXPLAINED_VARIANCE_MC, metrics.PROBE_EXPLAINED_VARIANCE_MC),
    *(metrics.CLIP_FRACTION, metrics.GRAD_CLIPPED_SHARE, metrics.SATURATED_SHARE, metrics.OBSERVATION_REPEATS),
)
"""Metrics that are never above 1."""

_NOT_NEGATIVE = (
    *(*metrics.ERRORS, metrics.VALUE_LOSS, metrics.VALUE_FLOOR, metrics.GRAD_NORM, metrics.UPDATE_NORM),
    *(metrics.F1, metrics.F1_TRAIN, metrics.PRECISION, metrics.RECALL, metrics.TARGET_STD, metrics.ADVANTAGE_STD),
    *(metrics.CLIP_FRACTION, metrics.GRAD_CLIPPED_SHARE, metrics.SATURATED_SHARE, metrics.OBSERVATION_REPEATS),
)
"""Metrics that are never below 0."""

_RETURNS = (metrics.EVAL_RETURN, metrics.TRAIN_RETURN)


@dataclass(frozen=True)
class Reach:
    """Best value that a metric can reach in an environment, as far as known, so that no bound asks for more.

    Attributes:
        end: Value that nothing can pass; None if unknown.
        solved: Return from which Gymnasium calls the environment solved; None if unknown, or not asked for.
    """

    end: float | None = None
    solved: float | None = None

    def limit_bound(self, bound: float, level: float) -> tuple[float, str]:
        """Return a bound that can be reached, and the reason if the wanted bound may be too far, as text.

        A bound above a return that counts as solved becomes that return. A bound at the end, or beyond, comes to lie
        half of the way from the level to the end.

        Args:
            bound: The bound as computed, on one side of the level.
            level: Level before the branch.

        Returns:
            The bound, and the reason; empty if the bound stays.
        """
        if self.solved is not None and level < self.solved < bound:
            return self.solved, "solved, by Gymnasium's registry"
        if self.end is not None and abs(bound - level) >= abs(self.end - level):
            return (level + self.end) / 2, f"half of the way to {self.end:g}, the best that there is"
        return bound, ""

    def is_exhausted(self, level: float, rises: bool) -> bool:
        """Return True if a metric's level has already reached the best possible value."""
        return self.end is not None and (level >= self.end if rises else level <= self.end)


def find_reach(metric: str, rises: bool, env_id: str) -> Reach:
    """Find the best value that a metric can reach in an environment: from its definition or Gymnasium's registry.

    Args:
        metric: Name of the metric, as in `rl.metrics`.
        rises: True for a metric that is to rise, False for one that is to fall.
        env_id: Id of the environment.
    """
    if metric in _RETURNS and rises:
        from unstuck.analysis.diagnosis.tasks import find_task  # late: it brings pandas

        task = find_task(env_id)
        return Reach(task.best if task else None, _read_reward_threshold(env_id))
    if rises:
        return Reach(1.0 if metric in _SHARES else None)
    return Reach(0.0 if metric in _NOT_NEGATIVE else None)


def _read_reward_threshold(env_id: str) -> float | None:
    """Read the return from which Gymnasium's registry counts an environment as solved; None if there is none."""
    try:
        return gymnasium.spec(env_id).reward_threshold
    except (gymnasium.error.Error, ImportError):  # an id that only another program knows
        return None
