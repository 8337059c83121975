"""Which way evaluations of another learner go: smooth curves, swings, and changes by a thousandth."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from unstuck.analysis.diagnosis.direction import State, judge_direction
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.history import History
from unstuck.rl import metrics

TURN = np.arange(1, 41)
NOISE = np.random.default_rng(0).normal(size=40)
MEANS = np.convolve(np.random.default_rng(1).normal(size=64), np.ones(25) / 25, "valid")
"""Forty moving means over 25 of plain noise."""


def evaluated(values: Any, name: str = metrics.EVAL_RETURN) -> State:
    """The direction of evaluations, of a run of another program."""
    table = pd.DataFrame({name: values}, index=np.arange(1, len(values) + 1))
    return judge_direction(Signals(History("bare", "made", table, settings={}, dialect="plain")), name)


@pytest.mark.parametrize(
    ("values", "state"),
    [
        (-800.0 + 35 * np.minimum(TURN, 20) - 30 * np.maximum(TURN - 20, 0), State.FALLING),
        (-800.0 + 35 * np.minimum(TURN, 20), State.HOLDING),
        (MEANS, State.FLAT),  # turns at every other move
        (100 * np.sin(0.7 * TURN), State.FLAT),  # swings: turns at every fifth move
        (NOISE, State.FLAT),
    ],
)
def test_a_smooth_curve_of_evaluations_goes_its_way(values: Any, state: State) -> None:
    """A rise by 700 and a fall by 600, of which the moves' sizes alone say that 25 of them are one moving mean."""
    assert evaluated(values) is state


def test_a_mean_over_episodes_of_training_may_be_as_smooth_by_chance() -> None:
    values = -800.0 + 35 * np.minimum(TURN, 20) - 30 * np.maximum(TURN - 20, 0)
    assert evaluated(values, metrics.TRAIN_RETURN) is State.FLAT


@pytest.mark.parametrize(("drop", "state"), [(0.004, State.FLAT), (0.02, State.FALLING)])
def test_a_fall_by_less_than_a_thousandth_of_the_level_is_none(drop: float, state: State) -> None:
    """Evaluations of -5.615 that go to -5.619 have not been better; of -5.635 they have."""
    assert evaluated(-5.615 - drop * (TURN > 20) + 1e-5 * NOISE) is state


@pytest.mark.parametrize(("rise", "state"), [(0.004, State.FLAT), (0.02, State.HOLDING)])
def test_a_rise_by_less_than_a_thousandth_of_the_level_is_none(rise: float, state: State) -> None:
    """A return of -100.0125 that goes to -100 in the second value is a constant one."""
    assert evaluated(-5.615 + rise * (TURN > 20) + 1e-5 * NOISE) is state
    assert evaluated(np.where(TURN == 1, -100.0125, -100.0)) is State.FLAT


def test_a_dip_that_is_made_good_at_the_end_is_no_fall() -> None:
    """From -20 to -12; a dip to -24 within the last quarter, or a quarter at -18."""
    rise = [*np.linspace(-20.0, -12.0, 20), *np.full(10, -12.0)]
    dipped = np.array([*rise, *np.full(5, -12.0), -24.0, -24.0, *np.full(3, -12.2)])
    assert evaluated(dipped + 0.1 * NOISE) is State.HOLDING
    assert evaluated(np.array([*rise, *np.full(10, -18.0)]) + 0.1 * NOISE) is State.FALLING


@pytest.mark.parametrize(
    ("program", "level", "state"),
    [("mlagents", 9.8, State.HOLDING), ("plain", 9.8, State.FLAT), ("mlagents", 1.2, State.FLAT)],
)
def test_a_rise_within_the_first_summaries_that_share_no_episodes(program: str, level: float, state: State) -> None:
    """From 0 to 9.8 within 10 of 100 summaries: of moving means over 25 such a rise is one of few episodes."""
    turn = np.arange(1, 101)
    values = np.where(turn <= 10, level * turn / 10, level) + 0.4 * np.random.default_rng(1).normal(size=100)
    table = pd.DataFrame({metrics.TRAIN_RETURN: values + (0.0 if level > 9 else 1.0)}, index=turn)
    run = Signals(History("bare", "made", table, settings={}, dialect=program))
    assert judge_direction(run, metrics.TRAIN_RETURN) is state
