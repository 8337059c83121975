"""CartPole against Gymnasium's own, to the last bit; and lanes that do not feel their neighbours."""

import gymnasium
import numpy as np
import pytest
from unstuck.rl.envs.cartpole import CartPoleVector


def balance(observations: np.ndarray) -> np.ndarray:
    """Push towards where the pole falls: reaches the time limit."""
    return (observations[:, 2] + 0.3 * observations[:, 3] > 0).astype(np.int64)


@pytest.mark.parametrize(("policy", "steps"), [("random", 300), ("balance", 1100)])
def test_each_lane_is_gymnasiums_cartpole_with_its_seed(policy: str, steps: int) -> None:
    seeds = [3, 1, 4]
    lanes = CartPoleVector(3)
    singles = [gymnasium.make("CartPole-v1") for _ in seeds]
    observations, _ = lanes.reset(seed=seeds)
    assert observations.tolist() == [env.reset(seed=seed)[0].tolist() for env, seed in zip(singles, seeds, strict=True)]
    generator, terminations, truncations = np.random.default_rng(0), 0, 0
    for _ in range(steps):
        actions = balance(observations) if policy == "balance" else generator.integers(2, size=3)
        observations, rewards, terminated, truncated, infos = lanes.step(actions)
        for lane, env in enumerate(singles):
            after, reward, ended, cut, _ = env.step(actions[lane])
            assert (reward, ended, cut) == (rewards[lane], terminated[lane], truncated[lane])
            if ended or cut:
                np.testing.assert_array_equal(infos["final_obs"][lane], after)
                after, _ = env.reset()
            np.testing.assert_array_equal(observations[lane], after)
        terminations, truncations = terminations + terminated.sum(), truncations + truncated.sum()
    assert (terminations > 20, truncations) == ((True, 0) if policy == "random" else (False, 6))


def test_a_lane_does_not_depend_on_how_many_step_beside_it() -> None:
    def run(num_lanes: int) -> np.ndarray:
        lanes = CartPoleVector(num_lanes)
        lanes.reset(seed=list(range(num_lanes)))
        actions = np.random.default_rng(1).integers(2, size=(200, 64))
        return np.array([lanes.step(row[:num_lanes])[0][0] for row in actions])

    alone = run(1)
    for num_lanes in (2, 7, 64):
        np.testing.assert_array_equal(run(num_lanes), alone)


def test_observations_are_contiguous_float32_inside_the_declared_space() -> None:
    lanes = CartPoleVector(2)
    observations, _ = lanes.reset(seed=0)
    assert observations.dtype == np.float32
    assert observations.flags.c_contiguous
    assert observations in lanes.observation_space
    assert (np.abs(observations) <= 0.05).all()
    gym_space = gymnasium.make("CartPole-v1").observation_space
    assert lanes.single_observation_space == gym_space
