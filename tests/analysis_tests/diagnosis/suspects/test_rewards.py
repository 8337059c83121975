"""Both sides of each bound from which a run's numbers speak for a fault of the rewards, or against."""

from collections.abc import Callable

import numpy as np
import pytest
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.suspects import rewards
from unstuck.analysis.diagnosis.suspects.rewards import COSTS
from unstuck.analysis.diagnosis.suspects.suspicion import HARDLY, HINTS, OPEN, SPEAKS, Suspicion
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.suspects.bare import NOISE, TURN, run, weigh

LEVEL, CARTPOLE = -1.0 - 0.1 * abs(NOISE), 200.0 + 5 * np.sin(TURN)


@pytest.mark.parametrize(
    ("suspect", "signals", "factor"),
    [
        (rewards.suspect_raw_returns, run(value_loss=8.0), None),
        (rewards.suspect_raw_returns, run(value_loss=99.0), HARDLY),
        (rewards.suspect_raw_returns, run(value_loss=101.0), SPEAKS),
        (rewards.suspect_raw_returns, run(value_loss=101.0, explained_variance=0.79), SPEAKS),
        (rewards.suspect_raw_returns, run(value_loss=101.0, explained_variance=0.81), None),
        (rewards.suspect_raw_returns, run(value_loss=101.0, settings={"ppo.normalize_returns": "batch"}), None),
        (rewards.suspect_raw_returns, run(loss=51.0), SPEAKS),  # of which the critic's error is weighed by a half
        (rewards.suspect_raw_returns, run(loss=49.0), HARDLY),
        (rewards.suspect_raw_returns, run(loss=51.0, settings={"ppo.value_coef": 1.0}), HARDLY),
        (rewards.suspect_raw_returns, run(9.0, lengths=100.0), None),
        (rewards.suspect_raw_returns, run(99.0), None),  # in a thousand steps 10 within the horizon
        (rewards.suspect_raw_returns, run(101.0), OPEN),
        (rewards.suspect_raw_returns, run(1001.0), HINTS),
        (rewards.suspect_raw_returns, run(11.0, lengths=100.0), OPEN),
        (rewards.suspect_raw_returns, run(101.0, lengths=100.0), HINTS),
        (rewards.suspect_raw_returns, run(1000.0, lengths=100.0, settings={"ppo.gamma": 0.0}), OPEN),  # 10 a step
        (rewards.suspect_idling, run(LEVEL, lengths=1200.0), SPEAKS),
        (rewards.suspect_idling, run(LEVEL, lengths=90.0), COSTS),  # a step costs more than 0.01
        (rewards.suspect_idling, run(LEVEL, lengths=1200.0 * TURN / 60), COSTS),
        (rewards.suspect_idling, run(LEVEL, lengths=1200.0, success=0.1), None),
        (rewards.suspect_idling, run(LEVEL + 2), None),
        (rewards.suspect_rare_reward, run(), OPEN),
        (rewards.suspect_rare_reward, run(-CARTPOLE, lengths=CARTPOLE), SPEAKS),  # -1 a step
        (rewards.suspect_rare_reward, run(-CARTPOLE + 9 * NOISE, lengths=CARTPOLE), OPEN),
        (rewards.suspect_rare_reward, run(-200.0, lengths=200.0), OPEN),  # always alike: another rule's
        (rewards.suspect_rare_reward, run(success=0.5), None),
        (rewards.suspect_rare_reward, run(-10.0 + 0.2 * NOISE, approx_kl=0.018), HINTS),  # whatever is done
        (rewards.suspect_rare_reward, run(-10.0 + 0.5 * NOISE, approx_kl=0.018), OPEN),
        (rewards.suspect_rare_reward, run(-10.0 + 0.2 * NOISE, approx_kl=0.016), OPEN),  # 60 updates of 0.016
    ],
)
def test_what_speaks_for_the_rewards(
    suspect: Callable[[Signals], Suspicion | None], signals: Signals, factor: float | None
) -> None:
    assert weigh(suspect(signals)) == factor


def test_the_numbers_are_in_the_words() -> None:
    loss = rewards.suspect_raw_returns(run(value_loss=900.0))
    assert loss is not None
    assert loss.fact.text == "the critic's error is about 30 a prediction (value loss 900)"
    assert loss.missing == (metrics.EXPLAINED_VARIANCE,)
