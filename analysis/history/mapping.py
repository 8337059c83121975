"""Mapping file: names of other programs' metrics and settings for those that Unstuck knows.

The file is YAML (or JSON), and each part may be left out:

```
iteration: update                                    # the column that counts iterations
env_steps: global_step                               # or the one that counts environment steps
metrics:
  train/value_loss: {column: critic/mse, times: 2}   # ours: theirs, and a factor where the unit differs
  train/approx_kl: kl
settings:
  ppo.gamma: 0.99                                    # what the files do not say
```
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.dialects.dialect import Dialect, Renamed
from unstuck.analysis.history.known import check_setting
from unstuck.analysis.history.names import find_nearest_metric, is_ours
from unstuck.analysis.history.settings import read_settings

MAPPED = "mapping"
"""Name of the dialect that a mapping file makes."""

_COUNTERS = ("iteration", "env_steps")
_PARTS = (*_COUNTERS, "metrics", "settings")


def read_mapping(file: Path) -> tuple[Dialect, dict[str, Any]]:
    """Read the user's mapping file: return a program's names with ours (a dialect), and the file's settings.

    Raises:
        AnalysisError: The file cannot be read, or names an unknown metric.
    """
    try:
        flat, _ = read_settings(file)
    except OSError as error:
        raise AnalysisError(f"--names must be a file that can be read, got {file}: {error.strerror}") from None
    except AnalysisError as error:
        raise AnalysisError(f"--names: {error}") from None
    parts: dict[str, dict[str, Any]] = {part: {} for part in _PARTS}
    for path, value in flat.items():
        part, _, rest = path.partition(".")
        if part not in _PARTS:
            raise AnalysisError(f"{file} may hold {', '.join(_PARTS)}, got {part!r}; see analysis/history/mapping.py")
        if part in _COUNTERS and (rest or not isinstance(value, str)):
            raise AnalysisError(f"{file}: {part} must be the name of a column, got {path}: {value!r}")
        if part not in _COUNTERS and not rest and value:
            raise AnalysisError(f"{file}: {part} must hold values by name, got {value!r}")
        if rest or part in _COUNTERS:
            parts[part][rest] = value
    dialect = Dialect(MAPPED, f"named by {file.name}", _metrics(file, parts["metrics"]), alone=True)
    dialect = replace(dialect, iteration=_column(parts["iteration"]), env_steps=_column(parts["env_steps"]))
    for path, value in parts["settings"].items():
        check_setting(str(file), path, value)
    return dialect, parts["settings"]


def _column(part: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(value) for value in part.values())


def _metrics(file: Path, entries: Mapping[str, Any]) -> dict[str, Renamed]:
    """Return our metric and the unit factor for each name in a mapping file's section on metrics.

    Entries are flat: `ours`, or `ours.column` and `ours.times`.
    """
    columns: dict[str, str] = {}
    factors: dict[str, float] = {}
    for path, value in entries.items():
        ours, _, key = path.partition(".")
        if not is_ours(ours):
            meant = find_nearest_metric(ours)
            raise AnalysisError(f"{file}: unknown metric {ours}; did you mean {meant}? See docs/metrics.md")
        if key == "times" and isinstance(value, int | float):
            factors[ours] = float(value)
        elif key in ("", "column") and isinstance(value, str):
            columns[ours] = value
        else:
            raise AnalysisError(
                f"{file}: {ours} must be a name, or {{column: name, times: number}}, got {path}: {value!r}"
            )
    for ours in factors.keys() - columns.keys():
        raise AnalysisError(f"{file}: {ours} must name its column, got {{times: {factors[ours]:g}}} alone")
    for ours, column in columns.items():
        first = next(name for name, named in columns.items() if named == column)
        if first != ours:
            raise AnalysisError(f"{file}: a column can be one metric, got {column} as {first} and as {ours}")
    return {column: (ours, factors.get(ours, 1.0)) for ours, column in columns.items()}
