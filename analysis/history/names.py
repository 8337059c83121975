"""Names of other programs for our metrics and settings: Stable-Baselines3, CleanRL and plain tables.

A factor stands where the unit differs. A mapping file (`analysis.history.mapping`) adds names that are not here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from unstuck.rl import metrics
from unstuck.rl.wording import find_nearest

Renamed = tuple[str, float]
"""Our name, and what a value is multiplied by to be in our unit."""


@dataclass(frozen=True)
class Dialect:
    """Names of metrics and settings in one program, each with our name and a factor for the unit.

    Attributes:
        name: Short name, for programs.
        title: Name for people.
        metrics: Our metric by the program's metric.
        settings: Our setting by the program's setting.
        iteration: Columns that count iterations; the first one found counts.
        env_steps: Columns that count environment steps.
        pace: Metric logged once an iteration, at the last environment step; empty: a loss.
        steps_are_iterations: True if logged steps count iterations; None to tell from the values.
        remarks: Notes for the reader of a run in this dialect, by the metric concerned.
    """

    name: str
    title: str
    metrics: Mapping[str, Renamed]
    settings: Mapping[str, Renamed]
    iteration: tuple[str, ...] = ()
    env_steps: tuple[str, ...] = ()
    pace: str = ""
    steps_are_iterations: bool | None = None
    remarks: Mapping[str, str] = field(default_factory=dict)


def _same(names: Mapping[str, str]) -> dict[str, Renamed]:
    return {theirs: (ours, 1.0) for theirs, ours in names.items()}


_PPO = ("gamma", "gae_lambda", "max_grad_norm", "target_kl", "clip_range_vf", "normalize_advantage", "num_iterations")
_COMMON_SETTINGS = _same({name: f"ppo.{name}" for name in _PPO}) | _same(
    {"learning_rate": "ppo.lr", "ent_coef": "ppo.entropy_coef", "env": "env.id", "env_id": "env.id", "seed": "seed"}
)

UNSTUCK = Dialect("unstuck", "Unstuck", {}, {}, iteration=("iteration",), env_steps=("env_steps",))

SB3 = Dialect(
    "sb3",
    "Stable-Baselines3",
    _same(
        {
            "train/policy_gradient_loss": metrics.POLICY_LOSS,
            "train/learning_rate": metrics.LR,
            "rollout/ep_rew_mean": metrics.TRAIN_RETURN,
            "eval/mean_reward": metrics.EVAL_RETURN,
        }
        | {name: name for name in (metrics.VALUE_LOSS, metrics.APPROX_KL, metrics.CLIP_FRACTION)}
        | {metrics.EXPLAINED_VARIANCE: metrics.EXPLAINED_VARIANCE}
    )
    | {"train/entropy_loss": (metrics.ENTROPY, -1.0)},
    _COMMON_SETTINGS
    | _same(
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
    env_steps=("time/total_timesteps",),
    pace="time/fps",
    steps_are_iterations=False,
    remarks={
        metrics.TRAIN_RETURN: "rollout/ep_rew_mean is a mean over the last 100 episodes: smoothed, so neighbouring "
        "points are not independent",
        metrics.VALUE_LOSS: "losses stand one iteration late: each update's are written with the next rollout",
    },
)

CLEANRL = Dialect(
    "cleanrl",
    "CleanRL",
    _same(
        {
            "losses/policy_loss": metrics.POLICY_LOSS,
            "losses/entropy": metrics.ENTROPY,
            "losses/approx_kl": metrics.APPROX_KL,
            "losses/clipfrac": metrics.CLIP_FRACTION,
            "losses/explained_variance": metrics.EXPLAINED_VARIANCE,
            "charts/learning_rate": metrics.LR,
            "charts/episodic_return": metrics.TRAIN_RETURN,
        }
    )
    | {"losses/value_loss": (metrics.VALUE_LOSS, 2.0)},
    _COMMON_SETTINGS
    | _same(
        {
            "num_steps": "ppo.num_steps",
            "num_envs": "ppo.num_envs",
            "minibatch_size": "ppo.minibatch_size",
            "update_epochs": "ppo.num_epochs",
            "clip_coef": "ppo.clip_range",
            "norm_adv": "ppo.normalize_advantage",
            "total_timesteps": "total_timesteps",
        }
    )
    | {"vf_coef": ("ppo.value_coef", 0.5)},
    env_steps=("global_step",),
    steps_are_iterations=False,
    remarks={
        metrics.VALUE_LOSS: "value losses are doubled and vf_coef is halved: CleanRL logs half the mean squared error",
        metrics.APPROX_KL: "losses, KL and clip fraction are those of each update's last minibatch, not means",
    },
)

_EVALUATED = ("f1", "precision", "recall", "tp", "tn", "fp", "fn")
PLAIN = Dialect(
    "plain",
    "a plain table",
    _same(
        {
            "value_loss": metrics.VALUE_LOSS,
            "vf_loss": metrics.VALUE_LOSS,
            "critic_loss": metrics.VALUE_LOSS,
            "policy_loss": metrics.POLICY_LOSS,
            "pg_loss": metrics.POLICY_LOSS,
            "actor_loss": metrics.POLICY_LOSS,
            "entropy": metrics.ENTROPY,
            "approx_kl": metrics.APPROX_KL,
            "kl": metrics.APPROX_KL,
            "clip_fraction": metrics.CLIP_FRACTION,
            "clipfrac": metrics.CLIP_FRACTION,
            "explained_variance": metrics.EXPLAINED_VARIANCE,
            "grad_norm": metrics.GRAD_NORM,
            "lr": metrics.LR,
            "learning_rate": metrics.LR,
            "episode_reward": metrics.TRAIN_RETURN,
            "episode_return": metrics.TRAIN_RETURN,
            "mean_reward": metrics.TRAIN_RETURN,
            "reward": metrics.TRAIN_RETURN,
        }
        | {name: f"eval/{name}" for name in _EVALUATED}
    ),
    _COMMON_SETTINGS
    | _same(
        {
            "value_coef": "ppo.value_coef",
            "vf_coef": "ppo.value_coef",
            "lr": "ppo.lr",
            "entropy_coef": "ppo.entropy_coef",
            "advantage_normalization": "ppo.normalize_advantage",
            "return_normalization": "ppo.normalize_returns",
            "observation_normalization": "ppo.normalize_observations",
            "iterations": "ppo.num_iterations",
            "eval_every_iterations": "ppo.eval_every",
            "eval_flows": "data.eval_flows",
            "threat_share": "data.threat_share",
            "actions": "env.actions",
            "shared_trunk": "ppo.shared_trunk",
            "num_steps": "ppo.num_steps",
            "num_envs": "ppo.num_envs",
            "minibatch_size": "ppo.minibatch_size",
            "num_epochs": "ppo.num_epochs",
            "clip_range": "ppo.clip_range",
        }
    ),
    iteration=("iteration", "iter", "update", "epoch"),
    env_steps=("env_steps", "global_step", "total_timesteps", "timesteps", "steps", "step"),
)

DIALECTS = {dialect.name: dialect for dialect in (UNSTUCK, SB3, CLEANRL, PLAIN)}

_ALIKE = {  # what has the same purpose, in another unit or form
    "ppo.lr": "alpha step_size",
    "ppo.lr_schedule": "anneal_lr lr_decay lr_scheduler",
    "ppo.adam_eps": "adam_epsilon eps",
    "ppo.gamma": "discount discount_factor discounting",
    "ppo.gae_lambda": "lam lambda lambda_ gae_coef",
    "ppo.clip_range": "clip clip_eps clip_epsilon clip_param clip_ratio cliprange eps_clip ppo_clip surr_clip",
    "ppo.clip_range_vf": "clip_vf clip_vloss vf_clip_coef vf_clip_param",
    "ppo.entropy_coef": "beta ent_weight entropy_beta entropy_coeff entropy_coefficient entropy_cost entropy_weight",
    "ppo.value_coef": "c1 critic_coef value_cost value_loss_coef vf_loss_coeff vf_loss_weight vf_weight",
    "ppo.max_grad_norm": "clip_grad grad_clip gradient_clip max_grad max_gradient_norm",
    "ppo.target_kl": "desired_kl kl_target",
    "ppo.num_envs": "nenvs num_actors num_env_runners num_processes num_workers",
    "ppo.num_steps": "bptt_horizon horizon nsteps rollout_fragment_length rollout_length rollout_steps unroll_length",
    "ppo.minibatch_size": "mini_batch_size minibatches nminibatches num_mini_batch num_minibatches sgd_minibatch_size",
    "ppo.num_epochs": "epochs k_epochs noptepochs num_sgd_iter ppo_epoch ppo_epochs",
    "ppo.num_iterations": "n_timesteps n_updates num_updates timesteps total_steps total_timesteps train_batch_size",
    "ppo.normalize_returns": "norm_reward normalize_reward reward_scaling",
    "ppo.normalize_observations": "norm_obs normalize_obs obs_norm",
    "ppo.hidden_sizes": "fcnet_hiddens hidden_dim hidden_layers hidden_size layers net_arch policy_kwargs",
    "ppo.shared_trunk": "share_features_extractor vf_share_layers",
    "ppo.eval_every": "eval_freq eval_interval evaluation_interval",
    "ppo.device": "cuda",
    "ppo.compile": "torch_compile",
    "env.eval_episodes": "evaluation_duration n_eval_episodes num_eval_episodes",
    "sweep.seed": "random_seed seed",
    "sweep.num_trials": "n_trials num_samples trials",
    "sweep.max_hours": "time_budget time_budget_s timeout",
    "sweep.mode": "direction",
    "sweep.name": "exp_name run_name study_name",
    "sampler.num_startup_trials": "n_startup_trials",
    "scheduler.grace_iterations": "grace_period min_resource",
    "scheduler.reduction_factor": "eta",
    "tracking.optuna_url": "storage",
    "tracking.mlflow_url": "tracking_uri",
    "resources.cpus": "n_jobs num_cpus",
}
"""By our setting: names in these programs, RLlib, PufferLib, Optuna and Ray Tune whose values mean something else."""

_FAMILIES = (metrics.ACTION_PREFIX, metrics.GREEDY_PREFIX, "effective/")
_OURS = frozenset(value for name, value in vars(metrics).items() if name.isupper() and isinstance(value, str))


def is_ours(name: str) -> bool:
    """True if `rl.metrics` has a metric of the given name, metrics of one seed and shares of actions included."""
    whole = name.rpartition("/seed_")[0] or name
    return whole in _OURS or whole.startswith(_FAMILIES)


def find_our_setting(name: str) -> str | None:
    """Return our path for a setting of another program, in any unit; None if the setting is not known.

    Example:
        >>> find_our_setting("learning_rate"), find_our_setting("nonsense")
        ('ppo.lr', None)
    """
    theirs = name.lower().replace("-", "_")
    alike = next((ours for ours, names in _ALIKE.items() if theirs in names.split()), None)
    exact = next((dialect.settings[theirs][0] for dialect in DIALECTS.values() if theirs in dialect.settings), None)
    return alike or exact


def nearest_metric(name: str) -> str:
    """Return the name of our metric that is most similar to a wrong name."""
    return find_nearest(name, _OURS)


def recognise_dialect(names: Iterable[str]) -> Dialect:
    """Return the dialect (program) that metrics come from, recognised by names that only one program has."""
    known = set(names)
    if any(name.startswith("losses/") for name in known):
        return CLEANRL
    if known & {"rollout/ep_rew_mean", "train/policy_gradient_loss", "train/entropy_loss", "time/total_timesteps"}:
        return SB3
    return UNSTUCK if any(is_ours(name) for name in known) else PLAIN


def translate_metric(name: str, dialect: Dialect, evaluated: bool = False) -> Renamed | None:
    """Return our name for a dialect's metric, and the factor to our unit; None for an unknown name.

    Args:
        name: Name in the dialect.
        dialect: The dialect.
        evaluated: True for a file of evaluations, where a return is that of an evaluation.
    """
    theirs = name.strip().lower().replace(" ", "_") if dialect is PLAIN else name
    found = dialect.metrics.get(theirs) or ((name, 1.0) if is_ours(name) else None)
    if dialect is PLAIN and theirs.startswith("action_"):
        found = metrics.action_metric(theirs.removeprefix("action_")), 1.0
    if not found or not evaluated:
        return found
    ours = found[0].replace(metrics.ACTION_PREFIX, metrics.GREEDY_PREFIX)
    return metrics.EVAL_RETURN if ours == metrics.TRAIN_RETURN else ours, found[1]
