"""Between Hydra and the sweep: the schema that Hydra composes by, and the way from its result to `SweepConfig`.

The schema is derived from the frozen dataclasses, so fields, types and defaults are declared in one place. With
`sweep.py` and `sweeps.command` this is all that sees Hydra; nobody else sees OmegaConf.
"""

import math
import os
import re
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, is_dataclass, make_dataclass
from datetime import datetime
from difflib import SequenceMatcher
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, cast, get_args, get_origin, get_type_hints

import yaml  # type: ignore[import-untyped]
from hydra.conf import HydraConf
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from rl.config import DataConfig
from rl.errors import ConfigError
from sweeps.config import FORMAT, StudyConfig, SweepConfig, check_name
from sweeps.errors import SweepError
from sweeps.redact import redact_value

SCHEMA = "schema"
"""Name under which `conf/config.yaml` lists the schema, first of its defaults."""

HYDRA = "hydra."
"""Where Hydra's own settings are."""

EXPERIMENT = "experiment"
"""The one config group that fills no part of `SweepConfig` of its own."""


@cache
def settings() -> types.MappingProxyType[str, Any]:
    """Every setting by its dotted key, with its type, e.g. `{"ppo.lr": float, "space": dict[str, Any]}`."""
    found: dict[str, Any] = {}
    for group, kind in get_type_hints(SweepConfig).items():
        if _is_group(kind):
            found |= {f"{group}.{name}": hint for name, hint in get_type_hints(kind).items()}
        else:
            found[group] = kind
    return types.MappingProxyType(found)


def _is_group(hint: Any) -> bool:
    return is_dataclass(hint)


def nearest(key: str) -> str:
    """The setting or group that `key` was most likely meant to be; a matching last part counts as much as the whole."""

    def closeness(candidate: str) -> float:
        whole = SequenceMatcher(None, key, candidate).ratio()
        last = SequenceMatcher(None, key.rpartition(".")[2], candidate.rpartition(".")[2]).ratio()
        return whole + last

    groups = (*(item.name for item in fields(SweepConfig)), EXPERIMENT)
    candidates = settings() if "." in key else (*groups, *settings())
    return max(candidates, key=closeness)


def typed(key: str, value: Any, where: str) -> Any:
    """A value as the setting `key` holds it: lists as tuples, whole numbers as floats where it holds floats.

    Args:
        key: Dotted key of the setting.
        value: What was written for it.
        where: Where it was written, for the message.

    Raises:
        SweepError: For a value of another type, or a number that is not finite.
    """
    try:
        return _fitted(value, settings()[key])
    except TypeError:
        raise SweepError(f"{where} must hold {_type_name(key)} for {key}, got {value!r}") from None


def _fitted(value: Any, hint: Any) -> Any:
    if get_origin(hint) is types.UnionType:
        for option in get_args(hint):
            with suppress(TypeError):
                return _fitted(value, option)
    elif get_origin(hint) is tuple and isinstance(value, list | tuple):
        return tuple(_fitted(item, get_args(hint)[0]) for item in value)
    elif hint is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    elif hint in (int, bool, str, types.NoneType) and type(value) is hint:
        return value
    raise TypeError(f"{value!r} is not a {hint}")


def _type_name(key: str) -> str:
    hint = _twin_type(settings()[key])
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint).replace("typing.", "")


@cache
def twin(frozen: Any) -> type:
    """A mutable copy of a dataclass in OmegaConf's types (Hydra cannot compose into a frozen one).

    Args:
        frozen: A dataclass whose fields hold scalars, `tuple[T, ...]`, `dict[str, Any]` or other such dataclasses.

    Returns:
        A dataclass of the same name, fields and defaults, with `list[T]` for tuples and twins for dataclasses.
    """
    hints = get_type_hints(frozen)
    return make_dataclass(
        frozen.__name__, [(item.name, _twin_type(hints[item.name]), _twin_default(item)) for item in fields(frozen)]
    )


def _twin_type(hint: Any) -> Any:
    if _is_group(hint):
        return twin(hint)
    if get_origin(hint) is tuple:
        return list[_twin_type(get_args(hint)[0])]  # type: ignore[misc]
    return hint


def _twin_default(item: Field[Any]) -> Any:
    default: Any = item.default
    factory: Any = item.default_factory
    if isinstance(default, tuple):
        return field(default_factory=lambda: list(default))
    if default is not MISSING:
        return field(default=default)
    return field(default_factory=twin(factory) if _is_group(factory) else factory)


ConfigStore.instance().store(name=SCHEMA, node=twin(SweepConfig))


class _Nothing(Enum):
    """No value: a field of this type can only be null."""


@dataclass
class _NoLogging:
    """No handlers: Python's logging calls whatever they name."""

    version: int = 1
    root: _Nothing | None = None
    disable_existing_loggers: bool = False


@dataclass
class _ComposeOnly(HydraConf):
    """Hydra's own settings (`hydra.*`), without those by which a configuration runs code or writes passwords down."""

    hydra_logging: _NoLogging = field(default_factory=_NoLogging)  # type: ignore[assignment]
    job_logging: _NoLogging = field(default_factory=_NoLogging)  # type: ignore[assignment]
    callbacks: _Nothing | None = None  # type: ignore[assignment]
    output_subdir: _Nothing | None = None  # type: ignore[assignment]
    sweeper: _Nothing | None = None
    launcher: _Nothing | None = None


ConfigStore.instance().store(group="hydra", name="config", node=_ComposeOnly, provider="unstuck")


def check_keys(cfg: DictConfig) -> None:
    """Refuse what the schema lacks: Hydra lets `+new=1` and `++ppo.zzz=1` through.

    Raises:
        SweepError: Naming the first unknown key and the setting nearest to it.
    """
    for key in _dotted(OmegaConf.to_container(cfg, resolve=False), ""):
        if key not in settings():
            raise SweepError(_unknown(key))


def _dotted(node: Any, prefix: str) -> Iterator[str]:
    if prefix in settings() or not isinstance(node, dict) or (prefix and not node):
        yield prefix  # a setting; what lies below is free in form: `space`, `sampler.points`
        return
    for name, child in node.items():
        yield from _dotted(child, f"{prefix}.{name}" if prefix else str(name))


def _unknown(key: str) -> str:
    return f"unknown setting {key}; did you mean {nearest(key)}?"


def to_config(cfg: DictConfig, experiment: str | None = None, now: datetime | None = None) -> SweepConfig:
    """Check what Hydra composed and freeze it.

    Args:
        cfg: The composed configuration, without Hydra's own node.
        experiment: Chosen option of the group `experiment`, for the default name.
        now: Local time for the default name; by default that of the call.

    Returns:
        The configuration with `sweep.name` set, and `sweep.folder` and `data.path` absolute.

    Raises:
        SweepError: For a key that the schema lacks.
        ConfigError: For a value that is missing, cannot be resolved, or breaks a rule of its class.
    """
    check_keys(cfg)
    try:
        tree: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(_value_error(error)) from error
    tree["format"] = FORMAT  # of a new sweep; one on record keeps its own, see `sweeps.records`
    if tree.get("resume") is not None:
        check_name("resume", str(tree["resume"]))
    study = tree.setdefault("sweep", {})
    if study.get("name") is None:
        study["name"] = tree.get("resume") or _default_name(experiment, now or datetime.now())
    return _frozen(tree)


def _frozen(tree: dict[str, Any]) -> SweepConfig:
    """The configuration of a tree of plain values, with absolute paths."""
    _check_text(tree, "")
    study, data = tree.get("sweep", {}), tree.get("data", {})
    study["folder"] = _absolute(study.get("folder", StudyConfig.folder))
    data["path"] = _absolute(data.get("path", DataConfig.path))
    tree |= {"sweep": study, "data": data}
    hints = get_type_hints(SweepConfig)
    return SweepConfig(**{group: _frozen_group(hints[group], body) for group, body in tree.items()})


def _check_text(node: Any, key: str) -> None:
    """Refuse what would be read as a reference, to a variable of the environment even, wherever it is read again."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, child in children:
        _check_text(child, f"{key}.{name}".lstrip("."))
    if isinstance(node, str) and "${" in node:
        raise ConfigError(f"{key} must not hold '${{', which reads as a reference; got {node!r}")


def _frozen_group(kind: Any, body: dict[str, Any]) -> Any:
    if not _is_group(kind):
        return body
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in body.items()})


def _default_name(experiment: str | None, now: datetime) -> str:
    word = re.sub(r"[^A-Za-z0-9._-]+", "-", str(experiment or "sweep")).strip("._-")
    return f"{word}-{now:%Y%m%d-%H%M%S}"


def _absolute(path: str | None) -> str | None:
    if path is None or "://" in path:  # no path of this machine: refused by its class
        return path
    return os.path.abspath(Path(path).expanduser())


def to_yaml(config: SweepConfig, values: Mapping[str, Any] | None = None) -> str:
    """The configuration as YAML that reads back, through Hydra or `to_config`, to an equal one but for passwords.

    Args:
        config: The configuration.
        values: Settings that differ from it, by dotted path `group.name`; such as it could not have, too.
    """
    tree = asdict(config)
    for path, value in (values or {}).items():
        group, _, name = path.partition(".")
        tree[group][name] = value
    return OmegaConf.to_yaml(OmegaConf.create(_without_passwords(tree)))


def _without_passwords(node: Any) -> Any:
    # Before it is YAML, where a value may be folded over lines, and its quotes doubled.
    if isinstance(node, dict):
        return {key: _without_passwords(child) for key, child in node.items()}
    if isinstance(node, list | tuple):
        return [_without_passwords(child) for child in node]
    return redact_value(node) if isinstance(node, str) else node


def from_yaml(text: str) -> SweepConfig:
    """The configuration that `to_yaml` wrote. It holds no references, so none is looked up."""
    try:
        cfg = OmegaConf.create(text)
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"a sweep's config.yaml must be YAML, got {text[:40]!r}") from error
    if not isinstance(cfg, DictConfig):
        raise ConfigError(f"a sweep's config.yaml must hold settings by group, got {text[:40]!r}")
    check_keys(cfg)
    tree = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=False))
    return _frozen({"format": 1, **tree})


@contextmanager
def readable_errors() -> Iterator[None]:
    """Turn whatever Hydra raises while it composes into a `SweepError` of one line; wrap nothing else in it.

    Raises:
        SweepError: Naming the key, option or file at fault, and the nearest one that exists.
    """
    try:
        yield
    # Hydra raises a bare ValueError for some overrides of a group, such as data=5; a RuntimeError without a sweeper.
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError, RuntimeError) as error:
        raise SweepError(explain(error)) from error


def explain(error: Exception) -> str:
    """What Hydra could not compose, on one line, with a remedy where there is one."""
    if isinstance(error, MissingConfigException) and error.options:
        return _missing_option(str(error.missing_cfg_file), list(error.options))
    if isinstance(error, OverrideParseException):
        return f"cannot read {error.override!r}; write key=value, in quotes where it holds spaces or brackets"
    if str(error) == "Hydra sweeper is not configured":
        return "--multirun is not for sweeps; one call is one sweep, and `space` says what it searches"
    cause = error.__cause__ or error.__context__
    if getattr(cause, "full_key", None) == EXPERIMENT or f"@{EXPERIMENT}." in str(error):
        return f"an experiment's file must have '# @package _global_' as its first line; {_first_line(error)}"
    file = re.match(r"In '([^']+)': \w+ raised while composing", str(error))
    where = f"{file[1]}.yaml: " if file else ""
    if isinstance(cause, ConfigKeyError | ConfigAttributeError) and not is_free_form(str(cause.full_key)):
        return where + _unknown(str(cause.full_key))
    if isinstance(cause, OmegaConfBaseException) and not isinstance(cause, ConfigKeyError | ConfigAttributeError):
        return where + _value_error(cause)
    if isinstance(error, MissingConfigException):
        return _first_line(error)  # the search path that follows fills a screen
    if str(error).startswith("Ambiguous value"):
        return f"{_first_line(error)}; write key=[a,b] for a list, or quote the value for a string"
    return " ".join(str(error).split())


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".:")


def is_free_form(key: str) -> bool:
    """Whether what lies below is not in the schema."""
    return key.startswith(("space", "sampler.points"))


def _missing_option(file: str, options: list[str]) -> str:
    group, _, option = file.rpartition("/")
    close = max(options, key=lambda name: SequenceMatcher(None, option, name).ratio())
    plus = "+" if group == EXPERIMENT else ""
    return (
        f"{group} has no option {option}; did you mean {plus}{group}={close}? There are: {', '.join(sorted(options))}"
    )


def _value_error(error: OmegaConfBaseException) -> str:
    reason = _first_line(error)
    key = re.sub(r"\[\d+\]$", "", str(error.full_key or ""))
    if key.startswith(HYDRA):
        return f"{key} must stay as it is: a configuration runs no code and writes nothing of its own; leave it out"
    if key not in settings():
        return f"{key}: {reason}" if key else reason
    return f"{key} must be {_type_name(key)}: {reason}"
