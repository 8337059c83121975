"""Settings that a diagnosis or the command of arms reads, with the values allowed.

Settings given by hand are checked here, since a mistyped name or value would be passed over in silence.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.names import find_our_setting
from unstuck.analysis.history.record import FINISHED
from unstuck.rl.wording import find_nearest


@dataclass(frozen=True)
class Kind:
    """Kind of value that a setting may have: a description for messages (`words`), and a test (`holds`)."""

    words: str
    holds: Callable[[Any], bool]

    def or_null(self) -> "Kind":
        """Return a kind that also allows None, for settings that can be switched off."""
        return Kind(f"{self.words}, or null", lambda value: value is None or self.holds(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_list(value: Any, holds: Callable[[Any], bool]) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(map(holds, value))


def _one_of(*names: str) -> Kind:
    return Kind(f"one of {', '.join(names)}", lambda value: value in names)


COUNT = Kind("a whole number from 1 on", _is_count)
SHARE = Kind("a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1)
POSITIVE = Kind("a positive number", lambda value: _is_number(value) and value > 0)
NOT_NEGATIVE = Kind("a number that is not negative", lambda value: _is_number(value) and value >= 0)
TRUTH = Kind("true or false", lambda value: isinstance(value, bool))
NAME = Kind("a name", lambda value: isinstance(value, str) and value != "")
COUNTS = Kind("a list of whole numbers", lambda value: _is_list(value, _is_count))
NUMBERS = Kind("a list of numbers", lambda value: _is_list(value, _is_number))
NAMES = Kind("a list of names", lambda value: _is_list(value, lambda name: isinstance(name, str)))

EVALUATION_GREEDY, EVALUATION_NORMALISED = "eval.deterministic", "eval.normalize_observations"
"""Settings: whether evaluations take the most probable action, and whether they scale observations as training does."""

KNOWN: Mapping[str, Kind] = {
    **dict.fromkeys(("ppo.num_iterations", "ppo.num_envs", "ppo.num_steps", "ppo.minibatch_size"), COUNT),
    **dict.fromkeys(("ppo.num_epochs", "ppo.eval_every"), COUNT),
    **dict.fromkeys(("ppo.gamma", "ppo.gae_lambda"), SHARE),
    **dict.fromkeys(("ppo.lr", "ppo.adam_eps", "ppo.clip_range", "ppo.max_grad_norm"), POSITIVE),
    **dict.fromkeys(("ppo.entropy_coef", "ppo.value_coef", "ppo.weight_decay"), NOT_NEGATIVE),
    "ppo.optimizer": NAME,
    **dict.fromkeys(("ppo.clip_range_vf", "ppo.target_kl"), POSITIVE.or_null()),
    **dict.fromkeys(("ppo.lr_schedule", "ppo.clip_range_schedule"), _one_of("constant", "linear")),
    **dict.fromkeys(("ppo.normalize_advantage", "ppo.normalize_observations", "ppo.shared_trunk"), TRUTH),
    **dict.fromkeys((EVALUATION_GREEDY, EVALUATION_NORMALISED), TRUTH),
    "ppo.normalize_returns": _one_of("none", "running", "batch"),
    "ppo.hidden_sizes": COUNTS,
    FINISHED: TRUTH,
    "env.id": NAME,
    "env.actions": NAMES,
    "env.flows_per_episode": COUNT,
    **dict.fromkeys(("env.reward_benign", "env.reward_threat"), NUMBERS),
    "data.source": NAME,
    "data.order": _one_of("shuffled", "stream"),
    "data.threat_share": SHARE.or_null(),
    "data.eval_flows": COUNT,
}


def check_setting(where: str, path: str, value: Any) -> None:
    """Raise `AnalysisError` if no diagnosis reads a setting, or if a value is not allowed for the setting.

    Args:
        where: Source of the setting, for the message: `--set`, or a file.
        path: Dotted path of the setting.
        value: Value as read.
    """
    kind = KNOWN.get(path)
    if kind is None:
        ours = find_our_setting(path.rpartition(".")[2])
        meant = ours if ours in KNOWN else find_nearest(path, KNOWN)
        raise AnalysisError(f"{where}: no setting that a diagnosis reads is called {path!r}; did you mean {meant}?")
    if not kind.holds(value):
        raise AnalysisError(f"{where}: {path} must be {kind.words}, got {value!r}")
