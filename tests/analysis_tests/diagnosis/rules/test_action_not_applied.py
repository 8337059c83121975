"""Actions that are not applied: where the rule fires, and where it must not."""

from dataclasses import replace

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Ground, Kind
from unstuck.analysis.diagnosis.rules import action_not_applied

from tests.analysis_tests.diagnosis.asking import found, is_quiet, kind
from tests.analysis_tests.diagnosis.probed import FLAT, HEALTHY, RISEN, probed


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"action_halves": 0.15}, Kind.FAULT),
        ({"action_halves": 0.5}, None),
        ({"action_halves": 0.15, "action_shown": 0.02}, Kind.FAULT),
        ({"action_halves": 0.15, "action_shown": 0.01}, None),  # neither half shows, and their ratio is chance
        ({"action_effect": 0.0019}, Kind.FAULT),  # 25 steps: 5 % of the spread
        ({"action_effect": 0.0019, "episode_length": 999.0}, None),  # a car that is pushed up a hill, step by step
        ({"action_effect": 0.0, "reward_by_step": 0.99}, None),  # a bandit: actions pay, and move nothing
        ({"action_effect": 0.0, "reward_by_step": 0.91}, Kind.FAULT),
        ({"action_effect": 0.0, "action_delay": 5.0}, None),  # late, and applied
        ({"action_halves": 0.1, "next_by_step": 0.0, "next_by_past": 0.9}, None),  # the state is not shown
    ],
)
def test_actions_that_are_not_applied(changed: dict[str, float], expected: Kind | None) -> None:
    assert kind(action_not_applied.RULE, probed(**{**HEALTHY, **changed})) is expected


def test_a_half_that_does_nothing_is_measured_and_weak_actions_may_pay_later() -> None:
    assert found(action_not_applied.RULE, probed(**{**HEALTHY, "action_halves": 0.05})).ground is Ground.MEASURED
    assert found(action_not_applied.RULE, probed(**{**HEALTHY, "action_effect": 0.0})).ground is Ground.PACE
    learned = probed(RISEN, **{**HEALTHY, "action_effect": 0.0})
    assert kind(action_not_applied.RULE, learned) is None  # a cue that is answered once, and paid in the end


def test_a_run_in_order_is_left_in_peace() -> None:
    assert is_quiet(action_not_applied.RULE, probed(RISEN, **HEALTHY))
    assert is_quiet(action_not_applied.RULE, probed(FLAT, **HEALTHY))


@pytest.mark.parametrize(("seen", "expected"), [((0.7, 0.05, 0.05), None), ((0.05, 0.3, 0.2), Kind.FAULT)])
def test_a_half_that_acts_at_first_is_not_cut_off(seen: tuple[float, float, float], expected: Kind | None) -> None:
    run = probed(**{**HEALTHY, "action_halves": 0.05})
    looks = np.full(len(run.table), np.nan)
    looks[[4, 16, 64]] = seen
    run = replace(run, table=run.table.assign(**{"train/action_halves": looks}))
    assert kind(action_not_applied.RULE, run) is expected
