"""Runs of our own learner whose actions' spread goes a share of the way that the optimiser's steps could."""

from dataclasses import replace
from typing import Any

import numpy as np
from unstuck.analysis.history import History
from unstuck.analysis.history.record import EPOCHS_DONE, POLICY_STD
from unstuck.rl import metrics

from tests.analysis_tests.elsewhere import TURN, elsewhere

LANES: dict[str, Any] = {
    "ppo.num_envs": 8,
    "ppo.num_steps": 64,
    "ppo.minibatch_size": 128,
    "env.id": "Own-v0",
    "env.actions": None,
}
STEPS = 2 * 4
"""Steps of an iteration: two epochs of four minibatches, of 512 samples."""


def spread(share: float, returns: Any = 5.0, rate: float = 3e-3, **changed: Any) -> History:
    """A run whose actions' spread goes a share of the way that all steps at a rate could go, from 1 on.

    Args:
        share: Of the way.
        returns: Of training.
        rate: Learning rate.
        changed: Dotted settings, or columns under their whole names.
    """
    settings = {**LANES, **{name: changed.pop(name) for name in list(changed) if "." in name}}
    std = np.exp(share * STEPS * rate * (TURN - 1))
    names = {f"action_{name}": None for name in ("allow", "block", "quarantine", "alert")}
    more = {POLICY_STD: std, EPOCHS_DONE: 2.0 * TURN, metrics.LR: rate, **changed}
    run = elsewhere(returns, more=more, settings=settings, **names)
    return replace(run, table=run.table.drop(columns=[metrics.ENTROPY]))
