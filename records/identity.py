"""Which sweep a record belongs to: its folder says its id. A name is nobody's own, and a path is where it lies now."""

from dataclasses import dataclass
from pathlib import Path

import yaml  # type: ignore[import-untyped]


@dataclass(frozen=True)
class Identity:
    """What a sweep's folder says it is.

    Attributes:
        id: What its records are known by; None: it was started before sweeps had ids.
        format: Version of its records; those of 1 may lack the id.
    """

    id: str | None = None
    format: int = 1

    def owns(self, recorded: str | None) -> bool:
        """Whether a record of the sweep's name is this sweep's, by the id that it says, if it says one."""
        return recorded == self.id or (recorded is None and self.format == 1)


def identity(folder: Path) -> Identity | None:
    """Read what a sweep's folder says; None where it holds no sweep."""
    try:
        settings = yaml.safe_load((folder / "config.yaml").read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return None
    if not isinstance(settings, dict):
        return None
    return Identity(settings.get("id"), settings.get("format", 1))


def study_names(sweep: str, sweep_id: str) -> tuple[str, str]:
    """The names that a sweep's study may have: the sweep's, or, where that was taken, one that nobody else has."""
    return sweep, f"{sweep} ({sweep_id[:8]})"
