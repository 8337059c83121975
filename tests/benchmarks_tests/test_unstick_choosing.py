from collections import Counter
from multiprocessing.pool import ThreadPool
from typing import Any

import pytest
from unstuck.rl.config import TRIAGE

from benchmarks.unstick import points
from benchmarks.unstick.choosing import choose, walk
from benchmarks.unstick.kinds import ENVIRONMENTS
from benchmarks.unstick.levels import EPISODES, Levels, measure_random
from benchmarks.unstick.points import Point


def _point(number: int, kind: str, environment: str) -> Point:
    return Point(number, kind, "mild", environment, {}, {})


def test_the_first_points_count_at_most_two_of_a_kind_and_so_many_in_an_environment() -> None:
    kinds, environments = "abcdefgh", ("triage", "stream", "cartpole", "acrobot")
    drawn = [_point(number, kinds[number // 4 % 8], environments[number % 4]) for number in range(64)]
    chosen = walk(drawn, {})
    assert [point.number for point in chosen] == [0, 1, 4, 5, 8, 9, 12, 13, 18, 19, 22, 23, 26, 30]
    assert Counter(point.kind for point in chosen).most_common(1)[0][1] == points.MOST_OF_A_KIND
    assert Counter(point.environment for point in chosen) == points.MOST_IN


def test_a_point_that_learns_all_the_same_or_diverges_is_replaced_by_the_next() -> None:
    drawn = points.read()
    every = walk(drawn, {})
    chosen = walk(drawn, {every[0].number: 0.7, every[1].number: 0.69999, every[2].number: None})
    assert len(chosen) == points.TAKEN
    assert every[0] not in chosen
    assert every[1] in chosen
    assert every[2] not in chosen
    numbers = [point.number for point in chosen]
    assert numbers == sorted(numbers)


def test_points_are_trained_until_it_is_known_which_count_and_no_longer() -> None:
    drawn, trained = points.read(), []

    def break_one(point: Point) -> float | None:
        trained.append(point.number)
        return [0.9, None, 0.1][point.number % 3]

    with ThreadPool(2) as pool:
        chosen, known = choose(drawn, break_one, pool)
    assert sorted(trained) == sorted(known) == sorted(set(trained))
    assert chosen == walk(drawn, {point.number: [0.9, None, 0.1][point.number % 3] for point in drawn})
    assert {point.number % 3 for point in chosen} == {2}
    assert len(trained) < len(drawn)


def test_levels_measure_the_way_from_random_to_healthy() -> None:
    assert Levels(-500.0, -100.0).share(-140.0) == pytest.approx(0.9)
    assert Levels(0.2, 0.8).share(0.1) == pytest.approx(-1 / 6)


def test_the_random_policy_balances_a_pole_for_some_twenty_steps() -> None:
    assert measure_random(ENVIRONMENTS["cartpole"]) == pytest.approx(22.0, abs=4 * 12 / EPISODES**0.5)


def test_the_random_policy_flags_three_flows_in_four() -> None:
    """With a share of threats s, precision is s and recall 3/4: F1 = 2 s 0.75 / (s + 0.75)."""
    small: dict[str, Any] = {**ENVIRONMENTS["triage"], "data.num_flows": 2000, "data.eval_flows": 200}
    assert small["env.id"] == TRIAGE
    share = 0.109
    assert measure_random(small) == pytest.approx(2 * share * 0.75 / (share + 0.75), abs=0.02)
