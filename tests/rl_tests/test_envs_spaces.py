"""Spaces that are taken, in which form, and those that are refused with the reason."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiBinary, MultiDiscrete, Sequence, Text, Tuple
from unstuck.rl.envs.spaces import flatten_observations, lane_actions
from unstuck.rl.errors import ConfigError

POSITION = Box(-1.0, 1.0, (2,), np.float64)


class Shows(gymnasium.Env[Any, Any]):
    """Shows one sample of a space, again and again."""

    action_space = Discrete(2)

    def __init__(self, space: gymnasium.Space[Any]) -> None:
        self.observation_space = space
        space.seed(0)
        self.shown = space.sample()

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        return self.shown, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.shown, 0.0, False, False, {}


def test_a_dictionary_becomes_one_row_with_choices_as_one_hot() -> None:
    env = flatten_observations("Nested-v0", Shows(Dict(a=Discrete(3), b=Dict(c=POSITION), d=Tuple([MultiBinary(2)]))))
    shown, row = env.unwrapped.shown, env.reset()[0]  # type: ignore[attr-defined]
    expected = [*np.eye(3)[shown["a"]], *shown["b"]["c"], *shown["d"][0]]
    np.testing.assert_array_equal(row, expected)
    assert env.observation_space.shape == (7,)


def test_a_row_of_numbers_is_left_as_it_is() -> None:
    env = Shows(POSITION)
    assert flatten_observations("Row-v0", env) is env


@pytest.mark.parametrize(
    ("space", "reason"),
    [
        (Box(0, 255, (8, 8, 3), np.uint8), r"must not have images to observe, Odd-v0 has Box.*no convolutions"),
        (Box(0, 255, (8, 8), np.uint8), "must not have images"),
        (Dict(camera=Box(0.0, 1.0, (3, 8, 8)), speed=POSITION), "must not have images"),
        (Sequence(POSITION), "observations of a fixed size, Odd-v0 has Sequence"),
        (Graph(POSITION, None), "observations of a fixed size"),
        (Text(4), "observations of a fixed size"),
        (Discrete(2_000_000), "1 to 10000 numbers to observe, Odd-v0 has 2000000; wrap it"),
    ],
)
def test_observations_that_are_no_numbers_are_refused(space: gymnasium.Space[Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        flatten_observations("Odd-v0", Shows(space))


@pytest.mark.parametrize(
    ("space", "own", "actions", "expected"),
    [
        (Discrete(3), Discrete(3), np.array([0, 2]), np.array([0, 2])),
        (Discrete(3, start=5), Discrete(3), np.array([0, 2]), np.array([5, 7])),
        (MultiDiscrete([3, 2], start=[1, 0]), MultiDiscrete([3, 2]), np.array([[2, 1], [0, 0]]), [[3, 1], [1, 0]]),
        (MultiDiscrete([[3, 2]]), MultiDiscrete([3, 2]), np.array([[2, 1]]), [[[2, 1]]]),
        (MultiBinary(2), MultiDiscrete([2, 2]), np.array([[1, 0]]), [[1, 0]]),
        (
            Box(-2.0, 1.0, (2, 1), np.float32),
            Box(-np.inf, np.inf, (2,), np.float32),
            np.array([[5.0, -0.5], [-3.0, 0.0]], dtype=np.float32),
            [[[1.0], [-0.5]], [[-2.0], [0.0]]],
        ),
    ],
)
def test_actions_reach_the_environment_in_its_own_form(
    space: gymnasium.Space[Any], own: gymnasium.Space[Any], actions: np.ndarray, expected: Any
) -> None:
    lane_space, to_env = lane_actions("Some-v0", space)
    assert lane_space == own
    given = to_env(actions)
    np.testing.assert_array_equal(given, expected)
    assert all(action in space for action in given)


@pytest.mark.parametrize(
    ("space", "reason"),
    [
        (Dict(a=Discrete(2)), "MultiBinary or real-valued Box actions, Odd-v0 has Dict"),
        (Box(0, 9, (2,), np.int64), "real-valued Box actions"),
        (Discrete(5000), r"actions of 1 to 1000 choices or numbers, Odd-v0 has Discrete\(5000\); group them"),
        (Text(3), "MultiBinary or real-valued Box"),
    ],
)
def test_other_actions_are_refused(space: gymnasium.Space[Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        lane_actions("Odd-v0", space)
