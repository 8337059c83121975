"""Convert what a command found to JSON for programs, with the version of the schema (docs/commands.md)."""

import json
import math
from collections.abc import Mapping
from typing import Any

SCHEMA = 1
"""Version of the JSON that commands print: within a version keys may be added, and none changes or goes."""


def format_json(value: Mapping[str, Any]) -> str:
    """Convert values by key to the JSON text that a command prints, with the version number of the text's schema.

    Example:
        >>> print(format_json({"value": math.nan}))
        {
          "schema": 1,
          "value": null
        }
    """
    return json.dumps({"schema": SCHEMA, **_replace_infinities(dict(value))}, indent=2, default=str, allow_nan=False)


def _replace_infinities(value: Any) -> Any:
    """Replace numbers that are not finite, which JSON cannot hold, by None, also inside lists and dicts."""
    if isinstance(value, Mapping):
        return {key: _replace_infinities(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_replace_infinities(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
