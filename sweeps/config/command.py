"""Check and order the words of a command line, before Hydra composes anything."""

import re
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, NoReturn, get_args, get_origin

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, Quote, QuotedString, RangeSweep, ValueType
from hydra.errors import HydraException, OverrideParseException
from unstuck.records.errors import SweepError
from unstuck.rl.wording import find_nearest
from unstuck.sweeps.config.effects import format_value
from unstuck.sweeps.config.hydra_errors import NO_MULTIRUN, explain_unreadable
from unstuck.sweeps.config.keys import (
    BRANCH,
    CONF,
    EXPERIMENT,
    GROUPS,
    HYDRA,
    SCRIPT,
    SPACE,
    TRACKING,
    check_key,
    is_free_form,
    settings,
)
from unstuck.sweeps.config.kinds import explain_missing_kind
from unstuck.sweeps.config.settings import TRACKERS, SweepConfig, list_trackers

_OPTIONS = {item.name for item in fields(SweepConfig) if is_dataclass(item.default_factory)} | {SPACE}
_CHOSEN = _OPTIONS | {EXPERIMENT}


@dataclass(frozen=True)
class CommandLine:
    """Parsed command line of a sweep: words rewritten for Hydra, and the names of the settings that the words set.

    Attributes:
        words: Options first, then overrides, with text in quotes and a plus where Hydra needs one.
        given: Keys of the overrides: settings, groups, and what lies below `space`.
        chooses_nothing: True if neither a setting nor an option says what to run or to show.
        own_folder: Folder of the user's own experiments, as `--config-dir` names the folder; None for none.
        explained: Settings and groups that `--help` names, as in `--help ppo.lr`.
    """

    words: tuple[str, ...]
    given: frozenset[str]
    chooses_nothing: bool = False
    own_folder: Path | None = None
    explained: tuple[str, ...] = ()


def read_arguments(arguments: Sequence[str], beside: Path) -> CommandLine:
    """Check command-line arguments and rewrite the words for Hydra; raise a `SweepError` of one line for a wrong word.

    Args:
        arguments: Words of the command line.
        beside: Folder where a relative `--config-path` is looked for.

    Raises:
        SweepError: An argument is refused; the message names the argument, and what to write instead.
    """
    parser = get_args_parser()
    parser.error = _refuse_option  # type: ignore[method-assign]
    options, overrides = _split(parser, arguments)
    chosen = parser.parse_args(options)
    if chosen.experimental_rerun is not None:
        raise SweepError(
            "--experimental-rerun reads a pickle, which may run anything; resume=NAME goes on with a sweep"
        )
    if chosen.multirun:
        raise SweepError(NO_MULTIRUN)
    if chosen.shell_completion:
        return CommandLine(tuple(arguments), frozenset())
    if chosen.help and overrides and not any("=" in word for word in overrides):
        return CommandLine(tuple(arguments), frozenset(), explained=tuple(overrides))
    overrides = [part for word in overrides for part in split_trackers(word)]
    words = [_add_plus(_quote_value(word)) for word in overrides]
    parsed = [_parse_override(word, typed) for word, typed in zip(words, overrides, strict=True)]
    for override in parsed:
        _check_override(override)
    _check_twice(parsed)
    if chosen.config_path is not None and not chosen.config_path.startswith("pkg://"):
        options += ["--config-path", str(beside / chosen.config_path)]  # the last one holds
    given = frozenset(override.key_or_group for override in parsed)
    of_options = {name for name, value in vars(chosen).items() if value} - {"config_dir", "overrides"}
    own = Path(chosen.config_dir) if chosen.config_dir else None
    if own is not None:
        _check_own_folder(own)
    return CommandLine((*options, *words), given, not given and not of_options, own)


def _check_own_folder(own: Path) -> None:
    """Refuse a user's config folder that has an option named like a built-in one, which Hydra would confuse."""
    for file in sorted(own.glob("*/*.yaml")):
        ours = CONF / file.relative_to(own)
        if ours.exists() and not ours.samefile(file):
            raise SweepError(
                f"options of your own must have other names than ours, got {file}, in whose place ours would be read; "
                f"rename the file, such as to my_{file.name}, and write {file.parent.name}=my_{file.stem}"
            )


def split_trackers(word: str) -> list[str]:
    """Split `tracking=[mlflow,tensorboard]` into MLflow's option (`mlflow` or `none`) and names of further trackers.

    A tracker beside MLflow has no file that `tracking=NAME` could choose, so it is split as well.

    Raises:
        SweepError: A name is not known.

    Example:
        >>> split_trackers("tracking=[mlflow,wandb]"), split_trackers("tracking=mlflow")
        (['tracking=mlflow', 'tracking.also=[wandb]'], ['tracking=mlflow'])
    """
    key, _, value = word.lstrip("+").partition("=")
    is_list = value.startswith("[") and value.endswith("]")
    names = [name.strip(" '\"") for name in value.strip("[]").split(",") if name.strip()]
    if key != TRACKING or not (is_list or value in list_trackers()[len(TRACKERS) :]):
        return [word]
    for name in names:
        if name not in list_trackers():
            near = find_nearest(name, list_trackers())
            raise SweepError(
                f"tracking takes {', '.join(list_trackers())}, or a list of them, got {name}; did you mean {near}?"
            )
    if "none" in names and len(names) > 1:
        raise SweepError(f"tracking=none must stand alone, got {value}; leave out none")
    first = "mlflow" if "mlflow" in names else "none"
    return [f"{TRACKING}={first}", f"{TRACKING}.also=[{','.join(name for name in names if name not in TRACKERS)}]"]


def _parse_override(word: str, typed: str) -> Override:
    try:
        return OverridesParser.create().parse_overrides([word])[0]
    except OverrideParseException as error:
        raise SweepError(explain_unreadable(typed)) from error


def _check_twice(overrides: Sequence[Override]) -> None:
    """Refuse two different options of one configuration group, such as two samplers; allow a setting given twice."""
    for first, second in combinations(overrides, 2):
        key = first.key_or_group
        if key in _CHOSEN and key == second.key_or_group and first.value() != second.value():
            got = " and ".join(format_value(one.value()) for one in (first, second))
            raise SweepError(f"{key} takes one option, got {got}; leave one out")


def _refuse_option(message: str) -> NoReturn:
    """Raise an error for an unknown option, such as CleanRL's `--learning-rate`, that names our setting instead."""
    from unstuck.analysis.history.names import find_our_setting  # late: it brings pandas

    named = re.search(r"(?<!\S)(--(\w[\w-]*))(?:=(\S+))?", message)
    if named and (ours := find_our_setting(named[2])) in settings():
        raise SweepError(f"unknown option {named[1]}; write {ours}={named[3] or 'VALUE'}")
    raise SweepError(f"{message}; settings are written key=value, and --help lists what there is")


def _split(parser: ArgumentParser, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate command-line options (with values) from settings `key=value`; keep the order within each list."""
    overrides = list(parser.parse_intermixed_args(arguments).overrides)
    options, left = [], list(overrides)
    for word in arguments:
        if left and word == left[0]:
            left.pop(0)
        else:
            options.append(word)
    return options, overrides


def _add_plus(word: str) -> str:
    """Add `+` to a `key=value` word whose key is new to Hydra, which needs the sign; remove the sign for others."""
    key = word.partition("=")[0].lstrip("+")
    bare = word.lstrip("+")
    if key == EXPERIMENT:
        return f"+{bare}"
    if key.startswith((f"{SPACE}.", f"{SCRIPT}.")):
        return f"++{bare}"
    return bare if key in settings() or key in _OPTIONS else word


def _quote_value(word: str) -> str:
    """Put quotes around the text in a `key=value` word that Hydra would misread, e.g. `data.path=~/jörg/a=b.csv`."""
    key, equals, value = word.partition("=")
    hint = settings().get(key.lstrip("+"))
    if not equals or not value or _reads_as_text(word, key):
        return word
    if hint in (str, str | None):
        return f"{key}={_in_quotes(value)}"
    if get_origin(hint) is tuple and get_args(hint)[0] is str and value[0] + value[-1] == "[]" and "'" not in value:
        return f"{key}=[{','.join(_in_quotes(item.strip()) for item in value[1:-1].split(','))}]"
    return word


def _in_quotes(text: str) -> str:
    return text if text[:1] in ("'", '"') else QuotedString(text, Quote.single).with_quotes()


def _reads_as_text(word: str, key: str) -> bool:
    """Return True if Hydra reads an unquoted value correctly: as text, null, a list or several values."""
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException:
        return False
    if override.is_sweep_override():
        return override.value_type is not ValueType.SIMPLE_CHOICE_SWEEP or key.partition(".")[0] in GROUPS
    values = override.value() if isinstance(override.value(), list) else [override.value()]
    return all(value is None or isinstance(value, str | dict | list) for value in values)  # type: ignore[union-attr]


def _check_override(override: Override) -> None:
    key = override.key_or_group
    if not key or (not override.is_delete() and "=" not in str(override.input_line)):
        raise SweepError(explain_unreadable(str(override.input_line)))
    if override.package is not None:
        raise SweepError(f"{key}@{override.package} puts a group where nothing reads it; write {key}=NAME")
    if why := _explain_left_out(key):
        raise SweepError(f"{key} must be left out, since {why}; got {override.input_line}")
    if override.is_delete():
        if not is_free_form(key):
            raise SweepError(f"~{key} takes away what every sweep has; only ~space... can go: write {key}=VALUE")
        return
    if not key.startswith((HYDRA, "hydra/")) and key not in _CHOSEN:
        check_key(key)
    if override.is_sweep_override():
        raise SweepError(_explain_several(override))
    _check_list(key, override.value())
    if key.removeprefix(f"{SPACE}.") in settings() and key not in settings() and not isinstance(override.value(), dict):
        raise SweepError(explain_missing_kind(key, override.value()))
    if key in _CHOSEN and not isinstance(override.value(), str | list if key == EXPERIMENT else str):
        raise SweepError(_group_written_as_a_setting(override))


def _explain_left_out(key: str) -> str:
    """Explain why the setting `key` cannot be set on the command line; return an empty text if the setting can be."""
    if key in ("format", "id"):
        return "the records of a sweep hold their own"
    if key.partition(".")[0] == BRANCH:
        return "each arm of an unstick has its own, as in arms=[{branch: {start: anew}}]"
    return ""


def _check_list(key: str, value: Any) -> None:
    """Refuse a single value for a setting that holds a list."""
    if get_origin(settings().get(key)) is not tuple:
        return
    if not isinstance(value, list) and not str(value).startswith(("${", "???")):
        listed = str(value) if str(value).startswith("[") else f"[{format_value(value)}]"
        raise SweepError(f"{key} takes a list, got {format_value(value)}; write {key}={listed}")
    for item in value if key == "sampler.points" else ():
        if not isinstance(item, dict) and not isinstance(value, str):
            raise SweepError(f"{key} lists changes, such as {{ppo: {{lr: 1e-3}}}}, got {format_value(item)}")


def _group_written_as_a_setting(override: Override) -> str:
    key = override.key_or_group
    ways = [f"{key}=NAME", f"{key}.SETTING=VALUE"]
    if key == "sweep":
        ways = ways[1:]
    elif key == EXPERIMENT:
        ways = ways[:1]
    return f"{key} is a group of settings, written {' or '.join(ways)}, got {override.input_line}; --help lists them"


def _explain_several(override: Override) -> str:
    """Explain what to write instead of several values (`a,b`) for a setting, which only Hydra's --multirun takes."""
    key, got = override.key_or_group, str(override.input_line).partition("=")[2]
    kind, values = _as_kind(override.value())
    group, *names = key.removeprefix(f"{SPACE}.").split(".")
    if key in settings() and get_origin(settings()[key]) is tuple:
        return f"{key} takes a list, got {got}; write {key}={values}"
    if key.startswith(f"{SPACE}."):
        return f"{key} takes a list, got {got}; write {key if names[1:] else f'{key}.{kind}'}={values}"
    if settings().get(key) in (float, float | None) and re.fullmatch(r"\d+,\d+", got):
        return f"{key} takes one number, with a point, got {got}; write {key}={got.replace(',', '.')}"
    if group in GROUPS and names:
        return f"{key} takes one value, got {got}; write {SPACE}.{key}.{kind}={values} to search them"
    if key == TRACKING:
        return f"{key} takes a list, got {got}; write {key}=[{got}]"
    return f"{key} takes one {'option' if key in _CHOSEN else 'value'}, got {got}; one call is one sweep"


def _as_kind(value: Any) -> tuple[str, str]:
    """Convert several values in Hydra's --multirun syntax to the kind of a search range and a list as text."""
    if isinstance(value, IntervalSweep):
        return "float", f"[{value.start},{value.end}]"
    if isinstance(value, RangeSweep):
        listed = list(value.range())
        if value.step == 1 and listed and all(isinstance(item, int) for item in listed):
            return "int", f"[{listed[0]},{listed[-1]}]"
        return "choice", f"[{','.join(map(str, listed))}]"
    listed = [Override._get_value_element_as_str(item) for item in getattr(value, "list", ("a", "b"))]
    return "choice", f"[{','.join(listed)}]"
