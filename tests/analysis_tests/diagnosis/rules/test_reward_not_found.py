"""No reward found: returns that never differ, and for how long."""

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Kind, Support, Sureness
from unstuck.analysis.diagnosis.rules import reward_not_found
from unstuck.analysis.history import History
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, blind, cause, changes, facts, first, found
from tests.analysis_tests.runs import LENGTH, healthy, untaught

RULE = reward_not_found.RULE
TURN = np.arange(1, LENGTH + 1)


def returning(values: object, **settings: object) -> History:
    return untaught(**{"train/episode_return": values}, settings=settings)


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


def test_what_evaluations_return_is_no_reward_to_learn_from() -> None:
    assert ask(RULE, healthy(**{"train/episode_return": 0.0})) is not None


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
