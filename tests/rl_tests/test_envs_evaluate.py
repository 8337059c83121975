"""Greedy evaluation: triage by hand; episodes against Gymnasium's single environments."""

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from unstuck.rl import metrics
from unstuck.rl.config import EnvConfig
from unstuck.rl.data.types import Flows
from unstuck.rl.envs import evaluate, make_evaluator
from unstuck.rl.errors import ConfigError

CARTPOLE = EnvConfig(id="CartPole-v1", eval_episodes=3)
SEEDS = [5, 6, 7]


def small_flows() -> Flows:
    """Ten flows, the first three threats; the first feature is the row number."""
    features = np.zeros((10, 2), dtype=np.float32)
    features[:, 0] = np.arange(10)
    return Flows(features, np.arange(10) < 3)


def test_triage_is_scored_by_hand() -> None:
    decisions = np.zeros((3, 10), dtype=np.int64)
    decisions[0, :4] = [1, 2, 0, 3]  # two threats flagged, one allowed; one benign flow flagged
    decisions[1] = 1  # blocks all; member 2 allows all

    def act(observations: np.ndarray) -> np.ndarray:
        assert observations.shape == (3, 10, 2)
        assert observations.dtype == np.float32
        assert observations.flags.c_contiguous
        assert observations.flags.writeable
        rows = observations[:, :, 0].astype(int)
        return np.take_along_axis(decisions, rows, axis=1)

    results = make_evaluator(EnvConfig(flows_per_episode=100), small_flows(), []).evaluate(act, 3)
    greedy = {metrics.greedy_metric(name) for name in ("allow", "block", "quarantine", "alert")}
    assert set(results) == {*metrics.EVAL, *metrics.TRIVIAL, *greedy}
    shares = [results[metrics.greedy_metric(name)].tolist() for name in ("allow", "block", "quarantine", "alert")]
    assert shares == [[0.7, 0.0, 1.0], [0.1, 1.0, 0.0], [0.1, 0.0, 0.0], [0.1, 0.0, 0.0]]
    assert all(values.shape == (3,) and values.dtype == np.float64 for values in results.values())
    assert results[metrics.TRUE_POSITIVES].tolist() == [2, 3, 0]
    assert results[metrics.TRUE_NEGATIVES].tolist() == [6, 0, 7]
    assert results[metrics.FALSE_POSITIVES].tolist() == [1, 7, 0]
    assert results[metrics.FALSE_NEGATIVES].tolist() == [1, 0, 3]
    assert results[metrics.F1].tolist() == pytest.approx([2 / 3, 6 / 13, 0])
    assert results[metrics.PRECISION].tolist() == pytest.approx([2 / 3, 0.3, 0])
    assert results[metrics.RECALL].tolist() == pytest.approx([2 / 3, 1, 0])
    totals = [8 + 5 - 10 - 1 + 6 * 0.5, 3 * 8 - 7 * 5, -3 * 10 + 7 * 0.5]
    assert results[metrics.EVAL_RETURN].tolist() == pytest.approx([total / 10 * 100 for total in totals])
    assert results[metrics.F1_FLAG_ALL].tolist() == pytest.approx([6 / 13] * 3)
    assert results[metrics.F1_FLAG_NONE].tolist() == [0] * 3
    assert results[metrics.F1_RANDOM].tolist() == pytest.approx([4.5 / (4.5 + 5.25 + 0.75)] * 3)


def test_flows_trained_on_are_judged_beside_the_others() -> None:
    flows = small_flows()
    seen = flows.select_evenly(4)
    assert seen.features.tolist() == flows.features[[0, 3, 6, 9]].tolist()

    def act(observations: np.ndarray) -> np.ndarray:
        return np.ones(observations.shape[:2], dtype=np.int64)  # blocks all

    results = make_evaluator(EnvConfig(), flows, [], seen).evaluate(act, 1)
    threats = seen.threat.sum()
    assert results[metrics.F1_TRAIN].tolist() == pytest.approx([2 * threats / (threats + 4)])
    assert results[metrics.F1].tolist() == pytest.approx([6 / 13])


def test_actions_of_a_wrong_shape_are_refused_not_broadcast() -> None:
    evaluator = make_evaluator(EnvConfig(), small_flows(), [])
    with pytest.raises(ValueError, match=r"shape \(2, 10\), got \(1, 10\)"):
        evaluator.evaluate(lambda observations: np.zeros((1, 10), dtype=np.int64), 2)


def left_or_balance(observations: np.ndarray) -> np.ndarray:
    """Member 0 always pushes left, member 1 balances."""
    assert observations.shape[2] == 4
    actions = (observations[:, :, 2] + 0.3 * observations[:, :, 3] > 0).astype(np.int64)
    actions[0] = 0
    return actions


def single_return(seed: int, member: int) -> float:
    env = gymnasium.make("CartPole-v1")
    observation, _ = env.reset(seed=seed)
    total, done = 0.0, False
    while not done:
        action = left_or_balance(np.stack([observation, observation])[:, None])[member, 0]
        observation, reward, terminated, truncated, _ = env.step(action)
        total, done = total + float(reward), terminated or truncated
    return total


def test_episodes_are_those_of_single_environments_and_only_the_first_of_a_lane_counts() -> None:
    evaluator = make_evaluator(CARTPOLE, None, SEEDS)
    results = evaluator.evaluate(left_or_balance, 2)
    assert set(results) == {metrics.EVAL_RETURN}
    expected = [np.mean([single_return(seed, member) for seed in SEEDS]) for member in range(2)]
    assert results[metrics.EVAL_RETURN].tolist() == expected
    assert expected[0] < 12  # counting on after the first fall would give 500, as for member 1
    assert expected[1] == 500
    again = evaluator.evaluate(left_or_balance, 2)
    assert again[metrics.EVAL_RETURN].tolist() == expected


def test_every_member_plays_the_same_episodes_in_any_number() -> None:
    evaluator = make_evaluator(CARTPOLE, None, SEEDS)

    def alternate(observations: np.ndarray) -> np.ndarray:
        return (observations[:, :, 1] < 0).astype(np.int64)

    values = [evaluator.evaluate(alternate, count)[metrics.EVAL_RETURN].tolist() for count in (1, 4)]
    assert values[1] == values[0] * 4


class Endless(gymnasium.Env[np.ndarray, np.int64]):
    """Never ends; pays 1 a step."""

    observation_space = Box(-1, 1, (2,))
    action_space = Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        return np.zeros(2, dtype=np.float32), {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        return np.zeros(2, dtype=np.float32), 1.0, False, False, {}


@pytest.fixture
def endless() -> Iterator[str]:
    gymnasium.register("unstuck-tests/Endless-v0", entry_point=Endless)
    yield "unstuck-tests/Endless-v0"
    del gymnasium.registry["unstuck-tests/Endless-v0"]


def test_an_environment_without_a_time_limit_is_cut_off(endless: str) -> None:
    evaluator = make_evaluator(EnvConfig(id=endless, eval_episodes=1), None, [0])
    results = evaluator.evaluate(lambda observations: np.zeros(observations.shape[:2], dtype=np.int64), 1)
    assert results[metrics.EVAL_RETURN].tolist() == [evaluate.STEP_CAP]


def test_what_is_missing_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="needs flows to be evaluated on"):
        make_evaluator(EnvConfig(), None, [])
    with pytest.raises(ConfigError, match="eval_episodes = 3 is needed, got 2"):
        make_evaluator(CARTPOLE, None, [1, 2])
