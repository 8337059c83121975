"""Names of other programs for our metrics and settings: whose they are, and what each one means.

The names, signs and factors of each program stand in `analysis.history.dialects`, one module for a family of programs.
A mapping file (`analysis.history.mapping`) adds names that are not there.
"""

from collections.abc import Iterable

from unstuck.analysis.history.dialects.cleanrl import CLEANRL, PUFFERLIB
from unstuck.analysis.history.dialects.dialect import Dialect, Renamed
from unstuck.analysis.history.dialects.frameworks import (
    CHAINERRL,
    ML_AGENTS,
    RLLIB,
    SPINNING_UP,
    TIANSHOU,
    TORCH_AC,
    TORCHRL,
    TRL,
)
from unstuck.analysis.history.dialects.plain import PLAIN, convert_to_evaluation, find_plain_name
from unstuck.analysis.history.dialects.ppo2 import BASELINES, SB2
from unstuck.analysis.history.dialects.robots import BRAX, RL_GAMES, RSL_RL, SKRL
from unstuck.analysis.history.dialects.sb3 import SB3
from unstuck.analysis.history.record import LOGGED_ELSEWHERE
from unstuck.rl import metrics
from unstuck.rl.wording import find_nearest

UNSTUCK = Dialect("unstuck", "Unstuck", {}, iteration=("iteration",), env_steps=("env_steps",), alone=True)

_FOREIGN = (
    *(ML_AGENTS, PUFFERLIB, CLEANRL, RL_GAMES, RSL_RL, SKRL, TORCHRL, TIANSHOU, BRAX, SPINNING_UP, RLLIB),
    *(TORCH_AC, TRL, CHAINERRL, BASELINES, SB2, SB3),
)
DIALECTS = {dialect.name: dialect for dialect in (UNSTUCK, *_FOREIGN, PLAIN)}

_ALIKE = {  # what has the same purpose, in another unit or form
    "ppo.lr": "alpha step_size",
    "ppo.lr_schedule": "anneal_lr lr_decay lr_scheduler",
    "ppo.adam_eps": "adam_epsilon eps",
    "ppo.gamma": "discount discount_factor discounting",
    "ppo.gae_lambda": "gae_coef lam lambd lambda lambda_ lmbda",
    "ppo.clip_range": "clip clip_eps clip_epsilon clip_param clip_ratio cliprange eps_clip ppo_clip surr_clip",
    "ppo.clip_range_vf": "clip_value clip_vf clip_vloss use_clipped_value_loss value_clip vf_clip_coef vf_clip_param",
    "ppo.entropy_coef": "beta ent_weight entropy_beta entropy_coeff entropy_coefficient entropy_cost entropy_weight",
    "ppo.value_coef": (
        "c1 critic_coef critic_coeff value_cost value_loss_coef vf_loss_coeff vf_loss_coefficient "
        "vf_loss_weight vf_weight"
    ),
    "ppo.max_grad_norm": "clip_grad grad_clip gradient_clip max_grad max_gradient_norm",
    "ppo.target_kl": "desired_kl kl_target kl_threshold",
    "ppo.num_envs": "nenvs num_actors num_env_runners num_processes num_workers procs training_num",
    "ppo.num_steps": (
        "bptt_horizon buffer_size frames_per_batch frames_per_proc horizon nsteps rollout_fragment_length "
        "rollout_length rollout_steps step_per_collect steps_per_epoch unroll_length"
    ),
    "ppo.minibatch_size": "mini_batch_size minibatches nminibatches num_mini_batch num_minibatches sgd_minibatch_size",
    "ppo.num_epochs": "epochs k_epochs noptepochs num_sgd_iter ppo_epoch ppo_epochs train_pi_iters",
    "ppo.num_iterations": (
        "max_epoch n_timesteps n_updates num_updates timesteps total_steps total_timesteps train_batch_size"
    ),
    "ppo.normalize_returns": (
        "norm_reward normalize_reward normalize_value normalizereward reshape_reward reward_normalization "
        "reward_scaling value_preprocessor"
    ),
    "ppo.normalize_observations": (
        "empirical_normalization norm_obs normalize normalize_input normalize_obs normalize_observation "
        "normalizeobservation obs_norm observation_filter state_preprocessor vecnormalize"
    ),
    "ppo.hidden_sizes": (
        "actor_hidden_dims fcnet_hiddens hidden_dim hidden_layers hidden_size hidden_units layers net_arch "
        "policy_kwargs"
    ),
    "ppo.shared_trunk": "share_features_extractor value_network vf_share_layers",
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
_SHARED = frozenset(
    (
        *(metrics.VALUE_LOSS, metrics.POLICY_LOSS, metrics.ENTROPY, metrics.APPROX_KL, metrics.CLIP_FRACTION),
        *(metrics.EXPLAINED_VARIANCE, metrics.GRAD_NORM, metrics.LR, metrics.TRAIN_RETURN, metrics.EVAL_RETURN),
    )
)
"""Names of ours that other people give as well, so that they tell nothing of the program."""

_OWN_TABLE = 1_000
"""Rank from which on a name is not the program's own."""


def is_ours(name: str) -> bool:
    """True if a name is one of the project's own metrics in `rl.metrics`, including those of one seed or action."""
    whole = name.rpartition("/seed_")[0] or name
    return whole in _OURS or whole.startswith(_FAMILIES)


def find_our_setting(name: str) -> str | None:
    """Return our dotted path of a setting that another program names differently; None if unknown.

    Example:
        >>> find_our_setting("learning_rate"), find_our_setting("nonsense")
        ('ppo.lr', None)
    """
    theirs = name.lower().replace("-", "_")
    alike = next((ours for ours, names in _ALIKE.items() if theirs in names.split()), None)
    exact = next((dialect.settings[theirs][0] for dialect in DIALECTS.values() if theirs in dialect.settings), None)
    return alike or exact


def find_our_metric(name: str) -> str | None:
    """Return our name of a metric that another program names differently; None if unknown.

    Example:
        >>> find_our_metric("losses/value_loss"), find_our_metric("nonsense")
        ('train/value_loss', None)
    """
    found = (translate_metric(name, dialect) for dialect in DIALECTS.values() if dialect is not UNSTUCK)
    return next((renamed[0] for renamed in found if renamed), None)


def find_nearest_metric(name: str) -> str:
    """Return the name of our metric that is most similar to a wrong name."""
    return find_nearest(name, _OURS)


def recognise_dialect(names: Iterable[str]) -> Dialect:
    """Return the program (as a dialect, a table of names) whose logger wrote the given metric names."""
    known = set(names)
    if any(is_ours(name) and name not in _SHARED for name in known.difference(LOGGED_ELSEWHERE)):
        return UNSTUCK
    return next((dialect for dialect in _FOREIGN if dialect.is_spoken_by(known)), PLAIN)


def translate_metric(name: str, dialect: Dialect, evaluated: bool = False) -> Renamed | None:
    """Return our name of a program's metric, and the factor to our unit; None for an unknown metric.

    Args:
        name: Name in the dialect.
        dialect: The dialect.
        evaluated: True for a file of evaluations, where a return is that of an evaluation.
    """
    found = _find(name, dialect)
    if not found or not evaluated:
        return found and found[0]
    (ours, times), _ = found
    return convert_to_evaluation(ours.replace(metrics.ACTION_PREFIX, metrics.GREEDY_PREFIX)), times


def translate_metrics(names: Iterable[str], dialect: Dialect, evaluated: bool = False) -> dict[str, Renamed]:
    """Map known names to our metrics and unit factors; of two names for one metric, keep the better match."""
    chosen: dict[str, tuple[tuple[int, int], str, float]] = {}
    for place, name in enumerate(names):
        found = _find(name, dialect)
        renamed = translate_metric(name, dialect, evaluated)
        if found and renamed:
            nearness = (found[1], place)
            if renamed[0] not in chosen or nearness < chosen[renamed[0]][0]:
                chosen[renamed[0]] = nearness, name, renamed[1]
    return {name: (ours, times) for ours, (_, name, times) in chosen.items()}


def _find(name: str, dialect: Dialect) -> tuple[Renamed, int] | None:
    """Return our metric, unit factor and rank for a logged name (lower rank: better match); None if unknown."""
    if is_ours(name) or name in LOGGED_ELSEWHERE:
        theirs = dialect.find(name)
        return (theirs or (name, 1.0)), 0
    found = dialect.find(name)
    if found and dialect is not PLAIN:
        return found, dialect.rank(name)
    plainly = None if dialect.alone else find_plain_name(name)
    return plainly and (plainly[0], _OWN_TABLE + plainly[1])
