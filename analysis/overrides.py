"""Settings as a command line of `sweep.py` takes them."""

import re
from collections.abc import Mapping
from typing import Any

_PLAIN = re.compile(r"(?!(?:null|true|false|nan|inf)$)[A-Za-z_][\w./+-]*", re.IGNORECASE)
"""Text that Hydra reads as itself, without quotes."""


def literal(value: Any) -> str:
    """A value as Hydra's command line reads it back, every digit included."""
    if isinstance(value, list | tuple):
        return "[" + ",".join(literal(item) for item in value) + "]"
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        return "'" + value.replace("'", "\\'") + "'"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def point(values: Mapping[str, Any]) -> str:
    """Settings by dotted path as `sampler.points` holds them: `{ppo: {lr: 0.001}}`."""
    groups: dict[str, list[str]] = {}
    for path, value in values.items():
        group, _, name = path.partition(".")
        groups.setdefault(group, []).append(f"{name}: {literal(value)}")
    return "{" + ", ".join(f"{group}: {{{', '.join(items)}}}" for group, items in groups.items()) + "}"
