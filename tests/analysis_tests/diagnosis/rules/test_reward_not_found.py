"""No reward found: returns that never differ, and for how long."""

from dataclasses import replace

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Kind, Support, Sureness
from unstuck.analysis.diagnosis.rules import reward_not_found
from unstuck.analysis.history import History
from unstuck.analysis.history.record import EPISODE_LENGTH
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, blind, cause, changes, facts, first, found, without
from tests.analysis_tests.elsewhere import elsewhere
from tests.analysis_tests.runs import LENGTH, healthy, untaught

RULE = reward_not_found.RULE
TURN = np.arange(1, LENGTH + 1)


UNNAMED = {f"{kind}_{name}": None for kind in ("action", "greedy") for name in metrics.ACTIONS}


def returning(values: object, **settings: object) -> History:
    """Return a run of an environment whose actions have no names, with the given returns."""
    return untaught(**{"train/episode_return": values, **UNNAMED}, settings={"env.id": "MountainCar-v0", **settings})


def test_episodes_that_all_return_the_same_are_a_sure_fault() -> None:
    finding = found(RULE, returning(-200.0))
    assert (finding.kind, finding.sureness, finding.since) == (Kind.FAULT, Sureness.SURE, 12)
    text = "every episode returns -200 over iterations 1 to 100"
    assert finding.headline == f"No reward has been found: {text}"
    assert facts(finding) == [text]
    assert finding.why == "100 iterations without a difference"
    assert changes(finding) == [{"ppo.normalize_observations": True}, {"ppo.entropy_coef": 0.03}]
    assert [one.support for one in finding.causes] == [Support.OPEN] * 3


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (returning(np.where(TURN == 50, -199.0, -200.0)), False),
        (returning(np.where(TURN == 50, -200.0 * (1 + 2e-6), -200.0)), False),
        (returning(np.where(TURN == 50, -200.0 * (1 + 0.5e-6), -200.0)), True),  # rounding
        (returning(np.where(TURN == 50, 2e-6, 0.0)), False),
        (returning(0.0), True),
        (untaught(), False),
        (first(returning(-200.0), 12), True),
        (first(returning(-200.0), 11), False),
        (first(returning(-200.0, **{"ppo.num_iterations": 200}), 20), True),
        (first(returning(-200.0, **{"ppo.num_iterations": 200}), 19), False),  # exploration may take a tenth
    ],
)
def test_its_borders(run: History, fires: bool) -> None:
    assert (ask(RULE, run) is not None) == fires


@pytest.mark.parametrize(
    ("rate", "kl", "expected"),
    [
        (1e-6, 1e-10, Kind.SUSPECT),  # steps so small that the policy was hardly tried
        (1e-6, 1e-3, Kind.FAULT),
        (3e-4, 1e-10, Kind.FAULT),  # nothing to follow, since nothing is found
    ],
)
def test_steps_so_small_that_nothing_was_tried_explain_it(rate: float, kl: float, expected: Kind) -> None:
    run = returning(-200.0, **{"ppo.lr": rate})
    run = replace(run, table=run.table.assign(**{metrics.APPROX_KL: kl, metrics.LR: rate}))
    assert found(RULE, run).kind is expected


def test_what_evaluations_return_is_no_reward_to_learn_from() -> None:
    assert ask(RULE, healthy(**{"train/episode_return": 0.0})) is not None


def test_where_every_flow_pays_no_setting_makes_up_for_a_constant_reward() -> None:
    assert changes(found(RULE, returning(-200.0, **{"env.id": "unstuck/Triage-v0"}))) == []


def test_where_inputs_are_scaled_only_exploration_is_left() -> None:
    finding = found(RULE, returning(-200.0, **{"ppo.normalize_observations": True}))
    inputs = cause(finding, "inputs that make")
    assert (inputs.support, inputs.why) == (Support.RULED_OUT, "observations are normalised")
    assert changes(finding) == [{"ppo.entropy_coef": 0.03}]


@pytest.mark.parametrize(("weight", "larger"), [(0.0, 0.01), (0.003, 0.01), (0.1, 0.3), (None, 0.01)])
def test_the_bonus_is_raised_to_a_usual_one_at_least(weight: float | None, larger: float) -> None:
    (change,) = changes(found(RULE, returning(-200.0, **{"ppo.entropy_coef": weight})))[1:]
    assert change == {"ppo.entropy_coef": pytest.approx(larger)}


def test_without_returns_the_rule_is_blind() -> None:
    run = untaught(**{"train/episode_return": None})
    assert blind(RULE, run) == ((metrics.TRAIN_RETURN,),)
    assert ask(RULE, run) is None


def unheard(**changed: object) -> History:
    """A run of another program whose returns, of 25 steps, drift from -25 to -33, while targets hardly differ."""
    drift = -25.0 - 8 * TURN / LENGTH
    columns = {"train/episode_return": drift, "target_std": 0.002, "entropy": 0.5, **changed}
    run = elsewhere(columns.pop("train/episode_return"), more={EPISODE_LENGTH: 25.0 + 0 * TURN}, **columns)
    return replace(run, dialect="sb3")


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (unheard(), True),
        (unheard(target_std=0.011), False),
        (unheard(**{"train/episode_return": -25.0 - 0.2 * TURN / LENGTH}), False),  # they vary by less than 2 %
        (unheard(**{"train/episode_return": -25.0 + 8 * TURN / LENGTH}), False),  # it learns
        (unheard(target_std=None, value_loss=4e-6, explained_variance=-0.2), True),  # a spread of 0.0018
        (unheard(target_std=None, value_loss=4e-6, explained_variance=0.99), True),  # 0.95 is believed: 0.009
        (unheard(target_std=None, value_loss=6e-6, explained_variance=0.99), False),  # 0.011
        (unheard(target_std=None, value_loss=4e-6, explained_variance=None), False),
        (without(unheard(), EPISODE_LENGTH), False),
    ],
)
def test_returns_that_vary_while_targets_do_not_are_no_rewards_of_the_learners(run: History, fires: bool) -> None:
    assert (ask(RULE, run) is not None) == fires


def test_what_the_learner_does_not_see_is_said_with_both_numbers() -> None:
    assert found(RULE, unheard()).headline == (
        "No reward reaches the learner: episodes return -33 to -25.1 on average, and what the critic is to predict "
        "has a spread of 0.002"
    )


def test_a_policy_that_has_tried_nothing_makes_it_a_doubt() -> None:
    def always(entropy: object) -> History:
        return replace(elsewhere(-21.0, entropy=entropy), dialect="sb3")

    assert found(RULE, always(0.5)).kind is Kind.FAULT
    assert found(RULE, always(1e-6)).kind is Kind.SUSPECT
    assert found(RULE, always(np.where(TURN < 20, 0.6, 1e-6))).kind is Kind.FAULT  # it had tried


@pytest.mark.parametrize(
    ("first_return", "count", "lengths", "fires"),
    [
        (-100.05, 12, None, True),  # the first mean holds an episode that began otherwise
        (-100.2, 12, None, False),  # by more than a thousandth
        (-100.0, 8, 999.0, True),  # lengths show that episodes end
        (-100.0, 7, 999.0, False),
        (-100.0, 11, None, False),
    ],
)
def test_few_summaries_of_another_program(first_return: float, count: int, lengths: float | None, fires: bool) -> None:
    run = replace(returning(np.where(TURN == 1, first_return, -100.0)), dialect="mlagents", has_ended=True)
    table = run.table.iloc[:count].assign(**({EPISODE_LENGTH: lengths} if lengths else {}))
    assert (ask(RULE, replace(run, table=table)) is not None) == fires


def test_episodes_that_have_come_to_go_alike_leave_nothing_to_predict() -> None:
    """The policy has settled on one way, so that targets do not vary: rewards reach the learner all the same."""
    settled = np.where(TURN < 20, -106.0 - 1.7 * TURN, -139.7)
    varied = settled + np.sin(7.0 * TURN) * 5
    for returns, fires in ((varied, True), (settled, False)):
        more = {EPISODE_LENGTH: 700.0}
        run = elsewhere(returns, more=more, value_loss=1e-6, explained_variance=0.0, target_std=None, entropy=0.01)
        assert (ask(RULE, replace(run, dialect="sb3")) is not None) == fires
