from typing import Any

import pytest
from unstuck.analysis.sweep.trials import Sweep

from benchmarks.unstick.pairs import describe_pairs, find_pairs, make_pair_table
from tests.benchmarks_tests.test_unstick_scoring import LEVELS, POINT, _trial

ANEW: dict[str, Any] = {"branch.start": "anew"}
DAMAGED: dict[str, Any] = {"branch.reset": ("policy_head", "adam")}


def test_arms_with_one_change_are_set_side_by_side_where_one_of_them_cured() -> None:
    trials = (
        _trial(0, -450.0),
        _trial(1, -140.0, **{"ppo.lr": 1e-3}),
        _trial(2, -180.0, **{"ppo.lr": 1e-3}, **ANEW),
        _trial(3, -300.0, **{"ppo.lr": 1e-2}, **DAMAGED),
        _trial(4, -260.0, **{"ppo.lr": 1e-2}, **ANEW),
        _trial(5, -450.0, **{"ppo.gamma": 0.5}),  # neither side of this change went half of the way
        _trial(6, -440.0, **{"ppo.gamma": 0.5}, **ANEW),
        _trial(7, -100.0, **{"ppo.gamma": 0.9}),  # stands alone
    )
    pairs = find_pairs(POINT, Sweep("one", {"sweep.mode": "max"}, trials), LEVELS)
    assert [(pair.on, pair.anew, pair.is_damaged) for pair in pairs] == [
        (pytest.approx(0.9), pytest.approx(0.8), False),
        (pytest.approx(0.5), pytest.approx(0.6), True),
    ]
    assert describe_pairs(pairs) == (
        "undamaged weights: going on ahead in 1 of 1, starting anew in 0; "
        "damaged weights: going on ahead in 0 of 1, starting anew in 1"
    )
    *_, first, second = make_pair_table(reversed(pairs)).splitlines()
    assert first == "| acrobot | lr too low | lr=0.001 | nothing | 90% | 80% |"
    assert second == "| acrobot | lr too low | lr=0.01 | policy_head and adam | 50% | 60% |"
