"""Doing nothing pays best: up from below 0 to 0 and never above, and the nearest runs that are something else."""

from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.finding import Kind
from unstuck.analysis.diagnosis.rules import doing_nothing_pays
from unstuck.analysis.history import History

from tests.analysis_tests.diagnosis.asking import changes, found, kind
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
