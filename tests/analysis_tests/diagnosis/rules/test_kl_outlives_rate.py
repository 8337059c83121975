"""A KL that stays while the rate falls: beside one that falls with it, and one that is too small to tell."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Kind
from unstuck.analysis.diagnosis.rules import kl_outlives_rate
from unstuck.analysis.history import History

from tests.analysis_tests.diagnosis.asking import found, kind
from tests.analysis_tests.elsewhere import TURN, elsewhere

RULE = kl_outlives_rate.RULE
FALLING = 3e-4 * (1 - (TURN - 1) / 100)


def annealed(kl: Any, rate: Any = FALLING, **changed: Any) -> History:
    """A run whose learning rate falls to nothing, with updates of this KL."""
    return elsewhere(1.0 * TURN, approx_kl=kl, lr=rate, **changed)


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (annealed(0.05), True),
        (annealed(np.where(TURN > 90, 0.026, 0.05)), True),
        (annealed(np.where(TURN > 90, 0.024, 0.05)), False),
        (annealed(0.05 * (FALLING / 3e-4) ** 2), False),  # as it should: with the rate's square
        (annealed(1.9e-3), False),
        (annealed(2.1e-3), True),
        (annealed(np.where(TURN > 97, 9e-4, 0.004)), False),  # at the least rates it does fall
        (annealed(np.where(TURN > 97, 1.1e-3, 0.004)), True),
        (annealed(0.05, rate=3e-4), False),  # a rate that stays tells nothing
        (annealed(np.where(TURN % 2, -0.05, 0.06)), False),  # a signed estimate
    ],
)
def test_its_borders(run: History, fires: bool) -> None:
    assert (kind(RULE, run) is Kind.FAULT) == fires


def steer(*steps: int) -> Any:
    """A rate that is kept for five updates and then changed by these powers of 1.5, and is at its end by then."""
    powers = np.concatenate([[0], np.cumsum(steps)])
    return 1e-2 * 1.5 ** powers[np.minimum((TURN - 1) // 5, len(powers) - 1)]


DOWN = (0, -2, -2, -2, -2, -1, 0)
"""Falls to 1.5 ** -9 of its first rate, that is 2.6 %."""


@pytest.mark.parametrize(
    ("program", "rate", "judged"),
    [
        ("plain", steer(*DOWN), True),
        ("plain", steer(*DOWN, 1, -1, 1), True),  # three changes of direction
        ("plain", steer(*DOWN, 1, -1, 1, -1), False),
        ("rl_games", steer(*DOWN), True),  # a linear schedule only falls
        ("rl_games", steer(*DOWN, 1), False),
        ("skrl", steer(*DOWN, 1), False),
        ("rsl_rl", steer(*DOWN), False),  # its rate is fixed or follows KL
        ("plain", 3e-4 * np.minimum(TURN / 10, (101 - TURN) / 91), True),  # warms up, then falls
        ("plain", 3e-4 * np.minimum(TURN / 50, 1), False),  # warms up, and has not fallen since
        ("plain", 3e-4 * (1 - (TURN - 1) % 20 / 20), False),  # four restarts
        ("plain", 3e-4 * (1 - (TURN - 1) % 50 / 50), True),  # one
    ],
)
def test_a_rate_that_follows_kl_keeps_it(program: str, rate: Any, judged: bool) -> None:
    run = replace(annealed(0.012, rate=rate), dialect=program)
    assert (kind(RULE, run) is Kind.FAULT) == judged


def test_its_numbers() -> None:
    finding = found(RULE, annealed(0.05))
    assert finding.headline == (
        "Log-probabilities may be of other actions: KL 0.05 at 5.5 % of the learning rate, 0.05 at the whole rate"
    )
    assert finding.why.endswith("about 0.0005 or less were to be expected")
    assert finding.remedies == ()
