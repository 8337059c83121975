"""Rates that move by a plan, and after KL; and what counts as a rate that was annealed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.rates import follows_kl, leaves_schedule
from unstuck.analysis.diagnosis.signals import Signals

from tests.analysis_tests.elsewhere import TURN, elsewhere

FALLS = 3e-4 * (1 - (TURN - 1) / 100)
STEERED = 1e-3 * 1.5 ** np.array([0, -3, -6, -5, -6, -5, -6, -7, -8, -9]).repeat(10)[: len(TURN)]
"""Falls to 2.6 % of its first value, and rises twice on the way."""


@pytest.mark.parametrize(
    ("rates", "program", "follows"),
    [
        (FALLS, "sb3", False),
        (FALLS, "rsl_rl", True),  # fixed, or by KL
        (np.full(100, 3e-4), "rsl_rl", False),
        (STEERED, "sb3", True),
        (STEERED[:40], "sb3", False),  # two changes of direction
        (STEERED[:40], "skrl", True),
        (np.where(TURN < 3, 0.0, 3e-4), "skrl", False),  # a rate of 0 tells nothing
    ],
)
def test_a_rate_that_turns_often_follows_kl(rates: Any, program: str, follows: bool) -> None:
    assert follows_kl(rates, program) is follows


@pytest.mark.parametrize(
    ("rates", "schedule", "leaves"),
    [
        (FALLS, "linear", False),
        (FALLS, "constant", True),
        (FALLS[::-1], "linear", True),
        (3e-4 * (1 + 9e-4 * (TURN % 2)), "constant", False),  # as printed
        (3e-4 * (1 + 1.1e-3 * (TURN % 2)), "constant", True),
    ],
)
def test_a_rate_that_moves_otherwise_than_its_schedule_says(rates: Any, schedule: str, leaves: bool) -> None:
    assert leaves_schedule(rates, schedule) is leaves


def test_a_rate_brought_down_by_kl_is_not_annealed() -> None:
    for rates, annealed in ((FALLS, True), (STEERED, False)):
        run = replace(elsewhere(1.0 * TURN, lr=rates), dialect="sb3")
        assert Signals(run).rate_is_annealed is annealed
