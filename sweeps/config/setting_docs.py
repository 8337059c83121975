"""Explain each setting: type, default and meaning, for `--help SETTING` and for docs/settings.md alike.

The comment behind a field of a settings class is the meaning of the setting. No second text exists: what is shown is
read from the classes' source.
"""

import ast
import inspect
import io
import textwrap
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from functools import cache
from operator import attrgetter
from types import MappingProxyType
from typing import Any, get_type_hints

from unstuck.records.errors import SweepError
from unstuck.sweeps.config.keys import (
    CONF,
    EXPERIMENT,
    SPACE,
    describe_type,
    explain_unknown,
    is_group,
    settings,
)
from unstuck.sweeps.config.settings import SweepConfig


@dataclass(frozen=True)
class SettingDoc:
    """Documentation of one setting: dotted name, type, default value and meaning.

    Attributes:
        key: Dotted name, such as `ppo.lr`.
        type: Type of the value in words.
        default: Default value, as written on the command line.
        meaning: Meaning of the setting, and the typical range of a number.
    """

    key: str
    type: str
    default: str
    meaning: str


@cache
def list_setting_docs() -> Mapping[str, SettingDoc]:
    """List the documentation of every setting by dotted name, in the order of declaration.

    Example:
        >>> list_setting_docs()["ppo.lr"].meaning
        "Adam's step size; 1e-5 to 1e-2"
    """
    default, meanings = SweepConfig(), dict(_read_meanings())
    return MappingProxyType(
        {
            key: SettingDoc(key, describe_type(hint), format_default(attrgetter(key)(default)), meanings.get(key, ""))
            for key, hint in settings().items()
        }
    )


def _read_meanings() -> Iterator[tuple[str, str]]:
    """Yield for each setting the dotted name and the comment that stands after the field in the class's source."""
    yield from read_comments(SweepConfig).items()
    for group, kind in get_type_hints(SweepConfig).items():
        if is_group(kind):
            yield from ((f"{group}.{name}", comment) for name, comment in read_comments(kind).items())


@cache
def read_comments(kind: type) -> Mapping[str, str]:
    """Read the comment after each field of a dataclass from the class's source; leave out fields without comment.

    Example:
        >>> read_comments(SweepConfig)["resume"]
        'name of a sweep to go on with; null: a new one'
    """
    source = textwrap.dedent(inspect.getsource(kind))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {one.start[0]: one.string.lstrip("# ") for one in tokens if one.type == tokenize.COMMENT}
    (body,) = (node.body for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    found = {}
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            said = " ".join(comments[line] for line in lines if line in comments)
            if said:
                found[node.target.id] = said
    return MappingProxyType(found)


def format_default(value: Any) -> str:
    """Format a default value as text that the command line accepts.

    Example:
        >>> format_default(None), format_default(True), format_default((64, 64)), format_default(())
        ('null', 'true', '[64, 64]', '[]')
    """
    if isinstance(value, tuple):
        return f"[{', '.join(map(format_default, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def list_options(group: str) -> dict[str, str]:
    """Return the options of a config group by name, each with the comment on top of the option's file."""
    return {file.stem: _read_head(file.read_text("utf-8")) for file in sorted((CONF / group).glob("*.yaml"))}


def _read_head(text: str) -> str:
    lines = text.splitlines()
    end = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    said = (line.removeprefix("#").strip() for line in lines[:end])
    return " ".join(line for line in said if not line.startswith(("@package", "python sweep.py")))


_DESCRIBED = {
    SPACE: "What is searched: a range for each setting, such as space.ppo.lr.log=[1e-4,1e-2].",
    EXPERIMENT: "Experiments: what a sweep asks, chosen by +experiment=NAME.",
}


def describe_group(group: str) -> str:
    """Describe a group of settings in one sentence; return an empty text for a setting that belongs to no group."""
    kind = get_type_hints(SweepConfig).get(group)
    return (inspect.getdoc(kind) or "") if is_dataclass(kind) else _DESCRIBED.get(group, "")


def list_top_level() -> tuple[str, ...]:
    """List all groups of settings, and settings outside groups, in order of declaration; `experiment` is last."""
    return (*get_type_hints(SweepConfig), EXPERIMENT)


def explain_setting(name: str) -> str:
    """Explain one setting, or all settings and options of a group, in lines of text for `--help`.

    Args:
        name: Dotted name of a setting, such as `ppo.lr`, or the name of a group, such as `ppo`.

    Raises:
        SweepError: No setting and no group has the name; the message says which was meant.
    """
    documented = list_setting_docs()
    if name in documented and name != SPACE:
        return "\n".join(_explain_one(documented[name]))
    if name not in list_top_level():
        raise SweepError(explain_unknown(name))
    lines = [describe_group(name)]
    if options := list_options(name):
        lines += ["", f"options, chosen by {name}=OPTION:"]
        lines += [f"  {option}: {said}" if said else f"  {option}" for option, said in options.items()]
    for key, one in documented.items():
        if key.startswith(f"{name}."):
            lines += ["", *_explain_one(one)]
    return "\n".join(lines)


def _explain_one(one: SettingDoc) -> list[str]:
    return [f"{one.key}={one.default}", f"  {one.type}", f"  {one.meaning}"]
