"""Tell whether another learner than PPO wrote a log, by columns that only value-based or off-policy learners log."""

import re
from collections.abc import Mapping

from unstuck.analysis.diagnosis.signals import Signals
from unstuck.rl import metrics

_COLUMNS: Mapping[str, str] = {
    "exploration_rate": "DQN",
    "td_loss": "DQN",
    "mean_td_error": "DQN",
    "q_values": "DQN",
    "mean_q": "DQN",
    "ent_coef_loss": "SAC",
    "qf1_loss": "SAC, TD3 or DDPG",
    "qf_loss": "SAC, TD3 or DDPG",
}
"""Last part of a column's name, with the learner that logs it: Stable-Baselines3, CleanRL, RLlib."""

_UPDATES = (metrics.APPROX_KL, metrics.CLIP_FRACTION, metrics.EXPLAINED_VARIANCE)
"""Metrics of PPO's update: a log with one of these is PPO's, whatever else stands in it."""


def find_other_learner(run: Signals) -> tuple[str, str] | None:
    """Find a column that only learners other than PPO log; return column and learner, or None if there is none."""
    if any(run.has(name) for name in _UPDATES):
        return None
    for column in run.history.left_out:
        learner = _COLUMNS.get(re.split(r"[/.]", column)[-1].lower())
        if learner:
            return column, learner
    return None
