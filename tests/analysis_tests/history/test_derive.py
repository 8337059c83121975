"""The spread of our own learner's continuous actions, computed from their entropy alone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from unstuck.analysis.history import History
from unstuck.analysis.history.derive import derive_spread
from unstuck.analysis.history.record import POLICY_STD
from unstuck.rl import metrics
from unstuck.rl.distributions import DiagonalGaussian


def measure_entropy(*log_stds: float) -> float:
    """Entropy of an action of our own learner's, with these logarithms of spreads."""
    outputs = torch.tensor([*(0.0 for _ in log_stds), *log_stds]).reshape(1, -1, 1)
    return float(DiagonalGaussian(len(log_stds)).log_probs(outputs, torch.zeros(1, 1, len(log_stds)))[1])


def run(*entropy: float, first: int = 1, **settings: Any) -> History:
    """A run of our own learner that logs these entropies."""
    table = pd.DataFrame({metrics.ENTROPY: entropy}, index=pd.RangeIndex(first, first + len(entropy)))
    return History("own/0", "made", table, settings=settings)


def test_the_spread_is_the_geometric_mean_of_the_numbers_spreads() -> None:
    one = derive_spread(run(measure_entropy(0.0), measure_entropy(-1.0), measure_entropy(0.7)))
    np.testing.assert_allclose(one.table[POLICY_STD], np.exp([0.0, -1.0, 0.7]), rtol=1e-6)
    three = derive_spread(run(measure_entropy(0.0, 0.05, 0.01), np.nan, measure_entropy(0.0, 0.3, 0.6)))
    np.testing.assert_allclose(three.table[POLICY_STD], np.exp([0.02, np.nan, 0.3]), rtol=1e-6)


@pytest.mark.parametrize(
    "left",
    [
        run(1.386, 1.2, **{"env.actions": ("a", "b", "c", "d")}),  # ln 4, of four discrete actions
        run(2.84, 2.9, **{"branch.start": "checkpoint"}),
        run(2.84, 2.9, first=2),
        run(2.3, 2.9),
        run(-0.5, 0.1),
        run(np.inf, 0.1),
        run(),
        replace(run(2.84, 2.9), dialect="sb3"),
        replace(run(2.84, 2.9), probed="loop"),
        replace(run(2.84, 2.9), dialect="mlagents"),  # a sum over choices
        replace(run(1.386, 1.2), dialect="mlagents"),  # ln 4
    ],
)
def test_where_the_start_does_not_tell_there_is_none(left: History) -> None:
    assert derive_spread(left) is left


def test_a_logged_spread_and_shares_of_discrete_actions_stay() -> None:
    table = run(2.84, 2.9).table
    for more in ({POLICY_STD: [1.0, 1.5]}, {f"{metrics.ACTION_PREFIX}left": [0.5, 0.5]}):
        known = replace(run(2.84, 2.9), table=table.assign(**more))
        assert derive_spread(known) is known


def test_ml_agents_logs_the_mean_over_the_numbers_whose_spread_begins_at_1() -> None:
    """In public: from 1.420 to 2.253 under a bonus of 0.1, a spread of exp(2.253 - 1.419) = 2.3."""
    spread = derive_spread(replace(run(1.420, 1.419, 2.253), dialect="mlagents")).table[POLICY_STD]
    np.testing.assert_allclose(spread, [1.001, 1.0, 2.303], rtol=1e-3)
