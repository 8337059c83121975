"""Single updates that throw away what was learned: beside large ones that cost nothing, and falls without one."""

from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Kind
from unstuck.analysis.diagnosis.rules import updates_too_large
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.throws import find_throws

from tests.analysis_tests.diagnosis.asking import changes, found, kind
from tests.analysis_tests.elsewhere import TURN, elsewhere

SAW = np.where(TURN < 40, 2.0 * TURN, np.where(TURN < 80, 2.0 * (TURN - 40), 2.0 * (TURN - 80)))
"""Returns that rise by 2 an iteration and are back at 0 at iterations 40 and 80."""


def spikes(*at: int, size: float = 0.5) -> Any:
    return np.where(np.isin(TURN, at), size, 2e-3)


@pytest.mark.parametrize(
    ("returns", "kl", "thrown"),
    [
        (SAW, spikes(40, 80), True),  # logged with the rollout that fell, as Stable-Baselines3 does
        (SAW, spikes(39, 79), True),  # and with the one before
        (SAW, spikes(40), False),  # once may be chance
        (SAW, spikes(40, 41), False),  # and is once
        (SAW, spikes(40, 80, size=0.29), False),
        (SAW, spikes(20, 60), False),  # costs nothing
        (SAW, 2e-3, False),  # falls, and not by an update
        (np.where(SAW > 0, SAW, 0) + 60.0 * (TURN > 39), spikes(40, 80), False),  # costs less than half
    ],
)
def test_a_fall_with_a_large_kl_is_a_throw_from_the_second_on(returns: Any, kl: Any, thrown: bool) -> None:
    assert (find_throws(Signals(elsewhere(returns, approx_kl=kl))) is not None) == thrown


def test_its_numbers_and_its_remedies() -> None:
    run = elsewhere(SAW, approx_kl=spikes(40, 80), clip_fraction=0.05)
    assert kind(updates_too_large.RULE, run) is Kind.FAULT
    finding = found(updates_too_large.RULE, run)
    assert finding.headline == (
        "Updates are too large: single updates of KL up to 0.5, with which the return falls from 76 to 4 at "
        "iteration 40 and from 76 to 4 at iteration 80"
    )
    assert finding.since == 80
    assert changes(finding)[0] == {"ppo.target_kl": 0.02}
