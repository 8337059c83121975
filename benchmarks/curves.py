"""Learning curves: what they are, and the area under one."""

from collections.abc import Sequence
from itertools import chain

import numpy as np

Returns = list[list[float]]
"""For each rollout the undiscounted returns of the training episodes that ended in it."""

BINS = 10


def learning_curve(returns: Returns) -> list[float]:
    """Mean return of the training episodes in each tenth of a run; an episode belongs to the rollout in which it ends.

    Raises:
        ValueError: If the rollouts cannot be divided by ten, or no episode ended in one of the parts.
    """
    if not returns or len(returns) % BINS:
        raise ValueError(f"a run must have a multiple of {BINS} rollouts, got {len(returns)}; change its steps")
    length = len(returns) // BINS
    parts = [list(chain(*returns[start : start + length])) for start in range(0, len(returns), length)]
    if not all(parts):
        raise ValueError(f"an episode must end in each tenth of a run, none did in number {parts.index([]) + 1}")
    return [float(np.mean(part)) for part in parts]


def area(curve: Sequence[float]) -> float:
    """Area under a learning curve over its length: the return averaged over the run, in units of return."""
    return float(np.mean(curve))
