"""Frameworks: RLlib (old and new API stack), ML-Agents, TorchRL, tianshou, Spinning Up, torch-ac, TRL and ChainerRL.

Sources: rllib/algorithms/ppo/ppo_torch_policy.py and torch/ppo_torch_learner.py; mlagents/trainers/ppo/
optimizer_torch.py; torchrl/objectives/ppo.py; tianshou/policy/modelfree/ppo.py and utils/logger/base.py;
spinup/algos/pytorch/ppo/ppo.py; torch_ac/algos/ppo.py and rl-starter-files/scripts/train.py;
trl/trainer/ppo_trainer.py (half the squared error); chainerrl/experiments/evaluator.py and agents/ppo.py.
"""

from unstuck.analysis.history.dialects.dialect import Dialect, keep_unit
from unstuck.analysis.history.dialects.plain import ENTROPY_LOSS
from unstuck.analysis.history.dialects.settings import COMMON_SETTINGS
from unstuck.analysis.history.record import (
    CLIP_RANGE,
    ENTROPY_BONUS,
    ENTROPY_COEF,
    EPISODE_LENGTH,
    EVAL_LENGTH,
    TOTAL_LOSS,
)
from unstuck.rl import metrics

_LEARNER = {
    "vf_loss_unclipped": metrics.VALUE_LOSS,
    "vf_loss": metrics.VALUE_LOSS,
    "policy_loss": metrics.POLICY_LOSS,
    "entropy": metrics.ENTROPY,
    "kl": metrics.APPROX_KL,
    "mean_kl_loss": metrics.APPROX_KL,
    "vf_explained_var": metrics.EXPLAINED_VARIANCE,
    "cur_lr": metrics.LR,
    "curr_lr": metrics.LR,
    "default_optimizer_learning_rate": metrics.LR,
    "entropy_coeff": ENTROPY_COEF,
    "curr_entropy_coeff": ENTROPY_COEF,
    "gradients_default_optimizer_global_norm": metrics.GRAD_NORM,
    "grad_gnorm": metrics.GRAD_NORM,
    "total_loss": TOTAL_LOSS,
}
_PLACES = ("info/learner/*/learner_stats/", "info/learner/*/", "learners/*/", "learner/*/")
_EPISODES = {
    "episode_reward_mean": metrics.TRAIN_RETURN,
    "episode_return_mean": metrics.TRAIN_RETURN,
    "episode_len_mean": EPISODE_LENGTH,
}
_EVALUATED = {
    "episode_reward_mean": metrics.EVAL_RETURN,
    "episode_return_mean": metrics.EVAL_RETURN,
    "episode_len_mean": EVAL_LENGTH,
}

RLLIB = Dialect(
    "rllib",
    "RLlib",
    keep_unit(
        {
            **{
                place + name: ours
                for name, ours in _EPISODES.items()
                for place in ("", "env_runners/", "sampler_results/")
            },
            **{
                place + name: ours
                for name, ours in _EVALUATED.items()
                for place in ("evaluation/", "evaluation/env_runners/", "evaluation/sampler_results/")
            },
            **{place + name: ours for place in _PLACES for name, ours in _LEARNER.items()},
        }
    ),
    COMMON_SETTINGS
    | keep_unit(
        {
            "lr": "ppo.lr",
            "lambda": "ppo.gae_lambda",
            "lambda_": "ppo.gae_lambda",
            "clip_param": "ppo.clip_range",
            "vf_loss_coeff": "ppo.value_coef",
            "entropy_coeff": "ppo.entropy_coef",
            "grad_clip": "ppo.max_grad_norm",
            "num_sgd_iter": "ppo.num_epochs",
            "fcnet_hiddens": "ppo.hidden_sizes",
            "num_epochs": "ppo.num_epochs",
            "sgd_minibatch_size": "ppo.minibatch_size",
            "minibatch_size": "ppo.minibatch_size",
        }
    ),
    must=(
        ("training_iteration", "episode_reward_mean"),
        ("training_iteration", "env_runners/episode_return_mean"),
        ("training_iteration", "env_runners/episode_reward_mean"),
        ("info/learner/*/learner_stats/vf_loss",),
        ("learners/*/vf_loss", "learners/*/policy_loss"),
        ("episode_reward_mean", "timesteps_total"),
        ("env_runners/episode_return_mean", "env_runners/episode_len_mean"),
    ),
    iteration=("training_iteration",),
    env_steps=(
        *("num_env_steps_sampled_lifetime", "env_runners/num_env_steps_sampled_lifetime", "timesteps_total"),
        *("num_env_steps_sampled", "info/num_env_steps_sampled", "info/num_steps_sampled", "num_steps_sampled"),
    ),
    steps_are_iterations=None,
    remarks={
        metrics.VALUE_LOSS: "RLlib cuts each sample's squared error off at vf_clip_param (10 unless set), so its value "
        "loss cannot show larger ones",
    },
)

ML_AGENTS = Dialect(
    "mlagents",
    "ML-Agents",
    keep_unit(
        {
            "Environment/Cumulative Reward": metrics.TRAIN_RETURN,
            "Mean Reward": metrics.TRAIN_RETURN,
            "Environment/Episode Length": EPISODE_LENGTH,
            "Losses/Value Loss": metrics.VALUE_LOSS,
            "Policy/Entropy": metrics.ENTROPY,
            "Policy/Learning Rate": metrics.LR,
            "Policy/Epsilon": CLIP_RANGE,
            "Policy/Beta": ENTROPY_COEF,
        }
    ),
    COMMON_SETTINGS
    | keep_unit(
        {
            "beta": "ppo.entropy_coef",
            "epsilon": "ppo.clip_range",
            "lambd": "ppo.gae_lambda",
            "num_epoch": "ppo.num_epochs",
            "hidden_units": "ppo.hidden_sizes",
            "normalize": "ppo.normalize_observations",
            "batch_size": "ppo.minibatch_size",
            "buffer_size": "ppo.num_steps",
            "max_steps": "total_timesteps",
            "learning_rate_schedule": "ppo.lr_schedule",
            "epsilon_schedule": "ppo.clip_range_schedule",
        }
    ),
    must=(
        ("Environment/Cumulative Reward",),
        ("Losses/Value Loss", "Policy/Beta"),
        ("Losses/Value Loss", "Policy/Learning Rate"),
        ("Mean Reward", "Std of Reward"),
    ),
    env_steps=("Step", "Steps"),
    pace=("Environment/Cumulative Reward", "Losses/Value Loss", "Policy/Entropy"),
    pools_rollouts=True,
    steps_are_iterations=False,
    remarks={
        metrics.TRAIN_RETURN: "each point is a summary of summary_freq environment steps, not one update",
    },
)

TORCHRL = Dialect(
    "torchrl",
    "TorchRL",
    keep_unit(
        {
            **{name: metrics.TRAIN_RETURN for name in ("train/reward", "train/episode_reward", "reward_training")},
            **{name: metrics.EVAL_RETURN for name in ("eval/reward", "test/reward", "reward_testing")},
            "train/episode_length": EPISODE_LENGTH,
            **{
                place + name: ours
                for place in ("train/", "")
                for name, ours in {
                    "loss_critic": metrics.VALUE_LOSS,
                    "loss_objective": metrics.POLICY_LOSS,
                    "entropy": metrics.ENTROPY,
                    "kl_approx": metrics.APPROX_KL,
                    "clip_fraction": metrics.CLIP_FRACTION,
                    "explained_variance": metrics.EXPLAINED_VARIANCE,
                    "lr": metrics.LR,
                    "grad_norm": metrics.GRAD_NORM,
                }.items()
            },
        }
    )
    | {"train/loss_entropy": (ENTROPY_BONUS, -1.0), "loss_entropy": (ENTROPY_BONUS, -1.0)},
    COMMON_SETTINGS
    | keep_unit(
        {
            "lr": "ppo.lr",
            "clip_epsilon": "ppo.clip_range",
            "entropy_coeff": "ppo.entropy_coef",
            "entropy_coef": "ppo.entropy_coef",
            "critic_coeff": "ppo.value_coef",
            "critic_coef": "ppo.value_coef",
            "ppo_epochs": "ppo.num_epochs",
            "mini_batch_size": "ppo.minibatch_size",
        }
    ),
    must=(("train/loss_critic", "train/loss_objective"), ("loss_critic", "loss_objective")),
    env_steps=("step", "collected_frames", "frames"),
    pace=("train/loss_critic", "loss_critic"),
    remarks={
        metrics.VALUE_LOSS: "TorchRL multiplies its value loss by critic_coeff before logging it, and its distance is "
        "smooth L1 unless loss_critic_type says otherwise",
        ENTROPY_BONUS: "TorchRL logs the entropy times entropy_coeff; give it with --set ppo.entropy_coef=NUMBER, and "
        "the entropy is known",
    },
)

TIANSHOU = Dialect(
    "tianshou",
    "tianshou",
    keep_unit(
        {
            **{name: metrics.TRAIN_RETURN for name in ("train/reward", "train/rew", "train/returns_stat/mean")},
            **{name: metrics.EVAL_RETURN for name in ("test/reward", "test/rew", "test/returns_stat/mean")},
            **{name: EPISODE_LENGTH for name in ("train/length", "train/len", "train/lens_stat/mean")},
            **{name: EVAL_LENGTH for name in ("test/length", "test/len", "test/lens_stat/mean")},
            **{name: metrics.VALUE_LOSS for name in ("loss/vf", "update/loss/vf", "update/vf_loss/mean")},
            **{name: metrics.POLICY_LOSS for name in ("loss/clip", "update/loss/clip", "update/clip_loss/mean")},
            **{name: metrics.POLICY_LOSS for name in ("loss/actor", "update/actor_loss/mean")},
            **{name: metrics.ENTROPY for name in ("loss/ent", "update/loss/ent", "update/ent_loss/mean")},
            **{name: TOTAL_LOSS for name in ("loss", "update/loss", "update/loss/mean")},
        }
    ),
    COMMON_SETTINGS
    | keep_unit(
        {
            "eps_clip": "ppo.clip_range",
            "repeat_per_collect": "ppo.num_epochs",
            "batch_size": "ppo.minibatch_size",
            "lr": "ppo.lr",
            "vf_coef": "ppo.value_coef",
        }
    ),
    must=(
        ("loss/clip", "loss/vf"),
        ("update/loss/clip", "update/loss/vf"),
        ("update/vf_loss/mean",),
        ("train/env_step", "update/gradient_step"),
    ),
    env_steps=("env_step", "train/env_step", "test/env_step"),
    pace=("train/reward", "train/rew", "train/returns_stat/mean"),
    steps_are_iterations=False,
    at_gradient_steps=("loss", "loss/*", "update/*", "update/*/*"),
)

SPINNING_UP = Dialect(
    "spinning_up",
    "Spinning Up",
    keep_unit(
        {
            "AverageEpRet": metrics.TRAIN_RETURN,
            "AverageTestEpRet": metrics.EVAL_RETURN,
            "EpLen": EPISODE_LENGTH,
            "TestEpLen": EVAL_LENGTH,
            "LossPi": metrics.POLICY_LOSS,
            "LossV": metrics.VALUE_LOSS,
            "Entropy": metrics.ENTROPY,
            "KL": metrics.APPROX_KL,
            "ClipFrac": metrics.CLIP_FRACTION,
        }
    ),
    COMMON_SETTINGS
    | keep_unit(
        {
            "clip_ratio": "ppo.clip_range",
            "lam": "ppo.gae_lambda",
            "pi_lr": "ppo.lr",
            "steps_per_epoch": "ppo.num_steps",
            "epochs": "ppo.num_iterations",
            "env_name": "env.id",
        }
    ),
    must=(("AverageEpRet", "Epoch"), ("AverageEpRet", "LossPi"), ("AverageEpRet", "LossV")),
    iteration=("Epoch",),
    env_steps=("TotalEnvInteracts", "Time Steps"),
    steps_are_iterations=None,
    remarks={
        metrics.POLICY_LOSS: "Spinning Up logs losses from before each update, where the policy loss is about 0",
        metrics.APPROX_KL: "Spinning Up's KL is the signed estimate mean(old - new log-probability), which may be "
        "negative",
    },
)

TORCH_AC = Dialect(
    "torch_ac",
    "torch-ac",
    keep_unit(
        {
            "return_mean": metrics.TRAIN_RETURN,
            "rreturn_mean": metrics.TRAIN_RETURN,
            "num_frames_mean": EPISODE_LENGTH,
            "entropy": metrics.ENTROPY,
            "policy_loss": metrics.POLICY_LOSS,
            "value_loss": metrics.VALUE_LOSS,
            "grad_norm": metrics.GRAD_NORM,
        }
    ),
    COMMON_SETTINGS
    | keep_unit(
        {
            "discount": "ppo.gamma",
            "lr": "ppo.lr",
            "entropy_coef": "ppo.entropy_coef",
            "value_loss_coef": "ppo.value_coef",
            "clip_eps": "ppo.clip_range",
            "frames_per_proc": "ppo.num_steps",
            "epochs": "ppo.num_epochs",
            "procs": "ppo.num_envs",
            "batch_size": "ppo.minibatch_size",
        }
    ),
    must=(("rreturn_mean", "num_frames_mean"), ("return_mean", "num_frames_mean")),
    iteration=("update",),
    env_steps=("frames",),
    steps_are_iterations=False,
)

TRL = Dialect(
    "trl",
    "TRL",
    keep_unit(
        {
            "objective/rlhf_reward": metrics.TRAIN_RETURN,
            "objective/scores": metrics.TRAIN_RETURN,
            "policy/entropy_avg": metrics.ENTROPY,
            "policy/approxkl_avg": metrics.APPROX_KL,
            "policy/clipfrac_avg": metrics.CLIP_FRACTION,
            "loss/policy_avg": metrics.POLICY_LOSS,
            "lr": metrics.LR,
        }
    )
    | {"loss/value_avg": (metrics.VALUE_LOSS, 2.0)},
    COMMON_SETTINGS
    | keep_unit(
        {
            "learning_rate": "ppo.lr",
            "lam": "ppo.gae_lambda",
            "cliprange": "ppo.clip_range",
            "vf_coef": "ppo.value_coef",
            "num_ppo_epochs": "ppo.num_epochs",
        }
    ),
    must=(
        ("objective/rlhf_reward", "objective/scores"),
        ("objective/scores", "policy/approxkl_avg"),
        ("policy/approxkl_avg", "loss/value_avg"),
    ),
    iteration=("episode",),
    remarks={
        metrics.TRAIN_RETURN: "objective/rlhf_reward is the score less the penalty for leaving the reference policy",
        metrics.VALUE_LOSS: "TRL logs half the squared error",
    },
)

CHAINERRL = Dialect(
    "chainerrl",
    "ChainerRL",
    keep_unit(
        {
            "mean": metrics.EVAL_RETURN,
            "average_loss_policy": metrics.POLICY_LOSS,
            "average_policy_loss": metrics.POLICY_LOSS,
            "average_loss_value_func": metrics.VALUE_LOSS,
            "average_value_loss": metrics.VALUE_LOSS,
            "average_loss_entropy": ENTROPY_LOSS,
            "average_entropy": metrics.ENTROPY,
        }
    ),
    COMMON_SETTINGS,
    must=(("steps", "episodes", "elapsed", "mean", "median", "stdev"),),
    env_steps=("steps",),
    steps_are_iterations=False,
    remarks={metrics.EVAL_RETURN: "each row is an evaluation, not an update"},
)
