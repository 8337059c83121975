"""Both sides of each bound from which a run's numbers speak for a usual suspect, or against."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from unstuck.analysis.diagnosis import suspicions
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.suspicions import COSTS, HARDLY, HINTS, OPEN, SPEAKS, WIDENS, Suspicion
from unstuck.analysis.history import History
from unstuck.analysis.history.record import ENV_STEPS, EPISODE_LENGTH, FINISHED, POLICY_STD, SUCCESS_RATE
from unstuck.rl import metrics

TURN = np.arange(1, 61)
NOISE = np.convolve(np.random.default_rng(1).normal(size=62), np.ones(3) / 3**0.5, "valid")
"""Returns that wander."""

DRAWN = np.random.default_rng(0).normal(size=60)
"""Returns of one policy."""


def run(returns: Any = 5.0 + NOISE, settings: dict[str, Any] | None = None, **columns: Any) -> Signals:
    """An ended run of another program, with columns by our names' ends."""
    names = {"lengths": EPISODE_LENGTH, "std": POLICY_STD, "success": SUCCESS_RATE}
    more = {names.get(name, f"train/{name}"): value + 0.0 * TURN for name, value in columns.items()}
    table = pd.DataFrame({metrics.TRAIN_RETURN: returns, **more}, index=TURN)
    return Signals(History("bare", "made", table, settings={FINISHED: True, **(settings or {})}, dialect="plain"))


def rolled(steps: float) -> Signals:
    """An ended run with so many steps between its returns, and rollouts of 3,001."""
    table = pd.DataFrame({metrics.TRAIN_RETURN: 5.0 + NOISE, ENV_STEPS: steps * TURN}, index=TURN)
    settings = {FINISHED: True, "ppo.num_steps": 3001}
    return Signals(History("bare", "made", table, settings=settings, dialect="plain"))


LEVEL, CARTPOLE = -1.0 - 0.1 * abs(NOISE), 200.0 + 5 * np.sin(TURN)


@pytest.mark.parametrize(
    ("suspect", "signals", "factor"),
    [
        (suspicions.suspect_large_steps, run(), OPEN),
        (suspicions.suspect_large_steps, run(approx_kl=0.019), None),
        (suspicions.suspect_large_steps, run(approx_kl=0.021), HINTS),
        (suspicions.suspect_large_steps, run(approx_kl=np.where(TURN < 9, 0.025, 0.01)), HINTS),  # annealed since
        (suspicions.suspect_large_steps, run(clip_fraction=0.19), None),
        (suspicions.suspect_large_steps, run(clip_fraction=0.21), HINTS),
        (suspicions.suspect_large_steps, run(approx_kl=0.01 * NOISE, clip_fraction=0.1), None),  # a signed estimate
        (suspicions.suspect_large_steps, run(settings={"ppo.lr": 9e-5}), None),
        (suspicions.suspect_large_steps, run(settings={"ppo.lr": 3e-4}), HARDLY),
        (suspicions.suspect_large_steps, run(settings={"ppo.lr": 3e-4, "ppo.num_epochs": 11}), HINTS),
        (suspicions.suspect_large_steps, run(settings={"ppo.lr": 3e-4, "ppo.minibatch_size": 31}), HINTS),
        (suspicions.suspect_large_steps, run(settings={"ppo.lr": 5e-4}), HINTS),
        (suspicions.suspect_large_steps, run(settings={"ppo.lr": 1e-3}), SPEAKS),
        (suspicions.suspect_large_steps, run(-20.0 * TURN + NOISE), 2 * OPEN),  # it falls
        (suspicions.suspect_raw_returns, run(value_loss=8.0), None),
        (suspicions.suspect_raw_returns, run(value_loss=99.0), HARDLY),
        (suspicions.suspect_raw_returns, run(value_loss=101.0), SPEAKS),
        (suspicions.suspect_raw_returns, run(value_loss=101.0, explained_variance=0.79), SPEAKS),
        (suspicions.suspect_raw_returns, run(value_loss=101.0, explained_variance=0.81), None),
        (suspicions.suspect_raw_returns, run(value_loss=101.0, settings={"ppo.normalize_returns": "batch"}), None),
        (suspicions.suspect_raw_returns, run(loss=51.0), SPEAKS),  # of which the critic's error is weighed by a half
        (suspicions.suspect_raw_returns, run(loss=49.0), HARDLY),
        (suspicions.suspect_raw_returns, run(loss=51.0, settings={"ppo.value_coef": 1.0}), HARDLY),
        (suspicions.suspect_raw_returns, run(9.0, lengths=100.0), None),
        (suspicions.suspect_raw_returns, run(99.0), None),  # in a thousand steps 10 within the horizon
        (suspicions.suspect_raw_returns, run(101.0), OPEN),
        (suspicions.suspect_raw_returns, run(1001.0), HINTS),
        (suspicions.suspect_raw_returns, run(11.0, lengths=100.0), OPEN),
        (suspicions.suspect_raw_returns, run(101.0, lengths=100.0), HINTS),
        (suspicions.suspect_raw_returns, run(1000.0, lengths=100.0, settings={"ppo.gamma": 0.0}), OPEN),  # 10 a step
        (suspicions.suspect_idling, run(LEVEL, lengths=1200.0), SPEAKS),
        (suspicions.suspect_idling, run(LEVEL, lengths=90.0), COSTS),  # a step costs more than 0.01
        (suspicions.suspect_idling, run(LEVEL, lengths=1200.0 * TURN / 60), COSTS),
        (suspicions.suspect_idling, run(LEVEL, lengths=1200.0, success=0.1), None),
        (suspicions.suspect_idling, run(LEVEL + 2), None),
        (suspicions.suspect_rare_reward, run(), OPEN),
        (suspicions.suspect_rare_reward, run(-CARTPOLE, lengths=CARTPOLE), SPEAKS),  # -1 a step
        (suspicions.suspect_rare_reward, run(-CARTPOLE + 9 * NOISE, lengths=CARTPOLE), OPEN),
        (suspicions.suspect_rare_reward, run(-200.0, lengths=200.0), OPEN),  # always alike: another rule's
        (suspicions.suspect_rare_reward, run(success=0.5), None),
        (suspicions.suspect_rare_reward, run(-10.0 + 0.2 * NOISE, approx_kl=0.018), HINTS),  # whatever is done
        (suspicions.suspect_rare_reward, run(-10.0 + 0.5 * NOISE, approx_kl=0.018), OPEN),
        (suspicions.suspect_rare_reward, run(-10.0 + 0.2 * NOISE, approx_kl=0.016), OPEN),  # 60 updates of 0.016
        (suspicions.suspect_no_updates, run(), None),
        (suspicions.suspect_no_updates, run(5.0 + DRAWN), HINTS),
        (suspicions.suspect_no_updates, run(5.0 + DRAWN, approx_kl=0.0), None),  # another rule has judged that
        (suspicions.suspect_small_steps, run(5.0 + DRAWN), HINTS),
        (suspicions.suspect_small_steps, run(5.0 + DRAWN, settings={"ppo.lr": 3e-4}), None),
        (suspicions.suspect_small_steps, run(), None),
        (suspicions.suspect_small_steps, run(approx_kl=9e-4), SPEAKS),
        (suspicions.suspect_small_steps, run(approx_kl=1.1e-3), None),
        (suspicions.suspect_small_steps, run(approx_kl=9e-4, clip_fraction=0.006), None),
        (suspicions.suspect_small_steps, run(5.0 - TURN + NOISE, approx_kl=9e-4), None),  # something was lost
        (suspicions.suspect_small_steps, run(approx_kl=0.01 * NOISE, clip_fraction=0.004), SPEAKS),
        (suspicions.suspect_small_steps, run(settings={"ppo.lr": 5e-5}), SPEAKS),
        (suspicions.suspect_small_steps, run(settings={"ppo.lr": 6e-5}), None),
        (suspicions.suspect_small_steps, run(entropy=1.4 + 0.001 * NOISE), HINTS),
        (suspicions.suspect_small_steps, run(entropy=1.4 + 0.01 * NOISE), None),
        (suspicions.suspect_small_steps, run(entropy=1.4), None),  # of a spread that is set
        (suspicions.suspect_small_steps, rolled(500.0), SPEAKS),  # 60 times 500 steps, of 3,001 a rollout: 9 updates
        (suspicions.suspect_small_steps, rolled(501.0), None),
        (suspicions.suspect_small_steps, rolled(49.0), None),  # not one
        (suspicions.suspect_raw_inputs, run(), OPEN),
        (suspicions.suspect_raw_inputs, run(settings={"ppo.normalize_observations": False}), HINTS),
        (suspicions.suspect_raw_inputs, run(settings={"ppo.normalize_observations": True}), None),
        (suspicions.suspect_raw_inputs, run(input_rms_max=1.0), None),
        (suspicions.suspect_bonus, run(), None),
        (suspicions.suspect_bonus, run(settings={"ppo.entropy_coef": 0.04}), None),
        (suspicions.suspect_bonus, run(settings={"ppo.entropy_coef": 0.05}), SPEAKS),
        (suspicions.suspect_bonus, run(entropy=1.42 + 0.01 * TURN), WIDENS),
        (suspicions.suspect_bonus, run(entropy=1.42 + 0.0008 * TURN), None),  # by 0.04
        (suspicions.suspect_bonus, run(entropy=1.42 + 0.01 * TURN, settings={"ppo.entropy_coef": 0.0}), None),
        (suspicions.suspect_bonus, run(std=1.0 + 0.01 * TURN, entropy=1.0), WIDENS),
        (suspicions.suspect_bonus, run(entropy=1.42 - 0.01 * TURN, settings={"ppo.entropy_coef": 0.1}), None),
        (suspicions.suspect_bonus, run(entropy=1.42, settings={"ppo.entropy_coef": 0.1}), HINTS),
        (suspicions.suspect_collapse, run(), OPEN),
        (suspicions.suspect_collapse, run(5.0 - TURN + NOISE), SPEAKS),
        (suspicions.suspect_collapse, run(entropy=0.5), None),
        (suspicions.suspect_collapse, run(entropy=np.where(TURN < 4, 1.09, 0.39)), None),  # of ln 3
        (suspicions.suspect_collapse, run(entropy=np.where(TURN < 4, 1.09, 0.37)), HINTS),
        (suspicions.suspect_collapse, run(entropy=np.where(TURN < 4, 8.5, 7.6)), None),  # of numbers
        (suspicions.suspect_collapse, run(entropy=np.where(TURN < 4, 8.5, 7.4)), HINTS),
        (suspicions.suspect_short_sight, run(lengths=41.0, settings={"ppo.gamma": 0.95}), HINTS),
        (suspicions.suspect_short_sight, run(lengths=39.0, settings={"ppo.gamma": 0.95}), None),
        (suspicions.suspect_short_sight, run(lengths=41.0, settings={"ppo.gamma": 0.9}), SPEAKS),
        (suspicions.suspect_short_sight, run(lengths=999.0, settings={"ppo.gamma": 0.96}), None),
        (suspicions.suspect_early_ends, run(lengths=10.0), HINTS),
        (suspicions.suspect_early_ends, run(lengths=11.0), None),
        (suspicions.suspect_small_rollouts, run(lengths=300.0, settings={"ppo.num_steps": 128}), SPEAKS),
        (suspicions.suspect_small_rollouts, run(lengths=100.0, settings={"ppo.num_steps": 128}), None),
        (suspicions.suspect_small_rollouts, run(lengths=3000.0, settings={"ppo.num_steps": 512}), None),
    ],
)
def test_what_speaks_for_a_suspect(
    suspect: Callable[[Signals], Suspicion | None], signals: Signals, factor: float | None
) -> None:
    found = suspect(signals)
    assert (found.factor if found else None) == factor
    assert found is None or (found.fact.text and found.test)


def test_the_numbers_are_in_the_words() -> None:
    (kl, loss) = (
        suspicions.suspect_large_steps(run(approx_kl=0.024, clip_fraction=0.25)),
        suspicions.suspect_raw_returns(run(value_loss=900.0)),
    )
    assert kl is not None
    assert loss is not None
    assert kl.fact.text == (
        "KL 0.024 and 25 % of the ratios clipped at first or in the median, at the upper end of the usual"
    )
    assert loss.fact.text == "the critic's error is about 30 a prediction (value loss 900)"
    assert loss.missing == (metrics.EXPLAINED_VARIANCE,)
    falls = suspicions.suspect_large_steps(run(-20.0 * TURN + NOISE))
    assert falls is not None
    assert falls.fact.text == (
        "neither KL, nor clip fraction, nor the learning rate is on record, and the score had been better"
    )
