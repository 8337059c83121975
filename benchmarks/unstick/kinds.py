"""Environments with settings under which a run learns, and the kinds of fault in settings that break one.

Written down before any was trained broken. A fault is in the settings alone: nothing is planted into code or data. What
an agent is asked for (reward tables that pay for the wrong thing) is no kind here: arms of one sweep share the rewards.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unstuck.rl import metrics
from unstuck.rl.config import TRIAGE

Settings = Mapping[str, Any]
"""Values of settings by dotted path."""

BROKEN_ITERATIONS = 100
"""Iterations of a broken run before it is unstuck, and of the healthy run beside which arms are scored."""

_SMALL: Settings = {
    "ppo.num_iterations": BROKEN_ITERATIONS,
    "ppo.eval_every": 5,
    "ppo.num_envs": 8,
    "ppo.num_steps": 64,
    "ppo.minibatch_size": 128,
    "ppo.lr": 1e-3,
    "ppo.normalize_returns": "running",
}

ENVIRONMENTS: Mapping[str, Settings] = {
    "triage": {
        **_SMALL,
        "ppo.gamma": 0.9,
        "ppo.normalize_returns": "batch",
        "env.id": TRIAGE,
        "env.flows_per_episode": 100,
        "data.num_flows": 8000,
        "data.eval_flows": 800,
        "sweep.metric": metrics.F1,
    },
    "stream": {
        **_SMALL,
        "ppo.gamma": 0.95,
        "env.id": TRIAGE,
        "env.flows_per_episode": 100,
        "env.reward_benign": [1.0, -2.0, -1.5, -1.0],
        "env.reward_threat": [-3.0, 3.0, 2.0, 1.0],
        "data.num_flows": 8000,
        "data.eval_flows": 800,
        "data.num_features": 10,
        "data.threat_share": 0.4,
        "data.difficulty": 0.3,
        "data.order": "stream",
        "sweep.metric": metrics.F1,
    },
    "cartpole": {
        **_SMALL,
        "ppo.num_epochs": 8,
        "env.id": "CartPole-v1",
        "env.eval_episodes": 5,
        "sweep.metric": metrics.EVAL_RETURN,
    },
    "acrobot": {
        **_SMALL,
        "ppo.normalize_observations": True,
        "env.id": "Acrobot-v1",
        "env.eval_episodes": 3,
        "sweep.metric": metrics.EVAL_RETURN,
    },
}
"""Healthy settings by environment: `triage` with independent flows, `stream` with flows in order and another table."""

_ALL = tuple(ENVIRONMENTS)
_LARGE_REWARDS: Settings = {
    "env.reward_benign": [50.0, -500.0, -300.0, -100.0],
    "env.reward_threat": [-1000.0, 800.0, 500.0, 200.0],
}
_TINY_REWARDS: Settings = {
    "env.reward_benign": [0.0005, -0.005, -0.003, -0.001],
    "env.reward_threat": [-0.01, 0.008, 0.005, 0.002],
}


@dataclass(frozen=True)
class Kind:
    """One kind of fault in settings: the changes that break a run, by severity, and the environments that they break.

    Attributes:
        name: Short.
        severities: Changes of the healthy settings, by name of the severity.
        environments: Names in `ENVIRONMENTS`.
    """

    name: str
    severities: Mapping[str, Settings]
    environments: tuple[str, ...] = _ALL


def _set(**settings: Any) -> Settings:
    """Return settings of PPO by dotted path."""
    return {f"ppo.{name}": value for name, value in settings.items()}


KINDS = (
    Kind("lr too low", {"mild": _set(lr=1e-5), "strong": _set(lr=1e-6)}),
    Kind("lr too high", {"mild": _set(lr=0.05), "strong": _set(lr=0.2)}),
    Kind(
        "too many epochs",
        {"mild": _set(num_epochs=20, lr=5e-3), "strong": _set(num_epochs=20, lr=0.01, entropy_coef=0.0)},
    ),
    Kind("too few steps", {"mild": _set(num_epochs=1, lr=1e-4), "strong": _set(num_epochs=1, lr=3e-5)}),
    Kind("entropy bonus too strong", {"mild": _set(entropy_coef=1.0), "strong": _set(entropy_coef=10.0)}),
    Kind("gradient clip strangles", {"mild": _set(max_grad_norm=3e-6), "strong": _set(max_grad_norm=3e-7)}),
    Kind("clip range strangles", {"mild": _set(clip_range=1e-3), "strong": _set(clip_range=1e-4)}),
    Kind("target_kl strangles", {"mild": _set(target_kl=1e-4), "strong": _set(target_kl=2e-5)}),
    Kind("Adam's epsilon too large", {"mild": _set(adam_eps=0.1), "strong": _set(adam_eps=10.0)}),
    Kind(
        "value loss in charge",
        {
            "mild": _set(shared_trunk=True, normalize_returns="none", value_coef=5.0),
            "strong": _set(shared_trunk=True, normalize_returns="none", value_coef=500.0),
        },
    ),
    Kind("horizon too short", {"mild": _set(gamma=0.5), "strong": _set(gamma=0.0)}, ("cartpole", "acrobot")),
    Kind(
        "horizon too long",
        {
            "mild": _set(gamma=0.999, normalize_returns="none", shared_trunk=True, value_coef=1.5),
            "strong": _set(gamma=0.999, gae_lambda=1.0, normalize_returns="none", shared_trunk=True, value_coef=1.5),
        },
        ("triage", "stream"),
    ),
    Kind(
        "advantages not normalised",
        {
            "large units": {**_set(normalize_advantage=False, normalize_returns="none"), **_LARGE_REWARDS},
            "tiny units": {**_set(normalize_advantage=False), **_TINY_REWARDS},
        },
        ("triage",),
    ),
    Kind(
        "raw advantages of raw returns",
        {"raw": _set(normalize_advantage=False, normalize_returns="none")},
        ("cartpole", "acrobot"),
    ),
)
