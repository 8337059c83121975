"""Doing nothing pays best: up from below 0 to 0 and never above, and the nearest runs that are something else."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.finding import Kind
from unstuck.analysis.diagnosis.rules import doing_nothing_pays, learns_backwards
from unstuck.analysis.history import History
from unstuck.analysis.history.record import EPISODE_LENGTH, FINISHED, SUCCESS_RATE
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import ask, changes, found, kind, without
from tests.analysis_tests.elsewhere import TURN, elsewhere

RULE = doing_nothing_pays.RULE
RISEN = np.minimum(-1.0 + TURN / 20, 0.0)


def idle(returns: Any = RISEN, **changed: Any) -> History:
    """A run that settles on what this returns: on nothing, from iteration 20 on."""
    return elsewhere(returns, **{"entropy": np.where(TURN < 20, 0.6, 0.01), **changed})


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (idle(), True),
        (idle(RISEN - 0.005 * (TURN % 2)), True),  # a costly action now and then
        (idle(RISEN - 0.02 * (TURN % 2)), False),
        (idle(np.where(TURN == 50, 0.5, RISEN)), False),  # what pays was met
        (idle(np.minimum(-1.0 + TURN / 20, 0.78)), False),  # it earns
        (idle(RISEN - 0.5), False),  # settled on a cost
        (idle(0.0), False),  # never paid a cost: no reward was found
        (idle(entropy=0.6), False),  # it still tries everything
        (idle(settings={"env.actions": None}, more={"train/policy_std": 0.9}), True),
    ],
)
def test_when_nothing_is_what_pays(run: History, fires: bool) -> None:
    assert (kind(RULE, run) is Kind.SUSPECT) == fires


def test_its_numbers_and_its_remedy() -> None:
    finding = found(RULE, idle())
    assert finding.headline == (
        "Doing nothing may be what pays best: return -0.85 at first, within 0.009 of 0 from iteration 20 on"
    )
    assert changes(finding) == [{"ppo.entropy_coef": 0.03}]
    assert finding.since == 29


def test_it_explains_the_entropy_and_the_frozen_return() -> None:
    ranked = diagnose(idle()).select_findings(Kind.FAULT, Kind.SUSPECT)
    assert ranked[0].rule is RULE
    assert {one.rule.name for one in ranked if "doing_nothing_pays" in one.follows_from} >= {"return_frozen"}


AVOIDED = -16.0 + 10 * (1 - np.exp(-TURN / 10)) + 0.1 * np.sin(7.0 * TURN)
"""A return that goes from -16 to -6."""


def failing(returns: Any = AVOIDED, rate: Any = 0.0, ended: bool = True) -> History:
    """A run of Stable-Baselines3's with a success rate."""
    run = elsewhere(returns, more={SUCCESS_RATE: rate + 0.0 * TURN}, settings={"finished": ended})
    return replace(run, dialect="sb3")


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (failing(), Kind.FAULT),
        (failing(ended=False), Kind.SUSPECT),
        (failing(rate=np.where(TURN == 50, 0.01, 0.0)), None),  # one episode has succeeded
        (failing(-16.0 + 0.02 * TURN), None),  # costs are as they were
        (failing(AVOIDED + 7), None),  # something is earned
        (elsewhere(AVOIDED), None),  # no success rate is on record
        (failing(rate=np.where(TURN <= 30, 0.1, 0.025)), Kind.FAULT),  # successes are given up
        (failing(rate=np.where(TURN <= 30, 0.1, 0.026)), None),
        (failing(rate=np.where(TURN <= 30, 0.049, 0.001)), None),  # hardly one was within reach
        (failing(rate=np.where(TURN <= 30, 0.1, 0.3)), None),
        (failing(np.where(TURN == 60, 0.14, AVOIDED), rate=0.0), Kind.FAULT),  # 0.14 is within 1 % of what is lost
        (failing(np.where(TURN == 60, 0.2, AVOIDED), rate=0.0), None),
    ],
)
def test_costs_are_avoided_where_no_episode_succeeds(run: History, expected: Kind | None) -> None:
    assert kind(RULE, run) is expected


def test_its_numbers_where_no_episode_succeeds() -> None:
    """-16 + 10 (1 - exp(-t / 10)) at t = 2, in the middle of the first three, is -14.19; in the last quarter -6.0."""
    text = found(RULE, failing(-16.0 + 10 * (1 - np.exp(-TURN / 10)))).headline
    assert text == (
        "Doing nothing pays best: return -14.2 at first and -6 of late, never above 0, and no episode has succeeded in "
        "100 values of the success rate"
    )


def test_its_numbers_where_successes_are_given_up() -> None:
    text = found(RULE, failing(rate=np.where(TURN <= 30, 0.1, 0.01))).headline
    assert text.endswith("and -6 of late, never above 0, and the success rate falls from 10 % to 1 %")


def dying(lengths: Any, returns: Any, **settings: Any) -> History:
    """A run with episodes of these lengths."""
    return replace(elsewhere(returns, more={EPISODE_LENGTH: lengths + 0.0 * TURN}, settings=settings), dialect="sb3")


SHRINKING = np.where(TURN < 30, 140.0, 14.0)
COSTS = -SHRINKING * (8 + np.sin(7.0 * TURN))


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (dying(SHRINKING, COSTS), True),
        (dying(SHRINKING, -8 * SHRINKING), False),  # each step costs the same: a way to a goal,
        (dying(SHRINKING, COSTS, **{"env.id": "Acrobot-v1"}), False),  # where the goal ends an episode
        (dying(SHRINKING, -COSTS), False),  # a step pays: it is a loss
        (dying(np.where(TURN < 30, 140.0, 36.0), COSTS), False),  # 0.26 of the longest, 36 steps
        (dying(np.where(TURN < 30, 58.0, 14.0), COSTS), False),  # never long
        (dying(SHRINKING, -100.0 - TURN), False),  # the return falls
        (dying(140.0, COSTS), False),  # episodes are as long as ever
        (dying(SHRINKING, np.where(TURN < 30, np.nan, COSTS)), False),  # what long episodes cost is not on record
        (dying(SHRINKING, np.where(TURN < 20, np.nan, COSTS)), True),
    ],
)
def test_an_early_end_is_a_suspect_where_each_step_costs(run: History, fires: bool) -> None:
    assert (kind(RULE, run) is Kind.SUSPECT) == fires
    assert fires or ask(RULE, run) is None


def test_its_numbers_where_episodes_shrink() -> None:
    assert found(RULE, dying(SHRINKING, COSTS)).headline.startswith(
        "To end the episode early may be what pays best: episodes shrink from 140 to 14 steps as the return goes from -"
    )


LONGER = 30.0 + TURN
"""Lengths that grow from 30 steps to 130, of a hundred iterations."""


@pytest.mark.parametrize(
    ("returns", "lengths", "ended", "expected"),
    [
        (-1.0 - 0.005 * LONGER, LONGER, True, Kind.FAULT),  # to die costs 1, and a step 0.005
        (-1.0 - 0.005 * LONGER, LONGER, False, Kind.SUSPECT),
        (-0.04 * LONGER, LONGER, True, None),  # an even cost of the steps: a goal that is no longer reached
        (-1.0 - 0.005 * (30 + TURN / 4), 30 + TURN / 4, True, None),  # episodes grow by less than twice
        (-2.0 + 0.005 * LONGER, LONGER, True, None),  # the return rises
        (-1.0 - 0.005 * LONGER + 3.0 * (TURN == 50), LONGER, True, None),  # something was earned
    ],
)
def test_an_end_that_is_put_off_at_the_price_of_more_steps(
    returns: Any, lengths: Any, ended: bool, expected: Kind | None
) -> None:
    settings = {"env.id": "Snake-v0", FINISHED: ended}
    run = replace(elsewhere(returns, more={EPISODE_LENGTH: lengths}, settings=settings), dialect="sb3")
    assert kind(RULE, run) is expected
    assert (kind(learns_backwards.RULE, without(run, metrics.ADVANTAGE_FOLLOWED)) is None) or expected is None
