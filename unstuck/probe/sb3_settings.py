"""Read the settings of a Stable-Baselines3 PPO from the model, its environment and its schedules."""

from collections.abc import Callable
from typing import Any

import numpy as np
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm


def read_settings(model: OnPolicyAlgorithm) -> dict[str, Any]:
    """Return the settings of a PPO model and its environment, by Stable-Baselines3's names or else our paths."""
    names = ("n_steps", "n_envs", "batch_size", "n_epochs", "gamma", "gae_lambda", "ent_coef", "vf_coef")
    found = {name: getattr(model, name) for name in (*names, "max_grad_norm", "target_kl", "normalize_advantage")}
    found |= _name_schedule("ppo.lr", model.lr_schedule) | _name_schedule("ppo.clip_range", vars(model)["clip_range"])
    clip_vf = vars(model)["clip_range_vf"]
    found["ppo.clip_range_vf"] = float(clip_vf(1.0)) if callable(clip_vf) else clip_vf
    group = model.policy.optimizer.param_groups[0]
    found |= {"ppo.adam_eps": group["eps"]} if "eps" in group else {}  # SGD has none
    normaliser = model.get_vec_normalize_env()
    found["ppo.normalize_observations"] = normaliser is not None and normaliser.norm_obs
    found["ppo.normalize_returns"] = "running" if normaliser is not None and normaliser.norm_reward else "none"
    env = model.get_env()
    spec = env.get_attr("spec")[0] if env is not None else None
    return found | ({"env.id": spec.id} if spec is not None else {})


def _name_schedule(path: str, schedule: Callable[[float], float]) -> dict[str, Any]:
    """Return a setting's first value, and the kind of its schedule if we have a word for it."""
    first, kind = read_schedule(schedule)
    return {path: first, **({f"{path}_schedule": kind} if kind else {})}


def read_schedule(schedule: Callable[[float], float]) -> tuple[float, str | None]:
    """Return the first value of a schedule, and its kind: `constant`, `linear` (falls to 0), or None for another.

    Args:
        schedule: Function of the share of the training that is left, as Stable-Baselines3 calls it.

    Example:
        >>> read_schedule(lambda left: 0.5), read_schedule(lambda left: left / 2), read_schedule(lambda left: left**2)
        ((0.5, 'constant'), (0.5, 'linear'), (1.0, None))
    """
    first, *others = (float(schedule(left)) for left in (1.0, 0.5, 0.0))
    for kind, expected in (("constant", (first, first)), ("linear", (first / 2, 0.0))):
        if np.allclose(others, expected, rtol=1e-6, atol=1e-6 * abs(first)):
            return first, kind
    return first, None
