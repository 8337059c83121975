"""The entropy bonus of a run: as set, as logged, or recovered from the loss that Stable-Baselines3 logs."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.bonus import find_bonus
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.history import History
from unstuck.analysis.history.record import ENTROPY_COEF, TOTAL_LOSS
from unstuck.rl import metrics

from tests.analysis_tests.elsewhere import TURN, elsewhere

RNG = np.random.default_rng(3)
POLICY, ENTROPY = -0.01 + 0.002 * RNG.standard_normal(len(TURN)), 1.38 - 0.002 * TURN
NOISE = RNG.standard_normal(len(TURN))


def logged(weight: float, value: float = 0.02, dialect: str = "sb3", **settings: Any) -> History:
    """A plain log whose loss has a bonus of this weight, and the noise of one minibatch."""
    losses = value * (1 + 0.1 * np.sin(TURN))
    total = POLICY + 0.5 * losses - weight * ENTROPY + (0.02 + 0.1 * losses) * NOISE
    run = elsewhere(0.1 * TURN, policy_loss=POLICY, value_loss=losses, entropy=ENTROPY, more={TOTAL_LOSS: total})
    return replace(run, dialect=dialect, settings=settings)


@pytest.mark.parametrize("weight", [0.0, 0.01, 0.1, 1.0])
def test_the_loss_tells_the_coefficient(weight: float) -> None:
    bonus = find_bonus(Signals(logged(weight)))
    assert bonus is not None
    assert bonus.recovered
    assert bonus.weight == pytest.approx(weight, abs=0.01)
    assert str(bonus).startswith("entropy_coef about ")


def test_a_loss_that_is_nearly_all_the_critics_tells_nothing() -> None:
    assert find_bonus(Signals(logged(0.01, value=60.0))) is None
    assert find_bonus(Signals(logged(1.0, value=60.0))) is None


def test_what_is_on_record_goes_before_what_is_recovered() -> None:
    bonus = find_bonus(Signals(logged(1.0, **{"ppo.entropy_coef": 0.25})))
    assert bonus is not None
    assert (bonus.weight, bonus.recovered, str(bonus)) == (0.25, False, "entropy_coef 0.25")
    run = logged(1.0)
    bonus = find_bonus(Signals(replace(run, table=run.table.assign(**{ENTROPY_COEF: 0.05}))))
    assert bonus is not None
    assert bonus.weight == 0.05


def test_losses_of_unknown_make_up_and_short_logs_are_left_alone() -> None:
    assert find_bonus(Signals(logged(1.0, dialect="cleanrl"))) is None
    run = logged(1.0)
    assert find_bonus(Signals(replace(run, table=run.table.loc[:11]))) is None
    assert find_bonus(Signals(replace(run, table=run.table.drop(columns=metrics.POLICY_LOSS)))) is None
