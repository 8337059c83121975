"""Names that people give in loggers of their own, understood whatever their case, prefix and averaging.

A name is stripped of its path, of words such as `mean_` and `_avg`, and of the number of a team or agent, until the
table knows what is left. Value losses are taken as they stand: whether an own learner logs half the squared error is
not known.
"""

import re
from collections.abc import Iterator
from functools import cache

from unstuck.analysis.history.dialects.dialect import Dialect, Renamed, keep_unit, make_canonical
from unstuck.analysis.history.dialects.settings import COMMON_SETTINGS
from unstuck.analysis.history.record import (
    CLIP_RANGE,
    ENTROPY_COEF,
    EPISODE_LENGTH,
    EVAL_LENGTH,
    EVAL_SUCCESS_RATE,
    POLICY_STD,
    SUCCESS_RATE,
    TOTAL_LOSS,
)
from unstuck.rl import metrics

ENTROPY_LOSS = "entropy_loss"
"""An entropy or minus an entropy, as the first value's sign tells; see `analysis.history.derive`."""

LOG_STD = "log_std"
"""Logarithm of the policy's spread; see `analysis.history.derive`."""

PERCENT_CLIPPED = 0.01

_EVALUATED = ("f1", "precision", "recall", "tp", "tn", "fp", "fn")
_RETURNS = (
    *("episode_return", "episode_reward", "episodic_return", "episodic_reward", "ep_return", "ep_reward", "ep_rew"),
    *(
        "ep_ret",
        "eprew",
        "episode_score",
        "cumulative_reward",
        "total_reward",
        "return",
        "returns",
        "reward",
        "rewards",
    ),
    *("episode_returns", "episode_rewards", "score", "scores", "return_per_episode", "reward_per_episode", "rew"),
)
_SUCCESSES = (
    *("is_success", "success_fraction", "successes", "goal_rate", "goal_reached", "goal_reached_rate", "reached_goal"),
    *("reached_fraction", "reach_rate", "completion_rate", "solve_rate", "solved_rate", "winrate", "win_fraction"),
    *("success_ratio", "arrival_ratio", "arrival_rate", "completion_ratio", "goal_ratio", "win_ratio", "solve_ratio"),
)
_LENGTHS = ("episode_length", "ep_length", "ep_len", "eplen", "episode_len", "episodic_length", "episode_lengths")
_METRICS: dict[str, Renamed] = {
    **keep_unit(dict.fromkeys(_RETURNS, metrics.TRAIN_RETURN)),
    **keep_unit(dict.fromkeys(_LENGTHS, EPISODE_LENGTH)),
    **keep_unit(
        {
            "value_loss": metrics.VALUE_LOSS,
            "vf_loss": metrics.VALUE_LOSS,
            "critic_loss": metrics.VALUE_LOSS,
            "v_loss": metrics.VALUE_LOSS,
            "loss_v": metrics.VALUE_LOSS,
            "loss_vf": metrics.VALUE_LOSS,
            "loss_value": metrics.VALUE_LOSS,
            "loss_critic": metrics.VALUE_LOSS,
            "value_function_loss": metrics.VALUE_LOSS,
            "loss_value_func": metrics.VALUE_LOSS,
            "valueloss": metrics.VALUE_LOSS,
            "baseline_loss": metrics.VALUE_LOSS,
            "value_mse": metrics.VALUE_LOSS,
            "critic_mse": metrics.VALUE_LOSS,
            "policy_loss": metrics.POLICY_LOSS,
            "pg_loss": metrics.POLICY_LOSS,
            "pi_loss": metrics.POLICY_LOSS,
            "loss_pi": metrics.POLICY_LOSS,
            "loss_policy": metrics.POLICY_LOSS,
            "loss_actor": metrics.POLICY_LOSS,
            "actor_loss": metrics.POLICY_LOSS,
            "action_loss": metrics.POLICY_LOSS,
            "clip_loss": metrics.POLICY_LOSS,
            "surrogate_loss": metrics.POLICY_LOSS,
            "policy_gradient_loss": metrics.POLICY_LOSS,
            "policyloss": metrics.POLICY_LOSS,
            "entropy": metrics.ENTROPY,
            "policy_entropy": metrics.ENTROPY,
            "dist_entropy": metrics.ENTROPY,
            "action_entropy": metrics.ENTROPY,
            "entropy_loss": ENTROPY_LOSS,
            "loss_entropy": ENTROPY_LOSS,
            "ent_loss": ENTROPY_LOSS,
            "approx_kl": metrics.APPROX_KL,
            "approxkl": metrics.APPROX_KL,
            "kl": metrics.APPROX_KL,
            "kl_div": metrics.APPROX_KL,
            "kl_divergence": metrics.APPROX_KL,
            "approximate_kl": metrics.APPROX_KL,
            "policy_kl": metrics.APPROX_KL,
            "kl_approx": metrics.APPROX_KL,
            "clip_fraction": metrics.CLIP_FRACTION,
            "clipfrac": metrics.CLIP_FRACTION,
            "clip_frac": metrics.CLIP_FRACTION,
            "clipped_fraction": metrics.CLIP_FRACTION,
            "fraction_clipped": metrics.CLIP_FRACTION,
            "explained_variance": metrics.EXPLAINED_VARIANCE,
            "explained_var": metrics.EXPLAINED_VARIANCE,
            "expl_var": metrics.EXPLAINED_VARIANCE,
            "exp_var": metrics.EXPLAINED_VARIANCE,
            "explainedvar": metrics.EXPLAINED_VARIANCE,
            "vf_explained_var": metrics.EXPLAINED_VARIANCE,
            "vf_explained_variance": metrics.EXPLAINED_VARIANCE,
            "value_explained_variance": metrics.EXPLAINED_VARIANCE,
            "ev": metrics.EXPLAINED_VARIANCE,
            "grad_norm": metrics.GRAD_NORM,
            "gradient_norm": metrics.GRAD_NORM,
            "pre_clip_grad": metrics.GRAD_NORM,
            "total_grad_norm": metrics.GRAD_NORM,
            "grad_gnorm": metrics.GRAD_NORM,
            "lr": metrics.LR,
            "cur_lr": metrics.LR,
            "curr_lr": metrics.LR,
            "learning_rate": metrics.LR,
            "clip_range": CLIP_RANGE,
            "clip_coef": CLIP_RANGE,
            "entropy_coef": ENTROPY_COEF,
            "ent_coef": ENTROPY_COEF,
            "entropy_coeff": ENTROPY_COEF,
            "curr_entropy_coeff": ENTROPY_COEF,
            "policy_std": POLICY_STD,
            "action_std": POLICY_STD,
            "noise_std": POLICY_STD,
            "action_noise_std": POLICY_STD,
            "actor_std": POLICY_STD,
            "std": POLICY_STD,
            "log_std": LOG_STD,
            "logstd": LOG_STD,
            "policy_log_std": LOG_STD,
            "action_log_std": LOG_STD,
            "success_rate": SUCCESS_RATE,
            "win_rate": SUCCESS_RATE,
            "success": SUCCESS_RATE,
            **dict.fromkeys(_SUCCESSES, SUCCESS_RATE),
            "loss": TOTAL_LOSS,
            "total_loss": TOTAL_LOSS,
            "loss_total": TOTAL_LOSS,
        }
        | {name: f"eval/{name}" for name in _EVALUATED}
    ),
    "percent_clipped": (metrics.CLIP_FRACTION, PERCENT_CLIPPED),
}

_EPOCHS = ("num_epochs", "n_epochs", "ppo_epochs", "ppo_epoch", "k_epochs", "K_epochs", "update_epochs", "optim_epochs")
_CLIPS = ("eps_clip", "clip_eps", "clip_epsilon", "clip_ratio", "clip_param", "clip_coef", "ppo_clip")
"""Settings that scripts of people's own name so, whose values mean the same."""

PLAIN = Dialect(
    "plain",
    "names of its own",
    _METRICS,
    COMMON_SETTINGS
    | keep_unit(
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
            "clip_range": "ppo.clip_range",
            **dict.fromkeys(_EPOCHS, "ppo.num_epochs"),
            **dict.fromkeys(_CLIPS, "ppo.clip_range"),
        }
    ),
    iteration=(
        *("iteration", "iter", "iters", "iterations", "training_iteration", "learning_iteration", "update", "updates"),
        *("num_updates", "n_updates", "nupdates", "epoch", "batch", "it", "episode", "episodes", "ep"),
    ),
    env_steps=(
        *("env_steps", "env_step", "global_step", "total_timesteps", "timesteps_total", "timesteps", "timestep"),
        *("total_timestep", "num_timesteps", "total_steps", "total_env_steps", "num_env_steps", "steps", "step"),
        *("frames", "frame", "num_frames", "num_steps", "_step"),
    ),
)

_PLACES = {name: place for place, name in enumerate(_METRICS)}
_FURTHEST = 100
"""More than any name has readings."""

_TWICE = {
    metrics.TRAIN_RETURN: metrics.EVAL_RETURN,
    EPISODE_LENGTH: EVAL_LENGTH,
    SUCCESS_RATE: EVAL_SUCCESS_RATE,
}
"""Our metric of evaluations, by ours of training."""

_EVALUATIONS = frozenset(("eval", "evaluation", "evaluations", "test", "testing", "val", "validation"))
_WHOSE = re.compile(r"(?:^|_)(?:team|agent|player|policy|brain|env|seed|learner)_?\d+(?=_|$)")
_NOISE = (
    re.compile(r"_?\([^)]*\)"),
    re.compile(r"^(?:mean|avg|average|moving|running|rolling|smoothed|train|training|current|last|batch|ppo)_"),
    re.compile(r"_(?:mean|avg|average|ma|smoothed)$"),
    re.compile(r"^\d+_|_\d+$"),
    re.compile(r"_(?:after|over|of|in)(?:_the)?(?:_last|_past)?_\d+_(?:episodes?|eps?|games)$"),
)
_EXTREME = re.compile(r"\((?:max|min|std)\)$")
"""End of a name, as skrl has it, whose values are no means."""

_STATISTIC = re.compile(r"_(?:mean|std|min|max|norm|magnitude|noise|scale|clip|clipped|rate|reward|penalty|loss)$")
"""End of a column `action_...` that holds a number about actions, and no action's share; `rate_limit` is an action."""
_PERCENT = re.compile(r"_(?:pct|percent|percentage)$")

_OF_EPISODES = frozenset(("train", "training", "rollout", "episode", "episodes", *_EVALUATIONS))
"""Folders in which a length is that of an episode; elsewhere it may be a snake's."""

_LOSSES = frozenset(("loss", "losses"))
_AVERAGES = frozenset(("mean", "avg", "average", "episode", "episodic", "total", "train"))
_OF_LOSSES = frozenset(("value", "critic", "policy", "actor", "entropy", "total", "surrogate", "pi", "vf", "v"))


@cache
def find_plain_name(name: str) -> tuple[Renamed, int] | None:
    """Return our name, the unit factor and a rank (lower is better) for any logger's metric; None if unknown.

    Example:
        >>> find_plain_name("Train/policy_loss_team_0")[0], find_plain_name("loudness"), find_plain_name("reward (max)")
        (('train/policy_loss', 1.0), None, None)
    """
    path = make_canonical(name)
    if _EXTREME.search(path):
        return None
    evaluated, *shorter = _shorten_name(path)
    for distance, word in enumerate(shorter):
        if word in _METRICS:
            ours, times = _METRICS[word]
            return (_TWICE.get(ours, ours) if evaluated else ours, times), _PLACES[word] * _FURTHEST + distance
        if word.startswith("action_") and "/" not in path and not _STATISTIC.search(word):
            return (metrics.action_metric(_PERCENT.sub("", word.removeprefix("action_"))), 1.0), 0
    return None


def convert_to_evaluation(ours: str) -> str:
    """Return our name of the evaluation metric that corresponds to a training metric; else the name unchanged."""
    return _TWICE.get(ours, ours)


def _shorten_name(path: str) -> Iterator[str]:
    """Yield pairs of `eval` or "" (if a name is of an evaluation) and ever shorter forms of the name."""
    *folders, word = path.split("/")
    first, _, rest = word.partition("_")
    evaluated = bool(_EVALUATIONS & {*folders, first})
    yield "eval" if evaluated else ""
    if rest and first in _EVALUATIONS:
        word = rest
    if folders and folders[-1] in _LOSSES and word in _OF_LOSSES:
        word = f"{word}_loss"
    elif folders and folders[-1] in _OF_EPISODES and word in ("length", "len"):
        word = "episode_length"
    elif folders and word in _AVERAGES:  # `reward/mean`
        word = folders[-1]
    yield word
    word = _WHOSE.sub("", word).strip("_")
    yield word
    changed = True
    while changed:
        changed = False
        for noise in _NOISE:
            shorter = noise.sub("", word).strip("_")
            if shorter and shorter != word:
                word, changed = shorter, True
                yield word
