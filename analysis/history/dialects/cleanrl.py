"""CleanRL and PufferLib, which log half the mean squared error as the value loss.

Sources: cleanrl/ppo.py (`v_loss = 0.5 * v_loss_max.mean()`) and pufferlib/pufferl.py (the same).
"""

from unstuck.analysis.history.dialects.dialect import Dialect, keep_unit
from unstuck.analysis.history.dialects.settings import COMMON_SETTINGS
from unstuck.analysis.history.record import EPISODE_LENGTH
from unstuck.rl import metrics

_LOSSES = keep_unit(
    {
        "losses/policy_loss": metrics.POLICY_LOSS,
        "losses/entropy": metrics.ENTROPY,
        "losses/approx_kl": metrics.APPROX_KL,
        "losses/clipfrac": metrics.CLIP_FRACTION,
        "losses/explained_variance": metrics.EXPLAINED_VARIANCE,
    }
) | {"losses/value_loss": (metrics.VALUE_LOSS, 2.0)}

_SETTINGS = (
    COMMON_SETTINGS
    | keep_unit(
        {
            "num_steps": "ppo.num_steps",
            "num_envs": "ppo.num_envs",
            "minibatch_size": "ppo.minibatch_size",
            "update_epochs": "ppo.num_epochs",
            "clip_coef": "ppo.clip_range",
            "norm_adv": "ppo.normalize_advantage",
            "total_timesteps": "total_timesteps",
            "num_updates": "ppo.num_iterations",
        }
    )
    | {"vf_coef": ("ppo.value_coef", 0.5)}
)

CLEANRL = Dialect(
    "cleanrl",
    "CleanRL",
    _LOSSES
    | keep_unit(
        {
            "charts/episodic_return": metrics.TRAIN_RETURN,
            "charts/episode_return": metrics.TRAIN_RETURN,
            "charts/avg_episodic_return": metrics.TRAIN_RETURN,
            "charts/episodic_length": EPISODE_LENGTH,
            "charts/learning_rate": metrics.LR,
        }
    ),
    _SETTINGS,
    must=(
        ("charts/episodic_return", "losses/value_loss"),
        ("charts/episodic_return", "charts/episodic_length"),
        ("losses/value_loss", "losses/old_approx_kl"),
        ("losses/value_loss", "losses/clipfrac"),
        ("losses/value_loss", "charts/*"),
    ),
    env_steps=("global_step",),
    pace=("losses/value_loss",),
    steps_are_iterations=False,
    remarks={
        metrics.VALUE_LOSS: "value losses are doubled and vf_coef is halved: CleanRL logs half the mean squared error",
        metrics.APPROX_KL: "losses, KL and clip fraction are those of each update's last minibatch, not means",
    },
)

PUFFERLIB = Dialect(
    "pufferlib",
    "PufferLib",
    _LOSSES
    | keep_unit(
        {
            "environment/episode_return": metrics.TRAIN_RETURN,
            "environment/return": metrics.TRAIN_RETURN,
            "environment/reward": metrics.TRAIN_RETURN,
            "environment/score": metrics.TRAIN_RETURN,
            "environment/episode_length": EPISODE_LENGTH,
            "learning_rate": metrics.LR,
        }
    ),
    _SETTINGS,
    must=(("losses/value_loss", "losses/clipfrac", "environment/*"), ("losses/value_loss", "losses/importance")),
    env_steps=("global_step", "agent_steps", "0verview/agent_steps"),
    pace=("losses/value_loss",),
    steps_are_iterations=False,
    remarks={
        metrics.VALUE_LOSS: "value losses are doubled and vf_coef is halved: PufferLib logs half the mean squared error"
    },
)
