"""Stable-Baselines3: its logger's names, in progress.csv, event files, W&B and printed tables alike.

Source: stable_baselines3/ppo/ppo.py (`train`) and common/on_policy_algorithm.py (`dump_logs`).
"""

from unstuck.analysis.history.dialects.dialect import Dialect, keep_unit
from unstuck.analysis.history.dialects.settings import COMMON_SETTINGS
from unstuck.analysis.history.record import (
    CLIP_RANGE,
    ENTROPY_COEF,
    EPISODE_LENGTH,
    EPOCHS_DONE,
    EVAL_LENGTH,
    EVAL_SUCCESS_RATE,
    POLICY_STD,
    SUCCESS_RATE,
    TOTAL_LOSS,
)
from unstuck.rl import metrics

SB3 = Dialect(
    "sb3",
    "Stable-Baselines3",
    keep_unit(
        {
            "rollout/ep_rew_mean": metrics.TRAIN_RETURN,
            "rollout/ep_len_mean": EPISODE_LENGTH,
            "rollout/success_rate": SUCCESS_RATE,
            "rollout/episode_success": SUCCESS_RATE,  # of callbacks of people's own
            "eval/mean_reward": metrics.EVAL_RETURN,
            "eval/mean_ep_length": EVAL_LENGTH,
            "eval/success_rate": EVAL_SUCCESS_RATE,
            "train/value_loss": metrics.VALUE_LOSS,
            "train/policy_gradient_loss": metrics.POLICY_LOSS,
            "train/approx_kl": metrics.APPROX_KL,
            "train/clip_fraction": metrics.CLIP_FRACTION,
            "train/explained_variance": metrics.EXPLAINED_VARIANCE,
            "train/learning_rate": metrics.LR,
            "train/std": POLICY_STD,
            "train/clip_range": CLIP_RANGE,
            "train/ent_coef": ENTROPY_COEF,
            "train/loss": TOTAL_LOSS,
            "train/n_updates": EPOCHS_DONE,
        }
    )
    | {"train/entropy_loss": (metrics.ENTROPY, -1.0)},
    COMMON_SETTINGS
    | keep_unit(
        {
            "vf_coef": "ppo.value_coef",
            "n_steps": "ppo.num_steps",
            "n_envs": "ppo.num_envs",
            "batch_size": "ppo.minibatch_size",
            "n_epochs": "ppo.num_epochs",
            "clip_range": "ppo.clip_range",
            "n_timesteps": "total_timesteps",
            "total_timesteps": "total_timesteps",
        }
    ),
    must=(
        ("rollout/ep_rew_mean",),
        ("train/policy_gradient_loss", "train/value_loss"),
        ("train/policy_gradient_loss", "train/entropy_loss"),
        ("train/entropy_loss", "train/value_loss"),
        ("time/total_timesteps", "train/value_loss"),
        ("time/total_timesteps", "train/entropy_loss"),
    ),
    iteration=("time/iterations",),
    env_steps=("time/total_timesteps", "global_step", "num_timesteps"),
    pace=("time/fps", "rollout/ep_rew_mean"),
    steps_are_iterations=False,
    remarks={
        metrics.TRAIN_RETURN: "rollout/ep_rew_mean is a mean over the last 100 episodes: smoothed, so neighbouring "
        "points are not independent",
        metrics.VALUE_LOSS: "losses stand one iteration late: each update's are written with the next rollout",
    },
)
