"""Translate between Hydra and `SweepConfig`, in both directions, and define the schema that Hydra composes by.

The schema is derived from the frozen dataclasses, so fields, types and defaults are declared in one place. Besides
`unstuck.sweep_command` and `sweeps.config.command`, no other module sees Hydra; no other at all sees OmegaConf.
"""

import math
import os
import re
import secrets
import types
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, is_dataclass, make_dataclass
from datetime import datetime
from difflib import SequenceMatcher
from enum import Enum, StrEnum
from functools import cache
from pathlib import Path
from typing import Any, cast, get_args, get_origin, get_type_hints

import yaml  # type: ignore[import-untyped]
from hydra import compose
from hydra.conf import HydraConf, JobConf
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException
from unstuck.records.errors import SweepError
from unstuck.records.redact import redact_value
from unstuck.rl.config import DataConfig
from unstuck.rl.errors import ConfigError
from unstuck.sweeps.config.effects import Idle, idle_settings, refuse_idle, set_by_user
from unstuck.sweeps.config.settings import FORMAT, StudyConfig, SweepConfig, check_name

SCHEMA = "schema"
"""Name under which `conf/config.yaml` lists the schema, first of its defaults."""

HYDRA = "hydra."
"""Prefix of Hydra's own settings."""

SPACE = "space"
"""Part of `SweepConfig` that is free in form, and a config group."""

GROUPS = ("ppo", "env")
"""Groups that a space or a point may name; all other settings belong to the sweep as a whole."""

CONF = Path(__file__).resolve().parents[2] / "conf"
"""Our own configurations: `unstuck.conf`, in a checkout and where the package is installed."""

_EXPERIMENTS = CONF / "experiment"

EXPERIMENT = "experiment"
"""Config group that fills no part of `SweepConfig` of its own, the only one."""


NO_MULTIRUN = "--multirun is not for sweeps; one call is one sweep, and `space` says what it searches"


@cache
def settings() -> types.MappingProxyType[str, Any]:
    """Return the type of every setting by dotted key, e.g. `{"ppo.lr": float, "space": dict[str, Any]}`."""
    found: dict[str, Any] = {}
    for group, kind in get_type_hints(SweepConfig).items():
        if _is_group(kind):
            found |= {f"{group}.{name}": hint for name, hint in get_type_hints(kind).items()}
        else:
            found[group] = kind
    return types.MappingProxyType(found)


def _is_group(hint: Any) -> bool:
    return is_dataclass(hint)


def nearest_setting(key: str) -> str:
    """Return the setting or group most similar to a wrong `key`, or our name for another library's name of a setting.

    A matching last part counts as much as the whole.
    """
    from unstuck.analysis.history.names import our_setting  # late: it brings pandas

    named = our_setting(key.rpartition(".")[2])
    if named in settings():
        return str(named)

    def closeness(candidate: str) -> float:
        whole = SequenceMatcher(None, key, candidate).ratio()
        last = SequenceMatcher(None, key.rpartition(".")[2], candidate.rpartition(".")[2]).ratio()
        return whole + last

    group, dot, last = key.lower().partition(".")
    within = [name for name in settings() if name.startswith(f"{group}.")]
    elsewhere = [name for name in settings() if name.rpartition(".")[2] == last]
    candidates = elsewhere or within or (settings() if dot else (*_groups(), EXPERIMENT, *settings()))
    return max(candidates, key=closeness)


def convert_value(key: str, value: Any, where: str) -> Any:
    """Convert a value to the type of the setting `key`: lists to tuples, whole numbers to floats for a float setting.

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
        return _fitted(value, settings()[key])
    except TypeError:
        raise SweepError(f"{where} must hold {_type_words(settings()[key])} for {key}, got {value!r}") from None


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


def _type_words(hint: Any) -> str:
    """Describe a type in words: `a whole number, or null`."""
    if get_origin(hint) is types.UnionType:
        return ", or ".join("null" if option is types.NoneType else _type_words(option) for option in get_args(hint))
    if get_origin(hint) is tuple:
        return f"a list of {_PLURALS.get(get_args(hint)[0], 'changes such as {ppo: {lr: 1e-3}}')}"
    return _WORDS.get(hint, "settings, nested by group")


_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_PLURALS = {int: "whole numbers", float: "numbers", str: "texts"}


@cache
def twin(frozen: Any) -> type:
    """Return a mutable copy of a frozen dataclass, with field types that OmegaConf knows, for Hydra to compose into.

    Args:
        frozen: Dataclass whose fields hold scalars, `tuple[T, ...]`, `dict[str, Any]` or other dataclasses of that
            sort.

    Returns:
        Dataclass of the same name, fields and defaults, with `list[T]` for tuples and twins for dataclasses.
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
    """Empty type: a field of type `_Nothing` can only be null."""


@dataclass
class _NoLogging:
    """Logging configuration without handlers: Python's logging calls any function that a handler names."""

    version: int = 1
    root: _Nothing | None = None
    disable_existing_loggers: bool = False


_Here = StrEnum("_Here", {".": "."})
"""Type with the calling folder as its only value, for `hydra.run.dir`."""


@dataclass
class _Run:
    dir: _Here = _Here["."]


@dataclass
class _Job(JobConf):
    """Job that stays in the calling folder, and changes no variable of the environment."""

    chdir: _Nothing | None = None  # type: ignore[assignment]
    env_set: dict[str, _Nothing] = field(default_factory=dict)  # type: ignore[assignment]


@dataclass
class _ComposeOnly(HydraConf):
    """Hydra's own settings (`hydra.*`), except all by which a configuration runs code or writes anything."""

    run: _Run = field(default_factory=_Run)  # type: ignore[assignment]
    job: _Job = field(default_factory=_Job)

    hydra_logging: _NoLogging = field(default_factory=_NoLogging)  # type: ignore[assignment]
    job_logging: _NoLogging = field(default_factory=_NoLogging)  # type: ignore[assignment]
    callbacks: _Nothing | None = None  # type: ignore[assignment]
    output_subdir: _Nothing | None = None  # type: ignore[assignment]
    sweeper: _Nothing | None = None
    launcher: _Nothing | None = None


ConfigStore.instance().store(group="hydra", name="config", node=_ComposeOnly, provider="unstuck")


def check_keys(cfg: DictConfig) -> None:
    """Raise `SweepError` for the first key of a composed configuration that is no setting, e.g. after `+new=1`.

    Raises:
        SweepError: A key is unknown; the message names the first one, and the setting nearest to the key.
    """
    for key in _dotted(OmegaConf.to_container(cfg, resolve=False), ""):
        check_key(key)


def check_key(key: str) -> None:
    """Raise `SweepError` for a dotted key that is no setting; the message names the most similar setting."""
    if key not in settings() and not is_free_form(key):
        raise SweepError(_unknown(key))


def _dotted(node: Any, prefix: str) -> Iterator[str]:
    if prefix in settings() or not isinstance(node, dict) or (prefix and not node):
        yield prefix  # a setting; what lies below is free in form: `space`, `sampler.points`
        return
    for name, child in node.items():
        yield from _dotted(child, f"{prefix}.{name}" if prefix else str(name))


def _unknown(key: str) -> str:
    if key in settings():
        return f"{key} must be nested in a file: {{{key.replace('.', ': {', 1)}: VALUE}}}}"
    if key.startswith((HYDRA, "hydra/")):
        return f"{key} must stay as it is: {_STAYS}; leave it out"
    return f"unknown setting {key}; did you mean {nearest_setting(key)}?"


def to_config(cfg: DictConfig, experiment: str | None = None, now: datetime | None = None) -> SweepConfig:
    """Convert a configuration that Hydra composed to a frozen, checked `SweepConfig` with a name and absolute paths.

    Args:
        cfg: Composed configuration, without Hydra's own node.
        experiment: Option of the group `experiment`, for the default name.
        now: Local time for the default name; by default the time of the call.

    Returns:
        Configuration with `sweep.name` set, and `sweep.folder` and `data.path` absolute.

    Raises:
        SweepError: A key is not in the schema.
        ConfigError: A value is missing, cannot be resolved, or breaks a rule of its class.
    """
    check_keys(cfg)
    try:
        tree: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(_value_error(error)) from error
    tree |= {"format": FORMAT, "id": None}  # of a new sweep; one on record keeps its own, see `sweeps.run.opening`
    if tree.get("resume") is not None:
        check_name("resume", str(tree["resume"]))
    study = tree.setdefault("sweep", {})
    if study.get("name") is None:
        study["name"] = tree.get("resume") or _default_name(experiment, now or datetime.now())
    return _frozen(tree)


def _frozen(tree: dict[str, Any]) -> SweepConfig:
    """Freeze a tree of plain values into a configuration with absolute paths."""
    _check_text(tree, "")
    study, data = tree.get("sweep", {}), tree.get("data", {})
    study["folder"] = _absolute(study.get("folder", StudyConfig.folder))
    data["path"] = _absolute(data.get("path", DataConfig.path))
    tree |= {"sweep": study, "data": data}
    hints = get_type_hints(SweepConfig)
    return SweepConfig(**{group: _frozen_group(hints[group], body) for group, body in tree.items()})


Checked = tuple[SweepConfig, list[Idle]]
"""Configuration, and the settings in it that the user set though nothing reads them."""


def check_and_freeze(cfg: DictConfig, given: Collection[str]) -> Checked:
    """Return a frozen `SweepConfig` and a resume's settings without effect; raise for a new sweep with such a setting.

    Must be called while Hydra runs.

    Args:
        cfg: Composed configuration, without Hydra's own node.
        given: Keys on the command line.

    Returns:
        Configuration, and for a resumed sweep the settings that nothing reads.

    Raises:
        SweepError, ConfigError: Errors of `to_config`, and one for a new sweep with a setting that nothing reads.
    """
    config = to_config(cfg, HydraConfig.get().runtime.choices.get(EXPERIMENT))
    idle = unread_settings(cfg, config, given)
    if config.resume is None:
        refuse_idle(idle)
    return config, idle


def unread_settings(cfg: DictConfig, config: SweepConfig, given: Collection[str]) -> list[Idle]:
    """List the settings that the user set and that have no effect with the other settings; call while Hydra runs.

    Args:
        cfg: Configuration that Hydra composed.
        config: Frozen form of `cfg`.
        given: Keys on the command line.
    """

    @cache
    def options_alone() -> DictConfig:
        hydra = HydraConfig.get()
        chosen = [f"{group}={option}" for group, option in hydra.runtime.choices.items() if group in _groups()]
        return compose(hydra.job.config_name, [*hydra.overrides.hydra, *chosen])

    def in_file(key: str) -> bool:
        value, ours = OmegaConf.select(cfg, key), map(OmegaConf.load, _EXPERIMENTS.glob("*.yaml"))
        return bool(value != OmegaConf.select(options_alone(), key)) and all(
            OmegaConf.select(experiment, key) != value
            for experiment in ours  # one's own may build on one of ours
        )

    return set_by_user(idle_settings(config, settings()), given, in_file)


def _groups() -> tuple[str, ...]:
    return tuple(item.name for item in fields(SweepConfig))


def _check_text(node: Any, key: str) -> None:
    """Refuse text with `${`, which a later reader would take for a reference, even to an environment variable."""
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
    """Make a name that sorts by time and that no other sweep of the same second has."""
    word = re.sub(r"[^A-Za-z0-9._-]+", "-", str(experiment or "sweep")).strip("._-")
    return f"{word}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def _absolute(path: str | None) -> str | None:
    if path is None or "://" in path:  # no path of this machine: refused by its class
        return path
    return os.path.abspath(Path(path).expanduser())


def to_yaml(config: SweepConfig, values: Mapping[str, Any] | None = None) -> str:
    """Return a configuration as YAML text, with passwords masked; `from_yaml` reads the text back.

    The configuration read back, also through Hydra or `to_config`, equals the written one but for the passwords.

    Args:
        config: Configuration to write.
        values: Settings that differ from `config`, by dotted path `group.name`; values that `config` refuses are
            allowed.
    """
    tree = asdict(config)
    for path, value in (values or {}).items():
        group, _, name = path.partition(".")
        tree[group][name] = value
    return OmegaConf.to_yaml(OmegaConf.create(_without_secrets(tree)))


def _without_secrets(node: Any, key: str = "") -> Any:
    # Before it is YAML, where a value may be folded over lines, and its quotes doubled.
    if isinstance(node, dict):
        return {name: _without_secrets(child, name) for name, child in node.items()}
    if isinstance(node, list | tuple):
        return [_without_secrets(child) for child in node]
    is_url = isinstance(node, str) and (key.endswith("_url") or "://" in node)
    return redact_value(node) if is_url else node  # the name of a column may look like anything


def from_yaml(text: str) -> SweepConfig:
    """Read a `SweepConfig` from the text of a `config.yaml` that `to_yaml` wrote; resolve no `${...}` references."""
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
    """Turn any error that Hydra raises while composing into a `SweepError` of one line; wrap only composing.

    Raises:
        SweepError: Hydra cannot compose; the message names the key, option or file at fault, and the nearest that
            exists.
    """
    try:
        yield
    # Hydra raises a bare ValueError for some overrides of a group, such as data=5; a RuntimeError without a sweeper.
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError, RuntimeError) as error:
        raise SweepError(explain(error)) from error


def explain(error: Exception) -> str:
    """Return a one-line message for an error of Hydra or OmegaConf, with a remedy if one is known."""
    if isinstance(error, MissingConfigException) and error.options:
        return _missing_option(str(error.missing_cfg_file), list(error.options))
    if isinstance(error, OverrideParseException):
        return cannot_read(str(error.override))
    cause = error.__cause__ or error.__context__
    file = re.match(r"In '([^']+)': ", str(error))
    where = f"{file[1]}.yaml: " if file and file[1] != "config" else ""
    for pattern, words in _IN_OUR_WORDS:
        if said := re.search(pattern, f"{error}\n{cause}", re.MULTILINE):
            return where + words.format(*map(str.lower, said.groups()))
    if getattr(cause, "full_key", None) == EXPERIMENT or f"@{EXPERIMENT}." in str(error):
        return f"an experiment's file must have '# @package _global_' as its first line; {_first_line(error)}"
    if isinstance(cause, ConfigKeyError | ConfigAttributeError) and not is_free_form(str(cause.full_key)):
        return where + _unknown(str(cause.full_key))
    if isinstance(cause, OmegaConfBaseException) and not isinstance(cause, ConfigKeyError | ConfigAttributeError):
        return where + _value_error(cause)
    if isinstance(error, MissingConfigException):
        return _first_line(error)  # the search path that follows fills a screen
    if str(error).startswith("Ambiguous value"):
        return f"{_first_line(error)}; write key=[a,b] for a list, or quote the value for a string"
    return " ".join(str(error).split())


_CHOOSE = "an option is chosen by 'override /{0}: OPTION' in the file's defaults"
_NESTED = "space holds {{ppo: {{lr: {{log: [low, high]}}}}}}, and sampler.points a list of {{ppo: {{lr: VALUE}}}}"
_IN_OUR_WORDS = (
    (r"^Hydra sweeper is not configured$", NO_MULTIRUN),
    (r"^Primary config ", "--config-path must name a folder that holds config.yaml, and there is none"),
    (
        r"^Could not delete from config\. '(.*)' does not exist",
        "~{} takes out what is not there; --cfg job --package space shows what is",
    ),
    (r"^Cannot merge DictConfig with ListConfig|^Cannot assign \w+ to Dict", _NESTED),
    (r"^Merge error: \w+ is not a subclass of (\w+)Config\. value: (.*)", "{0} takes settings, got {1}; " + _CHOOSE),
    (r"^Multiple values for (\w+)\. To override a value use 'override \w+: (.*)'", "{0} is chosen twice; " + _CHOOSE),
    (r"Could not override '[\w/]*?(\w+)@.*No match in the defaults list", "{0} is not chosen so; " + _CHOOSE),
    (r"^field '(\w+)' is not Optional", "{} takes settings, got null"),
)
"""Patterns of messages by Hydra and OmegaConf, and our messages, with a remedy."""


def cannot_read(word: str) -> str:
    """Return an error message for a command-line argument that Hydra cannot parse, with the form to write instead."""
    key, equals, value = word.partition("=")
    hint = settings().get(key)
    if hint in _WORDS and hint is not str and value:
        return f"{key} must be {_type_words(hint)}, got {value}"
    if value.startswith("("):
        return f"cannot read {word!r}; a list is written {key}=[{value.strip('()')}]"
    if equals:
        return f"cannot read {word!r}; write key=value, in quotes where it holds spaces or brackets"
    if word in settings():
        return f"cannot read {word!r}; write {word}=VALUE, without spaces around ="
    if word in {file.stem for file in _EXPERIMENTS.glob("*.yaml")}:
        return f"cannot read {word!r}; write +experiment={word}"
    return f"cannot read {word!r}; write key=value, such as ppo.lr=1e-3, in quotes where it holds spaces or brackets"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".:")


def is_free_form(key: str) -> bool:
    """Return True if a key is `space` or `sampler.points`, or lies below one: the schema lists no names there.

    Example:
        >>> is_free_form("space.ppo.lr"), is_free_form("spacex")
        (True, False)
    """
    return any(key == free or key.startswith(f"{free}.") for free in (SPACE, "sampler.points"))


def _missing_option(file: str, options: list[str]) -> str:
    group, _, option = file.partition("/")
    asked = option.rpartition("/")[2].removesuffix(".yaml")
    close = max(options, key=lambda name: SequenceMatcher(None, asked.lower(), name).ratio())
    plus = "+" if group == EXPERIMENT else ""
    return (
        f"{group} has no option {option}; did you mean {plus}{group}={close}? There are: {', '.join(sorted(options))}"
        + _OTHERWISE.get(group, "")
    )


_OTHERWISE = {
    "env": "; another Gymnasium environment is set by env=cartpole env.id=NAME",
    "data": "; a file is set by data=csv data.path=FILE",
    EXPERIMENT: "; your own is FOLDER/experiment/NAME.yaml, set by --config-dir FOLDER +experiment=NAME",
}


_STAYS = "a configuration runs no code, writes nothing of its own and stays in the folder that it was called in"


def _value_error(error: OmegaConfBaseException) -> str:
    reason = _first_line(error)
    key = re.sub(r"\[\d+\]$", "", str(error.full_key or ""))
    if key.startswith(HYDRA):
        return _unknown(key)
    if key.startswith(f"{SPACE}.") and "ListConfig" in reason:
        return f"{key} must have a kind, such as {{log: [low, high]}}"
    if key not in settings():
        return f"{key}: {reason}" if key else reason
    kind = _type_words(settings()[key])
    if "is not Optional" in reason:
        return f"{key} must be {kind}, got null"
    if "ListConfig" in reason:
        return f"{key} must be {kind}" + (", in brackets" if get_origin(settings()[key]) is tuple else ", got a list")
    if missing := re.match(r"Interpolation key '(.*)' not found", reason):
        return f"{key} must be {kind}, got ${{{missing[1]}}}, and there is no {missing[1]}"
    if reason.startswith("Missing mandatory"):
        return f"{key} must be {kind}, got ???"
    if wrong := _WRONG_TYPE.match(reason):
        return f"{key} must be {kind}, got {wrong[1]}{_as_meant(settings()[key], wrong[1])}"
    return f"{key} must be {kind}: {reason}"


_WRONG_TYPE = re.compile(
    r"(?:Value|Cannot convert '\w+' to string:) '(.*)'(?: of type '\w+' could not be converted| is not a valid|$)"
)


def _as_meant(hint: Any, value: str) -> str:
    """Suggest the value as users write it for a type; empty for no suggestion."""
    if value.lower() in ("none", "off", "no", "nan", "all", "auto", "") and types.NoneType in get_args(hint):
        return "; write null"
    if re.fullmatch(r"[\d.]+ *[A-Za-z%]+", value) and hint is not str:
        return "; write the number alone, without a unit"
    with suppress(ValueError):
        if hint in (int, int | None) and float(value).is_integer():
            return f"; write {float(value):.0f}"
    return ""
