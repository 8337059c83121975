"""What all vectorised environments share: Gymnasium's vector interface, seeds, masks and state."""

from collections.abc import Callable

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from unstuck.rl.config import EnvConfig
from unstuck.rl.data.types import Flows
from unstuck.rl.envs.cartpole import CartPoleVector
from unstuck.rl.envs.gym import GymVector, LaneEnv, make_gym_vec
from unstuck.rl.envs.lanes import LaneVectorEnv
from unstuck.rl.envs.triage import TriageVectorEnv

GENERATOR = np.random.default_rng(5)
FLOWS = Flows(GENERATOR.normal(size=(300, 6)).astype(np.float32), GENERATOR.random(300) < 0.2)
STATEFUL = {
    "shuffled": lambda lanes: TriageVectorEnv(lanes, FLOWS, EnvConfig(flows_per_episode=90), "shuffled"),
    "stream": lambda lanes: TriageVectorEnv(lanes, FLOWS, EnvConfig(flows_per_episode=90), "stream"),
    "cartpole": CartPoleVector,
}
ALL = STATEFUL | {"gymnasium": lambda lanes: make_gym_vec("Acrobot-v1", lanes)}
with_state = pytest.mark.parametrize("make", STATEFUL.values(), ids=STATEFUL)
with_all = pytest.mark.parametrize("make", ALL.values(), ids=ALL)


def drawn_actions(env: LaneEnv, steps: int) -> np.ndarray:
    return np.random.default_rng(7).integers(env.single_action_space.n, size=(steps, env.num_envs))


@with_all
def test_the_vector_interface_holds(make: Callable[[int], LaneEnv]) -> None:
    env = make(4)
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert env.num_envs == 4
    assert env.observation_space == batch_space(env.single_observation_space, 4)
    assert env.action_space == batch_space(env.single_action_space, 4)
    observations, infos = env.reset(seed=0)
    assert observations in env.observation_space
    assert infos == {}
    env.action_space.seed(0)
    observations, rewards, terminated, truncated, _ = env.step(env.action_space.sample())
    assert observations in env.observation_space
    assert observations.dtype == np.float32
    assert rewards.shape == terminated.shape == truncated.shape == (4,)
    assert terminated.dtype == truncated.dtype == np.bool_


@with_all
def test_an_integer_seed_counts_up_over_the_lanes(make: Callable[[int], LaneEnv]) -> None:
    np.testing.assert_array_equal(make(3).reset(seed=20)[0], make(3).reset(seed=[20, 21, 22])[0])


@with_all
def test_a_mask_resets_its_lanes_only(make: Callable[[int], LaneEnv]) -> None:
    env, untouched = make(3), make(3)
    actions = drawn_actions(env, 6)
    for lanes in (env, untouched):
        lanes.reset(seed=1)
        for row in actions[:5]:
            before = lanes.step(row)[0]
    mask = np.array([False, True, False])
    options = {"reset_mask": mask}
    after, _ = env.reset(seed=[None, 9, None], options=options)
    assert options == {"reset_mask": mask}
    np.testing.assert_array_equal(after[~mask], before[~mask])
    np.testing.assert_array_equal(after[1], make(1).reset(seed=9)[0][0])
    np.testing.assert_array_equal(env.step(actions[5])[0][~mask], untouched.step(actions[5])[0][~mask])


def test_a_lane_reset_by_mask_has_its_whole_episode_before_it() -> None:
    env = STATEFUL["shuffled"](2)
    env.reset(seed=1)
    ends = []
    for step in range(1, 181):
        if step == 31:
            env.reset(options={"reset_mask": np.array([True, False])})
        truncated = env.step(np.zeros(2, dtype=np.int64))[3]
        ends += [(step, lane) for lane in np.flatnonzero(truncated).tolist()]
    assert ends == [(90, 1), (120, 0), (180, 1)]


@with_all
def test_without_a_seed_lanes_go_on_from_their_generators(make: Callable[[int], LaneEnv]) -> None:
    first, second = make(2), make(2)
    for env in (first, second):
        env.reset(seed=1)
    np.testing.assert_array_equal(first.reset()[0], second.reset()[0])
    assert (first.reset()[0] != make(2).reset(seed=1)[0]).any()


@with_state
def test_a_saved_state_goes_on_bit_for_bit_in_a_new_environment(make: Callable[[int], LaneVectorEnv]) -> None:
    env = make(3)
    actions = drawn_actions(env, 1000)
    env.reset(seed=4)
    for row in actions[:700]:
        env.step(row)
    state = env.get_state()
    kept = {name: array.copy() for name, array in state.items()}
    other, wrong = make(3), make(3)
    other.set_state(state)
    wrong.reset(seed=99)
    wrong.set_state(state | {"generators": wrong.get_state()["generators"]})
    same = []
    for row in actions[700:]:
        for expected, got in zip(env.step(row)[:4], other.step(row)[:4], strict=True):
            np.testing.assert_array_equal(got, expected)
        same.append((wrong.step(row)[0] == other._observe()).all())
    assert same[0]
    assert not same[-1]  # without the generators the next episode would be another one
    for name, array in state.items():
        np.testing.assert_array_equal(array, kept[name])  # neither environment writes into a state


def test_a_state_keeps_the_half_word_that_a_generator_holds_back() -> None:
    env, other = CartPoleVector(1), CartPoleVector(1)
    env.reset(seed=0)
    env._generators[0].integers(10, dtype=np.uint32)  # uses 32 of 64 bits
    other.set_state(env.get_state())
    draws = [lanes._generators[0].integers(2**32, size=5, dtype=np.uint32).tolist() for lanes in (env, other)]
    assert draws[0] == draws[1]


def test_a_state_of_another_size_is_refused_and_changes_nothing() -> None:
    env, other = CartPoleVector(3), CartPoleVector(2)
    env.reset(seed=0)
    other.reset(seed=0)
    before = other.get_state()
    with pytest.raises(ValueError, match="make the environment as it was when saved"):
        other.set_state(env.get_state())
    with pytest.raises(ValueError, match="must hold arrays of shape"):
        other.set_state({"elapsed": before["elapsed"]})
    for name, array in other.get_state().items():
        np.testing.assert_array_equal(array, before[name])


@with_state
def test_arrays_returned_are_left_alone_by_later_steps(make: Callable[[int], LaneVectorEnv]) -> None:
    env = make(2)
    first, _ = env.reset(seed=0)
    kept = first.copy()
    actions = drawn_actions(env, 100)
    results = [env.step(row) for row in actions]
    np.testing.assert_array_equal(first, kept)
    again = make(2)
    again.reset(seed=0)
    for row, result in zip(actions, results, strict=True):
        for expected, got in zip(again.step(row)[:4], result[:4], strict=True):
            np.testing.assert_array_equal(got, expected)


def test_resets_that_make_no_sense_are_refused() -> None:
    env = CartPoleVector(2)
    with pytest.raises(ResetNeeded, match="first reset must start every lane"):
        env.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(ResetNeeded, match="have no state"):
        env.get_state()
    with pytest.raises(ValueError, match="each of the 2 lanes, got 3"):
        env.reset(seed=[1, 2, 3])
    for mask in ([True, False], np.array([1, 0]), np.array([True])):
        with pytest.raises(ValueError, match=r"bool array of shape \(2,\)"):
            env.reset(options={"reset_mask": mask})


def test_only_our_own_lanes_promise_a_state() -> None:
    assert not isinstance(make_gym_vec("Acrobot-v1", 1), LaneVectorEnv)
    assert isinstance(make_gym_vec("Acrobot-v1", 1), GymVector)
    assert isinstance(make_gym_vec("CartPole-v1", 1), LaneVectorEnv)
