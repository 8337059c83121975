"""Observations that are late: where the rule fires, and where it must not."""

import math
from dataclasses import replace
from typing import Any

import pytest
from unstuck.analysis.diagnosis.finding import Ground, Kind
from unstuck.analysis.diagnosis.rules import observation_late
from unstuck.analysis.history.record import ACTION_DELAY
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import found, is_quiet, kind
from tests.analysis_tests.diagnosis.probed import FLAT, HEALTHY, RISEN, probed

LATE: dict[str, float] = {"action_delay": 5.0, "action_shown_late": 0.78, "action_shown": 0.004}


@pytest.mark.parametrize(
    ("changed", "returns", "expected"),
    [
        (LATE, FLAT, Kind.FAULT),
        ({**LATE, "action_delay": 1.0}, FLAT, Kind.FAULT),
        ({**LATE, "action_delay": 1.0}, RISEN, None),  # an actuator that is late by nature
        ({**LATE, "action_delay": 2.0}, RISEN, Kind.FAULT),
        ({**LATE, "action_shown": 0.1}, FLAT, None),  # the present action shows as well
        ({**LATE, "action_shown_late": 0.04, "action_shown": 0.0}, FLAT, None),  # noise that looks like a delay
    ],
)
def test_observations_that_are_late(changed: dict[str, float], returns: Any, expected: Kind | None) -> None:
    assert kind(observation_late.RULE, probed(returns, **{**HEALTHY, **changed})) is expected


def test_actions_that_once_showed_at_once_are_not_late() -> None:
    """Of a policy that large steps have made blind few actions are left to tell a delay from."""
    run = probed(FLAT, **{**HEALTHY, **LATE})
    table = run.table.copy()
    table.loc[table.index[table[ACTION_DELAY].notna()][0], ACTION_DELAY] = 0.0
    assert is_quiet(observation_late.RULE, replace(run, table=table))


@pytest.mark.parametrize(
    ("delays", "expected"),
    [((5.0, 5.0, 5.0), Kind.FAULT), ((5.0, 5.0, 1.0), Kind.FAULT), ((5.0, 7.0, 1.0), None), ((5.0, 7.0, 6.0), None)],
)
def test_an_old_frame_is_as_old_at_each_look(delays: tuple[float, ...], expected: Kind | None) -> None:
    run = probed(FLAT, **{**HEALTHY, **LATE})
    table = run.table.copy()
    looks = table.index[table[ACTION_DELAY].notna()]
    table.loc[looks, ACTION_DELAY] = math.nan
    table.loc[looks[:3], ACTION_DELAY] = delays
    assert kind(observation_late.RULE, replace(run, table=table)) is expected


@pytest.mark.parametrize(("entropy", "expected"), [(0.07, Kind.FAULT), (0.069, None)])
def test_of_a_policy_without_chance_no_regression_tells_actions_from_states(
    entropy: float, expected: Kind | None
) -> None:
    """In the eighth draw a policy that a bonus of the wrong sign had collapsed was said to see old frames."""
    run = probed(FLAT, **{**HEALTHY, **LATE})  # of two actions: 0.693 at most
    table = run.table.copy()
    table.loc[table.index[1] :, metrics.ENTROPY] = entropy
    table.loc[table.index[0], ACTION_DELAY] = math.nan
    assert kind(observation_late.RULE, replace(run, table=table)) is expected


@pytest.mark.parametrize(("foretold", "ground"), [(0.3, Ground.MEASURED), (0.7, Ground.STATE)])
def test_where_what_is_shown_foretells_rewards_actions_may_be_late_by_nature(foretold: float, ground: Ground) -> None:
    run = probed(RISEN, **{**HEALTHY, **LATE, "reward_by_observation": foretold})
    assert found(observation_late.RULE, run).ground is ground


@pytest.mark.parametrize(
    ("present", "later", "ground"),
    [
        (0.6, 0.98, Ground.MEASURED),  # a reach whose frames are old
        (0.98, 0.99, Ground.MEASURED),  # a pendulum's
        (0.98, 0.989, Ground.STATE),
        (0.97, 0.6, Ground.STATE),  # a system that answers late by nature pays for what is shown now
        (0.3, 0.89, Ground.STATE),
    ],
)
def test_where_later_observations_foretell_rewards_far_better_frames_are_old(
    present: float, later: float, ground: Ground
) -> None:
    shown = {"reward_by_observation": 0.7, "reward_by_next": present, "reward_by_later": later}
    assert found(observation_late.RULE, probed(RISEN, **{**HEALTHY, **LATE, **shown})).ground is ground


def test_a_run_in_order_is_left_in_peace() -> None:
    assert is_quiet(observation_late.RULE, probed(RISEN, **HEALTHY))
    assert is_quiet(observation_late.RULE, probed(FLAT, **HEALTHY))
