"""Tell whether a curve is what chance alone makes of one policy: draws that know nothing of each other, and no drift.

A policy that is moved wanders, by a signal or by noise, and its returns wander with it: neighbours are alike.
"""

import math

import numpy as np
import numpy.typing as npt

LEAST = 40
"""Values before anything is said."""

ALONE = 2.0
"""Standard errors within which neighbours must be unrelated, and the halves and tenths of the curve alike."""

TENTHS = 10
"""Parts of a curve whose means are compared."""

ALIKE = 1.5
"""Factor within which the spread of both halves must lie."""


def scatters_by_chance(values: npt.NDArray[np.float64]) -> bool:
    """True if a curve may be independent draws from one distribution, all along.

    Args:
        values: The curve `[points]`, float64, finite; of means that overlap, every so many that they no longer do.
    """
    if len(values) < LEAST or np.ptp(values) == 0:
        return False
    return _are_unrelated(values) and _keeps_distribution(values)


def _are_unrelated(values: npt.NDArray[np.float64]) -> bool:
    """True if neighbours of a curve are not alike beyond chance (lag-1 autocorrelation)."""
    off = values - values.mean()
    return float(off[:-1] @ off[1:]) <= ALONE / math.sqrt(len(values)) * float(off @ off)


def _keeps_distribution(values: npt.NDArray[np.float64]) -> bool:
    """True if halves and tenths of a curve have one mean, and the halves one spread."""
    halves, tenths = np.array_split(values, 2), np.array_split(values, TENTHS)
    spreads = [float(half.std()) for half in halves]
    if max(spreads) > ALIKE * min(spreads):
        return False
    error = float(values.std()) * math.sqrt(2 / len(halves[0]))
    if abs(float(halves[1].mean() - halves[0].mean())) > ALONE * error:
        return False
    of_means = float(np.var([part.mean() for part in tenths], ddof=1)) * len(values) / TENTHS
    return of_means <= (1 + ALONE * math.sqrt(2 / (TENTHS - 1))) * float(values.var())
