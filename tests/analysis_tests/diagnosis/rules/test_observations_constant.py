"""A critic that predicts the same for every observation: told from one that knows nothing, and from large returns."""

from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.finding import Kind, Support
from unstuck.analysis.diagnosis.rules import observations_constant
from unstuck.analysis.history import History

from tests.analysis_tests.diagnosis.asking import cause, first, found, kind
from tests.analysis_tests.elsewhere import TURN, elsewhere

RULE = observations_constant.RULE
FLAT = 22 + np.sin(7.0 * TURN)


def same(explained: Any = 1.2e-7, **changed: Any) -> History:
    """A run whose critic explains this, with nothing to show."""
    own = {"explained_variance": explained, "value_loss": 50.0, "clip_fraction": 0.0, "returns": FLAT}
    return elsewhere(**{**own, **changed})


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (same(), Kind.FAULT),
        (same(0.0), Kind.FAULT),
        (same(np.where(TURN % 5 == 0, 0.01, 0.0)), Kind.FAULT),  # four in five
        (same(np.where(TURN % 4 == 0, 0.01, 0.0)), None),
        (same(0.001 * np.sin(TURN)), None),  # it merely knows nothing
        (same(value_loss=1e7), None),  # returns too large for any prediction to show
        (same(returns=22.0), None),  # nothing varies, so there is nothing to explain
        (same(returns=np.linspace(0, 100, 100)), Kind.SUSPECT),
        (same(approx_kl=np.where(TURN == 2, 1.1, 0.01)), None),  # a step so large saturates all units
        (same(approx_kl=np.where(TURN == 2, 0.9, 0.01)), Kind.FAULT),
        (first(same(), 7), None),
        (first(same(), 8), Kind.FAULT),
    ],
)
def test_its_borders(run: History, expected: Kind | None) -> None:
    assert kind(RULE, run) is expected


def test_its_numbers_and_its_place() -> None:
    finding = found(RULE, same())
    text = "explained variance is 0 up to rounding in 100 of 100 values"
    assert finding.headline == f"The networks see the same in every step: {text}"
    assert cause(finding, "observations that do not vary").support is Support.SUPPORTED
    assert cause(found(RULE, same(clip_fraction=0.1)), "observations that do not vary").support is Support.OPEN
    assert finding.remedies == ()
    assert diagnose(same(approx_kl=5e-6)).findings[0].rule is RULE


@pytest.mark.parametrize(("repeats", "expected"), [(0.49, None), (0.51, Kind.FAULT)])
def test_observations_that_are_measured_to_vary_are_not_the_cause(repeats: float, expected: Kind | None) -> None:
    run = elsewhere(FLAT, more={"train/observation_repeats": repeats}, explained_variance=0.0, value_loss=50.0)
    assert kind(RULE, run) is expected
