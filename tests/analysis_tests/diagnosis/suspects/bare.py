"""Runs of another program that ended, and have little more than their returns on record."""

from typing import Any

import numpy as np
import pandas as pd
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.suspects.suspicion import Suspicion
from unstuck.analysis.history import History
from unstuck.analysis.history.record import ENTROPY_COEF, EPISODE_LENGTH, FINISHED, POLICY_STD, SUCCESS_RATE
from unstuck.rl import metrics

TURN = np.arange(1, 61)
NOISE = np.convolve(np.random.default_rng(1).normal(size=62), np.ones(3) / 3**0.5, "valid")
"""Returns that go nowhere, and wander: the policy is moved."""

DRAWN = np.random.default_rng(0).normal(size=300)
"""Returns of one policy, which nothing moves."""

_NAMES = {"lengths": EPISODE_LENGTH, "std": POLICY_STD, "success": SUCCESS_RATE, "bonus": ENTROPY_COEF}


def stuck(returns: Any = 5.0 + NOISE, settings: dict[str, Any] | None = None, **columns: Any) -> History:
    """An ended run whose return goes nowhere; with what else is on record, by our names' ends."""
    more = {_NAMES.get(name, f"train/{name}"): value + 0.0 * TURN for name, value in columns.items()}
    table = pd.DataFrame({metrics.TRAIN_RETURN: returns, **more}, index=TURN)
    return History("bare", "made", table, settings={FINISHED: True, **(settings or {})}, dialect="plain")


def run(returns: Any = 5.0 + NOISE, settings: dict[str, Any] | None = None, **columns: Any) -> Signals:
    """The signals of such a run."""
    return Signals(stuck(returns, settings, **columns))


def weigh(suspicion: Suspicion | None) -> float | None:
    """How far a run's numbers speak for a suspect, by a suspicion that holds numbers and a test; None if against."""
    assert suspicion is None or (suspicion.fact.text and suspicion.test)
    return suspicion.factor if suspicion else None
