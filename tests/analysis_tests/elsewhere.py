"""Runs of environments other than triage, whose names and F1 nothing depends on."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from unstuck.analysis.history import History

from tests.analysis_tests.runs import LENGTH, healthy

TURN = np.arange(1, LENGTH + 1)
"""Iterations of such a run."""

_TRIAGE = (
    *("f1", "f1_train", "precision", "recall", "tp", "fp", "tn", "fn", "f1_flag_all", "f1_flag_none", "f1_random"),
    *("observation_shift", "reward_foreseen", "observation_repeats", "f1/seed_0", "eval/episode_return/seed_0"),
    *(f"{prefix}_{name}" for prefix in ("action", "greedy") for name in ("allow", "block", "quarantine", "alert")),
)


def elsewhere(returns: Any, env: str = "Own-v0", more: Mapping[str, Any] | None = None, **changed: Any) -> History:
    """A healthy run of another environment whose training episodes return this, without greedy evaluations.

    Args:
        returns: By iteration, or one number.
        env: Id of the environment.
        more: Columns under their whole names that a triage run lacks.
        changed: As of `healthy`.
    """
    settings = {"env.id": env, "env.actions": ("left", "right"), **changed.pop("settings", {})}
    own = {"train/episode_return": returns, "eval/episode_return": None, "entropy": 0.5, **changed}
    run = healthy(seeds=1, **{**dict.fromkeys(_TRIAGE), **own}, settings=settings)
    return replace(run, table=run.table.assign(**(more or {})))
