"""Compute learning curves from the returns of training episodes, and the area under a learning curve."""

from collections.abc import Sequence
from itertools import chain

import numpy as np

Returns = list[list[float]]
"""For each rollout the undiscounted returns of the training episodes that ended in it."""

BINS = 10


def learning_curve(returns: Returns) -> list[float]:
    """Compute the mean return of training episodes in each tenth of a run, by the rollout in which episodes end.

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
    """Compute the area under a learning curve, divided by the curve's length: the mean return over the run."""
    return float(np.mean(curve))
