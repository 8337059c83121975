"""Bounds, windows and levels worked out by hand; each decision once, and the same whenever the process died."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from unstuck.records.axis import ENV_STEP, ITERATION, Axis
from unstuck.records.measurement import Record
from unstuck.records.unstick import MilestoneRecord
from unstuck.rl import metrics
from unstuck.rl.config import EnvConfig, PPOConfig
from unstuck.rl.errors import ConfigError
from unstuck.sweeps.config.settings import MilestonesConfig, StudyConfig, SweepConfig, UnstickConfig
from unstuck.sweeps.stopping.live_trial import LiveTrial
from unstuck.sweeps.unstick.milestones import MilestoneWatch, describe_milestones, parse_checks, set_milestones

ROOT = Path(__file__).parents[3]
LOSS_FALLS = {"metric": "train/value_loss", "below": 0.5, "iterations": [10, 30]}


def config_of(*checks: Mapping[str, Any], iterations: int = 80, **study: Any) -> SweepConfig:
    return SweepConfig(
        run="stuck/7",
        sweep=StudyConfig(seeds=2, **study),
        ppo=PPOConfig(num_iterations=iterations, eval_every=10),
        unstick=UnstickConfig(iterations=iterations),
        milestones=MilestonesConfig(checks=tuple(dict(check) for check in checks)),
    )


def watch_of(*checks: Mapping[str, Any], history: Sequence[Record] = ()) -> MilestoneWatch:
    return MilestoneWatch(set_milestones(config_of(*checks), history), Axis(ITERATION, 1, 80))


def records(values: Mapping[int, float], metric: str = metrics.VALUE_LOSS, last: int = 80) -> list[Record]:
    """Every iteration up to `last`: the latest of the values by iteration; every tenth with an evaluation."""
    found, value = [], math.nan
    for iteration in range(1, last + 1):
        value = values.get(iteration, value)
        found.append(
            Record(iteration, 0, {metric: value} | ({metrics.EVAL_RETURN: 0.0} if iteration % 10 == 0 else {}))
        )
    return found


def decide_all(watch: MilestoneWatch, iterations: Sequence[Record], has_ended: bool = False) -> list[MilestoneRecord]:
    """Decisions of a trial that delivers ten iterations at a time."""
    trial, found = LiveTrial(0, SweepConfig()), []
    for start in range(0, len(iterations), 10):
        trial.add(iterations[start : start + 10])
        found += watch.decide(trial, has_ended=False)
    return found + (watch.decide(trial, has_ended=True) if has_ended else [])


def test_a_milestone_is_decided_at_its_windows_last_evaluation_alone() -> None:
    lowest_early = records({1: 0.9, 20: 0.1, 21: 0.9, 30: 0.6})
    (missed,) = decide_all(watch_of(LOSS_FALLS), lowest_early)
    assert (missed.passed, missed.value, missed.iteration) == (False, 0.6, 30)
    assert missed.describe() == "missed: value loss 0.6 is not < 0.5 at iteration 30"
    low_at_the_end = records({1: 0.9, 30: 0.42, 31: 0.9})
    (passed,) = decide_all(watch_of(LOSS_FALLS), low_at_the_end)
    assert (passed.passed, passed.value) == (True, 0.42)
    assert passed.describe() == "passed: value loss 0.42 < 0.5 at iteration 30"


def test_a_window_that_ends_between_evaluations_is_decided_by_the_one_before() -> None:
    watch = watch_of({**LOSS_FALLS, "iterations": [5, 37]})
    (decided,) = decide_all(watch, records({1: 0.9, 30: 0.4, 37: 0.9, 40: 0.9}))
    assert (decided.iteration, decided.value, decided.passed) == (30, 0.4, True)


def test_a_milestone_is_decided_once_and_as_soon_as_its_window_is_over() -> None:
    watch, trial, seen = watch_of(LOSS_FALLS), LiveTrial(0, SweepConfig()), []
    for start in range(0, 80, 10):
        trial.add(records({1: 0.4})[start : start + 10])
        seen += [(trial.iteration, one.number) for one in watch.decide(trial, has_ended=False)]
    assert seen == [(30, 1)]
    assert watch.decide(trial, has_ended=True) == []


def test_the_bound_itself_does_not_hold_and_not_a_number_neither() -> None:
    at_the_bound, nan = records({1: 0.5}), records({1: math.nan})
    for side in ("below", "above"):
        watch = watch_of({"metric": "train/value_loss", side: 0.5, "iterations": [1, 30]})
        assert [decide_all(watch, found)[0].passed for found in (at_the_bound, nan)] == [False, False]


def test_an_arm_that_ended_before_its_window_decided_has_missed_it() -> None:
    (missed,) = decide_all(watch_of(LOSS_FALLS), records({1: 0.1}, last=20), has_ended=True)
    assert (missed.passed, missed.value, missed.iteration) == (False, None, 20)
    assert missed.describe() == (
        "missed: ended at iteration 20, before iterations 10 to 30 had decided value loss < 0.5"
    )


def test_a_metric_that_was_not_measured_is_missed() -> None:
    watch = watch_of({"metric": "eval/f1", "above": 0.1, "iterations": [1, 30]})
    (missed,) = decide_all(watch, records({1: 0.1}))
    assert missed.describe() == "missed: F1 was not measured at the last evaluation of iterations 1 to 30"


def test_numbers_that_differ_look_different() -> None:
    (missed,) = decide_all(watch_of(LOSS_FALLS), records({1: 0.50001}))
    assert missed.describe() == "missed: value loss 0.50001 is not < 0.5 at iteration 30"
    milestone = {"metric": "train/episode_return", "above": -1000, "iterations": [1, 30]}
    (missed,) = decide_all(watch_of(milestone), records({1: -1234.5}, metrics.TRAIN_RETURN))
    assert missed.describe() == ("missed: episode return in training -1,234 is not > -1,000 at iteration 30")


@pytest.mark.parametrize("killed_after", [10, 20, 30, 40])
def test_a_replay_decides_nothing_twice_and_nothing_differently(killed_after: int) -> None:
    watch, whole = watch_of(LOSS_FALLS), records({1: 0.9, 30: 0.42})
    undisturbed = decide_all(watch, whole)
    before = LiveTrial(0, SweepConfig())
    before.add(whole[:killed_after])
    recorded = watch.decide(before, has_ended=False)
    after = LiveTrial(0, SweepConfig(), milestones=tuple(recorded))
    after.add(whole[:killed_after])  # replayed from the checkpoint, in one delivery
    again = watch.decide(after, has_ended=False)
    after.add(whole[killed_after:])
    assert [*recorded, *again, *watch.decide(after, has_ended=False)] == undisturbed


def test_a_decision_holds_whatever_a_rerun_without_checkpoint_measures() -> None:
    watch = watch_of(LOSS_FALLS)
    (recorded,) = decide_all(watch, records({1: 0.42}))
    rerun = LiveTrial(0, SweepConfig(), milestones=(recorded,))
    rerun.add(records({1: 0.9}))
    assert watch.decide(rerun, has_ended=True) == []
    assert rerun.milestones == (recorded,)


def test_windows_count_iterations_of_the_unchanged_configuration_where_rollouts_differ() -> None:
    """The base: 80 iterations of 100 environment steps; an arm with 70 steps ends at iteration 115, step 8,050."""
    milestones = set_milestones(config_of({**LOSS_FALLS, "iterations": [60, 80]}), [])
    watch, trial = MilestoneWatch(milestones, Axis(ENV_STEP, 100, 8000)), LiveTrial(0, SweepConfig())
    trial.add([Record(one, 0, {metrics.VALUE_LOSS: 0.6, metrics.EVAL_RETURN: 0.0}, 70 * one) for one in range(1, 115)])
    assert watch.decide(trial, has_ended=False) == []  # step 7,980
    trial.add([Record(115, 0, {metrics.VALUE_LOSS: 0.4, metrics.EVAL_RETURN: 0.0}, 8050)])
    (decided,) = watch.decide(trial, has_ended=False)
    assert (decided.iteration, decided.value, decided.passed) == (80, 0.4, True)


def history_of(values: Sequence[float], metric: str = metrics.F1) -> list[Record]:
    return [Record(20 * (place + 1), 0, {metric: value}) for place, value in enumerate(values)]


def limits(history: Sequence[Record], **bound: Any) -> list[float]:
    check = {"metric": "objective", "iterations": [1, None], **bound}
    return [milestone.limit for milestone in set_milestones(config_of(check), history)]


def test_rises_by_counts_deviations_of_the_last_ten_evaluations() -> None:
    history = history_of([0.9, 0.9] + [0.1, 0.3] * 5)  # the last ten: mean .2, deviation sqrt(10 * .01 / 9) = .1054
    assert limits(history, rises_by=3) == pytest.approx([0.2 + 3 * math.sqrt(0.1 / 9)])
    loss = history_of([0.1, 0.3] * 5, metrics.VALUE_LOSS)
    assert limits(loss, metric="train/value_loss", falls_by=1) == pytest.approx([0.2 - math.sqrt(0.1 / 9)])


def test_a_constant_level_has_a_spread_of_one_percent() -> None:
    assert limits(history_of([0.5] * 4), rises_by=3) == pytest.approx([0.5 + 3 * 0.005])
    assert limits(history_of([0.5]), rises_by=3) == pytest.approx([0.515])
    assert limits(history_of([0.0] * 11), rises_by=3) == [0.0]  # the stuck run: any F1 above 0
    assert limits(history_of([-200.0] * 3), rises_by=1) == pytest.approx([-198.0])  # up, where the level is negative


def describe_bound(values: Sequence[float], env_id: str = "CartPole-v1", mode: str = "max") -> str:
    """What `milestones=improved` asks of a run with these last returns; the line up to the window, and behind it."""
    checks = yaml.safe_load((ROOT / "conf/milestones/improved.yaml").read_text())["checks"]
    config = replace(config_of(*checks, metric="eval/episode_return", mode=mode), env=EnvConfig(id=env_id))
    (line,) = describe_milestones(set_milestones(config, history_of(values, metrics.EVAL_RETURN)))
    return line.removeprefix("milestone 1: episode return in evaluation ").replace(
        " at the last evaluation of iterations 1 to 80", ""
    )


def test_a_milestone_asks_for_no_more_than_the_environment_gives() -> None:
    rising = [50.0 * one for one in range(1, 11)]  # mean 275, deviation 151.4: three of them lead to 729
    assert describe_bound(rising) == "> 475 (solved, by Gymnasium's registry)"
    assert describe_bound(rising, "Pendulum-v1") == "> 729"  # neither solved nor ended anywhere
    assert describe_bound([480.0, 500.0] * 5) == "> 495 (half of the way to 500, the best that there is)"
    assert describe_bound([9.5] * 10) == "> 9.785"  # within reach: as it was asked for
    assert describe_bound([-200.0, -500.0] * 5, "Acrobot-v1") == "> -100 (solved, by Gymnasium's registry)"
    assert describe_bound(rising, "only_in_another_program") == "> 729"
    with pytest.raises(ConfigError, match=r"which stands at 500, the best that there is; write milestones=none$"):
        describe_bound([500.0] * 10)


def test_shares_end_at_1_and_errors_at_0() -> None:
    assert limits(history_of([0.9, 1.0] * 5), rises_by=3) == pytest.approx([0.975])  # .95 and three times .053
    loss = history_of([0.0, 0.2] * 5, metrics.VALUE_LOSS)
    assert limits(loss, metric="train/value_loss", falls_by=2) == pytest.approx([0.05])
    with pytest.raises(ConfigError, match="rises_by of eval/f1, which stands at 1, the best"):
        limits(history_of([1.0] * 3), rises_by=3)


def test_an_exploded_level_counts_what_is_finite() -> None:
    assert limits(history_of([0.5, math.nan, 0.5]), rises_by=1) == pytest.approx([0.505])
    with pytest.raises(ConfigError, match="finite values among the run's last 10 for rises_by, got none of eval/f1"):
        limits(history_of([math.nan, math.inf]), rises_by=1)
    with pytest.raises(ConfigError, match="write above or below with a number"):
        limits([], rises_by=1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"iterations": [60, 90]}, "within unstick.iterations = 80, got [60, 90]; set unstick.iterations=90"),
        ({"iterations": [90, None]}, "within unstick.iterations = 80, got [90, None]; set unstick.iterations=90"),
        ({"iterations": [0, 30]}, "with 1 <= first <= last, got [0, 30]"),
        ({"iterations": [31, 30]}, "with 1 <= first <= last, got [31, 30]"),
        ({"iterations": [11, 19]}, "one that ppo.eval_every = 10 divides or the last, got [11, 19]; widen"),
        (
            {"iterations": 30},
            "must be [first, last], counted from the branch, with null for the last iteration, got 30",
        ),
        ({"iterations": [1.5, 30]}, "must be [first, last]"),
        ({"metric": "train/valueloss"}, "got 'train/valueloss'; did you mean train/value_loss?"),
        ({"metric": None}, "did you mean"),
        ({"above": 1}, "must hold exactly one of above, below, rises_by, falls_by, improves_by, got above and below"),
        ({"bellow": 1}, "got bellow; did you mean below?"),
        ({"below": "low"}, "milestones.checks[0].below must be a number, got 'low'"),
        ({"below": math.inf}, "must be a number, got inf"),
        ({"below": True}, "must be a number, got True"),
    ],
)
def test_a_check_that_cannot_be_judged_is_refused(change: Mapping[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_checks(config_of({**LOSS_FALLS, **change}))
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_bound_is_required_and_a_relative_one_is_positive_and_asks_for_a_gain() -> None:
    bare = {"metric": "objective", "iterations": [1, None]}
    with pytest.raises(ConfigError, match=r"got none; write \{metric: eval/f1, above"):
        parse_checks(config_of(bare))
    with pytest.raises(ConfigError, match="rises_by must be a positive number, got -3"):
        parse_checks(config_of({**bare, "rises_by": -3}))
    with pytest.raises(ConfigError, match=r"must use rises_by for the objective with sweep.mode=max, got falls_by"):
        parse_checks(config_of({**bare, "falls_by": 3}))
    with pytest.raises(ConfigError, match=r"must use falls_by for the objective with sweep.mode=min, got rises_by"):
        parse_checks(config_of({**bare, "rises_by": 3}, metric="eval/fp", mode="min"))


def test_an_environment_without_flows_has_no_f1() -> None:
    config = SweepConfig(
        env=EnvConfig(id="CartPole-v1"),
        sweep=StudyConfig(metric="eval/episode_return"),
        milestones=MilestonesConfig(checks=({"metric": "eval/f1", "above": 0.3, "iterations": [1, None]},)),
    )
    with pytest.raises(ConfigError, match=r"that CartPole-v1 has .*got 'eval/f1'"):
        parse_checks(config)


def test_the_stuck_runs_table_is_what_its_owner_wrote() -> None:
    checks = yaml.safe_load((ROOT / "conf/milestones/stuck_run.yaml").read_text())["checks"]
    assert describe_milestones(set_milestones(config_of(*checks), [])) == [
        f"milestone {number}: {what} at the last evaluation of iterations {window}"
        for number, (what, window) in enumerate(
            [
                ("value loss < 0.8", "10 to 30"),
                ("episode return in training > -1,000", "10 to 30"),
                ("value loss < 0.5", "30 to 60"),
                ("episode return in training > -500", "30 to 60"),
                ("value loss < 0.3", "60 to 80"),
                ("episode return in training > 100", "60 to 80"),
                ("F1 > 0.3", "60 to 80"),
            ],
            start=1,
        )
    ]
    with pytest.raises(ConfigError, match=r"unstick.iterations = 50, got \[30, 60\]; set unstick.iterations=60"):
        set_milestones(config_of(*checks, iterations=50), [])


def test_improved_asks_for_three_deviations_at_the_last_iteration() -> None:
    checks = yaml.safe_load((ROOT / "conf/milestones/improved.yaml").read_text())["checks"]
    (milestone,) = set_milestones(config_of(*checks), history_of([0.1] * 10))
    assert (milestone.metric, milestone.first, milestone.last) == ("eval/f1", 1, 80)
    assert milestone.limit == pytest.approx(0.103)


def test_improved_follows_the_mode() -> None:
    checks = yaml.safe_load((ROOT / "conf/milestones/improved.yaml").read_text())["checks"]
    config = config_of(*checks, metric="eval/false_negatives", mode="min")
    history = [Record(i, 0, {"eval/false_negatives": 100.0}) for i in range(1, 11)]
    (milestone,) = set_milestones(config, history)
    assert milestone.limit == pytest.approx(97.0)
    assert (milestone.holds(96.0), milestone.holds(98.0)) == (True, False)
    rule = r"^milestones.checks\[0\].improves_by must be of the metric objective, got train/value_loss; write rises_by"
    with pytest.raises(ConfigError, match=rule):
        parse_checks(config_of({"metric": "train/value_loss", "improves_by": 2, "iterations": [1, None]}))


@pytest.mark.parametrize(
    ("value", "limit", "words"),
    [
        (0.42, 0.3123456789, "0.42 > 0.312"),  # computed from the level before the branch: few digits
        (0.42, 0.31234, "0.42 > 0.31234"),  # as somebody wrote it
        (0.3124, 0.3123456789, "0.3124 > 0.312346"),  # as many digits as show which is larger
        (0.30049, 0.3004, "0.30049 > 0.3004"),
        (1234.5, 1000.123456789, "1,234 > 1,000"),
    ],
)
def test_a_limit_is_said_with_the_digits_that_tell_something(value: float, limit: float, words: str) -> None:
    decided = MilestoneRecord(
        number=1, metric="eval/f1", bound="above", limit=limit, first=1, last=9, iteration=9, value=value, passed=True
    )
    assert decided.describe() == f"passed: F1 {words} at iteration 9"
