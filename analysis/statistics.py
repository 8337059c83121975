"""Numbers about a handful of runs: pure functions, each with its own generator."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_RESAMPLES = 10_000

Statistic = Callable[[npt.ArrayLike], npt.NDArray[np.float64]]
"""One number of each row: from values `[..., N]` to `[...]`."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, and how sure it is.

    Attributes:
        mean: Of the values; of a difference, that of the two means, or of what else was asked for.
        low: Lower end of the 95 % interval.
        high: Upper end.
        spread: Standard deviation of the values (n - 1), 0 for a single one; of a difference, its standard error.
        values: One a seed; none for a difference.
    """

    mean: float
    low: float
    high: float
    spread: float
    values: tuple[float, ...]


def bootstrap_mean(values: Sequence[float], seed: int = 0) -> Estimate:
    """Mean with a 95 % percentile bootstrap interval (Efron 1979; 10,000 resamples).

    With fewer than about ten values the interval is too narrow; it says so by its own width only in part.

    Args:
        values: One a seed, at least one.
        seed: Of the resampling.
    """
    data = np.asarray(values, dtype=np.float64)
    draws = np.random.default_rng(seed).integers(0, len(data), size=(_RESAMPLES, len(data)))
    low, high = np.percentile(data[draws].mean(axis=1), [2.5, 97.5])
    spread = float(data.std(ddof=1)) if len(data) > 1 else 0.0
    return Estimate(float(data.mean()), float(low), float(high), spread, tuple(map(float, data)))


def mean(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Of each row."""
    return np.asarray(np.asarray(values, dtype=np.float64).mean(axis=-1))


def interquartile_mean(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Mean of the middle half of each row: of N values the N // 4 lowest and highest are left out.

    It heeds outliers less than a mean and wastes less than a median (Agarwal et al. 2021).
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64), axis=-1)
    left_out = ordered.shape[-1] // 4
    return mean(ordered[..., left_out : ordered.shape[-1] - left_out])


def bootstrap_difference(
    ours: Sequence[float], theirs: Sequence[float], seed: int = 0, statistic: Statistic = mean
) -> Estimate:
    """Difference of two means, resampled independently, with its 95 % percentile bootstrap interval.

    Args:
        ours: One value a seed.
        theirs: Likewise; seeds need not match: members decorrelate after a few updates.
        seed: Of the resampling.
        statistic: To take in place of the mean.
    """
    generator = np.random.default_rng(seed)
    one, other = (np.asarray(values, dtype=np.float64) for values in (ours, theirs))
    resampled = [
        statistic(data[generator.integers(0, len(data), size=(_RESAMPLES, len(data)))]) for data in (one, other)
    ]
    differences = resampled[0] - resampled[1]
    low, high = np.percentile(differences, [2.5, 97.5])
    difference = float(statistic(one) - statistic(other))
    return Estimate(difference, float(low), float(high), float(differences.std()), ())


@dataclass(frozen=True)
class Trend:
    """Whether a curve rises or falls, told from its noise.

    Attributes:
        slope: Median change per step of x (Theil-Sen: the median slope of all pairs of points).
        change: The slope times the curve's length: what it amounts to from the first point to the last.
        p: Two-sided, of the Mann-Kendall test against no trend; 1 with fewer than four points.
        noise: Spread of the points around the trend, robust: 1.48 times the median absolute deviation.
    """

    slope: float
    change: float
    p: float
    noise: float

    @property
    def rises(self) -> bool:
        """Clearly upwards, at the 5 % level."""
        return self.p < 0.05 and self.slope > 0

    @property
    def falls(self) -> bool:
        """Clearly downwards, at the 5 % level."""
        return self.p < 0.05 and self.slope < 0


def trend(x: Sequence[float], y: Sequence[float]) -> Trend:
    """The trend of a curve (Theil 1950, Sen 1968; Mann 1945, Kendall 1975).

    Neighbouring points of a training curve are not independent, which makes plain tests too sure; the test's variance
    is widened by (1 + r) / (1 - r), r the correlation of neighbouring residuals where it is positive (Bayley and
    Hammersley 1946).

    Args:
        x: Ascending, e.g. iterations.
        y: Finite, as many.
    """
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(ys) < 2:
        return Trend(0.0, 0.0, 1.0, 0.0)
    first, second = np.triu_indices(len(ys), k=1)
    rises = ys[second] - ys[first]
    slope = float(np.median(rises / (xs[second] - xs[first])))
    residuals = ys - slope * xs
    residuals -= np.median(residuals)
    noise = 1.4826 * float(np.median(np.abs(residuals)))
    return Trend(slope, slope * float(xs[-1] - xs[0]), _mann_kendall(ys, np.sign(rises).sum(), residuals), noise)


def _mann_kendall(ys: npt.NDArray[np.float64], score: float, residuals: npt.NDArray[np.float64]) -> float:
    """The test's p by its normal approximation, with ties and autocorrelation taken into account."""
    n = len(ys)
    _, ties = np.unique(ys, return_counts=True)
    variance = (n * (n - 1) * (2 * n + 5) - (ties * (ties - 1) * (2 * ties + 5)).sum()) / 18
    if n < 4 or variance <= 0:
        return 1.0
    power = float((residuals**2).sum())
    repeats = float((residuals[1:] * residuals[:-1]).sum()) / power if power > 0 else 0.0
    variance *= (1 + max(0.0, min(repeats, 0.98))) / (1 - max(0.0, min(repeats, 0.98)))
    z = max(0.0, abs(score) - 1) / math.sqrt(variance)
    return math.erfc(z / math.sqrt(2))


def rank_correlation(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Spearman's: of the ranks, ties sharing theirs; NaN with fewer than three pairs or where one side is constant."""
    if len(ours) < 3:
        return math.nan
    one, other = (_ranks(np.asarray(values, dtype=np.float64)) for values in (ours, theirs))
    if one.std() == 0 or other.std() == 0:
        return math.nan
    return float(np.corrcoef(one, other)[0, 1])


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last: npt.NDArray[np.float64] = np.cumsum(sizes) - (sizes - 1) / 2
    return last[group]
