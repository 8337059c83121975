"""Tables of runs as a learner would log them: a healthy one, to be made ill by changing what a fault changes."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from unstuck.analysis.history import History
from unstuck.rl import metrics

LENGTH = 100

SETTINGS: dict[str, Any] = {
    "ppo.num_iterations": LENGTH,
    "ppo.lr": 3e-4,
    "ppo.gamma": 0.99,
    "ppo.gae_lambda": 0.95,
    "ppo.entropy_coef": 0.01,
    "ppo.value_coef": 0.5,
    "ppo.max_grad_norm": 0.5,
    "ppo.num_epochs": 4,
    "ppo.minibatch_size": 256,
    "ppo.target_kl": None,
    "ppo.clip_range_vf": None,
    "ppo.normalize_returns": "batch",
    "ppo.normalize_advantage": True,
    "ppo.normalize_observations": False,
    "ppo.shared_trunk": True,
    "ppo.hidden_sizes": (64, 64),
    "env.id": "unstuck/Triage-v0",
    "env.flows_per_episode": 1000,
    "env.reward_benign": (0.5, -5.0, -3.0, -1.0),
    "env.reward_threat": (-10.0, 8.0, 5.0, 2.0),
    "data.order": "shuffled",
    "data.source": "synthetic",
    "data.num_flows": 20_000,
    "data.threat_share": 0.109,
}


def healthy(seeds: int = 5, **changed: Any) -> History:
    """A run that learns the triage of flows: F1 from 0.2 to 0.9, gamma 0.99, a value loss at its floor all the time.

    Args:
        seeds: Members whose own F1 is logged.
        changed: A column by its name's last part, or by `action_NAME` and `greedy_NAME`, as a list or a function of
            the table; None leaves it out. A dotted setting is given in `settings`.
    """
    settings: Mapping[str, Any] = changed.pop("settings", {})
    columns = dict(_draw_columns(seeds))
    for name, values in changed.items():
        _change(columns, name, values)
    return History("made", "a table made by the test", _make_table(columns), {**SETTINGS, **settings})


ITERATIONS = np.arange(1, LENGTH + 1)
EVALUATED = ITERATIONS % 10 == 0


def _make_table(columns: Mapping[str, Any]) -> pd.DataFrame:
    values = np.empty((LENGTH, len(columns)))  # in one piece: pandas takes ten times as long for a column each
    for place, column in enumerate(columns.values()):
        values[:, place] = column
    return pd.DataFrame(values, pd.Index(ITERATIONS, name="iteration"), list(columns))


@functools.cache
def _draw_columns(seeds: int) -> Mapping[str, Any]:
    """The columns of the healthy run, for all its tables: nobody writes into them, since a table copies them."""
    noise = np.random.default_rng(0)
    learned = 1 / (1 + np.exp(-(ITERATIONS - 30) / 8))  # from 0 to 1
    shaken = lambda size: size * noise.standard_normal(LENGTH)  # noqa: E731
    columns: dict[str, Any] = {
        metrics.POLICY_LOSS: -0.01 + shaken(0.002),
        metrics.VALUE_LOSS: 0.97 + shaken(0.01),
        metrics.ENTROPY: math.log(4) * (0.99 - 0.8 * learned),
        metrics.APPROX_KL: 2e-3 * np.exp(shaken(0.2)),
        metrics.CLIP_FRACTION: 0.04 + shaken(0.005),
        metrics.GRAD_NORM: 1.3 + shaken(0.1),
        metrics.GRAD_CLIPPED_SHARE: np.ones(LENGTH),
        metrics.UPDATE_NORM: 0.015 * np.exp(shaken(0.1)),
        metrics.TARGET_MEAN: -20 + 30 * learned,
        metrics.TARGET_STD: 9 - 2 * learned + shaken(0.1),
        metrics.ADVANTAGE_MEAN: shaken(0.3),
        metrics.ADVANTAGE_STD: 9 - 2 * learned + shaken(0.1),
        metrics.EXPLAINED_VARIANCE: 0.05 * learned + shaken(0.01),
        metrics.LR: np.full(LENGTH, 3e-4),
        metrics.TRAIN_RETURN: -1750 + 2500 * learned + shaken(80.0),
    }
    for name, start, end in (("allow", 0.25, 0.85), ("block", 0.25, 0.1), ("quarantine", 0.25, 0.03)):
        columns[metrics.action_metric(name)] = start + (end - start) * learned + shaken(0.005)
    columns[metrics.action_metric("alert")] = 1 - sum(
        columns[metrics.action_metric(n)] for n in ("allow", "block", "quarantine")
    )
    f1 = 0.2 + 0.7 * learned
    at_evaluations: dict[str, Any] = {
        metrics.VALUE_FLOOR: 0.96 + shaken(0.01),
        metrics.VALUE_LOSS_EXCESS: 0.01 + shaken(0.005),
        metrics.EXPLAINED_VARIANCE_MC: 0.02 * learned,
        metrics.PROBE_EXPLAINED_VARIANCE_MC: 0.02 * learned + 0.005,
        metrics.GRAD_NORM_POLICY: 0.3 + shaken(0.02),
        metrics.GRAD_NORM_VALUE: 1.5 + shaken(0.1),
        metrics.RATIO_DEVIATION: np.full(LENGTH, 1e-6),
        metrics.SATURATED_SHARE: 0.02 + 0.02 * learned,
        metrics.INPUT_RMS_MAX: 1.1 + shaken(0.02),
        metrics.F1: f1 + shaken(0.005),
        metrics.F1_TRAIN: f1 + 0.01 + shaken(0.005),
        metrics.TRUE_POSITIVES: np.round(174 * learned),
        metrics.FALSE_NEGATIVES: 174 - np.round(174 * learned),
        metrics.FALSE_POSITIVES: np.round(600 - 580 * learned),
        metrics.TRUE_NEGATIVES: 1426 - np.round(600 - 580 * learned),
        metrics.EVAL_RETURN: -300 + 1400 * learned + shaken(20.0),
        metrics.F1_FLAG_ALL: np.full(LENGTH, 0.197),
        metrics.F1_FLAG_NONE: np.zeros(LENGTH),
        metrics.F1_RANDOM: np.full(LENGTH, 0.19),
    }
    for name, end in (("allow", 0.88), ("block", 0.1), ("quarantine", 0.01), ("alert", 0.01)):
        at_evaluations[metrics.greedy_metric(name)] = 0.25 + (end - 0.25) * learned
    for seed in range(seeds):
        at_evaluations[metrics.seed_metric(metrics.F1, seed)] = f1 + shaken(0.01)
        at_evaluations[metrics.seed_metric(metrics.EVAL_RETURN, seed)] = -300 + 1400 * learned + shaken(30.0)
    at_evaluations |= {
        metrics.ADVANTAGE_FOLLOWED: 0.2 + shaken(0.03),
        metrics.REWARD_FORESEEN: 0.2 + 0.1 * learned,
        metrics.OBSERVATION_SHIFT: 0.1 + shaken(0.01),
        metrics.OBSERVATION_REPEATS: np.full(LENGTH, 0.04),
        metrics.PRECISION: 0.3 + 0.6 * learned,
        metrics.RECALL: 0.9 * learned,
    }
    return columns | {name: np.where(EVALUATED, values, math.nan) for name, values in at_evaluations.items()}


def _change(columns: dict[str, Any], name: str, values: Any) -> None:
    """Replace a column, or leave it out; before a table is made, since each change to a table costs a millisecond."""
    column = _column(columns, name)
    if values is None:
        del columns[column]
        return
    new = values(_make_table(columns)) if isinstance(values, Callable) else values  # type: ignore[arg-type]
    columns[column] = np.where(EVALUATED, new, math.nan) if pd.isna(columns[column]).any() else new


def _column(columns: Mapping[str, Any], name: str) -> str:
    for prefix, family in (("action_", metrics.ACTION_PREFIX), ("greedy_", metrics.GREEDY_PREFIX)):
        if name.startswith(prefix):
            return family + name.removeprefix(prefix)
    candidates = [column for column in columns if column.partition("/")[2] == name or column == name]
    if not candidates:
        raise KeyError(name)
    return candidates[0]


def untaught(**changed: Any) -> History:
    """A run that never learned anything: F1 0, returns at the level of a uniform policy; the rest as healthy."""
    noise = np.random.default_rng(1)
    nothing: dict[str, Any] = {
        "f1": 0.0,
        "f1_train": 0.0,
        "tp": 0.0,
        "fp": 0.0,
        "tn": 1426.0,
        "fn": 174.0,
        "train/episode_return": -1750 + 80 * noise.standard_normal(LENGTH),
        "eval/episode_return": -650.0,
        "reward_foreseen": 0.005,
        "entropy": 0.8 * math.log(4),
        "greedy_allow": 1.0,
        "greedy_block": 0.0,
        "greedy_quarantine": 0.0,
        "greedy_alert": 0.0,
    }
    drifting = np.linspace(0, 1, LENGTH)
    for name, end in (("allow", 0.4), ("block", 0.2), ("quarantine", 0.2), ("alert", 0.2)):
        nothing[f"action_{name}"] = 0.25 + (end - 0.25) * drifting
    return healthy(**{**nothing, "seeds": 1, "f1/seed_0": 0.0, "eval/episode_return/seed_0": -650.0, **changed})
