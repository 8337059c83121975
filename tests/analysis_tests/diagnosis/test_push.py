"""How far the spread of actions was pushed, of all that the optimiser's steps could: by hand, and where unknown."""

from dataclasses import replace

import pytest
from unstuck.analysis.diagnosis.push import measure_push
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.history.record import EPOCHS_DONE, POLICY_STD
from unstuck.rl import metrics

from tests.analysis_tests.diagnosis.pushed import spread
from tests.analysis_tests.elsewhere import TURN


@pytest.mark.parametrize("share", [-1.0, -0.75, 0.0, 1.0])
def test_a_way_by_hand(share: float) -> None:
    assert measure_push(Signals(spread(share))) == pytest.approx(share)


def test_a_rate_in_force_and_an_early_end_shorten_the_way_that_could_be_gone() -> None:
    assert measure_push(Signals(spread(0.5, **{metrics.LR: 1.5e-3}))) == pytest.approx(1.0)
    assert measure_push(Signals(spread(0.5, **{EPOCHS_DONE: 1.0 * TURN}))) == pytest.approx(1.0)


def test_where_it_is_not_known() -> None:
    assert measure_push(Signals(replace(spread(1.0), dialect="sb3"))) is None
    assert measure_push(Signals(spread(1.0, **{"ppo.num_envs": None}))) is None
    short = spread(1.0)
    assert measure_push(Signals(replace(short, table=short.table.loc[:19]))) is None
    assert measure_push(Signals(replace(short, table=short.table.loc[:20]))) == pytest.approx(1.0)
    assert measure_push(Signals(spread(1.0, **{EPOCHS_DONE: 2.0}))) is None  # not one step
    assert measure_push(Signals(replace(short, table=short.table.assign(**{POLICY_STD: 0.0})))) is None
    discrete = spread(1.0, **{"env.actions": ("left", "right")})
    assert measure_push(Signals(discrete)) is None
