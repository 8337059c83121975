"""Actions that are stored with other steps than they were done at; the rest is tested beside the probe."""

from dataclasses import replace

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete
from unstuck.rl import metrics
from unstuck.rl.dynamics import Array, Bounds, Steps, measure_steps

STEPS, LANES = 64, 8


def drive(swayed: float = 0.0, moves: bool = True) -> Steps:
    """A point that forces move, or that jumps about, paid by force times place; forces follow the place if `swayed`."""
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(STEPS, LANES, 1))
    places, forces, ends = np.zeros((STEPS, LANES, 1)), np.zeros((STEPS, LANES, 1)), np.zeros((STEPS, LANES), bool)
    place = generator.normal(size=(LANES, 1))
    for step in range(STEPS):
        places[step], forces[step] = place, swayed * place + noise[step]
        place = 0.9 * place + 0.5 * forces[step] if moves else generator.normal(size=(LANES, 1))
        ends[step] = step % 16 == 15
    return Steps(places, forces, (places * forces)[..., 0], ends, noise)


def store_late(steps: Steps) -> Steps:
    """The same with each action stored one step late; what is taken for its noise is wrong with it."""
    actions = np.roll(steps.actions, 1, axis=0)
    means = steps.actions - (steps.noise if steps.noise is not None else 0)
    return replace(steps, actions=actions, noise=actions - means)


def measure_early(steps: Steps) -> float:
    return measure_steps(steps, Bounds((), np.array([-9.0]), np.array([9.0])))[metrics.ACTION_SHOWN_EARLY]


@pytest.mark.parametrize("swayed", [0.0, -0.8])
@pytest.mark.parametrize("moves", [True, False])
def test_an_action_that_is_stored_late_explains_what_went_before(swayed: float, moves: bool) -> None:
    steps = drive(swayed, moves)
    assert measure_early(steps) < 0.02
    assert measure_early(store_late(steps)) > 0.2


def test_without_the_policy_s_noise_nothing_is_said_of_it() -> None:
    found = measure_steps(replace(drive(), noise=None), Bounds((), np.array([-9.0]), np.array([9.0])))
    assert metrics.ACTION_SHOWN_EARLY not in found
    assert metrics.NEXT_BY_PAST in found


def test_bounds_are_those_of_the_space() -> None:
    assert Bounds.from_space(Discrete(3)) == Bounds((3,))
    assert Bounds.from_space(MultiDiscrete([2, 4])) == Bounds((2, 4))
    assert Bounds.from_space(Dict()) is None
    box = Bounds.from_space(Box(-2, 3, (2,)))
    assert box is not None
    assert [_listed(box.low), _listed(box.high)] == [[-2, -2], [3, 3]]


def _listed(array: Array | None) -> list[float]:
    return [] if array is None else array.tolist()
