"""Networks of an unusual shape: one unit, or thirty layers, and all that is usual between."""

from typing import Any

import numpy as np
import pytest
from unstuck.analysis.diagnosis.finding import Kind
from unstuck.analysis.diagnosis.rules import network_shape
from unstuck.analysis.history import History

from tests.analysis_tests.diagnosis.asking import changes, found, kind
from tests.analysis_tests.elsewhere import TURN, elsewhere

RULE = network_shape.RULE
FLAT = 22 + np.sin(7.0 * TURN)
RISEN = np.minimum(5.0 * TURN, 300.0) + np.sin(7.0 * TURN)


def shaped(sizes: Any, returns: Any = FLAT, env: str = "Own-v0") -> History:
    """A run with these layers."""
    return elsewhere(returns, env, settings={"ppo.hidden_sizes": sizes})


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (shaped((1,)), Kind.FAULT),
        (shaped((64, 3)), Kind.FAULT),
        (shaped((64, 4)), None),
        (shaped((16,) * 7), None),
        (shaped((16,) * 8), Kind.FAULT),
        (shaped((3,), RISEN), Kind.SUSPECT),
        (shaped((2,), RISEN), Kind.FAULT),  # it learns, and might learn more
        (shaped((2,), RISEN + 199.0, "CartPole-v1"), Kind.SUSPECT),  # solved
        (shaped((16,) * 15, RISEN), Kind.SUSPECT),
        (shaped((16,) * 16, RISEN), Kind.FAULT),
        (shaped((16,) * 30, RISEN + 199.0, "CartPole-v1"), Kind.SUSPECT),  # solved
        (shaped(None), None),
        (shaped(()), None),
    ],
)
def test_its_borders(run: History, expected: Kind | None) -> None:
    assert kind(RULE, run) is expected


def test_the_usual_shape_is_offered() -> None:
    finding = found(RULE, shaped([1]))
    assert finding.headline == "The networks' shape lets little through: 1 unit in the narrowest layer"
    assert changes(finding) == [{"ppo.hidden_sizes": (64, 64)}]
    assert found(RULE, shaped((16,) * 30)).headline.endswith("30 layers one behind the other")
