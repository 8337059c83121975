"""Identify the sweep that a record belongs to, by the id in the sweep's folder.

Names may be shared, and folders may move.
"""

from dataclasses import dataclass
from pathlib import Path

import yaml  # type: ignore[import-untyped]


@dataclass(frozen=True)
class Identity:
    """Id of a sweep, and version number of its record format, as read from the sweep's folder.

    Attributes:
        id: Id that the sweep's records carry; None for a sweep that was started before sweeps had ids.
        format: Version of the records; records of format 1 may lack the id.

    Example:
        >>> Identity("ab12", format=2).owns("ab12"), Identity("ab12", format=2).owns(None)
        (True, False)
        >>> Identity(format=1).owns(None)
        True
    """

    id: str | None = None
    format: int = 1

    def owns(self, recorded: str | None) -> bool:
        """Return True if a record with the id `recorded` belongs to the sweep; in format 1, also one without id."""
        return recorded == self.id or (recorded is None and self.format == 1)


def read_identity(folder: Path) -> Identity | None:
    """Read the id and the format version of the sweep in a folder; return None if the folder holds no sweep."""
    try:
        settings = yaml.safe_load((folder / "config.yaml").read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return None
    if not isinstance(settings, dict):
        return None
    return Identity(settings.get("id"), settings.get("format", 1))


def list_study_names(sweep: str, sweep_id: str) -> tuple[str, str]:
    """Return two possible names of a sweep's Optuna study: the sweep's name, and a longer one if that is taken.

    Example:
        >>> list_study_names("quick", "0123456789abcdef")
        ('quick', 'quick (01234567)')
    """
    return sweep, f"{sweep} ({sweep_id[:8]})"
