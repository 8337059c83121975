"""Names that several programs give to settings, beside each program's own."""

from unstuck.analysis.history.dialects.dialect import keep_unit

_PPO = ("gamma", "gae_lambda", "max_grad_norm", "target_kl", "clip_range_vf", "normalize_advantage", "num_iterations")

COMMON_SETTINGS = keep_unit({name: f"ppo.{name}" for name in _PPO}) | keep_unit(
    {"learning_rate": "ppo.lr", "ent_coef": "ppo.entropy_coef", "env": "env.id", "env_id": "env.id", "seed": "seed"}
)
