"""What rules say of numbers that a probe saw on both sides of wrappers: both sides of each threshold."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Finding, Ground, Kind, Rule
from unstuck.analysis.diagnosis.rules import (
    action_not_applied,
    horizon_short,
    observation_incomplete,
    observation_late,
    paid_otherwise,
    reward_not_found,
    rewards_noisy,
    targets_beyond,
)
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.wrapped import pays_unchanged, shows_whole
from unstuck.analysis.history.record import EPISODE_LENGTH, REWARD_AFTER

from tests.analysis_tests.diagnosis.asking import ask, found
from tests.analysis_tests.diagnosis.probed import FLAT, HEALTHY, RISEN, probed
from tests.analysis_tests.elsewhere import elsewhere
from tests.analysis_tests.runs import LENGTH

TRANSPARENT: dict[str, float] = {
    **{"wrapped_action_delay": 0.0, "wrapped_action_reach": 1.0, "wrapped_action_cut": 0.0},
    **{"wrapped_observation_delay": 0.0, "wrapped_observation_lost": 0.0, "wrapped_columns_blank": 0.0},
    **{"wrapped_reward_correlation": 1.0, "wrapped_reward_lost": 0.0, "wrapped_reward_noise": 0.0, "wrapped_ends": 0.0},
}
HIDDEN: dict[str, float] = {"next_by_step": 0.1, "next_by_past": 0.8}


@pytest.mark.parametrize("returns", [FLAT, RISEN])
@pytest.mark.parametrize(
    ("rule", "changed", "says"),
    [
        (action_not_applied.RULE, {"wrapped_action_delay": 4.0}, "4 steps before"),
        (action_not_applied.RULE, {"wrapped_action_reach": 0.1}, "10 % of what the environment takes"),
        (action_not_applied.RULE, {"wrapped_action_reach": 0.11}, None),
        (action_not_applied.RULE, {"wrapped_action_cut": 0.4}, "40 % of the actions' range"),
        (action_not_applied.RULE, {"wrapped_action_cut": 0.39}, None),  # 0.05 at each end are an environment's own
        (action_not_applied.RULE, {"wrapped_action_unused": 0.5}, "50 % of an action's numbers change nothing"),
        (action_not_applied.RULE, {"wrapped_action_unused": 0.49}, None),
        (observation_late.RULE, {"wrapped_observation_delay": 1.0}, "1 step before"),
        (observation_late.RULE, {}, None),
        (observation_incomplete.RULE, {"wrapped_columns_blank": 0.25}, "25 % of the columns constant"),
        (observation_incomplete.RULE, {"wrapped_observation_lost": 0.5}, "50 % of a column's variance"),
        (observation_incomplete.RULE, {"wrapped_observation_lost": 0.49}, None),
        (
            observation_incomplete.RULE,
            {"wrapped_observation_lost": 0.25, "observation_repeats": 0.5},
            "25 % of a column's variance: it shows many numbers as one and the same, and 50 % of the observations",
        ),
        (observation_incomplete.RULE, {"wrapped_observation_lost": 0.24, "observation_repeats": 0.9}, None),
        (observation_incomplete.RULE, {"wrapped_observation_lost": 0.3, "observation_repeats": 0.49}, None),
        (reward_not_found.RULE, {"wrapped_reward_lost": 0.99}, "99 % is gone"),
        (reward_not_found.RULE, {"wrapped_reward_lost": 0.98}, None),
        (targets_beyond.RULE, {"wrapped_ends": 0.9}, "90 % of the environment's ends"),
        (targets_beyond.RULE, {"wrapped_ends": 0.89}, None),
    ],
)
def test_plain_facts_are_faults_whatever_a_run_learns(
    rule: Rule, changed: dict[str, float], says: str | None, returns: Any
) -> None:
    run = probed(returns, **{**HEALTHY, **TRANSPARENT, **changed})
    if says is None:
        assert ask(rule, run) is None
        return
    finding = found(rule, run)
    assert (finding.kind, finding.ground) == (Kind.FAULT, Ground.MEASURED)
    assert says in finding.headline


@pytest.mark.parametrize(
    ("rule", "changed", "ground"),
    [
        (paid_otherwise.RULE, {"wrapped_reward_correlation": -0.95}, Ground.PACE),
        (paid_otherwise.RULE, {"wrapped_reward_correlation": -0.94}, None),
        (paid_otherwise.RULE, {"wrapped_reward_cost": 3.0}, Ground.PACE),
        (paid_otherwise.RULE, {"wrapped_reward_cost": 10.0}, Ground.MEASURED),
        (paid_otherwise.RULE, {"wrapped_reward_cost": 2.9}, None),
        (paid_otherwise.RULE, {"wrapped_reward_step": 2.0}, Ground.PACE),
        (paid_otherwise.RULE, {"wrapped_reward_step": 10.0}, Ground.MEASURED),
        (paid_otherwise.RULE, {"wrapped_reward_step": 1.9}, None),
        (rewards_noisy.RULE, {"wrapped_reward_noise": 5.0}, Ground.PACE),
        (rewards_noisy.RULE, {"wrapped_reward_noise": 4.9}, None),
    ],
)
def test_what_wrappers_pay_counts_where_nothing_is_learned(
    rule: Rule, changed: dict[str, float], ground: Ground | None
) -> None:
    """A cost that a wrapper turns to a reward by design is learned all the same."""
    finding = ask(rule, probed(FLAT, **{**HEALTHY, **TRANSPARENT, **changed}))
    assert (finding.ground if isinstance(finding, Finding) else None) is ground


@pytest.mark.parametrize(
    ("changed", "whole"),
    [
        ({}, True),
        ({"wrapped_observation_lost": 0.05}, True),
        ({"wrapped_observation_lost": 0.06}, False),
        ({"wrapped_action_delay": 2.0}, False),
        ({"wrapped_columns_blank": 0.1}, False),
    ],
)
def test_observations_that_arrive_as_the_environment_makes_them(changed: dict[str, float], whole: bool) -> None:
    assert shows_whole(Signals(probed(RISEN, **{**HEALTHY, **TRANSPARENT, **changed}))) is whole
    assert not shows_whole(Signals(probed(RISEN, **HEALTHY)))  # nobody compared


SIDED: dict[str, float] = {"action_halves": 0.1}
LATE: dict[str, float] = {"action_delay": 5.0, "action_shown_late": 0.78, "action_shown": 0.004}


@pytest.mark.parametrize(
    ("rule", "changed"),
    [(observation_incomplete.RULE, HIDDEN), (action_not_applied.RULE, SIDED), (observation_late.RULE, LATE)],
)
def test_what_an_environment_does_by_itself_is_a_doubt(rule: Rule, changed: dict[str, float]) -> None:
    """Where wrappers take nothing away and hold nothing back, regressions show the environment's own nature."""
    assert found(rule, probed(FLAT, **{**HEALTHY, **changed})).kind is Kind.FAULT
    assert found(rule, probed(FLAT, **{**HEALTHY, **changed, **TRANSPARENT})).kind is Kind.SUSPECT


def test_what_is_done_late_shows_late_and_is_named_once() -> None:
    run = probed(FLAT, **{**HEALTHY, **LATE, **TRANSPARENT, "wrapped_action_delay": 5.0})
    assert ask(observation_late.RULE, run) is None


@pytest.mark.parametrize(
    ("known", "unchanged"),
    [
        ({}, False),  # nobody compared
        ({"reward_after": 20.0}, False),  # monitor files tell it as well
        ({"wrapped_action_delay": 0.0}, True),
        ({"wrapped_observation_delay": 0.0}, True),
        ({"wrapped_action_delay": 0.0, "wrapped_reward_lost": 0.0}, False),
        ({"wrapped_action_delay": 0.0, "wrapped_reward_correlation": 1.0}, False),
    ],
)
def test_rewards_that_pass_unchanged_leave_no_number(known: dict[str, float], unchanged: bool) -> None:
    assert pays_unchanged(Signals(probed(FLAT, **{**HEALTHY, **known}))) is unchanged


@pytest.mark.parametrize("late", ["wrapped_action_delay", "wrapped_observation_delay"])
def test_a_delay_explains_what_the_step_before_foretells(late: str) -> None:
    run = probed(FLAT, **{**HEALTHY, **HIDDEN, **TRANSPARENT, late: 3.0})
    assert ask(observation_incomplete.RULE, run) is None


@pytest.mark.parametrize(
    ("gamma", "after", "fires"),
    [
        (0.5, 4.4, True),
        (0.5, 4.3, False),
        (0.8, 13.5, True),
        (0.8, 13.3, False),
        (0.9, 200.0, False),
        (0.5, -2000.0, False),
    ],
)
def test_rewards_that_come_seldom_and_late_are_forgotten_by_a_short_horizon(
    gamma: float, after: float, fires: bool
) -> None:
    """0.5 to the power of 4.32 is 0.05, and so is 0.8 to the power of 13.4; 0.9 is no short horizon."""
    more = {REWARD_AFTER: after, EPISODE_LENGTH: 16.0, "train/reward_by_observation": 0.1, "train/reward_by_step": 0.4}
    run = elsewhere(FLAT, settings={"ppo.gamma": gamma}, more=more)
    finding = ask(horizon_short.RULE, run)
    assert (isinstance(finding, Finding) and finding.ground is Ground.MEASURED) is fires
    if fires:
        learned = found(horizon_short.RULE, elsewhere(RISEN, settings={"ppo.gamma": gamma}, more=more))
        assert (learned.kind, learned.ground) == (Kind.SUSPECT, Ground.PACE)


@pytest.mark.parametrize(
    ("counted", "ground"),
    [
        (0.0, Ground.MEASURED),  # a goal that nobody reaches, since training is fined for it
        (np.linspace(-300, -20, LENGTH), Ground.PACE),  # evaluations gain: both are paid alike
        (np.linspace(300, 20, LENGTH), Ground.PACE),  # a cost, which training gets below and evaluations count
        (-0.5, Ground.PACE),  # evaluations have training's sign, and were level from the first one on
        (0.5, Ground.MEASURED),
        (None, Ground.PACE),
    ],
)
def test_a_turned_sign_is_a_fault_where_evaluations_stay_whatever_training_gains(counted: Any, ground: Ground) -> None:
    run = elsewhere(np.linspace(-1, 0, LENGTH), more={"train/wrapped_reward_correlation": -1.0})
    run = replace(run, table=run.table.assign(**({} if counted is None else {"eval/episode_return": counted})))
    assert found(paid_otherwise.RULE, run).ground is ground


@pytest.mark.parametrize(
    ("after", "length", "expected"),
    [
        (10.0, 16.0, (Kind.FAULT, Ground.MEASURED)),  # 0.5 to the power of 9.97 is 0.001
        (9.9, 16.0, (Kind.SUSPECT, Ground.PACE)),
        (12.0, 4.0, (Kind.FAULT, Ground.MEASURED)),  # a lake: most episodes end in a hole, long before the goal
        (4.2, 4.0, None),
    ],
)
def test_a_discount_that_leaves_nothing_of_a_rare_reward_is_a_fault_of_a_run_that_learns(
    after: float, length: float, expected: tuple[Kind, Ground] | None
) -> None:
    more = {REWARD_AFTER: after, EPISODE_LENGTH: length}
    finding = ask(horizon_short.RULE, elsewhere(RISEN, settings={"ppo.gamma": 0.5}, more=more))
    assert (None if finding is None else (finding.kind, finding.ground)) == expected
