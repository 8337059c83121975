"""Settings as a command line of `sweep.py` takes them."""

from collections.abc import Mapping
from typing import Any


def literal(value: Any) -> str:
    """A value as Hydra's command line reads it back, every digit included."""
    if isinstance(value, list | tuple):
        return "[" + ",".join(literal(item) for item in value) + "]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def point(values: Mapping[str, Any]) -> str:
    """Settings by dotted path as `sampler.points` holds them: `{ppo: {lr: 0.001}}`."""
    groups: dict[str, list[str]] = {}
    for path, value in values.items():
        group, _, name = path.partition(".")
        groups.setdefault(group, []).append(f"{name}: {literal(value)}")
    return "{" + ", ".join(f"{group}: {{{', '.join(items)}}}" for group, items in groups.items()) + "}"
