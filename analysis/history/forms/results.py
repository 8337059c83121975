"""Read results in JSON, one on each line: RLlib's result.json, and logs of people's own."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.raw import Raw, collect_columns

_SETTINGS = "config"
_JOINED = "/"
_DIGITS = 300
"""Digits from which on a whole number is beyond all floats."""


def parse_json(text: str) -> Any:
    """Parse a text of JSON, whose whole numbers too large for a float become infinite."""
    return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < _DIGITS else float(digits))


def is_results(text: str) -> bool:
    """True if each line of the text is a JSON object; False for one object over several lines, a settings file."""
    first = text.lstrip().partition("\n")[0]
    try:
        return first.startswith("{") and isinstance(parse_json(first), Mapping)
    except (ValueError, RecursionError):
        return False


def read_results(file: Path | None, text: str) -> Raw:
    """Read one result from each line of JSON, nested names joined by `/`; skip a last line that is cut off.

    Raises:
        AnalysisError: A line is no JSON.
    """
    rows: list[dict[str, float]] = []
    settings: dict[str, Any] = {}
    lines = [line for line in text.splitlines() if line.strip()]
    for number, line in enumerate(lines, start=1):
        try:
            tree = parse_json(line)
        except (ValueError, RecursionError) as error:
            if number == len(lines):
                break
            raise AnalysisError(f"line {number} of {file or 'standard input'} must be JSON: {error}") from None
        if isinstance(tree, Mapping):
            settings = dict(tree.get(_SETTINGS) or {}) if isinstance(tree.get(_SETTINGS), Mapping) else settings
            rows.append(flatten_numbers({name: value for name, value in tree.items() if name != _SETTINGS}))
    return Raw(file, collect_columns(rows), form="JSON lines", settings=settings)


def flatten_numbers(tree: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Return the numbers in an object of JSON, nested names joined by `/`; a NaN that is spelt out counts as one."""
    flat: dict[str, float] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten_numbers(value, f"{prefix}{name}{_JOINED}")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            flat[prefix + name] = float(value)
        elif value in ("nan", "NaN"):
            flat[prefix + name] = math.nan
    return flat
