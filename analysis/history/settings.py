"""Read settings of a run from files beside the curves: YAML, JSON, or the table that CleanRL logs as a text."""

import ast
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.names import PLAIN, Dialect
from unstuck.records.names import flatten

_LINEAR = "lin_"
_COMMENTED = re.compile(r"^\s*([\w.]+):[^#\n]*\s#\s*(.+?)\s*$", re.MULTILINE)
_TEXT_ROW = re.compile(r"^\|([^|]+)\|(.*)\|$", re.MULTILINE)


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML loader that accepts the ordered dictionaries that RL-Zoo writes by a Python tag; executes nothing."""


def _ordered(loader: _Loader, node: yaml.Node) -> dict[str, Any]:
    (pairs,) = loader.construct_sequence(node, deep=True)
    return dict(pairs)


_Loader.add_constructor("tag:yaml.org,2002:python/object/apply:collections.OrderedDict", _ordered)


def read_settings(file: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Read a YAML or JSON file; return the settings by dotted path, and the comments by setting.

    Raises:
        AnalysisError: The file is neither YAML nor JSON, or holds no settings by name.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise AnalysisError(f"{file} must be a text file, in UTF-8") from None
    try:
        tree = json.loads(text) if file.suffix == ".json" else yaml.load(text, Loader=_Loader)
    except (ValueError, yaml.YAMLError) as error:
        raise AnalysisError(f"{file} must be {file.suffix[1:].upper()}: {str(error).partition(chr(10))[0]}") from None
    if not isinstance(tree, Mapping):
        raise AnalysisError(f"{file} must hold settings by name, got {type(tree).__name__}")
    return flatten(tree), dict(_COMMENTED.findall(text))


def parse_table(table: str) -> dict[str, Any]:
    """Read settings from a Markdown table of names and values, the form of CleanRL's logs."""
    rows = {name.strip(): value.strip() for name, value in _TEXT_ROW.findall(table)}
    return {name: parse_literal(value) for name, value in rows.items() if name != "param" and set(name) != {"-"}}


def parse_literal(text: str) -> Any:
    """Parse the text of a number, a list, `True` or `None`; return any other text as is."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def translate_settings(settings: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    """Translate settings to our names and units; unknown settings keep the names given."""
    names = {**PLAIN.settings, **dialect.settings}
    ours: dict[str, Any] = {}
    for name, value in settings.items():
        path, factor = names.get(name, (name, 1.0))
        if isinstance(value, str) and value.startswith(_LINEAR):  # RL-Zoo's way to write a schedule
            value = parse_literal(value.removeprefix(_LINEAR))
            if path == "ppo.lr":
                ours["ppo.lr_schedule"] = "linear"
        scaled = isinstance(value, int | float) and not isinstance(value, bool) and factor != 1.0
        ours[path] = value * factor if scaled else value
    return ours


def is_sweep(settings: Mapping[str, Any]) -> bool:
    """True if the settings have the groups of an Unstuck sweep: `sweep`, `ppo` and `env`."""
    return {path.partition(".")[0] for path in settings} >= {"sweep", "ppo", "env"}


def translate_comments(comments: Mapping[str, str], dialect: Dialect) -> dict[str, str]:
    """Return comments by our name of the setting, instead of the name in the dialect."""
    names = {**PLAIN.settings, **dialect.settings}
    return {names.get(name, (name, 1.0))[0]: text for name, text in comments.items()}
