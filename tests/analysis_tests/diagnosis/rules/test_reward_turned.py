"""A reward whose sign turns: mirrored at once, and not where a policy learns its way through 0."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.finding import Kind, Support, Sureness
from unstuck.analysis.diagnosis.rules import reward_turned
from unstuck.analysis.history import History

from tests.analysis_tests.diagnosis.asking import cause, found, kind
from tests.analysis_tests.elsewhere import TURN, elsewhere

RULE = reward_turned.RULE
NOISE = np.sin(7.0 * TURN)


def turned(before: float = 200.0, after: float = -200.0, noise: float = 5.0, **changed: Any) -> History:
    """A run that earns the first until iteration 50, and the second from then on."""
    return elsewhere(np.where(TURN < 50, before, after) + noise * NOISE, **changed)


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (turned(), True),
        (turned(-5.5, 5.5, noise=0.5), True),
        (turned(200, -110), True),  # the policy goes on: within half of the mirrored return
        (turned(200, -90), False),
        (turned(200, 20), False),  # worse, and not mirrored: the policy may have lost its way
        (turned(5.0, -5.0, noise=5.0), False),  # noise about 0
        (elsewhere(-200 + 4.0 * TURN + NOISE), False),  # learns its way through 0
        (elsewhere(np.where(TURN < 50, 6.0 * TURN, 300.0 - 12.0 * (TURN - 50)) + NOISE), False),  # falls step by step
        (elsewhere(np.where(TURN < 4, -200.0, 200.0) + NOISE), False),  # too early to know a level
    ],
)
def test_only_a_mirrored_return_is_named(run: History, fires: bool) -> None:
    assert (kind(RULE, run) is Kind.FAULT) == fires


def test_its_numbers_and_what_speaks_against_its_rival() -> None:
    finding = found(RULE, turned())
    assert finding.headline == "The reward changes in mid-run: the return turns from 203 to -201 at iteration 49"
    assert (finding.sureness, finding.since, finding.remedies) == (Sureness.SURE, 50, ())
    assert cause(finding, "updates that throw").support is Support.RULED_OUT
    thrown = found(RULE, turned(approx_kl=np.where(TURN == 49, 0.3, 2e-3)))
    assert thrown.sureness is Sureness.LIKELY
    assert cause(thrown, "updates that throw").support is Support.OPEN


def test_an_update_that_leaves_another_policy_explains_the_turn() -> None:
    assert kind(RULE, turned(approx_kl=np.where(TURN == 49, 0.31, 2e-3))) is None


def test_it_stands_above_what_follows_from_it() -> None:
    faults = [one.rule.name for one in diagnose(turned()).select_findings(Kind.FAULT, Kind.SUSPECT)]
    assert faults[0] == "reward_turned"


def test_without_kl_on_record_it_is_a_doubt_of_another_learners_run() -> None:
    assert kind(RULE, turned(approx_kl=None)) is Kind.FAULT
    assert kind(RULE, replace(turned(approx_kl=None), dialect="mlagents")) is Kind.SUSPECT
