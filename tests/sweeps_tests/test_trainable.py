"""What a worker does between Ray's calls; that it does so within Ray, test_run.py shows."""

import math
import time

import numpy as np
import pytest

from rl import metrics
from rl.config import DataConfig, EnvConfig, PPOConfig
from rl.data import FlowData, load_flows
from sweeps.config import StudyConfig, SweepConfig
from sweeps.record import Record
from sweeps.trainable import learner_of, summarise, train_period

TINY = PPOConfig(
    num_iterations=5, eval_every=2, num_envs=2, num_steps=16, minibatch_size=32, num_epochs=1, hidden_sizes=(8,)
)


def config_of(env: EnvConfig | None = None, seed: int = 0, seeds: int = 2) -> SweepConfig:
    return SweepConfig(
        sweep=StudyConfig(name="mine", seeds=seeds, seed=seed),
        env=env or EnvConfig(flows_per_episode=20),
        data=DataConfig(num_flows=500, num_features=4, eval_flows=100),
        ppo=TINY,
    )


@pytest.fixture(scope="module")
def data() -> FlowData:
    return load_flows(config_of().data)


def run(config: SweepConfig, data: FlowData | None) -> list[list[Record]]:
    """All periods of a trial."""
    learner = learner_of(config, data)
    periods = []
    while learner.iteration < config.ppo.num_iterations:
        periods.append(train_period(learner, config.sweep.metric))
    return periods


def test_means_over_members_and_some_members_own() -> None:
    measured = {
        metrics.F1: np.array([0.25, 0.75]),
        metrics.VALUE_LOSS: np.array([1.0, 4.0]),
        metrics.ENTROPY: np.array([0.5, 1.5]),
    }
    assert summarise(measured, (metrics.F1, metrics.VALUE_LOSS, metrics.EVAL_RETURN)) == {
        "eval/f1": 0.5,
        "train/value_loss": 2.5,
        "train/entropy": 1.0,
        "eval/f1/seed_0": 0.25,
        "eval/f1/seed_1": 0.75,
        "train/value_loss/seed_0": 1.0,
        "train/value_loss/seed_1": 4.0,
    }


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_one_member_that_is_not_finite_shows_in_the_mean(bad: float) -> None:
    result = summarise({metrics.VALUE_LOSS: np.array([1.0, bad, 3.0])}, (metrics.VALUE_LOSS,))
    assert repr(result[metrics.VALUE_LOSS]) == repr(bad)  # a nanmean would say 2
    assert result["train/value_loss/seed_0"] == 1.0
    assert repr(result["train/value_loss/seed_1"]) == repr(bad)


def test_a_period_ends_with_its_evaluation_and_the_last_one_with_the_trial(data: FlowData) -> None:
    before = time.time_ns() // 1_000_000
    periods = run(config_of(), data)
    assert [[record.iteration for record in period] for period in periods] == [[1, 2], [3, 4], [5]]
    for period in periods:
        assert [metrics.F1 in record.metrics for record in period] == [False] * (len(period) - 1) + [True]
    stamps = [record.timestamp_ms for period in periods for record in period]
    assert before <= stamps[0]
    assert stamps == sorted(stamps)
    assert stamps[-1] <= time.time_ns() // 1_000_000


def test_a_record_holds_every_metric_of_members_and_mean(data: FlowData) -> None:
    last = run(config_of(), data)[-1][-1].metrics
    always = {*metrics.TRAIN, *metrics.EVAL, *metrics.TRIVIAL, metrics.F1_TRAIN, *metrics.CRITIC, *metrics.NETWORKS}
    named = (metrics.action_metric, metrics.greedy_metric)
    shares = {name(action) for action in ("allow", "block", "quarantine", "alert") for name in named}
    own = {metrics.seed_metric(name, member) for name in metrics.PER_SEED for member in range(2)}
    assert last.keys() == always | shares | own
    assert last[metrics.F1] == pytest.approx((last["eval/f1/seed_0"] + last["eval/f1/seed_1"]) / 2)


def test_the_objective_is_recorded_for_each_member_whichever_it_is(data: FlowData) -> None:
    records = train_period(learner_of(config_of(), data), metrics.RECALL)
    assert records[-1].metrics["eval/recall"] == pytest.approx(
        (records[-1].metrics["eval/recall/seed_0"] + records[-1].metrics["eval/recall/seed_1"]) / 2
    )


def test_a_period_ends_at_the_first_metric_that_is_not_finite(data: FlowData) -> None:
    # Rewards whose squares float32 cannot hold.
    env = EnvConfig(flows_per_episode=20, reward_benign=(1e30, -1e30, 1e30, -1e30))
    (record,) = train_period(learner_of(config_of(env), data), metrics.F1)
    assert record.iteration == 1  # not 2, where it would have been evaluated
    assert record.metrics["train/value_loss"] == math.inf


def test_the_same_configuration_gives_the_same_numbers(data: FlowData) -> None:
    first, again, other = (
        [dict(record.metrics) for period in run(config, data) for record in period]
        for config in (config_of(), config_of(), config_of(seed=1))
    )
    assert first == again  # bit for bit, as a worker that starts anew must repeat them
    assert all(one["train/value_loss"] != two["train/value_loss"] for one, two in zip(first, other, strict=True))


def test_members_are_the_same_whoever_trains_beside_them(data: FlowData) -> None:
    two, three = (run(config_of(seeds=seeds), data)[-1][-1].metrics for seeds in (2, 3))
    for name in metrics.PER_SEED:
        for member in range(2):
            assert two[metrics.seed_metric(name, member)] == three[metrics.seed_metric(name, member)]
