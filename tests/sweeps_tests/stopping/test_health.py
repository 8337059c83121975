"""The rules on one trial's losses: what they stop, and what they must not stop."""

import math

import pytest
from unstuck.records.measurement import Record
from unstuck.records.outcome import Outcome, Verdict
from unstuck.rl import metrics
from unstuck.sweeps.config.settings import HealthConfig, SweepConfig
from unstuck.sweeps.stopping.health import HealthRules, Metrics
from unstuck.sweeps.stopping.live_trial import LiveTrial

Records = list[tuple[int, Metrics]]

# 181 threats among 1,600 flows: flagging all has precision .113 and recall 1; flagging three in four, recall .75.
FLAG_ALL, RANDOM = 0.197, 0.189


def period(first: int, last: int, value_loss: float, f1: float | None = None) -> Records:
    """Iterations `first..last` at one value loss, the last with an evaluation if `f1` is given."""
    records: Records = [(i, {metrics.VALUE_LOSS: value_loss, metrics.GRAD_NORM: 0.4}) for i in range(first, last + 1)]
    if f1 is not None:
        trivial = {metrics.F1_FLAG_ALL: FLAG_ALL, metrics.F1_FLAG_NONE: 0.0, metrics.F1_RANDOM: RANDOM}
        records[-1] = (last, {**records[-1][1], metrics.F1: f1, **trivial})
    return records


class Rules:
    """The rules, with the trials that they judge: each keeps what it has measured."""

    def __init__(self, config: HealthConfig, objective: str = metrics.F1) -> None:
        self._rules = HealthRules(config, objective)
        self._trials: dict[int, LiveTrial] = {}

    def judge(self, number: int, records: Records, is_control: bool = False) -> Verdict | None:
        trial = self._trials.setdefault(number, LiveTrial(number, SweepConfig(), is_control=is_control))
        period = [Record(iteration, 0, measured) for iteration, measured in records]
        trial.add(period)
        return self._rules.judge(trial, period)


def judge_all(rules: Rules, periods: list[Records], trial: int = 0) -> list[Verdict | None]:
    return [rules.judge(trial, records) for records in periods]


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", [metrics.VALUE_LOSS, metrics.POLICY_LOSS, metrics.GRAD_NORM, metrics.F1])
def test_a_value_that_is_not_finite_is_diverged_even_with_the_rules_off(name: str, value: float, enabled: bool) -> None:
    records = period(1, 20, 1.0, f1=0.5)
    records[6] = (7, {**records[6][1], name: value})
    verdict = Rules(HealthConfig(enabled=enabled)).judge(0, records)
    assert verdict == Verdict(Outcome.DIVERGED, f"{name} is {value} at iteration 7")


def test_the_first_iteration_that_is_not_finite_is_named() -> None:
    records = period(1, 20, 1.0)
    records[12] = (13, {metrics.VALUE_LOSS: math.nan})
    records[11] = (12, {metrics.VALUE_LOSS: 1.0, metrics.POLICY_LOSS: math.inf})
    verdict = Rules(HealthConfig()).judge(0, records)
    assert verdict == Verdict(Outcome.DIVERGED, "train/policy_loss is inf at iteration 12")


@pytest.mark.parametrize("mean", [math.nan, 1.0])
def test_the_member_is_named_and_a_mean_that_hides_it_saves_no_trial(mean: float) -> None:
    members = {metrics.seed_metric(metrics.VALUE_LOSS, k): value for k, value in enumerate([1.0, 0.9, math.nan])}
    verdict = Rules(HealthConfig()).judge(0, [(57, {metrics.VALUE_LOSS: mean, **members})])
    assert verdict == Verdict(Outcome.DIVERGED, "train/value_loss of member 2 is nan at iteration 57")


def test_another_objective_must_be_finite_too() -> None:
    records: Records = [(20, {metrics.VALUE_LOSS: 1.0, metrics.PRECISION: math.nan})]
    assert Rules(HealthConfig()).judge(0, records) is None
    verdict = Rules(HealthConfig(), objective=metrics.PRECISION).judge(0, records)
    assert verdict == Verdict(Outcome.DIVERGED, "eval/precision is nan at iteration 20")


def test_a_metric_that_has_no_value_at_times_stops_nothing() -> None:
    records: Records = [(1, {metrics.VALUE_LOSS: 1.0, metrics.TRAIN_RETURN: math.nan})]
    assert Rules(HealthConfig()).judge(0, records) is None


def test_value_loss_explodes_against_the_median_of_the_first_three_iterations() -> None:
    start: Records = [(1, {metrics.VALUE_LOSS: 2.0}), (2, {metrics.VALUE_LOSS: 3.0}), (3, {metrics.VALUE_LOSS: 4.0})]
    rules = Rules(HealthConfig(explosion_factor=100.0))
    later: Records = [(4, {metrics.VALUE_LOSS: 900.0})]  # 100 x 1 would stop 300 already; the start is 3
    assert rules.judge(0, start + later) is None
    assert rules.judge(0, period(5, 24, 300.0)) is None  # exactly the bound: not beyond it
    verdict = rules.judge(0, period(25, 44, 400.0))
    assert verdict == Verdict(Outcome.DIVERGED, "value loss 400.000 > 100 x its start 3.000 at iteration 44")


def test_it_is_the_mean_of_the_period_that_explodes_not_one_iteration() -> None:
    rules = Rules(HealthConfig(explosion_factor=100.0))
    rules.judge(0, period(1, 20, 1.0))
    records = period(21, 40, 1.0)
    records[5] = (26, {metrics.VALUE_LOSS: 1900.0})  # mean (1900 + 19) / 20 = 95.95
    assert rules.judge(0, records) is None
    records[5] = (26, {metrics.VALUE_LOSS: 2000.0})  # mean (2000 + 19) / 20 = 100.95
    verdict = rules.judge(0, records)
    assert verdict == Verdict(Outcome.DIVERGED, "value loss 100.950 > 100 x its start 1.000 at iteration 40")


def test_the_case_before_return_normalisation_explodes() -> None:
    rules = Rules(HealthConfig())
    assert rules.judge(0, period(1, 20, 380.0)) is None
    verdict = rules.judge(0, period(21, 40, 49_000.0))
    assert verdict == Verdict(Outcome.DIVERGED, "value loss 4.9e+04 > 100 x its start 380.000 at iteration 40")


def test_a_sum_beyond_the_largest_float_explodes_and_raises_nothing() -> None:
    rules = Rules(HealthConfig())
    rules.judge(0, period(1, 3, 1.0))
    verdict = rules.judge(0, period(4, 23, 1e308))
    assert verdict is not None
    assert verdict.outcome is Outcome.DIVERGED
    assert "value loss inf > 100" in verdict.reason


@pytest.mark.parametrize("start", [0.0, 2e-4])
def test_a_first_reward_is_no_explosion(start: float) -> None:
    rules = Rules(HealthConfig())
    assert rules.judge(0, period(1, 20, start)) is None
    assert 100 * start < 0.5  # by its own start alone this would be an explosion
    assert rules.judge(0, period(21, 40, 0.5)) is None
    assert rules.judge(0, period(41, 60, 100.0)) is None


def test_above_the_floor_an_explosion_from_nothing_is_one() -> None:
    rules = Rules(HealthConfig())
    rules.judge(0, period(1, 20, 2e-4))
    verdict = rules.judge(0, period(21, 40, 250.0))
    assert verdict == Verdict(
        Outcome.DIVERGED, "value loss 250.000 > 100 x 1 (its start 0.0002 raised to this floor) at iteration 40"
    )


def test_the_case_is_stuck_at_the_end_of_its_grace() -> None:
    periods = [period(i, i + 19, 0.9996 if i > 1 else 1.0, f1=0.0) for i in range(1, 201, 20)]
    verdicts = judge_all(Rules(HealthConfig()), periods)
    assert verdicts[:3] == [None] * 3
    assert verdicts[3] == Verdict(
        Outcome.STUCK,
        "value loss 1.000 >= 0.9 x its start 1.000 and F1 0.000 <= 0.207 (flag all 0.197 + 0.01) at iteration 80",
    )


def test_a_value_loss_at_its_floor_under_a_good_policy_is_fine() -> None:
    """Independent flows, gamma 0.99: value loss 0.98, 0.95, 0.96 while F1 rises to 0.56, 0.74, 0.96."""
    periods = [period(1, 20, 0.98, 0.56), period(21, 60, 0.95, 0.74), period(61, 220, 0.96, 0.96)]
    assert judge_all(Rules(HealthConfig()), periods) == [None] * 3
    assert HealthConfig().stuck_value_loss * 0.98 <= 0.95  # the value loss alone would have stopped it


def test_f1_no_better_than_trivial_with_a_falling_value_loss_is_fine() -> None:
    periods = [period(1, 80, 1.0, 0.0), period(81, 100, 0.5, 0.0), period(101, 120, 0.89, 0.0)]
    assert judge_all(Rules(HealthConfig(stuck_grace_iterations=90)), periods) == [None] * 3


@pytest.mark.parametrize(("f1", "stuck"), [(0.19, True), (0.2069, True), (0.2071, False)])
def test_f1_must_beat_the_best_trivial_policy_by_the_margin(f1: float, stuck: bool) -> None:
    verdict = Rules(HealthConfig()).judge(0, period(1, 80, 1.0, f1))
    assert (verdict is not None) == stuck


def test_the_best_trivial_policy_need_not_be_flag_all() -> None:
    records = period(1, 80, 1.0, 0.3)
    records[-1] = (80, {**records[-1][1], metrics.F1_RANDOM: 0.31})
    verdict = Rules(HealthConfig(stuck_f1_margin=0.0)).judge(0, records)
    assert verdict == Verdict(
        Outcome.STUCK,
        "value loss 1.000 >= 0.9 x its start 1.000 and F1 0.300 <= 0.310 (random 0.310 + 0) at iteration 80",
    )


def test_without_f1_nothing_is_stuck() -> None:
    records = period(1, 80, 1.0)
    records[-1] = (80, {**records[-1][1], metrics.EVAL_RETURN: -200.0})
    assert Rules(HealthConfig()).judge(0, records) is None


def test_without_the_trivial_policies_nothing_is_stuck() -> None:
    records = period(1, 80, 1.0)
    records[-1] = (80, {**records[-1][1], metrics.F1: 0.0})
    assert Rules(HealthConfig()).judge(0, records) is None


def test_with_the_rules_off_neither_exploding_nor_stuck_stops() -> None:
    rules = Rules(HealthConfig(enabled=False))
    assert judge_all(rules, [period(1, 80, 1.0, 0.0), period(81, 100, 1e9, 0.0)]) == [None, None]


def test_each_trial_is_judged_by_its_own_start() -> None:
    rules = Rules(HealthConfig())
    rules.judge(0, period(1, 20, 1.0))
    rules.judge(1, period(1, 20, 1000.0))
    assert rules.judge(1, period(21, 40, 500.0)) is None
    verdict = rules.judge(0, period(21, 40, 500.0))
    assert verdict is not None
    assert verdict.outcome is Outcome.DIVERGED


def test_an_explosion_at_the_third_iteration_does_not_raise_the_start() -> None:
    rules = Rules(HealthConfig())
    losses: Records = [(i, {metrics.VALUE_LOSS: loss}) for i, loss in enumerate([2.0, 2.0, 3e3, 3e3, 3e3], start=1)]
    verdict = rules.judge(0, losses)
    assert verdict == Verdict(Outcome.DIVERGED, "value loss 1801 > 100 x its start 2.000 at iteration 5")


def test_a_start_spread_over_periods_is_the_same_start() -> None:
    """One evaluation an iteration: value losses 1, 3, 6, so the start is 3 from iteration 3 on."""
    rules = Rules(HealthConfig(explosion_factor=2.0))
    for iteration, loss in enumerate([1.0, 3.0, 6.0, 6.0], start=1):
        assert rules.judge(0, [(iteration, {metrics.VALUE_LOSS: loss})]) is None or iteration == 3
    verdict = rules.judge(0, [(5, {metrics.VALUE_LOSS: 6.1})])
    assert verdict == Verdict(Outcome.DIVERGED, "value loss 6.100 > 2 x its start 3.000 at iteration 5")


def test_without_its_start_a_trial_is_compared_with_nothing() -> None:
    rules = Rules(HealthConfig())
    assert judge_all(rules, [period(61, 80, 1.0, 0.0), period(81, 100, 1e9, 0.0)]) == [None, None]
