"""A run as the analysis sees it, whoever made it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from rl import metrics

ENV_STEPS = "env_steps"
"""Column of the table beside the metrics: environment steps done by the end of the iteration, where recorded."""

_SEED = re.compile(r"/seed_(\d+)$")


@dataclass(frozen=True)
class History:
    """One run: its curves, its settings, and where they were read.

    Attributes:
        name: What to call it, e.g. `horizon/7`.
        source: Where it was read, in words, so that every figure can be traced.
        table: One row an iteration (index, from 1, ascending), one column a metric by the names of `rl.metrics`,
            float64; NaN where it was not recorded.
        settings: By dotted path, e.g. `ppo.lr`; only those that were recorded.
        tags: What MLflow says of it: `outcome`, `reason`, `sweep`, `trial`; empty for files.
        comments: What its owner wrote behind a setting in its file, by dotted path.
        remarks: What reading it took: units converted, columns not understood.
        dialect: Whose names the run's own settings have: `unstuck`, `sb3`, `cleanrl` or `plain`.
    """

    name: str
    source: str
    table: pd.DataFrame
    settings: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    comments: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    dialect: str = "unstuck"

    def has(self, *names: str) -> bool:
        """Whether every one of these metrics was recorded at least once."""
        return all(name in self._recorded for name in names)

    def curve(self, name: str) -> "pd.Series[float]":
        """A metric by iteration, where it was recorded; empty if it never was."""
        found = self._curves.get(name)
        if found is None:
            found = self.table[name].dropna() if name in self.table.columns else pd.Series(dtype=float)
            self._curves[name] = found
        return found

    def family(self, prefix: str) -> dict[str, "pd.Series[float]"]:
        """Curves of a family of metrics by the name's last part, e.g. of `train/action/`; each seed's own left out."""
        names = [name for name in self._recorded if name.startswith(prefix) and not _SEED.search(name)]
        return {name.removeprefix(prefix): self.curve(name) for name in names}

    def seeds(self, name: str) -> dict[int, "pd.Series[float]"]:
        """A metric's curve for each of the run's seeds, by its number; empty if only the mean was recorded."""
        found = {}
        for column in self._recorded:
            match = _SEED.search(column)
            if match and column == metrics.seed_metric(name, int(match[1])):
                found[int(match[1])] = self.curve(column)
        return found

    def setting(self, path: str, default: Any = None) -> Any:
        """A setting by dotted path; `default` where it was not recorded."""
        return self.settings.get(path, default)

    @property
    def last_iteration(self) -> int:
        """The last iteration of which anything was recorded; 0 if nothing was."""
        return int(self.table.index[-1]) if len(self.table) else 0

    @property
    def length(self) -> int:
        """Iterations that the run was meant to have, or has, if that was not recorded."""
        planned = self.setting("ppo.num_iterations")
        return max(int(planned) if isinstance(planned, int | float) else 0, self.last_iteration)

    @cached_property
    def _recorded(self) -> Mapping[str, None]:
        """Names of what was recorded at least once, in the table's order."""
        recorded = self.table.notna().any()
        return dict.fromkeys(recorded.index[recorded.to_numpy(dtype=bool)])

    @cached_property
    def _curves(self) -> dict[str, "pd.Series[float]"]:
        """Curves asked for so far: rules ask for the same ones again and again."""
        return {}
