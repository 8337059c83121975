"""A KL that stays while the rate falls: beside one that falls with it, and one that is too small to tell."""

from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Kind
from unstuck.analysis.diagnosis.rules import kl_outlives_rate
from unstuck.analysis.history import History

from tests.analysis_tests.diagnosis.asking import found, kind
from tests.analysis_tests.elsewhere import TURN, elsewhere

RULE = kl_outlives_rate.RULE
FALLING = 3e-4 * (1 - (TURN - 1) / 100)


def annealed(kl: Any, rate: Any = FALLING, **changed: Any) -> History:
    """A run whose learning rate falls to nothing, with updates of this KL."""
    return elsewhere(1.0 * TURN, approx_kl=kl, lr=rate, **changed)


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (annealed(0.05), True),
        (annealed(np.where(TURN > 90, 0.026, 0.05)), True),
        (annealed(np.where(TURN > 90, 0.024, 0.05)), False),
        (annealed(0.05 * (FALLING / 3e-4) ** 2), False),  # as it should: with the rate's square
        (annealed(1.9e-3), False),
        (annealed(2.1e-3), True),
        (annealed(0.05, rate=3e-4), False),  # a rate that stays tells nothing
        (annealed(np.where(TURN % 2, -0.05, 0.06)), False),  # a signed estimate
    ],
)
def test_its_borders(run: History, fires: bool) -> None:
    assert (kind(RULE, run) is Kind.FAULT) == fires


def test_its_numbers() -> None:
    finding = found(RULE, annealed(0.05))
    assert finding.headline == (
        "Log-probabilities may be of other actions: KL 0.05 at 5.5 % of the learning rate, 0.05 at the whole rate"
    )
    assert finding.why.endswith("about 0.0005 or less were to be expected")
    assert finding.remedies == ()
