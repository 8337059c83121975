"""Trainers of simulated robots: rsl_rl (Isaac Lab, legged_gym), skrl, rl_games and Brax.

Sources: rsl_rl/algorithms/ppo.py and runners/on_policy_runner.py; skrl/agents/torch/ppo/ppo.py;
rl_games/common/a2c_common.py and common_losses.py; brax/training/agents/ppo/losses.py.
"""

from unstuck.analysis.history.dialects.dialect import Dialect, keep_unit
from unstuck.analysis.history.dialects.settings import COMMON_SETTINGS
from unstuck.analysis.history.record import CLIP_RANGE, ENTROPY_BONUS, EPISODE_LENGTH, EVAL_LENGTH, POLICY_STD
from unstuck.rl import metrics

RSL_RL = Dialect(
    "rsl_rl",
    "rsl_rl",
    keep_unit(
        {
            "Train/mean_reward": metrics.TRAIN_RETURN,
            "Mean reward": metrics.TRAIN_RETURN,
            "Mean total reward": metrics.TRAIN_RETURN,
            "Train/mean_episode_length": EPISODE_LENGTH,
            "Mean episode length": EPISODE_LENGTH,
            "Loss/value_function": metrics.VALUE_LOSS,
            "Loss/value": metrics.VALUE_LOSS,
            "Mean value_function loss": metrics.VALUE_LOSS,
            "Mean value loss": metrics.VALUE_LOSS,
            "Value function loss": metrics.VALUE_LOSS,
            "Loss/surrogate": metrics.POLICY_LOSS,
            "Mean surrogate loss": metrics.POLICY_LOSS,
            "Surrogate loss": metrics.POLICY_LOSS,
            "Loss/entropy": metrics.ENTROPY,
            "Mean entropy loss": metrics.ENTROPY,
            "Entropy loss": metrics.ENTROPY,
            "Loss/learning_rate": metrics.LR,
            "Learning rate": metrics.LR,
            "Loss/kl": metrics.APPROX_KL,
            "Policy/mean_kl": metrics.APPROX_KL,
            "Policy/mean_noise_std": POLICY_STD,
            "Policy/mean_std": POLICY_STD,
            "Mean action noise std": POLICY_STD,
            "Mean action std": POLICY_STD,
        }
    ),
    COMMON_SETTINGS
    | keep_unit(
        {
            "lam": "ppo.gae_lambda",
            "clip_param": "ppo.clip_range",
            "value_loss_coef": "ppo.value_coef",
            "entropy_coef": "ppo.entropy_coef",
            "num_learning_epochs": "ppo.num_epochs",
            "actor_hidden_dims": "ppo.hidden_sizes",
            "num_steps_per_env": "ppo.num_steps",
            "max_iterations": "ppo.num_iterations",
        }
    ),
    must=(
        ("Loss/value_function", "Loss/surrogate"),
        ("Loss/value", "Loss/surrogate"),
        ("Train/mean_reward", "Policy/mean_noise_std"),
        ("Train/mean_reward", "Perf/total_fps"),
        ("Mean value_function loss", "Mean surrogate loss"),
        ("Mean value loss", "Mean surrogate loss"),
        ("Value function loss", "Surrogate loss"),
        ("Mean reward", "Mean action noise std"),
        ("Mean reward", "Mean action std"),
    ),
    iteration=("Learning iteration", "iteration", "Step"),
    env_steps=("Total timesteps",),
    pace=("Loss/value_function", "Loss/value", "Loss/surrogate"),
)

SKRL = Dialect(
    "skrl",
    "skrl",
    keep_unit(
        {
            "Reward / Total reward (mean)": metrics.TRAIN_RETURN,
            "Episode / Total timesteps (mean)": EPISODE_LENGTH,
            "Loss / Policy loss": metrics.POLICY_LOSS,
            "Loss / Value loss": metrics.VALUE_LOSS,
            "Policy / Standard deviation": POLICY_STD,
            "Learning / Learning rate": metrics.LR,
            "Learning / Learning rate (policy)": metrics.LR,
        }
    )
    | {"Loss / Entropy loss": (ENTROPY_BONUS, -1.0)},
    COMMON_SETTINGS
    | keep_unit(
        {
            "rollouts": "ppo.num_steps",
            "learning_epochs": "ppo.num_epochs",
            "discount_factor": "ppo.gamma",
            "lambda": "ppo.gae_lambda",
            "grad_norm_clip": "ppo.max_grad_norm",
            "ratio_clip": "ppo.clip_range",
            "entropy_loss_scale": "ppo.entropy_coef",
            "value_loss_scale": "ppo.value_coef",
        }
    ),
    must=(
        ("Reward / Total reward (mean)", "Loss / Value loss"),
        ("Loss / Policy loss", "Loss / Value loss", "Policy / Standard deviation"),
        ("Reward / Total reward (mean)", "Reward / Total reward (max)"),
    ),
    env_steps=("Step",),
    pace=("Loss / Value loss", "Loss / Policy loss"),
    steps_are_iterations=False,
    remarks={
        metrics.VALUE_LOSS: "skrl multiplies its value loss by value_loss_scale before logging it; 1 unless set",
        ENTROPY_BONUS: "skrl logs the entropy times entropy_loss_scale; give it with --set ppo.entropy_coef=NUMBER, "
        "and the entropy is known",
    },
)

RL_GAMES = Dialect(
    "rl_games",
    "rl_games",
    keep_unit(
        {
            **{
                name: metrics.TRAIN_RETURN
                for name in ("rewards/step", "rewards/frame", "rewards0/frame", "rewards/iter")
            },
            **{
                name: EPISODE_LENGTH
                for name in ("episode_lengths/step", "episode_lengths/frame", "episode_lengths/iter")
            },
            "losses/a_loss": metrics.POLICY_LOSS,
            "losses/c_loss": metrics.VALUE_LOSS,
            "losses/entropy": metrics.ENTROPY,
            "info/kl": metrics.APPROX_KL,
            "info/clip_frac": metrics.CLIP_FRACTION,
            "info/last_lr": metrics.LR,
            "info/last_lr/frame": metrics.LR,
            "info/e_clip": CLIP_RANGE,
        }
    ),
    COMMON_SETTINGS
    | keep_unit(
        {
            "tau": "ppo.gae_lambda",
            "e_clip": "ppo.clip_range",
            "entropy_coef": "ppo.entropy_coef",
            "grad_norm": "ppo.max_grad_norm",
            "horizon_length": "ppo.num_steps",
            "minibatch_size": "ppo.minibatch_size",
            "mini_epochs": "ppo.num_epochs",
            "units": "ppo.hidden_sizes",
            "max_epochs": "ppo.num_iterations",
        }
    )
    | {"critic_coef": ("ppo.value_coef", 0.5)},
    must=(("losses/a_loss", "losses/c_loss"),),
    env_steps=("step", "frame", "frames"),
    pace=("losses/c_loss",),
    steps_are_iterations=False,
    remarks={metrics.VALUE_LOSS: "with normalize_value, rl_games' value loss is in units of normalised returns"},
)

BRAX = Dialect(
    "brax",
    "Brax",
    keep_unit(
        {
            "eval/episode_reward": metrics.EVAL_RETURN,
            "eval/avg_episode_length": EVAL_LENGTH,
            "episode/sum_reward": metrics.TRAIN_RETURN,
            "episode/length": EPISODE_LENGTH,
            "training/policy_loss": metrics.POLICY_LOSS,
            "training/kl_mean": metrics.APPROX_KL,
            "training/policy_dist_mean_std": POLICY_STD,
            "training/learning_rate": metrics.LR,
        }
    )
    | {"training/v_loss": (metrics.VALUE_LOSS, 4.0), "training/entropy_loss": (ENTROPY_BONUS, -1.0)},
    COMMON_SETTINGS
    | keep_unit(
        {
            "discounting": "ppo.gamma",
            "entropy_cost": "ppo.entropy_coef",
            "clipping_epsilon": "ppo.clip_range",
            "unroll_length": "ppo.num_steps",
            "num_updates_per_batch": "ppo.num_epochs",
            "num_timesteps": "total_timesteps",
        }
    ),
    must=(("training/v_loss", "training/policy_loss"), ("eval/episode_reward", "training/policy_loss")),
    env_steps=("num_steps", "step", "steps"),
    steps_are_iterations=False,
    remarks={
        metrics.VALUE_LOSS: "value losses are taken times 4: Brax logs a quarter of the mean squared error, with its "
        "vf_coefficient of 0.5, and of rewards times reward_scaling",
        ENTROPY_BONUS: "Brax logs the entropy times entropy_cost; give it with --set ppo.entropy_coef=NUMBER, and the "
        "entropy is known",
    },
)
