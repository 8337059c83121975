"""A return that rose and fell: at each bound, with what happened about the fall, and a dip that was made good."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from unstuck.analysis.diagnosis.finding import Kind, Support
from unstuck.analysis.diagnosis.rules import learned_and_lost
from unstuck.analysis.history import History
from unstuck.analysis.history.record import FINISHED
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.asking import cause, changes, found, kind
from tests.analysis_tests.elsewhere import TURN, elsewhere

RULE = learned_and_lost.RULE
NOISE = np.sin(7.0 * TURN)


def lost(end: float, fall: int = 60, **changed: Any) -> History:
    """A run that rises from 0 to 100 within 40 iterations, and falls to `end` at iteration `fall`."""
    return elsewhere(np.where(fall > TURN, np.minimum(2.5 * TURN, 100.0), end) + NOISE, **changed)


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (lost(10.0), Kind.FAULT),
        (lost(22.0), Kind.FAULT),
        (lost(40.0), Kind.SUSPECT),  # two thirds of the gain
        (lost(60.0), None),
        (lost(10.0, fall=85), Kind.SUSPECT),  # for less than a fifth of the run
        (lost(10.0, fall=96), None),  # for less than a tenth: a dip
        (elsewhere(np.where((TURN > 50) & (TURN < 70), 0.0, 100.0) + NOISE), None),  # made good
        (elsewhere(30 * NOISE), None),  # noise rises and falls
        (elsewhere(np.minimum(2.5 * TURN, 100.0) + NOISE), None),
        (elsewhere(100.0 - TURN + NOISE), None),  # never rose
    ],
)
def test_when_a_fall_is_one(run: History, expected: Kind | None) -> None:
    assert kind(RULE, run) is expected


def test_greedy_evaluations_that_stand_make_a_fall_a_doubt() -> None:
    stands = lost(10.0, **{"eval/episode_return": np.minimum(2.5 * TURN, 100.0)})
    assert kind(RULE, stands) is Kind.SUSPECT
    falls = lost(10.0, **{"eval/episode_return": np.where(TURN < 60, np.minimum(2.5 * TURN, 100.0), 5.0)})
    assert kind(RULE, falls) is Kind.FAULT


def test_a_spike_of_kl_about_the_fall_is_the_reason() -> None:
    finding = found(RULE, lost(10.0, approx_kl=np.where((TURN > 55) & (TURN < 62), 0.2, 5e-3)))
    assert finding.headline.startswith("Learned and lost again: return ")
    assert cause(finding, "steps too large").support is Support.SUPPORTED
    assert finding.why.endswith("KL up to 0.2 while it fell, 0.005 in the median of the run")
    assert changes(finding)[0] == {"ppo.target_kl": 0.02}


def test_an_entropy_that_was_pushed_back_or_gone_is_told_apart() -> None:
    pushed = found(RULE, lost(10.0, entropy=np.where(TURN < 60, 0.2, 0.65)))
    assert cause(pushed, "an entropy bonus").support is Support.SUPPORTED
    assert cause(pushed, "a policy that no longer explores").support is Support.RULED_OUT
    assert changes(pushed)[0] == {"ppo.entropy_coef": 0.001}
    gone = found(RULE, lost(10.0, entropy=np.where(TURN < 45, 0.5, 0.01)))
    assert cause(gone, "a policy that no longer explores").support is Support.SUPPORTED
    assert cause(gone, "an entropy bonus").support is Support.RULED_OUT
    assert changes(gone)[0] == {"ppo.entropy_coef": 0.03}


def evaluated(end: float, count: int = 17, trained: int = 1) -> History:
    """Seventeen evaluations of a run of another program: from -900 to -100 in twelve, and to `end` in the last two."""
    at = np.arange(1, count + 1)
    values = np.where(at > 15, end, np.minimum(-900.0 + 70 * at, -100.0)) + 5 * np.sin(7.0 * at)
    table = pd.DataFrame({metrics.EVAL_RETURN: values[: len(at)]}, index=at)
    table[metrics.TRAIN_RETURN] = np.where(at <= trained, -500.0, np.nan)
    return History("bare", "made", table, settings={FINISHED: True}, dialect="plain")


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (evaluated(-700.0), Kind.SUSPECT),  # for two evaluations of seventeen
        (evaluated(-300.0), None),
        (evaluated(-700.0, count=16), None),  # one bad evaluation
        (evaluated(-700.0, trained=17), None),  # as much is known of training, which did not fall
    ],
)
def test_evaluations_alone_tell_too(run: History, expected: Kind | None) -> None:
    assert kind(RULE, run) is expected


def test_the_numbers_of_evaluations_are_called_so() -> None:
    assert found(RULE, evaluated(-700.0)).evidence[0].metrics == (metrics.EVAL_RETURN,)
