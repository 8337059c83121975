"""Stable-Baselines3's PPO from our configuration, its training episodes recorded as ours are."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from numpy.random import SeedSequence
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv
from unstuck.rl.config import PPOConfig
from unstuck.rl.errors import ConfigError
from unstuck.rl.seeding import derive_int

from benchmarks.curves import Returns

_OURS_ALONE = {
    "clip_range_vf": None,  # theirs: the clipped error counts; ours: the larger one
    "normalize_returns": "none",
    "normalize_observations": False,
    "shared_trunk": False,
}


def train(env: str, config: PPOConfig, seed: SeedSequence) -> Returns:
    """Train one Stable-Baselines3 agent with our configuration; return returns of training episodes by rollout."""
    model = PPO("MlpPolicy", lanes(env, config.num_envs), seed=derive_int(seed), device="cpu", **arguments(config))
    recorder = _Recorder(config.num_envs)
    model.learn(config.num_iterations * config.batch_size, callback=recorder)
    model.get_env().close()
    return recorder.returns


def lanes(env: str, count: int, **options: Any) -> DummyVecEnv:
    """Make a vector environment of `count` copies of an environment, stepped one after the other."""
    return DummyVecEnv([lambda: gymnasium.make(env, disable_env_checker=True, **options)] * count)


def arguments(config: PPOConfig) -> dict[str, Any]:
    """Return keyword arguments for Stable-Baselines3's `PPO`: the settings, with schedules as functions."""
    given = settings(config)
    for name in ("learning_rate", "clip_range"):
        given[name] = _schedule(*given[name], config.num_iterations)
    return given


def settings(config: PPOConfig) -> dict[str, Any]:
    """Return our settings under Stable-Baselines3's names, fit for JSON; scheduled settings as `[value, schedule]`.

    Raises:
        ConfigError: If the configuration asks for what it does not have, or does otherwise.
    """
    for name, needed in _OURS_ALONE.items():
        if getattr(config, name) != needed:
            raise ConfigError(
                f"ppo.{name} must be {needed} for a comparison with Stable-Baselines3, got {getattr(config, name)}: "
                "it has no such thing, or another one"
            )
    layers = list(config.hidden_sizes)
    return {
        "learning_rate": [config.lr, config.lr_schedule],
        "clip_range": [config.clip_range, config.clip_range_schedule],
        "n_steps": config.num_steps,
        "batch_size": config.minibatch_size,
        "n_epochs": config.num_epochs,
        "gamma": config.gamma,
        "gae_lambda": config.gae_lambda,
        "ent_coef": config.entropy_coef,
        "vf_coef": config.value_coef,
        "max_grad_norm": config.max_grad_norm,
        "target_kl": config.target_kl,
        "normalize_advantage": config.normalize_advantage,
        "policy_kwargs": {
            "net_arch": {"pi": layers, "vf": layers},
            "optimizer_kwargs": {"eps": config.adam_eps},
        },
    }


def _schedule(value: float, kind: str, rollouts: int) -> Callable[[float], float]:
    """Return a schedule in Stable-Baselines3's form: a function from the share of steps left to the value.

    Stable-Baselines3 asks when the rollout at hand is already taken off.
    """
    return lambda left: value * (left + 1 / rollouts if kind == "linear" else 1.0)


class _Recorder(BaseCallback):
    """Callback that records the returns of training episodes, one list for each rollout."""

    def __init__(self, lanes: int) -> None:
        super().__init__()
        self.returns: Returns = []
        self._running = np.zeros(lanes)

    def _on_rollout_start(self) -> None:
        self.returns.append([])

    def _on_step(self) -> bool:
        self._running += self.locals["rewards"]
        for lane in np.flatnonzero(self.locals["dones"]):
            self.returns[-1].append(float(self._running[lane]))
            self._running[lane] = 0.0
        return True
