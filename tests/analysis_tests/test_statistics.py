import math
from functools import partial

import numpy as np
import pytest
from scipy import stats
from unstuck.analysis.comparison import describe_lead, judge_difference
from unstuck.analysis.report.sweep_verdict import sweep_verdict
from unstuck.analysis.statistics import (
    INTERQUARTILE,
    Interval,
    NoInterval,
    compute_difference,
    compute_interquartile_mean,
    compute_paired_difference,
    compute_rank_correlation,
    estimate_over_seeds,
    fit_trend,
)
from unstuck.analysis.sweep.trials import Sweep, Trial
from unstuck.records.outcome import Outcome

from benchmarks.intervals import (
    SAME,
    SEEDS,
    SWEEPS,
    at_a_ceiling,
    by_percentiles,
    claims,
    collapsing,
    coverage,
    main,
    normal,
    skewed,
)
from tests.analysis_tests.report.made import summarize


def test_a_mean_over_seeds_by_hand() -> None:
    estimate = estimate_over_seeds([1.0, 2.0, 6.0])
    assert estimate.mean == 3.0
    assert estimate.spread == pytest.approx(7**0.5)  # (4 + 1 + 9) / 2
    assert estimate.values == (1.0, 2.0, 6.0)


def test_one_seed_has_no_spread() -> None:
    assert estimate_over_seeds([0.5]).spread is None


def test_a_value_that_is_not_finite_is_not_hidden() -> None:
    assert np.isnan(
        [estimate_over_seeds([0.5, math.nan]).mean, estimate_over_seeds([0.5, math.inf, -math.inf]).mean]
    ).all()
    found = compute_difference([0.5, math.nan], [0.5, 0.6])
    assert (found.interval, found.side) == (NoInterval.NOT_FINITE, 0)
    assert math.isnan(found.mean)


def test_a_difference_is_welchs() -> None:
    # Means 2 and 6, both variances 1: error sqrt(2 / 3) with 4 degrees of freedom, whose t is 2.7764.
    found = compute_difference([1.0, 2.0, 3.0], [5.0, 6.0, 7.0])
    assert isinstance(found.interval, Interval)
    assert (found.mean, found.side) == (-4.0, -1)
    assert found.interval.low == pytest.approx(-4 - 2.77645 * (2 / 3) ** 0.5, abs=1e-4)
    assert found.interval.high == pytest.approx(-4 + 2.77645 * (2 / 3) ** 0.5, abs=1e-4)


@pytest.mark.parametrize(("trim", "count"), [(0.0, 3), (0.0, 9), (INTERQUARTILE, 4), (INTERQUARTILE, 9)])
def test_a_difference_is_that_of_another_library(trim: float, count: int) -> None:
    draws = np.random.default_rng(count)
    ours, theirs = draws.normal(size=count), draws.normal(1.0, 3.0, count + 2)
    found = compute_difference(ours.tolist(), theirs.tolist(), trim=trim)
    other = stats.ttest_ind(ours, theirs, equal_var=False, trim=trim)
    t = stats.t.ppf(0.975, other.df)
    assert isinstance(found.interval, Interval)
    assert found.interval.high - found.mean == pytest.approx(t * found.mean / other.statistic)


def test_a_choice_among_many_is_paid_for() -> None:
    # Of 4 comparisons each has a level of 1 - 0.05 / 4: t of 4 degrees of freedom at 0.99375 is 4.3147.
    found = compute_difference([1.0, 2.0, 3.0], [4.0, 5.0, 6.0], comparisons=4)
    assert isinstance(found.interval, Interval)
    assert found.interval.high == pytest.approx(-3 + 4.3147 * (2 / 3) ** 0.5, abs=1e-3)
    assert (found.side, compute_difference([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]).side) == (0, -1)


@pytest.mark.parametrize(("ours", "theirs"), [([0.9], [0.1]), ([0.9], [0.1, 0.2, 0.3]), ([0.8, 0.9], [0.1])])
def test_one_seed_has_no_interval_and_beats_nothing(ours: list[float], theirs: list[float]) -> None:
    found = compute_difference(ours, theirs)
    assert (found.interval, found.side) == (NoInterval.ONE_SEED, 0)
    assert judge_difference(found, 1) == "cannot be judged against the control by one seed"


@pytest.mark.parametrize(
    ("seeds", "comparisons", "side"),
    [
        (3, 1, 0),  # 2 of 20 ways to deal 6 seeds part them so: 0.1
        (4, 1, 1),  # 2 of 70
        (4, 2, 0),
        (8, 47, 1),
    ],
)
def test_seeds_that_are_all_equal_have_no_interval_but_may_be_told_apart(
    seeds: int, comparisons: int, side: int
) -> None:
    found = compute_difference([500.0] * seeds, [8.0] * seeds, comparisons)
    assert (found.mean, found.interval, found.side) == (492.0, NoInterval.NO_SPREAD, side)
    alike = compute_difference([0.1 + 0.2] * seeds, [0.3] * seeds)
    assert (alike.mean, alike.interval, alike.side) == (0.0, NoInterval.NO_SPREAD, 0)


@pytest.mark.parametrize(
    ("ours", "sign", "verdict"),
    [
        (0.61, 1, "is better than the control on every seed; no seed differs from another, so chance cannot be judged"),
        (0.61, -1, "is worse than the control on every seed; no seed differs from another, so chance cannot be judged"),
        (-0.065, 1, "is equal to the control on every seed; no seed differs from another, so chance cannot be judged"),
    ],
)
def test_a_deterministic_task_gets_no_verdict_on_chance(ours: float, sign: int, verdict: str) -> None:
    found = compute_difference([ours] * 3, [-0.065] * 3)
    assert judge_difference(found, sign) == verdict
    assert judge_difference(compute_difference([0.61] * 4, [-0.065] * 4), 1) == "beats the control"  # 2 of 70 ways


def test_a_lead_without_spread_is_not_called_noise() -> None:
    assert describe_lead(compute_difference([0.61] * 3, [-0.065] * 3)) == (
        "+0.675 (seeds all equal: no interval) against the control: this lead is the same on every seed, so chance "
        "cannot be judged, and fresh seeds have not judged it yet"
    )
    assert "this lead is none on any seed" in describe_lead(compute_difference([0.61] * 3, [0.61] * 3))
    verdict = sweep_verdict(sweep_of(np.array([[0.0] * 3, [0.5] * 3])), [])
    assert "noise" not in verdict


def test_one_side_without_spread_has_the_other_sides_interval() -> None:
    found = compute_difference([1.0, 1.0, 1.0], [0.0, 0.1, 0.2])
    assert isinstance(found.interval, Interval)
    assert found.mean - found.interval.low == pytest.approx(4.3027 * 0.1 / 3**0.5, abs=1e-4)  # 2 degrees of freedom


def test_pairs_of_seeds_are_compared_one_by_one() -> None:
    # Differences 1, 2, 3: error 1 / sqrt(3) with 2 degrees of freedom.
    found = compute_paired_difference([11.0, 22.0, 33.0], [10.0, 20.0, 30.0])
    assert isinstance(found.interval, Interval)
    assert found.interval.low == pytest.approx(2 - 4.3027 / 3**0.5, abs=1e-4)
    assert compute_paired_difference([1.0], [0.0]).interval is NoInterval.ONE_SEED
    assert compute_paired_difference([1.0, 2.0], [0.0, 1.0]).interval is NoInterval.NO_SPREAD
    assert compute_paired_difference([1.0, math.nan], [0.0, 1.0]).interval is NoInterval.NOT_FINITE


def test_an_interquartile_mean_leaves_out_a_quarter_at_either_end() -> None:
    assert compute_interquartile_mean([1.0, 2.0, 3.0, 100.0]) == 2.5
    assert compute_interquartile_mean([5.0, 1.0, 2.0]) == pytest.approx(8 / 3)  # 3 // 4: none
    # Of ten values two at either end, in whatever order.
    assert compute_interquartile_mean([9.0, -900.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 2.0, 900.0]) == 5.5
    assert compute_interquartile_mean([[1.0, 2.0, 3.0, 100.0], [4.0, 4.0, 4.0, 4.0]]).tolist() == [2.5, 4.0]


def test_an_outlier_moves_a_difference_of_means_but_not_of_interquartile_means() -> None:
    ours, theirs = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 80.0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    assert compute_difference(ours, theirs).mean == 9
    assert compute_difference(ours, theirs, trim=INTERQUARTILE).mean == 0


FAMILIES = {"normal": normal, "skew": skewed, "ceiling": at_a_ceiling, "collapse": collapsing}


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("name", SAME)
def test_intervals_hold_as_often_as_they_say(name: str, seeds: int) -> None:
    # Three standard errors of 20,000 repetitions are 0.005.
    assert coverage(SAME[name], seeds, 20_000) >= (0.94 if name.startswith("normal") else 0.88) - 0.005


def test_a_percentile_bootstrap_is_too_sure() -> None:
    normal_noise = SAME["normal, spreads 1 : 1"]
    for seeds, known in ((3, 0.81), (4, 0.83), (8, 0.90)):
        assert coverage(normal_noise, seeds, 2000, by_percentiles) == pytest.approx(known, abs=0.03)


@pytest.mark.parametrize("size", SWEEPS)
@pytest.mark.parametrize("family", FAMILIES)
def test_noise_is_not_taken_for_a_winner(family: str, size: tuple[int, int]) -> None:
    assert claims(FAMILIES[family], *size, sweeps=2000) <= 0.05
    assert claims(FAMILIES[family], *size, sweeps=500, method=by_percentiles) > 0.1  # as it was


@pytest.mark.parametrize("size", SWEEPS)
def test_the_verdict_on_a_sweep_of_noise_claims_no_winner(size: tuple[int, int]) -> None:
    trials, seeds = size
    claimed = beaten = 0
    for values in np.random.default_rng(trials).normal(0.5, 0.1, (500, trials, seeds)):
        verdict = sweep_verdict(sweep_of(values), [])
        best_is_control = ": the unchanged configuration itself" in verdict
        claimed += not best_is_control and "cannot be told from noise" not in verdict
        beaten += "beats" in verdict
    assert claimed <= 0.05 * 500
    assert beaten == 0


def test_a_search_finds_what_is_far_better_and_still_does_not_say_beats() -> None:
    values = np.random.default_rng(0).normal(0.2, 0.01, (12, 3))
    values[5] += 0.5
    verdict = sweep_verdict(sweep_of(values), [])
    assert "Trial 5 is the best of 12 trials" in verdict
    assert "for 11 comparisons at once" in verdict
    assert "this lead is more than noise and the choice of the best explain, and fresh seeds have not judged" in verdict
    assert "beats" not in describe_lead(compute_difference([9.0, 9.1, 9.2], [0.0, 0.1, 0.2]))


def sweep_of(values: np.ndarray) -> Sweep:
    """A sweep whose trials all completed, with these values `[trials, seeds]`."""
    trial = partial(Trial, outcome=Outcome.COMPLETED, reason="", curve={}, started=None, state="")
    trials = [
        trial(number, values={"ppo.lr": float(number)}, value=float(row.mean()), summary=summarize([*row], 1, 0.0))
        for number, row in enumerate(values)
    ]
    return Sweep("noise", {"ppo.lr": 0.0}, tuple(trials))


def test_the_tables_of_the_docs_come_from_one_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick"]) == 0
    printed = capsys.readouterr().out
    assert "Coverage in %, both arms alike: Welch's t (used):" in printed
    assert printed.count("\n| normal, spreads 1 : 1 | ") == 5
    assert "\n| noise: normal | " in printed


def test_a_trend_is_told_by_its_median_slope_and_by_its_ranks() -> None:
    found = fit_trend([1, 2, 3, 4, 10], [0.0, 2.0, 4.0, 6.0, 18.0])
    assert (found.slope, found.change, found.noise) == (2.0, 18.0, 0.0)
    # All 10 pairs rise: S = 10, variance 5 * 4 * 15 / 18, z = 9 / sqrt(16.67) = 2.204.
    assert found.p == pytest.approx(0.0275, abs=1e-4)
    assert found.rises


def test_an_outlier_bends_no_trend() -> None:
    assert fit_trend(range(11), [0.0] * 5 + [100.0] + [0.0] * 5).slope == 0.0


def test_noise_has_a_trend_no_more_often_than_the_level_says() -> None:
    draws = np.random.default_rng(0).standard_normal((400, 40))
    assert 0 < np.mean([fit_trend(range(40), row).p < 0.05 for row in draws]) < 0.06


def test_a_smoothed_curve_is_not_taken_for_a_trend() -> None:
    draws = np.random.default_rng(0).standard_normal((300, 60))
    smooth = [np.convolve(row, np.ones(5) / 5, mode="valid") for row in draws]
    assert np.mean([fit_trend(range(len(row)), row).p < 0.05 for row in smooth]) < 0.15  # 0.39 without the correction


@pytest.mark.parametrize("length", [1000, 1001, 20_000])
def test_a_long_curve_has_the_trend_noise_and_false_alarms_of_a_short_one(length: int) -> None:
    draws = np.random.default_rng(0)
    rising = fit_trend(range(length), np.arange(length) / length + draws.standard_normal(length))
    assert rising.rises
    assert rising.change == pytest.approx(1.0, abs=0.4)
    assert rising.noise == pytest.approx(1.0, rel=0.05)  # of single points, not of means over blocks
    alarms = [fit_trend(range(length), draws.standard_normal(length)).p < 0.05 for _ in range(20)]
    assert sum(alarms) <= 4


def test_a_curve_of_a_hundred_thousand_points_takes_no_pair_of_each() -> None:
    """Of 100,000 points 5e9 pairs would take 40 GB."""
    assert fit_trend(range(100_000), range(100_000)).slope == pytest.approx(1.0)


def test_few_points_have_no_trend() -> None:
    assert fit_trend([1], [5.0]).p == 1.0
    assert fit_trend([1, 2, 3], [1.0, 2.0, 3.0]).p == 1.0


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 100], 1.0),
        ([1, 2, 3], [3, 2, 1], -1.0),
        ([1, 2, 2, 3], [1, 2, 3, 4], 0.9487),  # ranks 1, 2.5, 2.5, 4
    ],
)
def test_rank_correlation_counts_order_alone(ours: list[float], theirs: list[float], expected: float) -> None:
    assert compute_rank_correlation(ours, theirs) == pytest.approx(expected, abs=1e-4)


def test_rank_correlation_of_a_constant_or_of_a_pair_is_not_known() -> None:
    assert math.isnan(compute_rank_correlation([1, 1, 1], [1, 2, 3]))
    assert math.isnan(compute_rank_correlation([1, 2], [1, 2]))
