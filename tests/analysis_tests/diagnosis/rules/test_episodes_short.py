"""Episodes of training that are cut off, and the nearest runs whose episodes are as long as the task."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Kind, Sureness
from unstuck.analysis.diagnosis.rules import episodes_short
from unstuck.analysis.history import History
from unstuck.analysis.history.record import EPISODE_LENGTH, EVAL_LENGTH

from tests.analysis_tests.diagnosis.asking import ask, first, found
from tests.analysis_tests.elsewhere import TURN, elsewhere

RULE = episodes_short.RULE
CHANCE = np.abs(np.sin(7.0 * TURN))


def cut(lengths: Any, returns: Any = 0.05 * CHANCE, tried: Any = None) -> History:
    """A run of Stable-Baselines3's with episodes of these lengths."""
    more = {EPISODE_LENGTH: lengths + 0.0 * TURN, **({} if tried is None else {EVAL_LENGTH: tried + 0.0 * TURN})}
    return replace(elsewhere(returns, more=more), dialect="sb3")


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (cut(3.0), True),
        (cut(3.0 - 0.1 * CHANCE), True),  # a few end by themselves
        (cut(3.0 - 0.3 * CHANCE), False),
        (cut(1.0), False),  # a bandit
        (cut(11.0), False),
        (cut(3.0, 0.3 * CHANCE), False),  # every fifth episode is paid
        (cut(3.0, 0.0), False),  # none is: another rule's
        (cut(3.0, 0.05 * CHANCE - 0.01), False),  # not nothing and something
        (cut(8.0, 8.0, 9.5), True),
        (cut(8.0, 8.0, 8.5), False),
        (cut(200.0, -50.0 - CHANCE, 500.0), True),
        (cut(200.0 - 50 * CHANCE, -50.0 - CHANCE, 500.0), False),  # they end by themselves
        (cut(500.0, -50.0 - CHANCE, 200.0), False),
        (first(cut(3.0, 0.05), 11), False),
    ],
)
def test_its_borders(run: History, fires: bool) -> None:
    assert (ask(RULE, run) is not None) == fires


def test_its_numbers_and_what_makes_it_likely() -> None:
    finding = found(RULE, cut(8.0, 8.0, 9.5))
    assert finding.headline == "Episodes of training are cut off: all end after 8 steps, and evaluations last 9.5"
    assert (finding.kind, finding.sureness) == (Kind.FAULT, Sureness.LIKELY)
    assert found(RULE, cut(3.0)).sureness is Sureness.POSSIBLE
