"""Write settings for the command line of `sweep.py`."""

import re
from collections.abc import Mapping
from typing import Any

_PLAIN = re.compile(r"(?!(?:null|true|false|nan|inf)$)[A-Za-z_][\w./+-]*", re.IGNORECASE)
"""Text that Hydra reads as itself, without quotes."""


def format_literal(value: Any, between: str = ",") -> str:
    """Format a value so that Hydra's command line reads exactly the same value back.

    Args:
        value: Value of a setting.
        between: Text between the items of a list: with a space, a shell reads the list as two words.

    Example:
        >>> format_literal([0.1, True, None]), format_literal("a b")
        ('[0.1,true,null]', "'a b'")
    """
    if isinstance(value, list | tuple):
        return "[" + between.join(format_literal(item, between) for item in value) + "]"
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        return "'" + value.replace("'", "\\'") + "'"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def format_point(values: Mapping[str, Any]) -> str:
    """Format settings as one point for the setting `sampler.points`, e.g. `{ppo: {lr: 0.001}}`.

    Example:
        >>> format_point({"ppo.lr": 0.001, "ppo.gamma": 0.5})
        '{ppo: {lr: 0.001, gamma: 0.5}}'
    """
    groups: dict[str, list[str]] = {}
    for path, value in values.items():
        group, _, name = path.partition(".")
        groups.setdefault(group, []).append(f"{name}: {format_literal(value)}")
    return "{" + ", ".join(f"{group}: {{{', '.join(items)}}}" for group, items in groups.items()) + "}"
