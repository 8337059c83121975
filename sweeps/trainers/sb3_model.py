"""Make a Stable-Baselines3 PPO from our settings, by the user's script or by our own, and read its settings back."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecNormalize
from torch import nn
from unstuck.rl.config import PPOConfig
from unstuck.rl.envs.gym import read_spaces
from unstuck.rl.errors import ConfigError
from unstuck.sweeps.config.effects import format_value
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.trainers.torch_internals import defer_compiler

from unstuck.probe.sb3_settings import read_schedule

Schedule = Callable[[float], float]

_ARGUMENTS = {
    "learning_rate": "lr",
    "n_steps": "num_steps",
    "batch_size": "minibatch_size",
    "n_epochs": "num_epochs",
    "gamma": "gamma",
    "gae_lambda": "gae_lambda",
    "clip_range": "clip_range",
    "clip_range_vf": "clip_range_vf",
    "normalize_advantage": "normalize_advantage",
    "ent_coef": "entropy_coef",
    "vf_coef": "value_coef",
    "max_grad_norm": "max_grad_norm",
    "target_kl": "target_kl",
    "device": "device",
}
"""Arguments of Stable-Baselines3's `PPO`, each with our setting of the same meaning."""

FIXED = ("num_envs", "normalize_observations", "normalize_returns", "hidden_sizes", "device")
"""Settings that only the making of a model puts in force."""


@dataclass(frozen=True)
class Sb3Settings:
    """Settings of one run, passed to the function `make(settings)` of the user's script.

    Attributes:
        arguments: Keyword arguments for Stable-Baselines3's `PPO`, by its own names, with seed and `policy_kwargs`.
        env_id: Environment, `env.id`.
        num_envs: Number of environments that step together.
        seed: Seed of the run; `PPO(seed=...)` seeds the environments as well.
        normalize_observations: True if observations are to be scaled: `VecNormalize(norm_obs=...)`.
        normalize_returns: True if rewards are to be scaled: `VecNormalize(norm_reward=...)`.
        ppo: All settings of PPO, by our names.
        script: Settings of the script's own, `script.*`, by name.
    """

    arguments: Mapping[str, Any]
    env_id: str
    num_envs: int
    seed: int
    normalize_observations: bool
    normalize_returns: bool
    ppo: PPOConfig
    script: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """A model that the user's script or our own made, and the callbacks to train it with."""

    ppo: PPO
    callback: BaseCallback | None


def collect_settings(config: SweepConfig, seed: int) -> Sb3Settings:
    """Return the settings of one run under Stable-Baselines3's names, for the user's script.

    Example:
        >>> collect_settings(SweepConfig(), 3).arguments["ent_coef"]
        0.01
    """
    ppo = config.ppo
    layers = list(ppo.hidden_sizes)
    networks = {"net_arch": {"pi": layers, "vf": layers}, "optimizer_kwargs": {"eps": ppo.adam_eps}}
    return Sb3Settings(
        arguments={
            **{theirs: getattr(ppo, ours) for theirs, ours in _ARGUMENTS.items()},
            "learning_rate": _make_schedule(ppo.lr, ppo.lr_schedule),
            "clip_range": _make_schedule(ppo.clip_range, ppo.clip_range_schedule),
            "seed": seed,
            "policy_kwargs": networks,
        },
        env_id=config.env.id,
        num_envs=ppo.num_envs,
        seed=seed,
        normalize_observations=ppo.normalize_observations,
        normalize_returns=ppo.normalize_returns != "none",
        ppo=ppo,
        script=config.script,
    )


def make_model(config: SweepConfig, seed: int) -> Model:
    """Make an untrained model for one seed, by the user's function `trainer.make` or by the built-in script.

    Raises:
        ConfigError: The user's script cannot be imported, fails, or makes something else.
    """
    settings, where = collect_settings(config, seed), config.trainer.make
    if where is None:
        return Model(_make_plain(settings, config), None)
    try:
        made = _import_function(where)(settings)
    except ConfigError:
        raise
    except Exception as error:  # whatever the user's script may raise
        raise ConfigError(f"{where} of trainer.make must return a PPO, got {type(error).__name__}: {error}") from error
    model, callback = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(model, PPO):
        raise ConfigError(
            f"{where} of trainer.make must return a PPO, or a PPO and its callback, got {type(model).__name__}"
        )
    if isinstance(callback, list):
        callback = CallbackList(callback)
    if callback is not None and not isinstance(callback, BaseCallback):
        raise ConfigError(f"{where} of trainer.make must return a callback beside the PPO, got {callback!r:.60}")
    return Model(model, callback)


def _import_function(where: str) -> Callable[[Sb3Settings], Any]:
    module, _, name = where.partition(":")
    try:
        return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"trainer.make must name a function that can be imported, MODULE:FUNCTION, got {where!r}: {error}; stand "
            "in the folder that holds the module"
        ) from error


def _make_plain(settings: Sb3Settings, config: SweepConfig) -> PPO:
    read_spaces(settings.env_id)  # refuses an environment that cannot be made, in one line
    lanes = DummyVecEnv if config.env.vectorization == "sync" else SubprocVecEnv
    venv: VecEnv = make_vec_env(settings.env_id, settings.num_envs, vec_env_cls=lanes)
    scaled = settings.normalize_observations, settings.normalize_returns
    if any(scaled):
        venv = VecNormalize(venv, norm_obs=scaled[0], norm_reward=scaled[1], gamma=settings.ppo.gamma)
    return PPO("MlpPolicy", venv, verbose=0, **settings.arguments)


def require_model(config: SweepConfig) -> None:
    """Make a model by a configuration once, and raise `ConfigError` if the model has other settings than asked for."""
    defer_compiler()
    model = make_model(config, seed=0).ppo
    try:
        wrong = find_differences(model, config.ppo)
    finally:
        close(model)
    if wrong:
        told = "; ".join(f"ppo.{name} {format_value(meant)}, it has {format_value(has)}" for name, meant, has in wrong)
        write = " ".join(f"ppo.{name}={format_value(has)}".replace(" ", "") for name, _, has in wrong)
        raise ConfigError(
            f"{config.trainer.make} of trainer.make must make a PPO of the sweep's settings: {told}; write {write}, or "
            "let it pass settings.arguments on"
        )


def close(model: PPO) -> None:
    """Close a model's environments."""
    if (env := model.get_env()) is not None:
        env.close()


def find_differences(model: PPO, config: PPOConfig) -> list[tuple[str, Any, Any]]:
    """List the settings in which a model differs from the configuration: name, our value, and the model's."""
    found = read_settings(model)
    ours = {name: getattr(config, name) for name in found}
    return [(name, ours[name], value) for name, value in found.items() if not _is_alike(value, ours[name])]


def _is_alike(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= 1e-6 * max(abs(one), abs(other))
    return bool(one == other)


def read_settings(model: PPO) -> dict[str, Any]:
    """Return the settings that a model was made with, by our names; leave out those that cannot be read."""
    normalizer = model.get_vec_normalize_env()
    clip_vf = model.clip_range_vf
    found: dict[str, Any] = {
        **_read_schedule("lr", model.lr_schedule),
        **_read_schedule("clip_range", model.clip_range),  # type: ignore[arg-type]
        "clip_range_vf": float(clip_vf(1.0)) if callable(clip_vf) else clip_vf,
        "num_envs": model.n_envs,
        "normalize_observations": bool(normalizer and normalizer.norm_obs),
        "normalize_returns": "running" if normalizer and normalizer.norm_reward else "none",
        "device": model.device.type,
        **read_layers(model),
    }
    if (eps := model.policy.optimizer.param_groups[0].get("eps")) is not None:
        found["adam_eps"] = float(eps)
    others = {ours: theirs for theirs, ours in _ARGUMENTS.items() if ours not in found}
    return found | {ours: getattr(model, theirs) for ours, theirs in others.items()}


def read_layers(model: PPO) -> dict[str, tuple[int, ...]]:
    """Return a model's hidden layer sizes under our setting's name, if policy and critic agree; else empty."""
    extractor = getattr(model.policy, "mlp_extractor", None)
    towers = [getattr(extractor, name, None) for name in ("policy_net", "value_net")]
    sizes = {
        tuple(one.out_features for one in tower if isinstance(one, nn.Linear))
        for tower in towers
        if isinstance(tower, nn.Sequential)
    }
    plain = type(getattr(model.policy, "features_extractor", None)).__name__ == "FlattenExtractor"
    return {"hidden_sizes": sizes.pop()} if plain and len(sizes) == 1 else {}


def _make_schedule(value: float, kind: str) -> float | Schedule:
    return value if kind == "constant" else lambda left: value * left


def _read_schedule(name: str, schedule: Schedule) -> dict[str, Any]:
    """Return a setting's first value, and whether it is constant or falls to 0; raise `ConfigError` for others."""
    first, kind = read_schedule(schedule)
    if kind is not None:
        return {name: first, f"{name}_schedule": kind}
    values = ", ".join(f"{schedule(left):g}" for left in (1.0, 0.5, 0.0))
    raise ConfigError(
        f"ppo.{name} must be constant or fall linearly to 0, and make() of trainer.make gives a schedule of its own "
        f"({values}); pass settings.arguments on, and set ppo.{name}_schedule"
    )
