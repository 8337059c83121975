"""Noise that buries the reward, and the nearest runs in which training scatters for another reason."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Kind
from unstuck.analysis.diagnosis.rules import rewards_noisy
from unstuck.analysis.history import ENV_STEPS, History
from unstuck.analysis.history.record import EPISODE_LENGTH

from tests.analysis_tests.diagnosis.asking import ask, found, without
from tests.analysis_tests.elsewhere import TURN, elsewhere

RULE = rewards_noisy.RULE
CHANCE = np.where(TURN % 2 == 0, 1.0, -1.0)
"""Changes by 2 from one to the next: a spread of 2 / 0.954."""


def noisy(scatter: float, greedy: Any = -25.0 + 2 * CHANCE, dialect: str = "probe", **changed: Any) -> History:
    """A run whose episodes, 40 in an iteration, scatter by so much, as a mean over them shows."""
    size = scatter * 0.954 / 2 / 40**0.5 * (40 / 100 if dialect == "sb3" else 1)
    more = {EPISODE_LENGTH: 25.0 + 0 * TURN, ENV_STEPS: 1000.0 * TURN}
    seen = np.where(TURN % (TURN[-1] // 10) < 2, greedy + 0 * TURN, np.nan)
    run = elsewhere(-25.0 + size * CHANCE, more=more, **{"explained_variance": 0.0, **changed})
    return replace(run, table=run.table.assign(**{"eval/episode_return": seen}), dialect=dialect)


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (noisy(60.0), True),  # evaluations: 4 / 0.954 * sqrt(5) is 9.4
        (noisy(60.0, dialect="sb3"), True),
        (noisy(44.0), False),
        (noisy(60.0, explained_variance=0.2), False),
        (noisy(60.0, -25.0 + 0.01 * CHANCE), True),
        (noisy(10.0, -25.0 + 0.01 * CHANCE), False),  # evaluations of one start: a tenth of 25, times 5
        (without(noisy(60.0), EPISODE_LENGTH), False),
        (noisy(60.0, np.nan), False),
        (noisy(60.0, -25.0), True),  # noise goes both ways about what evaluations always return
        (noisy(60.0, 0.0), False),  # all that is paid is below: a reward that is met seldom, with the other sign
    ],
)
def test_its_borders(run: History, fires: bool) -> None:
    assert (ask(RULE, run) is not None) == fires


def test_its_numbers() -> None:
    finding = found(RULE, noisy(60.0))
    assert finding.kind is Kind.FAULT
    assert finding.headline == (
        "Noise buries the reward: single episodes of training scatter by about 60, and evaluations lie "
        "between -27 and -23"
    )
