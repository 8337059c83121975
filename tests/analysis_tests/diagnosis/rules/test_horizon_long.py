"""A discount that forgets nothing: above 1 in any run, and at 1 in a run of long episodes that learned nothing."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Ground, Kind, Sureness
from unstuck.analysis.diagnosis.rules import horizon_long
from unstuck.analysis.history import History
from unstuck.analysis.history.record import EPISODE_LENGTH

from tests.analysis_tests.diagnosis.asking import changes, first, found, kind
from tests.analysis_tests.elsewhere import TURN, elsewhere

RULE = horizon_long.RULE
FLAT = 22 + np.sin(7.0 * TURN)
LEARNS = np.linspace(0, 100, 100)


def set_to(gamma: float, traces: float = 0.95, returns: Any = FLAT, length: float | None = None) -> History:
    more = {} if length is None else {EPISODE_LENGTH: length}
    run = elsewhere(returns, more=more, settings={"ppo.gamma": gamma, "ppo.gae_lambda": traces})
    return replace(run, dialect="sb3")


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (set_to(1.5), Kind.FAULT),
        (set_to(1.001, returns=LEARNS), Kind.FAULT),  # whatever it learns
        (set_to(0.99, traces=1.01), Kind.FAULT),
        (set_to(1.0, traces=1.0), Kind.SUSPECT),
        (set_to(1.0, length=200.0), Kind.SUSPECT),
        (set_to(1.0, length=199.0), None),
        (set_to(1.0, returns=LEARNS), None),
        (set_to(0.999), None),
        (first(set_to(1.0), 24), None),
        (first(set_to(1.5), 4), Kind.FAULT),
    ],
)
def test_its_borders(run: History, expected: Kind | None) -> None:
    assert kind(RULE, run) is expected


def test_a_discount_above_one_is_wrong_anywhere() -> None:
    finding = found(RULE, set_to(1.5, traces=1.2))
    assert finding.headline == "The discount is above 1: gamma 1.5 and gae_lambda 1.2"
    assert (finding.ground, finding.sureness) == (Ground.PROOF, Sureness.SURE)
    assert changes(finding) == [{"ppo.gamma": 0.99}, {"ppo.gae_lambda": 0.95}]
    assert changes(found(RULE, set_to(1.0))) == [{"ppo.gamma": 0.99}]
