"""A run in the form that the analysis reads, from any program."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd
from unstuck.rl import metrics

ENV_STEPS = "env_steps"
"""Column of the table beside the metrics: environment steps done by the end of the iteration, where recorded."""

POLICY_STD = "train/policy_std"
"""Spread (standard deviation) of the policy's continuous actions, mean over their dimensions, where logged."""

CLIP_RANGE = "train/clip_range"
"""Clip range in force, where logged: with a schedule it changes along the run."""

ENTROPY_COEF = "train/entropy_coef"
"""Coefficient of the entropy bonus in force, where logged."""

ENTROPY_BONUS = "train/entropy_bonus"
"""Entropy times a coefficient that was not recorded: what skrl, TorchRL and Brax log. The sign is the entropy's."""

TOTAL_LOSS = "train/loss"
"""Loss of the whole update: policy's and value's, weighted, less the entropy bonus; of unknown make-up."""

EPISODE_LENGTH = "train/episode_length"
EVAL_LENGTH = "eval/episode_length"
SUCCESS_RATE = "train/success_rate"
EVAL_SUCCESS_RATE = "eval/success_rate"

LOGGED_ELSEWHERE = (
    *(ENV_STEPS, POLICY_STD, CLIP_RANGE, ENTROPY_COEF, ENTROPY_BONUS, TOTAL_LOSS),
    *(EPISODE_LENGTH, EVAL_LENGTH, SUCCESS_RATE, EVAL_SUCCESS_RATE),
)
"""Columns that other programs log and `rl.metrics` does not name."""

_SEED = re.compile(r"/seed_(\d+)$")


@dataclass(frozen=True)
class History:
    """Metrics by iteration, settings and tags of one run, and the place that the run was read from.

    Attributes:
        name: Name of the run, e.g. `horizon/7`.
        source: Place where the run was read, in words, so that each figure can be traced.
        table: Row for each iteration (index, from 1, ascending), a column for each metric by the names of `rl.metrics`,
            float64; NaN where not recorded, infinite where a loss was logged as NaN or infinite.
        settings: Recorded settings by dotted path, e.g. `ppo.lr`.
        tags: MLflow's tags: `outcome`, `reason`, `sweep`, `trial`; empty for files.
        comments: Comments of the owner behind settings in a file, by dotted path.
        remarks: Notes on the reading: units converted, columns not understood.
        dialect: Program whose names the run's metrics have: `unstuck`, `sb3`, `cleanrl`, `plain` and others; see
            `analysis.history.names`.
        probed: Program of a loop that a probe measured, which is then in our names and by our definitions; empty
            for other logs.
        unrecognised: Columns or tags that were mapped to nothing although their names sound like a metric that the
            table lacks: something that matters may stand there.
        left_out: All columns or tags that were mapped to nothing, `unrecognised` among them.
        read_as: One line on how the run was read: whose names, what counts as a step, the iterations found, and which
            columns became which metric. Empty for runs that the project itself recorded.
        speed: Environment steps in a second, as the program logged them; None if not logged.
    """

    name: str
    source: str
    table: pd.DataFrame
    settings: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    comments: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    dialect: str = "unstuck"
    probed: str = ""
    unrecognised: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    read_as: str = ""
    speed: float | None = None

    def has(self, *names: str) -> bool:
        """True if the run recorded each of the named metrics at least once."""
        return all(name in self._recorded for name in names)

    def curve(self, name: str) -> "pd.Series[float]":
        """Return a metric's recorded values by iteration; empty if the metric was never recorded."""
        found = self._curves.get(name)
        if found is None:
            found = self.table[name].dropna() if name in self.table.columns else pd.Series(dtype=float)
            self._curves[name] = found
        return found

    def family(self, prefix: str) -> dict[str, "pd.Series[float]"]:
        """Return the curves of all metrics whose names begin with `prefix`, by the rest of the name.

        Curves of single seeds are left out.
        """
        names = [name for name in self._recorded if name.startswith(prefix) and not _SEED.search(name)]
        return {name.removeprefix(prefix): self.curve(name) for name in names}

    def seeds(self, name: str) -> dict[int, "pd.Series[float]"]:
        """Return a metric's curve for each seed, by seed number; empty if only the mean over seeds was recorded."""
        found = {}
        for column in self._recorded:
            match = _SEED.search(column)
            if match and column == metrics.seed_metric(name, int(match[1])):
                found[int(match[1])] = self.curve(column)
        return found

    def setting(self, path: str, default: Any = None) -> Any:
        """Return the value of the run's setting at a dotted path; `default` if not recorded."""
        return self.settings.get(path, default)

    @property
    def program(self) -> str:
        """Program whose names the run's owner gives to settings: the probed one, else that of the metrics' names."""
        return self.probed or self.dialect

    @property
    def last_iteration(self) -> int:
        """Number of the last iteration with a recorded value; 0 if there is none."""
        return int(self.table.index[-1]) if len(self.table) else 0

    @property
    def length(self) -> int:
        """Number of planned iterations, or of recorded iterations if more were recorded or the plan is unknown."""
        planned = self.setting("ppo.num_iterations")
        return max(int(planned) if isinstance(planned, int | float) else 0, self.last_iteration)

    @cached_property
    def _recorded(self) -> Mapping[str, None]:
        """Names of the metrics that were recorded at least once, in the table's order."""
        recorded = self.table.notna().any()
        return dict.fromkeys(recorded.index[recorded.to_numpy(dtype=bool)])

    @cached_property
    def _curves(self) -> dict[str, "pd.Series[float]"]:
        """Cache of curves computed so far, since rules ask for the same curves again and again."""
        return {}
