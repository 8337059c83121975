"""Rollouts that are too short: from settings, or from a log's counter of steps."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Kind
from unstuck.analysis.diagnosis.rules import rollout_short
from unstuck.analysis.history import History
from unstuck.analysis.history.record import ENV_STEPS

from tests.analysis_tests.diagnosis.asking import changes, found, kind
from tests.analysis_tests.elsewhere import TURN, elsewhere

RULE = rollout_short.RULE
FLAT = 22 + np.sin(7.0 * TURN)


def sized(lanes: int, steps: int, returns: Any = FLAT) -> History:
    """A run whose settings say how long its rollouts are."""
    return elsewhere(returns, settings={"ppo.num_envs": lanes, "ppo.num_steps": steps})


def counted(steps: float, dialect: str = "sb3") -> History:
    """A run of others that counts so many steps an iteration."""
    return replace(elsewhere(FLAT, more={ENV_STEPS: steps * TURN}), dialect=dialect)


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (sized(1, 5), Kind.FAULT),
        (sized(8, 7), Kind.FAULT),
        (sized(8, 8), None),
        (sized(1, 32, np.linspace(0, 100, 100)), Kind.SUSPECT),  # it learns all the same
        (sized(1, 31, np.linspace(0, 100, 100)), Kind.FAULT),  # and might learn more
        (counted(5), Kind.FAULT),
        (counted(63), Kind.FAULT),
        (counted(64), None),
        (counted(5, dialect="plain"), None),  # what its counter counts is not known
    ],
)
def test_its_borders(run: History, expected: Kind | None) -> None:
    assert kind(RULE, run) is expected


def test_a_usual_rollout_is_offered_for_the_lanes_there_are() -> None:
    finding = found(RULE, sized(8, 2))
    assert finding.headline == "Rollouts are too short: 16 steps in a rollout"
    assert changes(finding) == [{"ppo.num_steps": 256, "ppo.minibatch_size": 64}]
