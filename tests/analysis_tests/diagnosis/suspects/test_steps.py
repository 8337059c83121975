"""Both sides of each bound from which a run's numbers speak for steps too large, or too small, or against."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.suspects import steps
from unstuck.analysis.diagnosis.suspects.suspicion import HARDLY, HINTS, OPEN, SPEAKS, Suspicion
from unstuck.analysis.history import History
from unstuck.analysis.history.record import ENV_STEPS, FINISHED
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.suspects.bare import DRAWN, NOISE, TURN, run, weigh


def rolled(apart: float) -> Signals:
    """An ended run with so many steps between its returns, and rollouts of 3,001."""
    table = pd.DataFrame({metrics.TRAIN_RETURN: 5.0 + NOISE, ENV_STEPS: apart * TURN}, index=TURN)
    settings = {FINISHED: True, "ppo.num_steps": 3001}
    return Signals(History("bare", "made", table, settings=settings, dialect="plain"))


@pytest.mark.parametrize(
    ("suspect", "signals", "factor"),
    [
        (steps.suspect_large_steps, run(), OPEN),
        (steps.suspect_large_steps, run(approx_kl=0.019), None),
        (steps.suspect_large_steps, run(approx_kl=0.021), HINTS),
        (steps.suspect_large_steps, run(approx_kl=np.where(TURN < 9, 0.025, 0.01)), HINTS),  # annealed since
        (steps.suspect_large_steps, run(clip_fraction=0.19), None),
        (steps.suspect_large_steps, run(clip_fraction=0.21), HINTS),
        (steps.suspect_large_steps, run(approx_kl=0.01 * NOISE, clip_fraction=0.1), None),  # a signed estimate
        (steps.suspect_large_steps, run(settings={"ppo.lr": 9e-5}), None),
        (steps.suspect_large_steps, run(settings={"ppo.lr": 3e-4}), HARDLY),
        (steps.suspect_large_steps, run(settings={"ppo.lr": 3e-4, "ppo.num_epochs": 11}), HINTS),
        (steps.suspect_large_steps, run(settings={"ppo.lr": 3e-4, "ppo.minibatch_size": 31}), HINTS),
        (steps.suspect_large_steps, run(settings={"ppo.lr": 5e-4}), HINTS),
        (steps.suspect_large_steps, run(settings={"ppo.lr": 1e-3}), SPEAKS),
        (steps.suspect_large_steps, run(-20.0 * TURN + NOISE), 2 * OPEN),  # it falls
        (steps.suspect_small_steps, run(5.0 + DRAWN[:60]), HINTS),
        (steps.suspect_small_steps, run(5.0 + DRAWN[:60], settings={"ppo.lr": 3e-4}), None),
        (steps.suspect_small_steps, run(), None),
        (steps.suspect_small_steps, run(approx_kl=9e-4), SPEAKS),
        (steps.suspect_small_steps, run(approx_kl=1.1e-3), None),
        (steps.suspect_small_steps, run(approx_kl=9e-4, clip_fraction=0.006), None),
        (steps.suspect_small_steps, run(5.0 - TURN + NOISE, approx_kl=9e-4), None),  # something was lost
        (steps.suspect_small_steps, run(approx_kl=0.01 * NOISE, clip_fraction=0.004), SPEAKS),
        (steps.suspect_small_steps, run(settings={"ppo.lr": 5e-5}), SPEAKS),
        (steps.suspect_small_steps, run(settings={"ppo.lr": 6e-5}), None),
        (steps.suspect_small_steps, run(entropy=1.4 + 0.001 * NOISE), HINTS),
        (steps.suspect_small_steps, run(entropy=1.4 + 0.01 * NOISE), None),
        (steps.suspect_small_steps, run(entropy=1.4), None),  # of a spread that is set
        (steps.suspect_small_steps, rolled(500.0), SPEAKS),  # 60 times 500 steps, of 3,001 a rollout: 9 updates
        (steps.suspect_small_steps, rolled(501.0), None),
        (steps.suspect_small_steps, rolled(49.0), None),  # not one
        (steps.suspect_no_updates, run(), None),
        (steps.suspect_no_updates, run(5.0 + DRAWN[:60]), HINTS),
        (steps.suspect_no_updates, run(5.0 + DRAWN[:60], approx_kl=0.0), None),  # another rule has judged that
    ],
)
def test_what_speaks_for_the_size_of_the_steps(
    suspect: Callable[[Signals], Suspicion | None], signals: Signals, factor: float | None
) -> None:
    assert weigh(suspect(signals)) == factor


def test_the_numbers_are_in_the_words() -> None:
    kl = steps.suspect_large_steps(run(approx_kl=0.024, clip_fraction=0.25))
    assert kl is not None
    assert kl.fact.text == (
        "KL 0.024 and 25 % of the ratios clipped at first or in the median, at the upper end of the usual"
    )
    falls = steps.suspect_large_steps(run(-20.0 * TURN + NOISE))
    assert falls is not None
    assert falls.fact.text == (
        "neither KL, nor clip fraction, nor the learning rate is on record, and the score had been better"
    )
