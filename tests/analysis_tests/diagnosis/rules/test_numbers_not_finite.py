"""Numbers that came in from outside: a run that breaks at once, and one that diverges step by step."""

import math
from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.finding import Kind, Sureness
from unstuck.analysis.diagnosis.rules import numbers_not_finite
from unstuck.analysis.history import History

from tests.analysis_tests.diagnosis.asking import found, kind
from tests.analysis_tests.elsewhere import TURN, elsewhere

RULE = numbers_not_finite.RULE
RISEN = 1.0 * TURN


def broken(loss: Any, **changed: Any) -> History:
    """A run whose value loss is this until iteration 50, and infinite from then on, as NaN is read."""
    return elsewhere(RISEN, value_loss=np.where(TURN < 50, loss, math.inf), **changed)


@pytest.mark.parametrize(
    ("run", "fires"),
    [
        (broken(1.0), True),
        (broken(np.where(TURN > 47, 2.9, 1.0)), True),
        (broken(np.where(TURN > 47, 3.1, 1.0)), False),  # it grew first
        (broken(1.3**TURN), False),
        (broken(1.0, grad_norm=np.where(TURN > 47, 50.0, 1.0)), False),
        (broken(1.0, approx_kl=np.where(TURN > 47, 0.2, 2e-3)), False),
        (elsewhere(RISEN, value_loss=np.where(TURN < 6, 1.0, math.inf)), True),
        (elsewhere(RISEN, value_loss=np.where(TURN < 5, 1.0, math.inf)), False),  # too few to know what is calm
        (elsewhere(RISEN, value_loss=1.0), False),
    ],
)
def test_only_a_break_without_growth_is_named(run: History, fires: bool) -> None:
    assert (kind(RULE, run) is Kind.FAULT) == fires


def test_its_numbers_and_its_place() -> None:
    finding = found(RULE, broken(1.0))
    assert finding.headline == (
        "A number that is not finite came in from outside: losses are not finite from iteration 50 on, after a value "
        "loss of 1"
    )
    assert (finding.since, finding.sureness, finding.remedies) == (50, Sureness.LIKELY, ())
    inputs = broken(1.0, input_rms_max=np.where(TURN < 50, 1.0, math.inf))
    assert found(RULE, inputs).sureness is Sureness.SURE
    ranked = diagnose(broken(1.0)).select_findings(Kind.FAULT)
    assert [one.rule.name for one in ranked][:2] == ["numbers_not_finite", "value_explosion"]
