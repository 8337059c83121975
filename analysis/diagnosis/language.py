"""Tables of the names that other programs use for our settings, one table for each program."""

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Language:
    """Names that one other program, such as Stable-Baselines3, uses for our settings.

    Attributes:
        settings: The program's word by our setting's last part (`lr`), or by a setting and value in our words
            (`normalize_returns=batch`); settings that are not listed have the same name there.
        value_coef: Factor from our `value_coef` to the program's weight of the value loss.
    """

    settings: Mapping[str, str]
    value_coef: float = 1.0


SB3 = Language(
    {
        "lr": "learning_rate",
        "entropy_coef": "ent_coef",
        "value_coef": "vf_coef",
        "num_steps": "n_steps",
        "num_envs": "n_envs",
        "num_epochs": "n_epochs",
        "minibatch_size": "batch_size",
        "normalize_returns": "VecNormalize(norm_reward=True)",
        "normalize_observations": "VecNormalize(norm_obs=True)",
        "shared_trunk": "policy_kwargs=dict(share_features_extractor=False)",
        "hidden_sizes": "policy_kwargs=dict(net_arch=...)",
        "adam_eps": "policy_kwargs=dict(optimizer_kwargs=dict(eps=...))",
        "weight_decay": "policy_kwargs=dict(optimizer_kwargs=dict(weight_decay=...))",
        "optimizer": "policy_kwargs=dict(optimizer_class=...)",
    }
)

CLEANRL = Language(
    {
        "lr": "--learning-rate",
        "entropy_coef": "--ent-coef",
        "value_coef": "--vf-coef",
        "num_steps": "--num-steps",
        "num_envs": "--num-envs",
        "num_epochs": "--update-epochs",
        "minibatch_size": "minibatch size (--num-minibatches)",
        "clip_range": "--clip-coef",
        "clip_range_vf": "--clip-vloss",
        "gae_lambda": "--gae-lambda",
        "max_grad_norm": "--max-grad-norm",
        "target_kl": "--target-kl",
        "normalize_advantage": "--norm-adv",
        "normalize_returns": "gym.wrappers.NormalizeReward",
        "normalize_observations": "gym.wrappers.NormalizeObservation",
        "shared_trunk": "networks of their own for actor and critic",
        "hidden_sizes": "the layers of Agent",
        "adam_eps": "eps of optim.Adam",
    },
    value_coef=2.0,
)

RSL_RL = Language(
    {
        "lr": "algorithm.learning_rate",
        "entropy_coef": "algorithm.entropy_coef",
        "value_coef": "algorithm.value_loss_coef",
        "num_steps": "num_steps_per_env",
        "num_epochs": "algorithm.num_learning_epochs",
        "minibatch_size": "minibatch size (algorithm.num_mini_batches)",
        "clip_range": "algorithm.clip_param",
        "clip_range_vf": "algorithm.use_clipped_value_loss",
        "gae_lambda": "algorithm.lam",
        "max_grad_norm": "algorithm.max_grad_norm",
        "target_kl": "algorithm.desired_kl",
        "normalize_returns": "smaller reward scales in the environment's configuration",
        "normalize_observations": "empirical_normalization",
        "shared_trunk": "networks of their own for actor and critic",
        "hidden_sizes": "policy.actor_hidden_dims",
        "adam_eps": "eps of the optimiser",
    }
)

ML_AGENTS = Language(
    {
        "lr": "learning_rate",
        "entropy_coef": "beta",
        "value_coef": "weight of the value loss (fixed at 0.5)",
        "num_steps": "buffer_size / num_envs",
        "num_epochs": "num_epoch",
        "minibatch_size": "batch_size",
        "clip_range": "epsilon",
        "gae_lambda": "lambd",
        "normalize_returns": "smaller rewards (strength of the reward signal)",
        "normalize_observations": "network_settings.normalize",
        "shared_trunk": "shared_critic: false",
        "hidden_sizes": "network_settings.hidden_units",
    }
)

RLLIB = Language(
    {
        "entropy_coef": "entropy_coeff",
        "value_coef": "vf_loss_coeff",
        "num_steps": "train_batch_size",
        "num_envs": "num_env_runners",
        "num_epochs": "num_epochs (num_sgd_iter)",
        "minibatch_size": "minibatch_size (sgd_minibatch_size)",
        "clip_range": "clip_param",
        "clip_range_vf": "vf_clip_param",
        "gae_lambda": "lambda_",
        "max_grad_norm": "grad_clip",
        "target_kl": "kl_target",
        "normalize_returns": "rewards scaled in the environment",
        "normalize_observations": 'observation_filter="MeanStdFilter"',
        "shared_trunk": "vf_share_layers=False",
        "hidden_sizes": "fcnet_hiddens",
    }
)

SPINNING_UP = Language(
    {
        "lr": "pi_lr and vf_lr",
        "entropy_coef": "entropy bonus",
        "num_steps": "steps_per_epoch",
        "num_epochs": "train_pi_iters",
        "clip_range": "clip_ratio",
        "gae_lambda": "lam",
        "normalize_returns": "rewards scaled in the environment",
        "normalize_observations": "observations scaled in the environment",
        "shared_trunk": "networks of their own",
    }
)

SKRL = Language(
    {
        "lr": "learning_rate",
        "entropy_coef": "entropy_loss_scale",
        "value_coef": "value_loss_scale",
        "num_steps": "rollouts",
        "num_epochs": "learning_epochs",
        "minibatch_size": "minibatch size (mini_batches)",
        "clip_range": "ratio_clip",
        "clip_range_vf": "value_clip",
        "gamma": "discount_factor",
        "gae_lambda": "lambda",
        "max_grad_norm": "grad_norm_clip",
        "target_kl": "kl_threshold",
        "normalize_returns": "value_preprocessor=RunningStandardScaler",
        "normalize_observations": "state_preprocessor=RunningStandardScaler",
        "shared_trunk": "separate models",
    }
)

RL_GAMES = Language(
    {
        "lr": "learning_rate",
        "value_coef": "critic_coef",
        "num_steps": "horizon_length",
        "num_envs": "num_actors",
        "num_epochs": "mini_epochs",
        "clip_range": "e_clip",
        "clip_range_vf": "clip_value",
        "gae_lambda": "tau",
        "max_grad_norm": "grad_norm",
        "target_kl": "kl_threshold",
        "normalize_returns": "normalize_value: True",
        "normalize_observations": "normalize_input: True",
        "shared_trunk": "separate: True",
    }
)

BRAX = Language(
    {
        "lr": "learning_rate",
        "entropy_coef": "entropy_cost",
        "value_coef": "vf_loss_coefficient",
        "num_steps": "unroll_length",
        "num_epochs": "num_updates_per_batch",
        "minibatch_size": "batch_size",
        "clip_range": "clipping_epsilon",
        "gamma": "discounting",
        "target_kl": "desired_kl",
        "normalize_returns": "reward_scaling",
        "normalize_observations": "normalize_observations=True",
        "hidden_sizes": "the network factory",
    }
)

PUFFERLIB = Language(
    {
        "lr": "learning_rate",
        "entropy_coef": "ent_coef",
        "value_coef": "vf_coef",
        "num_steps": "bptt_horizon",
        "num_epochs": "update_epochs",
        "clip_range": "clip_coef",
        "clip_range_vf": "vf_clip_coef",
    }
)

PPO2 = Language(
    {
        "entropy_coef": "ent_coef",
        "value_coef": "vf_coef",
        "num_steps": "nsteps",
        "num_epochs": "noptepochs",
        "minibatch_size": "minibatch size (nminibatches)",
        "clip_range": "cliprange",
        "gae_lambda": "lam",
        "normalize_returns": "VecNormalize(ret=True)",
        "normalize_observations": "VecNormalize(ob=True)",
        "shared_trunk": "value_network='copy'",
    }
)

SB2 = Language(
    {
        **PPO2.settings,
        "lr": "learning_rate",
        "num_steps": "n_steps",
        "normalize_returns": "VecNormalize(norm_reward=True)",
        "normalize_observations": "VecNormalize(norm_obs=True)",
        "shared_trunk": "policy_kwargs=dict(net_arch=[dict(pi=..., vf=...)])",
    }
)

TIANSHOU = Language(
    {
        "entropy_coef": "ent_coef",
        "value_coef": "vf_coef",
        "num_steps": "step_per_collect",
        "num_envs": "training_num",
        "num_epochs": "repeat_per_collect",
        "minibatch_size": "batch_size",
        "clip_range": "eps_clip",
        "clip_range_vf": "value_clip",
        "normalize_advantage": "advantage_normalization",
        "normalize_returns": "reward_normalization",
        "normalize_observations": "VectorEnvNormObs",
    }
)

TORCHRL = Language(
    {
        "entropy_coef": "entropy_coeff",
        "value_coef": "critic_coeff",
        "num_steps": "frames_per_batch",
        "minibatch_size": "mini_batch_size",
        "clip_range": "clip_epsilon",
        "clip_range_vf": "clip_value",
        "gae_lambda": "lmbda",
        "normalize_returns": "RewardScaling",
        "normalize_observations": "ObservationNorm",
    }
)

TORCH_AC = Language(
    {
        "lr": "--lr",
        "entropy_coef": "--entropy-coef",
        "value_coef": "--value-loss-coef",
        "num_steps": "--frames-per-proc",
        "num_envs": "--procs",
        "num_epochs": "--epochs",
        "minibatch_size": "--batch-size",
        "clip_range": "--clip-eps",
        "gamma": "--discount",
        "gae_lambda": "--gae-lambda",
        "max_grad_norm": "--max-grad-norm",
        "normalize_returns": "reshape_reward",
    }
)

EVERYWHERE: Mapping[str, str] = {
    "normalize_returns": "rewards scaled in the environment",
    "normalize_observations": "observations scaled in the environment",
    "shared_trunk": "networks of their own for policy and critic",
    "hidden_sizes": "sizes of the hidden layers",
    "adam_eps": "epsilon of Adam",
    "weight_decay": "weight_decay of the optimiser",
    "optimizer": "the optimiser",
}
"""Words for what a program has no setting for, or none by a known name: its user can do so all the same."""

_OF_PROGRAMS: Mapping[str, Language] = {
    "baselines": PPO2,
    "brax": BRAX,
    "cleanrl": CLEANRL,
    "mlagents": ML_AGENTS,
    "pufferlib": PUFFERLIB,
    "rl_games": RL_GAMES,
    "rllib": RLLIB,
    "rsl_rl": RSL_RL,
    "sb2": SB2,
    "sb3": SB3,
    "skrl": SKRL,
    "spinning_up": SPINNING_UP,
    "tianshou": TIANSHOU,
    "torch_ac": TORCH_AC,
    "torchrl": TORCHRL,
}

LANGUAGES: Mapping[str, Language] = {
    name: replace(language, settings={**EVERYWHERE, **language.settings}) for name, language in _OF_PROGRAMS.items()
}
"""By the dialect's name; a run in another dialect keeps our names of settings."""

OWN_LOOPS = ("unstuck", "plain")
"""Dialects of loops that their owners wrote: whatever they wish can be logged, under any name."""

OURS = "unstuck"
"""Dialect of runs that can be branched, and whose settings are named as the rules name them."""
