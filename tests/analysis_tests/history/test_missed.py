"""Episodes of evaluations that go worse than training's ever do, and runs where that tells nothing."""

import numpy as np
import pytest
from unstuck.analysis.history.missed import Episodes, measure_missed

TRAINED = Episodes(np.linspace(4, 8, 400), np.linspace(20, 30, 400), np.linspace(0, 4000, 400))
"""The late half returns 6 to 8, the worst 1 % of it less than 6.02, in at most 30 steps."""


def judge(late: list[float], length: float = 18.0) -> Episodes:
    """Four evaluations of 20 episodes at 500 to 3,500 steps, the last two of which are these."""
    returns = np.array([1.0] * 20 + late[:20] + late[20:] + late[:20])
    return Episodes(returns, np.full(len(returns), length), np.repeat([500.0, 1500.0, 2500.0, 3500.0], 20))


FAILS = [2.0] * 5 + [8.0] * 15


@pytest.mark.parametrize(
    ("judged", "share"),
    [
        (judge(FAILS + FAILS), 0.25),
        (judge(FAILS + FAILS, length=31.0), 0.0),  # a greedy policy that goes in circles
        (judge([8.0] * 40), 0.0),
        (judge([2.0] * 40), None),  # worse as a whole: of other inputs, say
        (Episodes(*(part[:18] for part in judge(FAILS + FAILS))), None),  # too few
    ],
)
def test_its_cases(judged: Episodes, share: float | None) -> None:
    assert measure_missed(TRAINED, judged) == share


def test_few_episodes_of_training_tell_nothing() -> None:
    few = Episodes(*(part[::3] for part in TRAINED))
    assert measure_missed(few, judge(FAILS + FAILS)) is None
