"""Episodes that begin alike, and lanes that show the same at the same time."""

import numpy as np
import pytest
from unstuck.rl.episodes import (
    MOST_STARTS,
    choose_steps,
    mark_starts,
    measure_lanes_alike,
    measure_most_usual,
    measure_scale,
    measure_start_repeats,
    sum_sizes,
)

STEPS, LANES, COLUMNS = 16, 6, 3


def test_a_start_that_was_there_before_repeats() -> None:
    first, second = np.zeros(COLUMNS, np.float32), np.ones(COLUMNS, np.float32)
    marks: list[int] = []
    mark_starts(marks, [first, second, first, first])
    assert measure_start_repeats(marks) == 0.5
    mark_starts(marks, [first] * MOST_STARTS)
    assert len(marks) == MOST_STARTS


def test_steps_to_compare_are_spread_over_the_rollout() -> None:
    assert choose_steps(4).tolist() == [0, 1, 2, 3]
    assert choose_steps(151).tolist() == list(range(0, 151, 10))


def test_lanes_of_one_seed_are_each_other_s_doubles() -> None:
    one = np.random.default_rng(0).normal(size=(STEPS, 1, COLUMNS)).astype(np.float32)
    assert measure_lanes_alike(np.repeat(one, LANES, axis=1)) == 1


def test_lanes_of_their_own_are_not_alike() -> None:
    own = np.random.default_rng(0).normal(size=(STEPS, LANES, COLUMNS)).astype(np.float32)
    assert measure_lanes_alike(own) == 0
    assert measure_lanes_alike(own[:, :1]) == 0  # one lane has nothing beside it


def test_few_states_that_all_lanes_meet_are_no_doubles() -> None:
    """Of three states, six lanes show each at nearly every step, and at any other step as well."""
    states = np.random.default_rng(0).integers(0, 3, (STEPS, LANES, 1)).astype(np.float32)
    now = np.mean([[(row == one).sum() > 1 for one in row] for row in states[..., 0]])
    assert now > 0.8
    assert measure_lanes_alike(states) < 0.5


def test_half_of_the_lanes_that_are_doubles_count_as_half() -> None:
    own = np.random.default_rng(0).normal(size=(STEPS, 4, COLUMNS)).astype(np.float32)
    own[:, 1] = own[:, 0]
    assert measure_lanes_alike(own) == pytest.approx(0.5)


def test_observations_that_are_scaled_are_told_by_their_size() -> None:
    seen = np.random.default_rng(0).normal(2, 1, (40, COLUMNS)).astype(np.float32)
    seen[:, 2] = 0  # tells nothing
    shown = np.random.default_rng(1).normal(2, 1, (5, COLUMNS)).astype(np.float32)
    ours, theirs = sum_sizes(shown), sum_sizes(seen)
    assert 0.6 < measure_scale(ours, theirs) < 1.6
    assert measure_scale(sum_sizes(0.2 * shown), theirs) == pytest.approx(0.2 * measure_scale(ours, theirs))
    assert measure_scale(sum_sizes(0 * shown), theirs) == 1
    squares = np.eye(36, dtype=np.float32)
    few, all_squares = sum_sizes(squares[:5]), sum_sizes(np.tile(squares, (8, 1)))
    assert measure_scale(few, all_squares) == 1  # a grid: 2.7 if zeros counted
    assert measure_scale(sum_sizes(3 * squares[:5]), sum_sizes(squares)) == pytest.approx(3)
    assert sum_sizes(np.array([[3, np.nan], [4, 0]], np.float32)).tolist() == [[25, 0], [2, 0]]


def test_the_most_usual_start_is_counted() -> None:
    assert measure_most_usual([3, 1, 3, 2]) == 0.5
    assert measure_most_usual([b"a"]) == measure_most_usual([]) == 1
