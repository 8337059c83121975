"""Numbers about a handful of runs: pure functions. How often the intervals hold: docs/statistics.md."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

LEVEL = 0.95
"""Level of every interval, whose text says 95 %."""

LEAST_SEEDS = 3
"""A side, from which on intervals were found to hold."""

INTERQUARTILE = 0.25
"""Trimmed at either end: what is left is the middle half."""

MOST_POINTS = 1000
"""Points of a curve whose pairs are compared: 500,000 pairs, 20 ms. Longer curves are averaged over blocks."""

_EQUAL = 1e-12
"""Spread of values that differ by rounding alone, as a share of their size."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """Mean and spread of a value over seeds, without an interval, since intervals of one mean are unreliable here.

    Attributes:
        mean: Mean of the values.
        spread: Standard deviation of the values (n - 1); None for a single one.
        values: Value of each seed.
    """

    mean: float
    spread: float | None
    values: tuple[float, ...]


@dataclass(frozen=True)
class Interval:
    """95 % interval of the difference of two means: lower and upper end."""

    low: float
    high: float


class NoInterval(StrEnum):
    """Reason why a difference of two means has no interval: one seed, no spread, or values that are not finite."""

    ONE_SEED = "one seed"
    NO_SPREAD = "seeds all equal"
    NOT_FINITE = "not finite"


@dataclass(frozen=True)
class Difference:
    """Difference of two groups' means, with a 95 % interval or the reason why there is none.

    Attributes:
        mean: Our mean minus their mean; of trimmed means where trimmed.
        interval: 95 % interval of the difference, or the reason why there is none.
        side: Direction: 1 if told from noise and above 0, -1 if below, 0 if the sides cannot be told apart.
        comparisons: Number of comparisons that the difference was chosen among; the interval holds for all at once.
    """

    mean: float
    interval: Interval | NoInterval
    side: int
    comparisons: int = 1


def estimate_over_seeds(values: Sequence[float]) -> Estimate:
    """Compute mean and spread (standard deviation) of one or more values, one value for each seed.

    Example:
        >>> estimate_over_seeds([1.0, 2.0, 3.0])
        Estimate(mean=2.0, spread=1.0, values=(1.0, 2.0, 3.0))
    """
    data = np.asarray(values, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        spread = float(data.std(ddof=1)) if len(data) > 1 else None
        return Estimate(float(data.mean()), spread, tuple(map(float, data)))


def compute_interquartile_mean(values: npt.ArrayLike) -> Array:
    """Compute the mean of the middle half of each row: the lowest and the highest quarter are left out.

    An interquartile mean heeds outliers less than a mean and wastes less than a median (Agarwal et al. 2021).

    Example:
        >>> float(compute_interquartile_mean([0.0, 1.0, 2.0, 100.0]))
        1.5
    """
    return _trimmed(np.asarray(values, dtype=np.float64), INTERQUARTILE)[0]


def compute_difference(
    ours: Sequence[float], theirs: Sequence[float], comparisons: int = 1, trim: float = 0.0
) -> Difference:
    """Compute the difference of two groups' means with a 95 % interval (Welch 1947; Yuen 1974 if trimmed).

    Seeds need not match: members decorrelate after a few updates. Two sides without any spread have no interval; they
    differ if a permutation of all seeds would seldom part them so (Fisher 1935).

    Args:
        ours: Our values, one a seed, at least one.
        theirs: Their values, one a seed, at least one.
        comparisons: Number of differences that the difference was chosen among, such as all trials against the control;
            the interval is widened so that it holds for all of them at once (Bonferroni).
        trim: Share left out at either end; `INTERQUARTILE` for interquartile means.
    """
    one, other = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        mean = float(_trimmed(one, trim)[0] - _trimmed(other, trim)[0])
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return Difference(mean, NoInterval.NOT_FINITE, 0, comparisons)
    if min(len(one), len(other)) < 2:
        return Difference(mean, NoInterval.ONE_SEED, 0, comparisons)
    _, error, freedom = compute_welch(one, other, trim)
    size = max(float(np.abs(one).max()), float(np.abs(other).max()))
    if error <= _EQUAL * size:
        # No side has any spread: a permutation test, with the two orders of all seeds that part the sides.
        parted = 2 / math.comb(len(one) + len(other), len(one)) * comparisons <= 1 - LEVEL
        differ = np.ptp(one) <= _EQUAL * size >= np.ptp(other) and abs(mean) > _EQUAL * size
        mean = mean if abs(mean) > _EQUAL * size else 0.0
        return Difference(mean, NoInterval.NO_SPREAD, int(np.sign(mean)) if differ and parted else 0, comparisons)
    return _within(mean, float(compute_margin(error, freedom, comparisons)), comparisons)


def compute_paired_difference(ours: Sequence[float], theirs: Sequence[float], comparisons: int = 1) -> Difference:
    """Compute the mean over seeds of our value minus the other side's, with a 95 % interval (Student 1908).

    Differences without any spread have no interval; the sides differ if exchanging them at random, seed by seed, would
    seldom give all differences one sign (Fisher 1935).

    Args:
        ours: Our values, one a seed.
        theirs: Their values of the same seeds, in the same order.
        comparisons: Number of differences that the difference was chosen among; see `compute_difference`.
    """
    one, other = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        gaps = one - other
        mean = float(gaps.mean())
    if not np.isfinite(gaps).all():
        return Difference(mean, NoInterval.NOT_FINITE, 0, comparisons)
    if len(gaps) < 2:
        return Difference(mean, NoInterval.ONE_SEED, 0, comparisons)
    error = float(gaps.std(ddof=1)) / math.sqrt(len(gaps))
    if error <= _EQUAL * float(np.abs(gaps).max()):
        told = 2 * 0.5 ** len(gaps) * comparisons <= 1 - LEVEL
        return Difference(mean, NoInterval.NO_SPREAD, int(np.sign(mean)) if told else 0, comparisons)
    return _within(mean, float(compute_margin(error, len(gaps) - 1, comparisons)), comparisons)


def compute_welch(ours: Array, theirs: Array, trim: float = 0.0) -> tuple[Array, Array, Array]:
    """Compute for each row the mean of `ours` minus the mean of `theirs`, the standard error, and degrees of freedom.

    Without trimming by Welch (1947), of trimmed means by Yuen (1974).

    Args:
        ours: `[..., N]`, N at least 2.
        theirs: `[..., M]`, M at least 2.
        trim: Share left out at either end.

    Returns:
        Three arrays of shape `[...]`; degrees of freedom are NaN where no row has any spread.
    """
    one, its_square, its_freedom = _trimmed(ours, trim)
    other, other_square, other_freedom = _trimmed(theirs, trim)
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = (its_square + other_square) ** 2 / (its_square**2 / its_freedom + other_square**2 / other_freedom)
    return one - other, np.sqrt(its_square + other_square), np.asarray(freedom)


def compute_margin(error: npt.ArrayLike, freedom: npt.ArrayLike, comparisons: int = 1) -> Array:
    """Compute half the width of 95 % intervals that hold for `comparisons` differences at the same time."""
    from scipy.special import stdtrit  # late: with it comes all of numpy, and few diagnoses need an interval

    tail = (1 - LEVEL) / 2 / comparisons
    return np.asarray(stdtrit(freedom, 1 - tail) * np.asarray(error), dtype=np.float64)


def _within(mean: float, half: float, comparisons: int) -> Difference:
    side = int(np.sign(mean)) if abs(mean) > half else 0
    return Difference(mean, Interval(mean - half, mean + half), side, comparisons)


def _trimmed(values: Array, trim: float) -> tuple[Array, Array, int]:
    """Compute the trimmed mean of each row, the squared standard error (winsorised) and the degrees of freedom."""
    ordered = np.sort(values, axis=-1)
    count = ordered.shape[-1]
    out = int(count * trim)
    kept = ordered[..., out : count - out]
    left = kept.shape[-1]
    mean = np.asarray(kept.mean(axis=-1))
    if left < 2:
        return mean, np.full_like(mean, math.nan), 0
    # Winsorised: each value left out counts as the nearest one kept.
    ends = out * (kept[..., :1] + kept[..., -1:])
    winsorised = (kept.sum(axis=-1, keepdims=True) + ends) / count
    squares = ((kept - winsorised) ** 2).sum(axis=-1)
    squares += out * ((kept[..., 0] - winsorised[..., 0]) ** 2 + (kept[..., -1] - winsorised[..., 0]) ** 2)
    return mean, np.asarray(squares / (left * (left - 1))), left - 1


@dataclass(frozen=True)
class Trend:
    """Trend of a curve: slope (Theil-Sen), p-value (Mann-Kendall), and noise around the trend.

    Attributes:
        slope: Median change per step of x (Theil-Sen: the median slope of all pairs of points).
        change: Slope times the curve's length: the change from the first point to the last.
        p: Two-sided p-value of the Mann-Kendall test against no trend; 1 with fewer than four points.
        noise: Spread of the points around the trend, robust: 1.48 times the median absolute deviation.
    """

    slope: float
    change: float
    p: float
    noise: float

    @property
    def rises(self) -> bool:
        """True if the curve has an upward trend, significant at 5 % (Mann-Kendall test)."""
        return self.p < 0.05 and self.slope > 0

    @property
    def falls(self) -> bool:
        """True if the curve has a downward trend, significant at 5 % (Mann-Kendall test)."""
        return self.p < 0.05 and self.slope < 0


def fit_trend(x: Sequence[float], y: Sequence[float]) -> Trend:
    """Test a curve for a trend: slope by Theil 1950 and Sen 1968, p-value by Mann 1945 and Kendall 1975.

    All pairs of points are compared, so a curve of more than `MOST_POINTS` is averaged over blocks first: a trend of
    the means is one of the points, and means of blocks are nearer to independent. The noise is that of single points.

    Neighbouring points of a training curve are not independent, which makes plain tests too sure; the test's variance
    is widened by (1 + r) / (1 - r), where r is the correlation of neighbouring residuals if positive (Bayley and
    Hammersley 1946).

    Args:
        x: Positions, ascending, e.g. iterations.
        y: Values, finite, as many as positions.

    Example:
        >>> rising = fit_trend(range(10), [float(value) for value in range(10)])
        >>> rising.slope, rising.rises
        (1.0, True)
    """
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(ys) < 2:
        return Trend(0.0, 0.0, 1.0, 0.0)
    block_xs, block_ys = _block_means(xs), _block_means(ys)
    # By hand, not by scipy.stats: the rises are the score of the test as well, whose variance scipy does not widen.
    first, second = np.triu_indices(len(block_ys), k=1)
    rises = block_ys[second] - block_ys[first]
    slope = float(np.median(rises / (block_xs[second] - block_xs[first])))
    p = _mann_kendall(block_ys, np.sign(rises).sum(), _residuals(block_xs, block_ys, slope))
    noise = 1.4826 * float(np.median(np.abs(_residuals(xs, ys, slope))))
    return Trend(slope, slope * float(xs[-1] - xs[0]), p, noise)


def _block_means(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Average a long curve over at most `MOST_POINTS` blocks of equal length; return a short curve unchanged."""
    length = -(-len(values) // MOST_POINTS)
    if length == 1:
        return values
    starts = np.arange(0, len(values), length)
    return np.add.reduceat(values, starts) / np.diff(np.append(starts, len(values)))


def _residuals(xs: npt.NDArray[np.float64], ys: npt.NDArray[np.float64], slope: float) -> npt.NDArray[np.float64]:
    residuals = ys - slope * xs
    residuals -= np.median(residuals)
    return residuals


def _mann_kendall(ys: npt.NDArray[np.float64], score: float, residuals: npt.NDArray[np.float64]) -> float:
    """Compute the Mann-Kendall p-value (normal approximation), corrected for ties and for autocorrelation."""
    n = len(ys)
    # Variance of the score without a trend, less for values that are tied.
    _, ties = np.unique(ys, return_counts=True)
    variance = (n * (n - 1) * (2 * n + 5) - (ties * (ties - 1) * (2 * ties + 5)).sum()) / 18
    if n < 4 or variance <= 0:
        return 1.0
    # More for neighbours that are alike: (1 + r) / (1 - r), r their correlation.
    power = float((residuals**2).sum())
    repeats = float((residuals[1:] * residuals[:-1]).sum()) / power if power > 0 else 0.0
    variance *= (1 + max(0.0, min(repeats, 0.98))) / (1 - max(0.0, min(repeats, 0.98)))
    z = max(0.0, abs(score) - 1) / math.sqrt(variance)
    return math.erfc(z / math.sqrt(2))


def compute_rank_correlation(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Compute Spearman's rank correlation; NaN with fewer than three pairs or if one side is constant.

    Tied values share the mean of their ranks.

    Example:
        >>> compute_rank_correlation([1, 2, 3], [10, 20, 15])
        0.5
    """
    if len(ours) < 3 or np.ptp(ours) == 0 or np.ptp(theirs) == 0:
        return math.nan
    from scipy.stats import spearmanr  # late: takes half a second, and only a report on pruning needs it

    return float(spearmanr(ours, theirs).statistic)
