import math

import numpy as np
import pytest

from analysis.statistics import bootstrap_difference, bootstrap_mean, interquartile_mean, rank_correlation, trend


def test_an_interval_brackets_its_mean() -> None:
    estimate = bootstrap_mean([1.0, 2.0, 6.0])
    assert estimate.mean == 3.0
    assert estimate.spread == pytest.approx(7**0.5)  # (4 + 1 + 9) / 2
    assert estimate.values == (1.0, 2.0, 6.0)
    assert 1.0 <= estimate.low < 3.0 < estimate.high <= 6.0


def test_two_values_by_hand() -> None:
    # Resamples of two are 00, 01, 10, 11: means 0, 0.5, 1 in the shares 1/4, 1/2, 1/4, so 95 % of them span 0 to 1.
    estimate = bootstrap_mean([0.0, 1.0])
    assert (estimate.mean, estimate.low, estimate.high) == (0.5, 0.0, 1.0)
    assert estimate.spread == pytest.approx(0.5**0.5)


def test_five_values_by_hand() -> None:
    # Resamples hold k ones with k binomial(5, 0.2): P(0) = 0.328, P(<= 2) = 0.942, P(<= 3) = 0.993; so 0 to 3/5.
    estimate = bootstrap_mean([0.0, 0.0, 0.0, 0.0, 1.0])
    assert estimate.low == 0.0
    assert estimate.high == pytest.approx(0.6)


@pytest.mark.parametrize("values", [[0.1], [0.1, 0.1, 0.1], [0.0] * 20])
def test_values_that_do_not_differ_leave_no_doubt(values: list[float]) -> None:
    estimate = bootstrap_mean(values)
    assert estimate.low == estimate.high == pytest.approx(estimate.mean)
    assert estimate.spread == pytest.approx(0)


def test_more_values_narrow_the_interval() -> None:
    few, many = bootstrap_mean([0.0, 1.0] * 5), bootstrap_mean([0.0, 1.0] * 20)
    # By sqrt(40 / 10); means of 10 and 40 are multiples of 0.1 and 0.025, so not exactly.
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(2, rel=0.2)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(0).normal(size=9).tolist()
    assert bootstrap_mean(values, seed=3) == bootstrap_mean(values, seed=3)
    assert bootstrap_mean(values, seed=3).low != bootstrap_mean(values, seed=4).low
    assert bootstrap_difference(values, values, seed=3) == bootstrap_difference(values, values, seed=3)


def test_a_value_that_is_not_finite_is_not_hidden() -> None:
    estimate = bootstrap_mean([0.5, float("nan")])
    assert np.isnan([estimate.mean, estimate.low, estimate.high, estimate.spread]).all()


def test_intervals_of_twenty_values_hold_the_truth_nineteen_times_in_twenty() -> None:
    samples = np.random.default_rng(1).normal(loc=5.0, size=(300, 20))
    estimates = [bootstrap_mean(row.tolist(), seed) for seed, row in enumerate(samples)]
    covered = np.mean([estimate.low <= 5.0 <= estimate.high for estimate in estimates])
    # A percentile interval of 20 is known to fall a little short: 0.93. Three standard errors of 300 are 0.044.
    assert 0.886 < covered < 0.974
    # Its width is that of 2 * 1.96 / sqrt(20), less sqrt(19 / 20) for the spread of a sample about its own mean.
    width = np.mean([estimate.high - estimate.low for estimate in estimates])
    assert width == pytest.approx(2 * 1.96 / 20**0.5 * 0.95**0.5, rel=0.05)


def test_a_difference_has_the_sign_of_ours_minus_theirs() -> None:
    ours, theirs = [0.8, 0.9, 1.0], [0.1, 0.2, 0.3, 0.2]
    better, worse = bootstrap_difference(ours, theirs), bootstrap_difference(theirs, ours)
    assert better.mean == pytest.approx(0.7)
    assert 0 < better.low < better.mean < better.high
    assert worse.mean == pytest.approx(-0.7)
    assert worse.low < worse.mean < worse.high < 0
    assert better.values == ()


def test_a_difference_by_hand() -> None:
    # Means of resamples of (0, 1) are 0, 0.5, 1 in the shares 1/4, 1/2, 1/4; their difference from a constant 2
    # spans -2 to -1, with a standard error of sqrt(1/8).
    estimate = bootstrap_difference([0.0, 1.0], [2.0])
    assert (estimate.mean, estimate.low, estimate.high) == (-1.5, -2.0, -1.0)
    assert estimate.spread == pytest.approx(0.125**0.5, rel=0.05)


def test_a_difference_of_nothing_is_not_clear_of_zero() -> None:
    values = np.random.default_rng(0).normal(size=8).tolist()
    estimate = bootstrap_difference(values, values)
    assert estimate.mean == 0
    assert estimate.low < 0 < estimate.high
    # Resampled independently: the variances of the two means add up. The wrong variant, in pairs, has none.
    expected = (2 * np.var(values) / 8) ** 0.5
    assert estimate.spread == pytest.approx(expected, rel=0.05)


def test_an_interquartile_mean_leaves_out_a_quarter_at_either_end() -> None:
    assert interquartile_mean([1.0, 2.0, 3.0, 100.0]) == 2.5
    assert interquartile_mean([5.0, 1.0, 2.0]) == pytest.approx(8 / 3)  # 3 // 4: none
    # Of ten values two at either end, in whatever order.
    assert interquartile_mean([9.0, -900.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 2.0, 900.0]) == 5.5
    assert interquartile_mean([[1.0, 2.0, 3.0, 100.0], [4.0, 4.0, 4.0, 4.0]]).tolist() == [2.5, 4.0]


def test_an_outlier_moves_a_difference_of_means_but_not_of_interquartile_means() -> None:
    ours, theirs = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 80.0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    assert bootstrap_difference(ours, theirs).mean == 9
    estimate = bootstrap_difference(ours, theirs, statistic=interquartile_mean)
    assert estimate.mean == 0
    assert estimate.low < 0 < estimate.high


def test_a_difference_of_interquartile_means_by_hand() -> None:
    # Resamples of (0, 0, 0, 8) hold k eights, k binomial(4, 1/4); the middle two of four have k - 1 of them, at least
    # none: 0 in P(k <= 1) = 0.738, 4 in P(2) = 0.211, 8 in P(k >= 3) = 0.051. So 95 % of them span 0 to 8.
    estimate = bootstrap_difference([0.0, 0.0, 0.0, 8.0], [1.0] * 4, statistic=interquartile_mean)
    assert (estimate.mean, estimate.low, estimate.high) == (-1.0, -1.0, 7.0)
    assert estimate.spread == pytest.approx((0.211 * 16 + 0.051 * 64 - (0.211 * 4 + 0.051 * 8) ** 2) ** 0.5, rel=0.05)


def test_a_trend_is_told_by_its_median_slope_and_by_its_ranks() -> None:
    found = trend([1, 2, 3, 4, 10], [0.0, 2.0, 4.0, 6.0, 18.0])
    assert (found.slope, found.change, found.noise) == (2.0, 18.0, 0.0)
    # All 10 pairs rise: S = 10, variance 5 * 4 * 15 / 18, z = 9 / sqrt(16.67) = 2.204.
    assert found.p == pytest.approx(0.0275, abs=1e-4)
    assert found.rises


def test_an_outlier_bends_no_trend() -> None:
    assert trend(range(11), [0.0] * 5 + [100.0] + [0.0] * 5).slope == 0.0


def test_noise_has_a_trend_no_more_often_than_the_level_says() -> None:
    draws = np.random.default_rng(0).standard_normal((400, 40))
    assert 0 < np.mean([trend(range(40), row).p < 0.05 for row in draws]) < 0.06


def test_a_smoothed_curve_is_not_taken_for_a_trend() -> None:
    draws = np.random.default_rng(0).standard_normal((300, 60))
    smooth = [np.convolve(row, np.ones(5) / 5, mode="valid") for row in draws]
    assert np.mean([trend(range(len(row)), row).p < 0.05 for row in smooth]) < 0.15  # 0.39 without the correction


def test_few_points_have_no_trend() -> None:
    assert trend([1], [5.0]).p == 1.0
    assert trend([1, 2, 3], [1.0, 2.0, 3.0]).p == 1.0


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 100], 1.0),
        ([1, 2, 3], [3, 2, 1], -1.0),
        ([1, 2, 2, 3], [1, 2, 3, 4], 0.9487),  # ranks 1, 2.5, 2.5, 4
    ],
)
def test_rank_correlation_counts_order_alone(ours: list[float], theirs: list[float], expected: float) -> None:
    assert rank_correlation(ours, theirs) == pytest.approx(expected, abs=1e-4)


def test_rank_correlation_of_a_constant_or_of_a_pair_is_not_known() -> None:
    assert math.isnan(rank_correlation([1, 1, 1], [1, 2, 3]))
    assert math.isnan(rank_correlation([1, 2], [1, 2]))
