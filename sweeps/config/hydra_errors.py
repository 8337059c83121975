"""Turn the errors of Hydra and OmegaConf into one line that names key, value and remedy."""

import re
import types
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, get_args, get_origin

import yaml  # type: ignore[import-untyped]
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException
from unstuck.records.errors import SweepError
from unstuck.rl.wording import find_near
from unstuck.sweeps.config.keys import (
    EXPERIMENT,
    EXPERIMENTS,
    HYDRA,
    NEAR,
    SPACE,
    TRACKING,
    WORDS,
    describe_type,
    explain_unknown,
    is_free_form,
    settings,
)
from unstuck.sweeps.config.settings import list_trackers

NO_MULTIRUN = "--multirun is not for sweeps; one call is one sweep, and `space` says what it searches"


@contextmanager
def explain_errors() -> Iterator[None]:
    """Convert any error that Hydra raises inside the block to a `SweepError` with a message of one line.

    Raises:
        SweepError: Hydra cannot compose; the message names the key, option or file at fault, and the nearest that
            exists.
    """
    try:
        yield
    except UnicodeDecodeError as error:
        raise SweepError(
            f"an experiment's file must be UTF-8 text, got the byte {error.object[error.start]:#04x} at position "
            f"{error.start}; save the file as UTF-8"
        ) from error
    except yaml.MarkedYAMLError as error:
        raise SweepError(explain_yaml(error)) from error
    # Hydra raises a bare ValueError for some overrides of a group, such as data=5; a RuntimeError without a sweeper.
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError, RuntimeError) as error:
        raise SweepError(explain_error(error)) from error


def explain_error(error: Exception) -> str:
    """Explain an error of Hydra or OmegaConf in one line, with a remedy if one is known."""
    if isinstance(error, MissingConfigException) and error.options:
        return _explain_missing_option(str(error.missing_cfg_file), list(error.options))
    if isinstance(error, OverrideParseException):
        return explain_unreadable(str(error.override))
    cause = error.__cause__ or error.__context__
    file = re.match(r"In '([^']+)': ", str(error))
    where = f"{file[1]}.yaml: " if file and file[1] != "config" else ""
    for pattern, words in _IN_OUR_WORDS:
        if said := re.search(pattern, f"{error}\n{cause}", re.MULTILINE):
            return where + words.format(*map(str.lower, said.groups()))
    if getattr(cause, "full_key", None) == EXPERIMENT or f"@{EXPERIMENT}." in str(error):
        which = f"{file[1]}.yaml" if file else "an experiment's file"
        return (
            f"{which} must have '# @package _global_' as its first line, and settings below, such as ppo: {{lr: 1e-3}}"
        )
    if isinstance(cause, ConfigKeyError | ConfigAttributeError) and not is_free_form(str(cause.full_key)):
        return where + explain_unknown(str(cause.full_key))
    if isinstance(cause, OmegaConfBaseException) and not isinstance(cause, ConfigKeyError | ConfigAttributeError):
        return where + explain_value(cause)
    if isinstance(error, MissingConfigException):
        return _first_line(error)  # the search path that follows fills a screen
    if str(error).startswith("Ambiguous value"):
        return f"{_first_line(error)}; write key=[a,b] for a list, or quote the value for a string"
    return " ".join(str(error).split())


def explain_yaml(error: yaml.MarkedYAMLError) -> str:
    """Explain why a text is not valid YAML: file and line, the wrong text, and what to write instead."""
    mark = error.problem_mark or error.context_mark
    where = f"{mark.name} must be YAML, and line {mark.line + 1}" if mark else "settings must be YAML, and a line"
    problem = f"{error.context or ''} {error.problem or ''}".strip()
    if mark and error.context_mark and "expected ',' or" in problem:  # the place of the bracket helps, not of the end
        where = f"{mark.name} must be YAML, and line {error.context_mark.line + 1}"
    for pattern, words in _IN_YAML:
        if said := re.search(pattern, problem):
            return f"{where} {words.format(*said.groups())}"
    return f"{where} cannot be read: {problem}"


_IN_YAML = (
    (r"expected <block end>, but found", "is indented unlike the lines above; indent all settings of a group alike"),
    (r"found character '\\t'", "begins with a tab; indent by spaces"),
    (
        r"mapping values are not allowed here",
        "has a colon too many; give each setting its own line, indented alike",
    ),
    (
        r"expected ',' or '([}\]])'",
        "has a bracket that is not closed by {0}; close it, and put a reference ${{...}} in quotes",
    ),
    (r"found duplicate key (.*)", "has the key {0} a second time; write all of its settings in one place"),
    (
        r"constructor for the tag '(?:tag:yaml.org,2002:)?(.*)'",
        "has the tag {0}; leave it out, settings are plain",
    ),
)
"""Patterns of messages by YAML's reader, and our messages, with a remedy."""


_CHOOSE = "an option is chosen by 'override /{0}: OPTION' in the file's defaults"

_NESTED = "space holds {{ppo: {{lr: {{log: [low, high]}}}}}}, and sampler.points a list of {{ppo: {{lr: VALUE}}}}"

_IN_OUR_WORDS = (
    (
        r"^Additional config directory '(.*)' not found",
        "--config-dir must name a folder, got {}; there is none, so check the path",
    ),
    (r"^Hydra sweeper is not configured$", NO_MULTIRUN),
    (
        r"Could not load 'tracking/([\w-]+)'",  # one of a list of options
        "tracking has no option {}; --help lists what there is; in a file, TensorBoard and W&B are chosen by "
        "tracking: {{also: [tensorboard, wandb]}}",
    ),
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


def explain_unreadable(word: str) -> str:
    """Explain why Hydra cannot parse a command-line word, and what to write instead."""
    key, equals, value = word.partition("=")
    hint = settings().get(key)
    if hint in WORDS and hint is not str and value:
        return f"{key} must be {describe_type(hint)}, got {value}"
    if value.startswith("("):
        return f"cannot read {word!r}; a list is written {key}=[{value.strip('()')}]"
    if equals:
        return f"cannot read {word!r}; write key=value, in quotes where it holds spaces or brackets"
    if word in settings():
        return f"cannot read {word!r}; write {word}=VALUE, without spaces around ="
    if word in {file.stem for file in EXPERIMENTS.glob("*.yaml")}:
        return f"cannot read {word!r}; write +experiment={word}"
    return f"cannot read {word!r}; write key=value, such as ppo.lr=1e-3, in quotes where it holds spaces or brackets"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".:")


def _explain_missing_option(file: str, options: list[str]) -> str:
    group, _, option = file.partition("/")
    asked = option.rpartition("/")[2].removesuffix(".yaml")
    if group == TRACKING and asked not in list_trackers():
        options = [*{*options, *list_trackers()}]  # a tracker beside MLflow has no file
    close = find_near(asked, options, NEAR)
    plus = "+" if group == EXPERIMENT else ""
    meant = f"did you mean {plus}{group}={close}? There" if close else "there"
    return f"{group} has no option {option}; {meant} are: {', '.join(sorted(options))}" + _OTHERWISE.get(group, "")


_OTHERWISE = {
    "tracking": "; in a file, TensorBoard and W&B are chosen by tracking: {also: [tensorboard, wandb]}",
    "env": "; another Gymnasium environment is set by env=cartpole env.id=NAME",
    "data": "; a file is set by data=csv data.path=FILE",
    EXPERIMENT: "; your own is FOLDER/experiment/NAME.yaml, set by --config-dir FOLDER +experiment=NAME",
}


def explain_value(error: OmegaConfBaseException) -> str:
    """Explain why a value has the wrong type for a setting: the type, the value, and what to write instead."""
    reason = _first_line(error)
    key = re.sub(r"\[\d+\]$", "", str(error.full_key or ""))
    if key.startswith(HYDRA):
        return explain_unknown(key)
    if key.startswith(f"{SPACE}.") and "ListConfig" in reason:
        return f"{key} must have a kind, such as {{log: [low, high]}}"
    if key not in settings():
        return f"{key}: {reason}" if key else reason
    kind = describe_type(settings()[key])
    if "is not Optional" in reason:
        return f"{key} must be {kind}, got null"
    if "ListConfig" in reason:
        return f"{key} must be {kind}" + (", in brackets" if get_origin(settings()[key]) is tuple else ", got a list")
    if missing := re.match(r"Interpolation key '(.*)' not found", reason):
        return f"{key} must be {kind}, got ${{{missing[1]}}}, and there is no {missing[1]}"
    if reason.startswith("Missing mandatory"):
        return f"{key} must be {kind}, got ???"
    if wrong := _WRONG_TYPE.match(reason):
        return f"{key} must be {kind}, got {wrong[1]}{_suggest_value(settings()[key], wrong[1])}"
    return f"{key} must be {kind}: {reason}"


_WRONG_TYPE = re.compile(
    r"(?:Value|Cannot convert '\w+' to string:) '(.*)'(?: of type '\w+' could not be converted| is not a valid|$)"
)


def _suggest_value(hint: Any, value: str) -> str:
    """Suggest, as text, what to write instead of a value of the wrong type; empty if there is no suggestion."""
    if value.lower() in ("none", "off", "no", "nan", "all", "auto", "") and types.NoneType in get_args(hint):
        return "; write null"
    if re.fullmatch(r"[\d.]+ *[A-Za-z%]+", value) and hint is not str:
        return "; write the number alone, without a unit"
    with suppress(ValueError):
        if hint in (int, int | None) and float(value).is_integer():
            return f"; write {float(value):.0f}"
    return ""
