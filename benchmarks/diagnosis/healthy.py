"""Healthy runs: ways to train that all learn, among them slow ones, noisy ones and ones at a value-loss floor.

Where a diagnosis is wrong about one of these, a user is sent after a fault that is not there.
"""

from collections.abc import Mapping
from typing import Any

from benchmarks.diagnosis.worlds import SMALL, WORLDS

_ALL = tuple(WORLDS)
_TRIAGE = ("shuffled", "stream", "wide", "bursts")
_QUICK = ("cartpole", *_TRIAGE, *SMALL)

VARIANTS: Mapping[str, tuple[tuple[str, ...], Mapping[str, Any]]] = {
    # By name: in which worlds, and the settings changed.
    "base": (_ALL, {}),
    "slow": (_QUICK, {"ppo.lr": 2e-4}),
    "annealed": (_QUICK, {"ppo.lr_schedule": "linear", "ppo.clip_range_schedule": "linear"}),
    "few epochs": (_QUICK, {"ppo.num_epochs": 2, "ppo.minibatch_size": 256}),
    "fast": (_ALL, {"ppo.lr": 2e-3}),
    "small minibatches": (_QUICK, {"ppo.minibatch_size": 64, "ppo.num_epochs": 3}),
    "noisy rollouts": (_QUICK, {"ppo.num_steps": 32, "ppo.minibatch_size": 64}),
    "noisy labels": (_TRIAGE, {"data.difficulty": 0.8}),
    "long horizon": (_TRIAGE, {"ppo.gamma": 0.99}),
    "endless horizon": (("shuffled", "wide"), {"ppo.gamma": 0.99, "ppo.gae_lambda": 1.0}),
    "each flow for itself": (("shuffled", "wide"), {"ppo.gamma": 0.0}),
    "short traces": (_QUICK, {"ppo.gae_lambda": 0.8}),
    "no bonus": (_ALL, {"ppo.entropy_coef": 0.0}),
    "large bonus": (_QUICK, {"ppo.entropy_coef": 0.03}),
    "shared trunk": (_QUICK, {"ppo.shared_trunk": True}),
    "wide": (_QUICK, {"ppo.hidden_sizes": (128, 128)}),
    "narrow": (_QUICK, {"ppo.hidden_sizes": (16, 16)}),
    "tight": (_QUICK, {"ppo.target_kl": 0.02, "ppo.clip_range": 0.1}),
    "many epochs": (_QUICK, {"ppo.num_epochs": 10, "ppo.lr": 3e-4}),
    "raw returns": (_TRIAGE, {"ppo.normalize_returns": "none"}),
    "running returns": (("shuffled", "wide"), {"ppo.normalize_returns": "running"}),
    "batch returns": (("cartpole", "stream"), {"ppo.normalize_returns": "batch"}),
    "normalised inputs": (_TRIAGE, {"ppo.normalize_observations": True}),
    "clipped critic": (_QUICK, {"ppo.clip_range_vf": 0.2}),
    "heavy critic": (_QUICK, {"ppo.value_coef": 2.0}),
    "more lanes": (_QUICK, {"ppo.num_envs": 16, "ppo.num_steps": 32}),
}
