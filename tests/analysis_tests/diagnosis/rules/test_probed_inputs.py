"""Rules on what a probe measures of observations, actions, starts and weights: where each fires, and where not."""

from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Kind, Rule
from unstuck.analysis.diagnosis.rules import (
    action_not_applied,
    observation_incomplete,
    observation_late,
    starts_alike,
    weights_decayed,
)
from unstuck.analysis.history import History, record

from tests.analysis_tests.diagnosis.asking import changes, found, is_quiet, kind
from tests.analysis_tests.elsewhere import TURN, elsewhere

FLAT = 22 + np.sin(7.0 * TURN)
RISEN = np.minimum(5.0 * TURN, 300.0) + np.sin(7.0 * TURN)


def probed(returns: Any = FLAT, settings: dict[str, Any] | None = None, **more: float) -> History:
    """A run with these numbers of the probe, by the last part of their names."""
    named = {f"train/{name}": value for name, value in more.items()}
    return elsewhere(returns, more=named, settings=settings or {})


LATE: dict[str, float] = {"action_delay": 5.0, "action_shown_late": 0.78, "action_shown": 0.004}
HEALTHY: dict[str, float] = {
    **{"action_delay": 0.0, "action_shown_late": 0.85, "action_shown": 0.85, "action_halves": 0.95},
    **{"action_effect": 0.18, "episode_length": 25.0, "next_by_step": 0.95, "next_by_past": 0.96},
    **{"reward_by_observation": 0.9, "reward_by_step": 0.9, "reward_by_past": 0.98, "columns_constant": 0.0},
    **{"observation_repeats": 0.0, "parameter_norm": 17.0, "start_repeats": 0.0},
}


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


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"next_by_step": 0.04, "next_by_past": 0.77}, Kind.FAULT),  # hidden velocities
        ({"next_by_step": 0.6, "next_by_past": 0.98}, None),  # a regression that is too simple
        ({"next_by_step": 0.3, "next_by_past": 0.5}, None),
        ({"reward_by_observation": 0.0, "reward_by_step": 0.01, "reward_by_past": 0.95}, Kind.FAULT),  # a hidden goal
        ({"reward_by_observation": 0.5, "reward_by_step": 0.6, "reward_by_past": 0.96}, None),  # a tank in order
        ({"reward_by_observation": 0.0, "reward_by_step": 0.0, "reward_by_past": 0.3}, None),  # noise
        ({"observation_repeats": 0.95, "next_by_step": 0.06, "next_by_past": 0.17}, Kind.FAULT),  # whole numbers
        ({"observation_repeats": 0.95, "next_by_step": 0.24, "next_by_past": 0.23}, None),  # a grid, whole by itself
        (
            {
                **{"observation_repeats": 0.97, "columns_constant": 0.33, "reward_by_observation": 0.05},
                **{"reward_by_step": 0.09, "reward_by_past": 0.17},
            },
            Kind.FAULT,  # clipped to one value and 0
        ),
        (
            {
                **{"observation_repeats": 0.97, "columns_constant": 0.0, "reward_by_observation": 0.05},
                **{"reward_by_step": 0.09, "reward_by_past": 0.17},
            },
            None,
        ),
    ],
)
def test_observations_that_do_not_tell_the_state(changed: dict[str, float], expected: Kind | None) -> None:
    assert kind(observation_incomplete.RULE, probed(**{**HEALTHY, **changed})) is expected


def test_a_critic_that_explains_the_returns_knows_what_a_regression_missed() -> None:
    hidden = {**HEALTHY, "reward_by_observation": 0.0, "reward_by_step": 0.01, "explained_variance": 0.8}
    assert kind(observation_incomplete.RULE, probed(**hidden)) is None


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"action_halves": 0.15}, Kind.FAULT),
        ({"action_halves": 0.5}, None),
        ({"action_effect": 0.0019}, Kind.FAULT),  # 25 steps: 5 % of the spread
        ({"action_effect": 0.0019, "episode_length": 999.0}, None),  # a car that is pushed up a hill, step by step
        ({"action_effect": 0.0, "reward_by_step": 0.99}, None),  # a bandit: actions pay, and move nothing
        ({"action_effect": 0.0, "action_delay": 5.0}, None),  # late, and applied
        ({"action_halves": 0.1, "next_by_step": 0.0, "next_by_past": 0.9}, None),  # the state is not shown
    ],
)
def test_actions_that_are_not_applied(changed: dict[str, float], expected: Kind | None) -> None:
    assert kind(action_not_applied.RULE, probed(**{**HEALTHY, **changed})) is expected


def test_weights_that_shrink() -> None:
    shrinking = np.linspace(17.0, 5.0, len(TURN))
    finding = found(weights_decayed.RULE, probed(settings={"ppo.weight_decay": 0.3}, parameter_norm=shrinking))
    assert finding.kind is Kind.FAULT
    assert "from 17 to" in finding.headline
    assert changes(finding) == [{"ppo.weight_decay": 0.0}]
    assert kind(weights_decayed.RULE, probed(parameter_norm=np.linspace(17.0, 14.0, len(TURN)))) is None
    assert kind(weights_decayed.RULE, probed(parameter_norm=np.linspace(17.0, 40.0, len(TURN)))) is None


def test_starts_that_are_alike_and_evaluations_that_are_worse() -> None:
    run = elsewhere(RISEN, more={record.START_REPEATS: 0.99, "eval/episode_return": RISEN * 0.4})
    assert kind(starts_alike.RULE, run) is Kind.FAULT
    as_good = elsewhere(RISEN, more={record.START_REPEATS: 0.99, "eval/episode_return": RISEN})
    assert kind(starts_alike.RULE, as_good) is None  # a task with one start
    varied = elsewhere(RISEN, more={record.START_REPEATS: 0.1, "eval/episode_return": RISEN * 0.4})
    assert kind(starts_alike.RULE, varied) is None


@pytest.mark.parametrize("rule", [observation_late.RULE, observation_incomplete.RULE, action_not_applied.RULE])
def test_a_run_in_order_is_left_in_peace(rule: Rule) -> None:
    assert is_quiet(rule, probed(RISEN, **HEALTHY))
    assert is_quiet(rule, probed(FLAT, **HEALTHY))
