"""What a step more brings an episode: lines, lines beside each other, and returns that tell nothing."""

import numpy as np
import pytest
from unstuck.analysis.history.step_pay import measure_step_pay

LONG = np.array([8.0, 16, 24, 8, 16, 40, 8, 24, 32, 8, 16, 24])


@pytest.mark.parametrize(
    ("returns", "pay"),
    [
        (LONG / 8 - 1, 0.125),
        (-2 * LONG + LONG / 8 - 1, -1.875),
        (0.2 * LONG + (np.arange(12) == 5), 0.2),  # a goal that one episode has met
        (np.zeros(12), 0.0),
        (np.sin(LONG * np.arange(12)), None),
        (np.where(np.arange(12) < 7, LONG, np.nan), None),  # seven episodes
    ],
)
def test_its_cases(returns: np.ndarray, pay: float | None) -> None:
    assert measure_step_pay(returns, LONG) == pay


def test_two_lengths_make_no_line() -> None:
    assert measure_step_pay(LONG, np.where(LONG > 8, 16.0, 8.0)) is None


def test_of_many_episodes_some_are_compared_evenly_over_the_run() -> None:
    lengths = 1.0 + np.arange(100_000) % 7
    assert measure_step_pay(3 * lengths, lengths) == 3
    assert measure_step_pay(np.where(np.arange(100_000) < 20_000, 3 * lengths, lengths), lengths) == 1
