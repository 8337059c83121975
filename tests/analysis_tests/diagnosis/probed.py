"""Runs with the numbers that a probe measures of observations, actions, starts and weights."""

from typing import Any

import numpy as np
from unstuck.analysis.history import History

from tests.analysis_tests.elsewhere import TURN, elsewhere

FLAT = 22 + np.sin(7.0 * TURN)
RISEN = np.minimum(5.0 * TURN, 300.0) + np.sin(7.0 * TURN)

HEALTHY: dict[str, float] = {
    **{"action_delay": 0.0, "action_shown_late": 0.85, "action_shown": 0.85, "action_halves": 0.95},
    **{"action_effect": 0.18, "episode_length": 25.0, "next_by_step": 0.95, "next_by_past": 0.96},
    **{"reward_by_observation": 0.9, "reward_by_step": 0.9, "reward_by_past": 0.98, "columns_constant": 0.0},
    **{"observation_repeats": 0.0, "parameter_norm": 17.0, "start_repeats": 0.0},
}


def probed(returns: Any = FLAT, settings: dict[str, Any] | None = None, **more: float) -> History:
    """A run with these numbers of the probe, by the last part of their names."""
    named = {f"train/{name}": value for name, value in more.items()}
    return elsewhere(returns, more=named, settings=settings or {})
