"""Observations that do not tell the state: where the rule fires, and where it must not."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Ground, Kind
from unstuck.analysis.diagnosis.rules import observation_incomplete
from unstuck.analysis.history.record import COLUMNS_CONSTANT, NEXT_BY_PAST, REWARD_BY_PAST

from tests.analysis_tests.diagnosis.asking import found, is_quiet, kind
from tests.analysis_tests.diagnosis.probed import FLAT, HEALTHY, RISEN, probed
from tests.analysis_tests.elsewhere import TURN, elsewhere


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
                **{"reward_by_step": 0.09, "reward_by_past": 0.17, "next_by_step": 0.45, "next_by_past": 0.45},
            },
            Kind.FAULT,  # clipped to one value and 0
        ),
        (
            {
                **{"observation_repeats": 0.97, "columns_constant": 0.33, "reward_by_observation": 0.05},
                **{"reward_by_step": 0.09, "reward_by_past": 0.17, "next_by_step": 0.8, "next_by_past": 0.6},
            },
            None,  # a grid whose only reward is hardly met yet
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


@pytest.mark.parametrize(
    ("clipped", "past", "expected"),
    [
        (0.16, 0.55, Kind.FAULT),
        (0.15, 0.55, None),
        (0.03, 0.55, None),
        (0.16, 0.535, None),  # a stock that is full or empty by nature: nothing is lost
    ],
)
def test_a_column_that_is_cut_off_at_both_ends(clipped: float, past: float, expected: Kind | None) -> None:
    """In the eighth draw of our own benchmark three healthy runs were accused by stores that a young policy fills."""
    run = probed(FLAT, **{**HEALTHY, "columns_clipped": clipped, "next_by_step": 0.5, "next_by_past": past})
    assert kind(observation_incomplete.RULE, run) is expected
    if expected:
        finding = found(observation_incomplete.RULE, run)
        assert "32 % of the values of a column or more are exactly its least or its largest" in finding.headline
        assert finding.ground is Ground.MEASURED


def test_a_battery_that_is_full_or_empty_is_no_column_cut_off() -> None:
    """In the fifth draw of our own benchmark seven runs that had learned were accused, at a share of 0.22."""
    clipped = {"columns_clipped": 0.22, "next_by_step": 0.5, "next_by_past": 0.55}
    assert kind(observation_incomplete.RULE, probed(RISEN, **{**HEALTHY, **clipped})) is None


@pytest.mark.parametrize(
    ("constant", "past", "expected"),
    [
        (0.69, 0.65, Kind.FAULT),
        (0.49, 0.65, None),
        (0.69, 0.49, None),  # a grid most of which is never entered
    ],
)
def test_most_columns_that_never_vary_and_a_step_before_that_knows_more(
    constant: float, past: float, expected: Kind | None
) -> None:
    """In the eighth draw three runs that were shown 4 columns of 13 learned half of what others learn, unnamed."""
    run = probed(RISEN, **{**HEALTHY, "columns_constant": constant, "next_by_step": 0.4, "next_by_past": past})
    assert kind(observation_incomplete.RULE, run) is expected
    table = run.table.copy()
    table.loc[table.index[table[NEXT_BY_PAST].notna()][1] :, NEXT_BY_PAST] = math.nan
    assert is_quiet(observation_incomplete.RULE, replace(run, table=table))  # one look alone


def test_a_first_look_alone_accuses_no_reward_since_a_normaliser_still_moves() -> None:
    """In the second draw of strangers 11 healthy runs were accused by one regression on their first rollout."""
    hidden = {"reward_by_observation": 0.0, "reward_by_step": 0.01, "reward_by_past": 0.95}
    run = probed(**{**HEALTHY, **hidden})
    table = run.table.copy()
    looks = table.index[table[REWARD_BY_PAST].notna()]
    assert kind(observation_incomplete.RULE, run) is Kind.FAULT
    table.loc[looks[1] :, REWARD_BY_PAST] = math.nan
    assert is_quiet(observation_incomplete.RULE, replace(run, table=table))
    table.loc[looks[1], REWARD_BY_PAST] = 0.95
    assert kind(observation_incomplete.RULE, replace(run, table=table)) is Kind.FAULT


@pytest.mark.parametrize(
    ("changed", "ground"),
    [
        ({"next_by_step": 0.04, "next_by_past": 0.77}, Ground.MEASURED),
        ({"observation_repeats": 0.96, "next_by_step": 0.3, "next_by_past": 0.44}, Ground.MEASURED),  # a pole
        (
            {"observation_repeats": 0.96, "reward_by_observation": 0.5, "reward_by_step": 0.5, "reward_by_past": 0.9},
            Ground.MEASURED,  # a reach
        ),
        ({"observation_repeats": 0.6, "next_by_step": 0.06, "next_by_past": 0.17}, Ground.STATE),
        ({"reward_by_observation": 0.0, "reward_by_step": 0.01, "reward_by_past": 0.95}, Ground.MEASURED),
        ({"reward_by_observation": 0.3, "reward_by_step": 0.3, "reward_by_past": 0.95}, Ground.STATE),
        (
            {"reward_by_observation": 0.0, "reward_by_step": 0.0, "reward_by_past": 0.95, "explained_variance": 0.3},
            Ground.STATE,  # a critic that sees something
        ),
    ],
)
def test_what_is_far_from_all_that_is_whole_is_a_fault_whatever_is_learned(
    changed: dict[str, float], ground: Ground
) -> None:
    run = replace(probed(**{**HEALTHY, **changed}), probed="sb3")
    assert found(observation_incomplete.RULE, run).ground is ground


def test_of_our_own_runs_rewards_tell_only_where_observations_foresee_next_to_nothing_of_them() -> None:
    """A tank in order: 0.34 to 0.44 from few samples of the state, 0.82 and more with the last reward."""
    tank = {"reward_by_observation": 0.34, "reward_by_step": 0.34, "reward_by_past": 0.82}
    assert kind(observation_incomplete.RULE, probed(**{**HEALTHY, **tank})) is None
    assert kind(observation_incomplete.RULE, replace(probed(**{**HEALTHY, **tank}), probed="sb3")) is Kind.FAULT


@pytest.mark.parametrize(
    "changed",
    [
        {"observation_repeats": 0.97, "next_by_step": 0.3, "next_by_past": 0.35},  # a small grid
        {"observation_repeats": 0.85, "next_by_step": 0.3, "next_by_past": 0.44},
        {"observation_repeats": 0.97, "reward_by_observation": 0.7, "reward_by_step": 0.7, "reward_by_past": 0.9},
    ],
)
def test_states_that_are_few_are_whole_all_the_same(changed: dict[str, float]) -> None:
    assert kind(observation_incomplete.RULE, probed(**{**HEALTHY, **changed})) is None


def test_a_critic_that_explains_the_returns_knows_what_a_regression_missed() -> None:
    hidden = {**HEALTHY, "reward_by_observation": 0.0, "reward_by_step": 0.01, "explained_variance": 0.8}
    assert kind(observation_incomplete.RULE, probed(**hidden)) is None


def test_a_run_in_order_is_left_in_peace() -> None:
    assert is_quiet(observation_incomplete.RULE, probed(RISEN, **HEALTHY))
    assert is_quiet(observation_incomplete.RULE, probed(FLAT, **HEALTHY))


@pytest.mark.parametrize(
    ("constant", "returns", "expected"),
    [
        (0.25, 22 + np.sin(7.0 * TURN), Kind.SUSPECT),
        (0.0, 22 + np.sin(7.0 * TURN), None),
        (0.25, np.linspace(0, 100, len(TURN)), None),  # contact forces that nothing touches: the run learns
    ],
)
def test_columns_that_never_vary_by_a_saved_optimiser_are_a_doubt(
    constant: float, returns: Any, expected: Kind | None
) -> None:
    saved = np.where(TURN[-1] == TURN, constant, np.nan)
    run = replace(elsewhere(returns, more={COLUMNS_CONSTANT: saved}), dialect="sb3")
    assert kind(observation_incomplete.RULE, run) is expected
