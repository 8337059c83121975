"""Actions that are stored with other steps than they were done at; the rest is tested beside the probe."""

from dataclasses import replace

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete
from unstuck.rl import dynamics, metrics
from unstuck.rl.dynamics import Array, Bounds, Transitions, encode_actions, measure_steps

STEPS, LANES = 64, 8


def drive(swayed: float = 0.0, moves: bool = True) -> Transitions:
    """A point that forces move, or that jumps about, paid by force times place; forces follow the place if `swayed`."""
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(STEPS, LANES, 1))
    places, forces, ends = np.zeros((STEPS, LANES, 1)), np.zeros((STEPS, LANES, 1)), np.zeros((STEPS, LANES), bool)
    place = generator.normal(size=(LANES, 1))
    for step in range(STEPS):
        places[step], forces[step] = place, swayed * place + noise[step]
        place = 0.9 * place + 0.5 * forces[step] if moves else generator.normal(size=(LANES, 1))
        ends[step] = step % 16 == 15
    return Transitions(places, forces, (places * forces)[..., 0], ends, noise)


def store_late(steps: Transitions) -> Transitions:
    """The same with each action stored one step late; what is taken for its noise is wrong with it."""
    actions = np.roll(steps.actions, 1, axis=0)
    means = steps.actions - (steps.noise if steps.noise is not None else 0)
    return replace(steps, actions=actions, noise=actions - means)


def measure_early(steps: Transitions) -> float:
    return measure_steps(steps, Bounds((), np.array([-9.0]), np.array([9.0])))[metrics.ACTION_SHOWN_EARLY]


@pytest.mark.parametrize("swayed", [0.0, -0.8])
@pytest.mark.parametrize("moves", [True, False])
def test_an_action_that_is_stored_late_explains_what_went_before(swayed: float, moves: bool) -> None:
    steps = drive(swayed, moves)
    assert measure_early(steps) < 0.02
    assert measure_early(store_late(steps)) > 0.2


def walk(late: bool = False) -> float:
    """What is measured of a walk over 36 squares, a column each, by four moves that a policy likes more or less."""
    generator, moves, bounds = np.random.default_rng(3), np.array([1, 6, -1, -6]), Bounds((4,))
    liked = generator.dirichlet(np.full(4, 0.5), 36)
    squares, taken = np.zeros((128, LANES), int), np.zeros((128, LANES), int)
    square, ends = generator.integers(0, 36, LANES), np.zeros((128, LANES), bool)
    for step in range(128):
        squares[step] = square
        taken[step] = [generator.choice(4, p=liked[one]) for one in square]
        square, ends[step] = np.clip(square + moves[taken[step]], 0, 35), step % 16 == 15
        square = generator.integers(0, 36, LANES) if step % 16 == 15 else square
    actions = encode_actions((np.roll(taken, 1, axis=0) if late else taken)[..., None], bounds)
    noise = actions - liked[squares][..., 1:]
    steps = Transitions(np.eye(36)[squares], actions, np.zeros((128, LANES)), ends, noise)
    return measure_steps(steps, bounds)[metrics.ACTION_SHOWN_EARLY]


def test_squares_that_are_hardly_met_say_nothing_of_actions_stored_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the fifth draw of our own benchmark 13 healthy runs on a lake of 36 squares were accused."""
    assert walk() < 0.02
    assert walk(late=True) > 0.2
    monkeypatch.setattr(dynamics, "_draw_noise", lambda steps, noise, bounds, generator: np.zeros_like(noise))
    assert walk() > 0.04  # what chance explains, left in


def test_without_the_policy_s_noise_nothing_is_said_of_it() -> None:
    found = measure_steps(replace(drive(), noise=None), Bounds((), np.array([-9.0]), np.array([9.0])))
    assert metrics.ACTION_SHOWN_EARLY not in found
    assert metrics.NEXT_BY_PAST in found


def test_bounds_are_those_of_the_space() -> None:
    assert Bounds.from_space(Discrete(3)) == Bounds((3,))
    assert Bounds.from_space(MultiDiscrete([2, 4])) == Bounds((2, 4))
    assert Bounds.from_space(MultiBinary(3)) == Bounds((2, 2, 2))
    assert Bounds.from_space(MultiBinary((2, 2))) == Bounds((2,) * 4)
    assert Bounds.from_space(Dict()) is None
    box = Bounds.from_space(Box(-2, 3, (2,)))
    assert box is not None
    assert [_listed(box.low), _listed(box.high)] == [[-2, -2], [3, 3]]


def _listed(array: Array | None) -> list[float]:
    return [] if array is None else array.tolist()
