"""Name the settings and groups that a configuration can have, and the types of their values."""

import math
import types
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from unstuck.records.errors import SweepError
from unstuck.rl.wording import compute_likeness
from unstuck.sweeps.config.settings import SweepConfig

HYDRA = "hydra."
"""Prefix of Hydra's own settings."""

SPACE = "space"
"""Part of `SweepConfig` that is free in form, and a config group."""

GROUPS = ("ppo", "env")
"""Groups that a space or a point may name; all other settings belong to the sweep as a whole."""

SCRIPT = "script"
"""Part of `SweepConfig` that is free in form: settings of a command's or script's own, which may be searched."""

BRANCH = "branch"
"""Part of `SweepConfig` that says what one trial starts from; the points of an unstick may name the part as well."""

CONF = Path(__file__).resolve().parents[2] / "conf"
"""Our own configurations: `unstuck.conf`, in a checkout and where the package is installed."""

EXPERIMENTS = CONF / "experiment"
"""Folder of our own experiments, a file each."""

EXPERIMENT = "experiment"
"""Config group that fills no part of `SweepConfig` of its own, the only one."""

TRACKING = "tracking"
"""Config group that takes several options at once."""

NEAR = 0.6
"""Likeness from which on a known name is near enough to a wrong one to be suggested."""


@cache
def settings() -> types.MappingProxyType[str, Any]:
    """Return the type of every setting by dotted name, e.g. `{"ppo.lr": float, "space": dict[str, Any]}`."""
    found: dict[str, Any] = {}
    for group, kind in get_type_hints(SweepConfig).items():
        if is_group(kind):
            found |= {f"{group}.{name}": hint for name, hint in get_type_hints(kind).items()}
        else:
            found[group] = kind
    return types.MappingProxyType(found)


def is_group(hint: Any) -> bool:
    """Return True if a type is that of a group of settings (a dataclass), not of a single setting."""
    return is_dataclass(hint)


def list_groups() -> tuple[str, ...]:
    """List the names at the top level of the settings, e.g. `("ppo", "env", "space", ...)`."""
    return tuple(item.name for item in fields(SweepConfig))


def find_nearest_setting(key: str) -> str:
    """Find the setting that a wrong name most likely means: a similar name, or ours for another library's name.

    A matching last part counts as much as the whole.
    """
    from unstuck.analysis.history.names import find_our_setting  # late: it brings pandas

    named = find_our_setting(key.rpartition(".")[2])
    if named in settings():
        return str(named)

    def measure_likeness(candidate: str) -> float:
        last = compute_likeness(key.rpartition(".")[2], candidate.rpartition(".")[2])
        return compute_likeness(key, candidate) + last

    group, dot, last = key.lower().partition(".")
    within = [name for name in settings() if name.startswith(f"{group}.")]
    elsewhere = [name for name in settings() if name.rpartition(".")[2] == last]
    candidates = elsewhere or within or (settings() if dot else (*list_groups(), EXPERIMENT, *settings()))
    return max(candidates, key=measure_likeness)


def is_free_form(key: str) -> bool:
    """Return True if a key lies in `space`, `script` or `sampler.points`, where users may write keys of their own.

    Example:
        >>> is_free_form("space.ppo.lr"), is_free_form("spacex")
        (True, False)
    """
    return any(key == free or key.startswith(f"{free}.") for free in (SPACE, SCRIPT, "sampler.points"))


def check_key(key: str) -> None:
    """Raise `SweepError` for a dotted key that is not a setting; the message names the most similar setting."""
    if key not in settings() and not is_free_form(key):
        raise SweepError(explain_unknown(key))


def explain_unknown(key: str) -> str:
    """Explain that no setting has the given key, and which key to write instead."""
    if key in settings():
        return f"{key} must be nested in a file: {{{key.replace('.', ': {', 1)}: VALUE}}}}"
    if key.startswith((HYDRA, "hydra/")):
        return f"{key} must stay as it is: {_STAYS}; leave it out"
    if key.partition(".")[0] in ("notify", "webhook"):
        return f"{key} must be left out, since a webhook's URL is a secret; set the variable UNSTUCK_NOTIFY_URL"
    meant = find_nearest_setting(key)
    return f"unknown setting {key}; " + (f"did you mean {meant}?" if _is_near(key, meant) else "--help lists settings")


def _is_near(key: str, meant: str) -> bool:
    """Return True if a wrong name is similar to the setting found for the name, or is another library's word for it."""
    from unstuck.analysis.history.names import find_our_setting  # late: it brings pandas

    last = key.rpartition(".")[2]
    likeness = max(compute_likeness(key, meant), compute_likeness(last, meant.rpartition(".")[2]))
    return likeness >= NEAR or find_our_setting(last) == meant


_STAYS = "a configuration runs no code, writes nothing of its own and stays in the folder that it was called in"


def convert_value(key: str, value: Any, where: str) -> Any:
    """Convert a value to the type of the setting `key`: lists to tuples, and whole numbers to floats where needed.

    Args:
        key: Dotted key of the setting.
        value: Value as written.
        where: Place where the value was written, for the message.

    Raises:
        SweepError: The value has another type, or is a number that is not finite.

    Example:
        >>> convert_value("ppo.lr", 1, "here"), convert_value("ppo.hidden_sizes", [64, 64], "here")
        (1.0, (64, 64))
    """
    try:
        return _fit(value, settings()[key])
    except TypeError:
        raise SweepError(f"{where} must hold {describe_type(settings()[key])} for {key}, got {value!r}") from None


def _fit(value: Any, hint: Any) -> Any:
    if get_origin(hint) is types.UnionType:
        for option in get_args(hint):
            with suppress(TypeError):
                return _fit(value, option)
    elif get_origin(hint) is tuple and isinstance(value, list | tuple):
        return tuple(_fit(item, get_args(hint)[0]) for item in value)
    elif hint is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    elif hint in (int, bool, str, types.NoneType) and type(value) is hint:
        return value
    raise TypeError(f"{value!r} is not a {hint}")


def describe_type(hint: Any) -> str:
    """Describe a setting's type in words, such as `a whole number, or null`."""
    if get_origin(hint) is types.UnionType:
        return ", or ".join("null" if option is types.NoneType else describe_type(option) for option in get_args(hint))
    if get_origin(hint) is tuple:
        return f"a list of {_PLURALS.get(get_args(hint)[0], 'changes such as {ppo: {lr: 1e-3}}')}"
    return WORDS.get(hint, "settings, nested by group")


WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}

_PLURALS = {int: "whole numbers", float: "numbers", str: "texts"}
