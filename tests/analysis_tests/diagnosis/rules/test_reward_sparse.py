"""A reward that is met too seldom: by success rates, by returns about 0, and by returns that are mostly the least."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.finding import Kind
from unstuck.analysis.diagnosis.rules import reward_sparse
from unstuck.analysis.history import History
from unstuck.analysis.history.record import SUCCESS_RATE

from tests.analysis_tests.diagnosis.asking import first, found, kind
from tests.analysis_tests.elsewhere import TURN, elsewhere

RULE = reward_sparse.RULE
CHANCE = np.abs(np.sin(7.0 * TURN))
"""From 0 to 1, without a trend."""


def met(returns: Any = 0.14 * CHANCE * (TURN > 1), **changed: Any) -> History:
    """A run whose episodes return this, with updates of a usual size."""
    return elsewhere(returns, **{"entropy": 0.69, "approx_kl": 0.014, **changed})


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (met(), True),
        (met(0.29 * CHANCE * (TURN > 1)), True),
        (met(0.5 * CHANCE * (TURN > 1)), False),  # every second episode
        (met(0.1 + 0.1 * CHANCE), False),  # never nothing
        (met(np.minimum(TURN / 400, 0.2) * (TURN > 1)), False),  # it builds on what it meets
        (met(np.where(TURN % 3 == 0, -200.0, -180.0 - 10 * CHANCE)), True),  # a third at the least there is
        (met(np.where(TURN % 4 == 0, -200.0, -180.0 - 10 * CHANCE)), False),
        (met(0.0), False),  # none was ever met: another rule's
        (met(approx_kl=1e-6), False),  # nothing moves the policy
        (met(approx_kl=0.2), False),  # it is thrown about
        (met(-5.0 + CHANCE, more={SUCCESS_RATE: 0.1 * CHANCE}), True),
        (met(-5.0 + CHANCE, more={SUCCESS_RATE: 0.2 + 0.2 * CHANCE}), False),
        (first(met(), 11), False),
    ],
)
def test_its_borders(run: History, fires: bool) -> None:
    assert (kind(RULE, run) is Kind.SUSPECT) == fires


def test_its_numbers_and_its_place() -> None:
    finding = found(RULE, met())
    assert finding.headline == "The reward is met too seldom: returns of 0 to 0.14 on average"
    assert [fact.text for fact in finding.evidence[1:]] == [
        "KL of an update 0.014 in the median",
        "entropy 99.5 % of its maximum",
    ]
    assert finding.remedies == ()  # no setting brings a reward nearer
    wrong = [one for one in diagnose(met()).findings if one.finding.kind in (Kind.FAULT, Kind.SUSPECT)]
    assert "reward_sparse" in {name for one in wrong for name in one.follows_from} | {wrong[0].rule.name}


def test_a_rise_by_chance_is_not_called_learned_and_lost() -> None:
    up_and_down = 0.14 * np.sin(np.pi * TURN / 100) * (TURN > 1)
    names = {one.rule.name for one in diagnose(met(up_and_down)).findings}
    assert "learned_and_lost" not in names


@pytest.mark.parametrize(
    ("level", "entropy", "expected"),
    [
        (0.0, None, Kind.FAULT),
        (0.0, 0.69, Kind.FAULT),  # the policy still tries everything when it meets nothing any more
        (-1.0, 0.36, Kind.FAULT),  # more than half of ln 2
        (-1.0, np.where(TURN < 10, 0.69, 0.3), Kind.SUSPECT),  # it had nearly settled by then
        (-1.0, None, Kind.SUSPECT),  # a policy that always does the same
    ],
)
def test_a_return_that_stays_at_the_least_is_a_fault_unless_the_policy_had_settled(
    level: float, entropy: Any, expected: Kind
) -> None:
    returns = level + np.where(TURN < 15, 0.5 * CHANCE, 0.0)
    run = met(returns, entropy=entropy, approx_kl=None, settings={"finished": True})
    assert kind(RULE, replace(run, dialect="sb3")) is expected


def test_a_return_that_had_been_better_pays_for_more_than_successes() -> None:
    """Penalties alone, and no success: the return falls by what is paid, so pay is not rare."""
    success = {SUCCESS_RATE: np.where(TURN == 1, 0.1, 0.0)}
    ended = {"finished": True}
    for returns, expected in ((-8.0 - TURN / 15, Kind.SUSPECT), (-8.0 - CHANCE, Kind.FAULT)):
        run = replace(met(returns, more=success, settings=ended), dialect="cleanrl")
        assert kind(RULE, run) is expected
