"""Any Gymnasium id: the same form as our own lanes, or a refusal that says why."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import DependencyNotInstalled
from gymnasium.spaces import Box, Discrete
from unstuck.rl import envs
from unstuck.rl.config import TRIAGE, EnvConfig
from unstuck.rl.data.types import FlowData, Flows
from unstuck.rl.envs.gym import make_gym_vec, read_spaces
from unstuck.rl.envs.triage import TriageVectorEnv
from unstuck.rl.errors import ConfigError


class Countdown(gymnasium.Env[np.ndarray, np.int64]):
    """Terminates after as many steps as its seed says; observes them in float64."""

    def __init__(self, start: int = 0) -> None:
        self.observation_space = Box(0.0, 100.0, (2,), np.float64)
        self.action_space = Discrete(2, start=start)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.left = seed or 3
        return np.array([self.left, 0.1]), {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.left -= 1
        return np.array([self.left, 0.1]), float(action), self.left == 0, False, {}


def missing_package() -> gymnasium.Env[Any, Any]:
    raise DependencyNotInstalled('pip install "gymnasium[nothing]"')


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    gymnasium.register("unstuck-tests/Countdown-v0", entry_point=Countdown)
    gymnasium.register("unstuck-tests/Missing-v0", entry_point=missing_package)
    yield
    for name in ("Countdown", "Missing"):
        del gymnasium.registry[f"unstuck-tests/{name}-v0"]


def test_each_lane_is_the_single_env_with_its_seed() -> None:
    seeds = [2, 8]
    lanes = make_gym_vec("MountainCar-v0", 2)
    singles = [gymnasium.make("MountainCar-v0") for _ in seeds]
    observations, _ = lanes.reset(seed=seeds)
    for lane, env in enumerate(singles):
        np.testing.assert_array_equal(observations[lane], env.reset(seed=seeds[lane])[0])
    generator, truncations = np.random.default_rng(0), 0
    for _ in range(450):
        actions = generator.integers(3, size=2)
        observations, rewards, terminated, truncated, infos = lanes.step(actions)
        for lane, env in enumerate(singles):
            after, reward, ended, cut, _ = env.step(actions[lane])
            assert (reward, ended, cut) == (rewards[lane], terminated[lane], truncated[lane])
            if cut:
                truncations += 1
                np.testing.assert_array_equal(infos["final_obs"][lane], after)
                after, _ = env.reset()
            np.testing.assert_array_equal(observations[lane], after)
    assert truncations == 4


def test_final_observations_come_as_one_float32_array_with_its_mask() -> None:
    lanes = make_gym_vec("unstuck-tests/Countdown-v0", 3)
    observations, _ = lanes.reset(seed=[2, 3, 2])
    assert observations.dtype == np.float32
    assert observations in lanes.observation_space
    actions = np.array([0, 1, 1])
    _, rewards, _, _, infos = lanes.step(actions)
    assert rewards.tolist() == [0, 1, 1]
    assert "final_obs" not in infos
    observations, _, terminated, _, infos = lanes.step(actions)
    assert terminated.tolist() == infos["_final_obs"].tolist() == [True, False, True]
    assert infos["final_obs"].dtype == np.float32
    assert infos["final_obs"].shape == (3, 2)
    assert infos["final_obs"][[0, 2]].tolist() == [[0, np.float32(0.1)]] * 2
    assert observations[:, 0].tolist() == [3, 1, 3]  # already the next episode's


def test_an_observation_is_left_alone_by_the_next_step() -> None:
    lanes = make_gym_vec("unstuck-tests/Countdown-v0", 1)
    first, _ = lanes.reset(seed=[5])
    lanes.step(np.array([0]))
    assert first[0, 0] == 5


@pytest.mark.parametrize(
    ("env_id", "reason"),
    [
        ("CartPol-v1", r"registered Gymnasium id, got 'CartPol-v1'; the nearest is CartPole-v1"),
        ("unstuck/Triag-v0", r"the nearest is unstuck/Triage-v0"),
        ("no_such_module:Thing-v0", r"can be made, got 'no_such_module:Thing-v0': .*No module"),
        ("unstuck-tests/Missing-v0", r"can be made, .*pip install .gymnasium\[nothing\]"),
    ],
)
def test_what_cannot_run_is_refused_with_the_reason(env_id: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        envs.make_vec(EnvConfig(id=env_id), [0, 1], None)


def test_spaces_are_the_environments_own_and_what_cannot_be_trained_in_is_refused() -> None:
    seen, done = read_spaces("Taxi-v4")  # our learner gets 500 columns
    assert (seen, done) == (Discrete(500), Discrete(6))
    with pytest.raises(ConfigError, match="the nearest is CartPole-v1"):
        read_spaces("CartPol-v1")


def test_make_vec_gives_one_lane_a_seed_and_draws_from_the_training_part() -> None:
    def part(value: float) -> Flows:
        return Flows(np.full((30, 4), value, dtype=np.float32), np.zeros(30, dtype=np.bool_))

    data = FlowData(part(1.0), part(2.0), part(3.0), tuple("abcd"))
    config = EnvConfig(flows_per_episode=10)
    for order in ("shuffled", "stream"):
        env = envs.make_vec(config, [4, 5, 6], replace(data, order=order))
        assert isinstance(env, TriageVectorEnv)
        observations, _ = env.reset(seed=[4, 5, 6])
        assert (observations == 1.0).all()
        assert observations.shape == (3, 4)
    assert envs.make_vec(EnvConfig(id="CartPole-v1"), [1, 2], None).num_envs == 2
    with pytest.raises(ConfigError, match=f"{TRIAGE} needs flows to draw from"):
        envs.make_vec(config, [0], None)


def test_actions_have_names() -> None:
    assert envs.list_action_names(EnvConfig(), Discrete(4)) == ("allow", "block", "quarantine", "alert")
    assert envs.list_action_names(EnvConfig(id="Acrobot-v1"), Discrete(3)) == ("0", "1", "2")
    assert envs.list_action_names(EnvConfig(id="Pendulum-v1"), Box(-2, 2, (1,))) == ()


def test_numbers_are_clipped_to_the_bounds_when_they_act() -> None:
    lanes, single = make_gym_vec("Pendulum-v1", 2), gymnasium.make("Pendulum-v1")
    assert lanes.single_action_space == Box(-np.inf, np.inf, (1,), np.float32)
    lanes.reset(seed=[3, 4])
    single.reset(seed=3)
    observations, rewards, *_ = lanes.step(np.array([[5.0], [0.0]], dtype=np.float32))
    after, reward, *_ = single.step(np.array([2.0], dtype=np.float32))  # its bound
    np.testing.assert_array_equal(observations[0], after)
    assert rewards[0] == reward


def test_processes_of_their_own_give_what_the_loop_gives() -> None:
    """Step by step, over the ends of episodes."""
    loop, processes = (make_gym_vec("MountainCar-v0", 2, how) for how in ("sync", "async"))
    try:
        np.testing.assert_array_equal(loop.reset(seed=[1, 2])[0], processes.reset(seed=[1, 2])[0])
        ends, generator = 0, np.random.default_rng(0)
        for _ in range(205):
            actions = generator.integers(3, size=2)
            ours, theirs = loop.step(actions), processes.step(actions)
            for one, other in zip(ours[:4], theirs[:4], strict=True):
                np.testing.assert_array_equal(one, other)
            if "final_obs" in ours[4]:
                ends += 1
                np.testing.assert_array_equal(ours[4]["final_obs"], theirs[4]["final_obs"])
        assert ends == 1
    finally:
        processes.close()
