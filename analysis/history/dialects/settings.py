"""Names that several programs give to settings, beside each program's own."""

from unstuck.analysis.history.dialects.dialect import keep_unit

_PPO = ("gamma", "gae_lambda", "max_grad_norm", "target_kl", "clip_range_vf", "normalize_advantage", "num_iterations")

COMMON_SETTINGS = keep_unit({name: f"ppo.{name}" for name in _PPO}) | keep_unit(
    {
        **{"learning_rate": "ppo.lr", "ent_coef": "ppo.entropy_coef", "env": "env.id", "env_id": "env.id"},
        **{"seed": "seed", "weight_decay": "ppo.weight_decay"},
        **dict.fromkeys(("adam_eps", "adam_epsilon"), "ppo.adam_eps"),
        **dict.fromkeys(("hidden_sizes", "hidden_dims", "net_arch"), "ppo.hidden_sizes"),
    }
)
