"""Measure what a step more brings an episode, where returns tell that exactly: each step pays the same, or nothing."""

import numpy as np
import numpy.typing as npt

EPISODES, LENGTHS = 8, 3
"""Episodes, and different lengths among them, from which something is measured."""

COMPARED = 100
"""Most episodes that are compared, each with all others, evenly over the run."""

DIGITS = 4
"""Digits behind the point to which two slopes must be the same: monitors round returns to six."""

MOSTLY = 0.5
"""Share of the pairs of different length that must have the same slope: rewards that differ from step to step leave
hardly two pairs alike, and a goal that is reached now and then leaves most."""


def measure_step_pay(returns: npt.NDArray[np.float64], lengths: npt.NDArray[np.float64]) -> float | None:
    """Measure by how much the return of an episode grows with each step, over pairs of episodes; None if not exactly.

    Args:
        returns: Of episodes, or means over some, `[n]`.
        lengths: Steps of the same, `[n]`.
    """
    kept = np.isfinite(returns) & np.isfinite(lengths)
    returns, lengths = returns[kept], lengths[kept]
    if len(returns) < EPISODES or len(np.unique(lengths)) < LENGTHS:
        return None
    chosen = np.linspace(0, len(returns) - 1, min(len(returns), COMPARED)).astype(int)
    first, second = (chosen[places] for places in np.triu_indices(len(chosen), k=1))
    apart = lengths[first] != lengths[second]
    if not apart.any():
        return None
    slopes = (returns[second] - returns[first])[apart] / (lengths[second] - lengths[first])[apart]
    values, counts = np.unique(np.round(slopes, DIGITS) + 0.0, return_counts=True)
    return float(values[counts.argmax()]) if counts.max() >= MOSTLY * len(slopes) else None
