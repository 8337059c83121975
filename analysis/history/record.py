"""A run in the form that the analysis reads, from any program."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
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

EPOCHS_DONE = metrics.EPOCHS_DONE
"""Passes over rollouts that all updates so far have made; fewer than asked for where `target_kl` ends an update."""

TOTAL_LOSS = "train/loss"
"""Loss of the whole update: policy's and value's, weighted, less the entropy bonus; of unknown make-up."""

ACTION_EFFECT, ACTION_SHOWN = metrics.ACTION_EFFECT, metrics.ACTION_SHOWN
ACTION_DELAY, ACTION_SHOWN_LATE = metrics.ACTION_DELAY, metrics.ACTION_SHOWN_LATE
ACTION_HALVES, ACTION_SHOWN_EARLY = metrics.ACTION_HALVES, metrics.ACTION_SHOWN_EARLY
NEXT_BY_STEP, NEXT_BY_PAST = metrics.NEXT_BY_STEP, metrics.NEXT_BY_PAST
REWARD_BY_OBSERVATION, REWARD_BY_STEP = metrics.REWARD_BY_OBSERVATION, metrics.REWARD_BY_STEP
REWARD_BY_PAST, REWARD_BY_EFFORT = metrics.REWARD_BY_PAST, metrics.REWARD_BY_EFFORT
REWARD_BY_NEXT, REWARD_BY_LATER = metrics.REWARD_BY_NEXT, metrics.REWARD_BY_LATER
COLUMNS_CONSTANT, COLUMNS_CLIPPED = metrics.COLUMNS_CONSTANT, metrics.COLUMNS_CLIPPED
START_REPEATS = metrics.START_REPEATS
PARAMETER_NORM = metrics.PARAMETER_NORM
STARTS_RESEEDED = "train/starts_reseeded"
ENDS_TRUNCATED = "train/ends_truncated"
TRUNCATED_LENGTHS, TRUNCATED_EARLY = "train/truncated_lengths", "train/truncated_early"

WRAPPED_ACTION_DELAY, WRAPPED_SIGHT_DELAY = "train/wrapped_action_delay", "train/wrapped_observation_delay"
WRAPPED_ACTION_REACH, WRAPPED_ACTION_CUT = "train/wrapped_action_reach", "train/wrapped_action_cut"
WRAPPED_SIGHT_LOST, WRAPPED_COLUMNS_BLANK = "train/wrapped_observation_lost", "train/wrapped_columns_blank"
WRAPPED_REWARD_LOST, WRAPPED_REWARD_SIGN = "train/wrapped_reward_lost", "train/wrapped_reward_correlation"
WRAPPED_REWARD_NOISE, WRAPPED_REWARD_COST = "train/wrapped_reward_noise", "train/wrapped_reward_cost"
WRAPPED_ENDS, REWARD_AFTER = "train/wrapped_ends", "train/reward_after"
WRAPPED_ACTION_UNUSED, WRAPPED_REWARD_STEP = "train/wrapped_action_unused", "train/wrapped_reward_step"

WRAPPED = (
    *(WRAPPED_ACTION_DELAY, WRAPPED_ACTION_REACH, WRAPPED_ACTION_CUT, WRAPPED_ACTION_UNUSED),
    *(WRAPPED_SIGHT_DELAY, WRAPPED_SIGHT_LOST, WRAPPED_COLUMNS_BLANK),
    *(WRAPPED_REWARD_LOST, WRAPPED_REWARD_SIGN, WRAPPED_REWARD_NOISE, WRAPPED_REWARD_COST, WRAPPED_REWARD_STEP),
    *(WRAPPED_ENDS, REWARD_AFTER),
)
"""What wrappers change between an environment and its training, and when rewards come, as a probe sees both sides."""

PROBED = (
    *(*metrics.DYNAMICS, START_REPEATS, PARAMETER_NORM, metrics.LANES_ALIKE, *WRAPPED),
    *(STARTS_RESEEDED, ENDS_TRUNCATED, TRUNCATED_LENGTHS, TRUNCATED_EARLY),
)
"""Columns that the probe alone measures, some of them our learner as well (docs/probe.md)."""

PARAMETERS_UNMOVED = "train/parameters_unmoved"
"""Share of the policy's tensors of parameters that never had a gradient, as a saved optimiser shows."""

RETURN_VALUES = "train/return_values"
"""Number of different returns among the last episodes of training, where each episode is on record."""

STEP_PAY, EVAL_STEP_PAY = "train/step_pay", "eval/step_pay"
"""Return that a step more brings an episode of training, or of evaluations, where that is the same for all steps."""

EVAL_MISSED = "eval/missed_by_training"
"""Share of the evaluations' late episodes that are worse than 99 % of training's meanwhile, and last no longer."""

OF_MONITORS = (RETURN_VALUES, STEP_PAY, EVAL_STEP_PAY, EVAL_MISSED)
"""Columns that files of single episodes alone tell, and no program logs."""

EPISODE_LENGTH = metrics.EPISODE_LENGTH
EVAL_LENGTH = "eval/episode_length"
SUCCESS_RATE = "train/success_rate"
EVAL_SUCCESS_RATE = "eval/success_rate"

FINISHED = "finished"
"""Setting by which a user says whether the run has ended: true or false."""

LOGGED_ELSEWHERE = (
    *(ENV_STEPS, POLICY_STD, CLIP_RANGE, ENTROPY_COEF, ENTROPY_BONUS, TOTAL_LOSS, EPOCHS_DONE),
    *(
        PARAMETERS_UNMOVED,
        RETURN_VALUES,
        STEP_PAY,
        EVAL_STEP_PAY,
        EVAL_MISSED,
        EPISODE_LENGTH,
        EVAL_LENGTH,
        SUCCESS_RATE,
        EVAL_SUCCESS_RATE,
        *PROBED,
    ),
)
"""Columns that other programs log and `rl.metrics` does not name."""

SAME_FOR_SEEDS = (ENV_STEPS, CLIP_RANGE, ENTROPY_COEF, metrics.LR, *metrics.TRIVIAL)
"""Columns that are the same for all seeds of a trial, since settings, schedule and evaluated flows are."""

_OF_TRIAL = (metrics.EFFECTIVE_PREFIX, metrics.FINAL_PREFIX)
"""Beginnings of the names of columns that a trial has as a whole: settings in force, and what the end came to."""

_SEED = re.compile(r"/seed_(\d+)$")

_EMPTY: "pd.Series[float]" = pd.Series(dtype=float)
"""Curve of a metric that was never recorded; nobody writes into curves."""


@dataclass(frozen=True)
class History:
    """Metrics by iteration, settings and tags of one run, and where the run was read from.

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
        has_ended: True if the run's files, or MLflow, tell that the run has ended; False if nothing tells so.
        unrecorded: Number of iterations before the first of the table, in a record that begins in mid-run.
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
    has_ended: bool = False
    unrecorded: int = 0

    def has(self, *names: str) -> bool:
        """True if the run recorded each of the named metrics at least once."""
        return all(name in self._recorded for name in names)

    def curve(self, name: str) -> "pd.Series[float]":
        """Return a metric's recorded values by iteration; empty if the metric was never recorded."""
        found = self._curves.get(name)
        if found is None:
            found = self._curves[name] = self._select_values(name) if name in self._columns else _EMPTY
        return found

    def _select_values(self, name: str) -> "pd.Series[float]":
        values = self._columns[name]
        recorded = ~np.isnan(values)
        if (index := self._indexes.get(recorded.tobytes())) is None:
            index = self._indexes[recorded.tobytes()] = self.table.index[recorded]
        return pd.Series(values[recorded], index, name=name)  # a series of a series takes pandas three times as long

    def family(self, prefix: str) -> dict[str, "pd.Series[float]"]:
        """Return the curves of all metrics whose names begin with `prefix`, by the rest of the name.

        Curves of single seeds are left out.
        """
        names = [name for name in self._of_no_seed if name.startswith(prefix)]
        return {name.removeprefix(prefix): self.curve(name) for name in names}

    def seeds(self, name: str) -> dict[int, "pd.Series[float]"]:
        """Return a metric's curves by seed number; empty if only the mean over seeds was recorded."""
        found = {}
        for column in self._recorded:
            match = _SEED.search(column)
            if match and column == metrics.seed_metric(name, int(match[1])):
                found[int(match[1])] = self.curve(column)
        return found

    def split_seeds(self) -> dict[int, "History"]:
        """Split a trial of several seeds into a history for each seed, by seed number.

        A seed's history holds the curves that were recorded of the seed alone, and what is the same for all seeds.

        Returns:
            Histories by seed number; empty for fewer than two seeds, or where a curve was recorded as a mean alone.
        """
        own: dict[int, dict[str, str]] = {}
        means = []
        for column in self._recorded:
            if match := _SEED.search(column):
                own.setdefault(int(match[1]), {})[column] = column[: match.start()]
            elif column not in SAME_FOR_SEEDS and not column.startswith(_OF_TRIAL):
                means.append(column)
        if len(own) < 2 or any(not set(means) <= set(columns.values()) for columns in own.values()):
            return {}
        return {seed: self._select_seed(seed, columns) for seed, columns in sorted(own.items())}

    def _select_seed(self, seed: int, own: Mapping[str, str]) -> "History":
        shared = [name for name in SAME_FOR_SEEDS if name in self.table.columns and name not in own.values()]
        last = self.table[[*own]].last_valid_index()
        table = self.table.loc[:last, [*own, *shared]].rename(columns=own)
        return replace(self, name=f"{self.name}, seed {seed}", table=table, remarks=(), unrecognised=())

    def average_seeds(self, seeds: Collection[int]) -> "History":
        """Return a trial's history as the mean over the given seeds only."""
        columns: dict[str, list[str]] = {}
        for column in self._recorded:
            if (match := _SEED.search(column)) and int(match[1]) in seeds:
                columns.setdefault(column[: match.start()], []).append(column)
        kept = {name: self.table[name] for name in SAME_FOR_SEEDS if name in self.table.columns}
        means = {name: average_curves([self.curve(one) for one in each]) for name, each in columns.items()}
        table = pd.DataFrame({**kept, **means}, index=self.table.index)
        return replace(self, table=table.loc[: table[[*means]].last_valid_index()])

    def setting(self, path: str, default: Any = None) -> Any:
        """Return the value of the run's setting at a dotted path; `default` if not recorded."""
        return self.settings.get(path, default)

    @property
    def program(self) -> str:
        """Name of the program whose names for settings the run's owner uses."""
        return self.probed or self.dialect

    @property
    def last_iteration(self) -> int:
        """Number of the last iteration with a recorded value; 0 if there is none."""
        return int(self.table.index[-1]) if len(self.table) else 0

    @property
    def length(self) -> int:
        """Number of planned iterations, or of recorded ones if these are more or the plan is unknown."""
        planned = self.setting("ppo.num_iterations")
        return max(int(planned) if isinstance(planned, int | float) else 0, self.last_iteration)

    @cached_property
    def _recorded(self) -> Mapping[str, None]:
        """Names of the metrics that have at least one value, in the table's order."""
        return dict.fromkeys(name for name, values in self._columns.items() if not np.isnan(values).all())

    @cached_property
    def _of_no_seed(self) -> list[str]:
        """Names of the recorded metrics that are not of single seeds."""
        return [name for name in self._recorded if not _SEED.search(name)]

    @cached_property
    def _columns(self) -> "Mapping[str, npt.NDArray[np.float64]]":
        """Values of all columns by name, since to select one of a table takes pandas ten times as long."""
        values = np.ascontiguousarray(self.table.to_numpy(dtype=np.float64).T)
        return dict(zip(self.table.columns, values, strict=True))

    @cached_property
    def _curves(self) -> dict[str, "pd.Series[float]"]:
        """Cache of curves computed so far, since rules ask for the same curves again and again."""
        return {}

    @cached_property
    def _indexes(self) -> dict[bytes, "pd.Index[int]"]:
        """Cache of the iterations at which curves have values, by which rows these are: many curves share them."""
        return {}


def average_curves(curves: "Sequence[pd.Series[float]]") -> "pd.Series[float]":
    """Compute the mean of several curves at the iterations that all curves have.

    Where one has no value at an iteration of another, the value is interpolated between its neighbours. A value that
    is not finite makes the mean so.
    """
    first = curves[0]
    if not all(curve.index.equals(first.index) for curve in curves):
        table = pd.concat(list(curves), axis=1, join="outer").sort_index()
        table = table.interpolate("index", limit_area="inside").dropna()
        curves, first = [table.iloc[:, place] for place in range(len(curves))], table.iloc[:, 0]
    with np.errstate(invalid="ignore"):
        means = np.mean([curve.to_numpy() for curve in curves], axis=0, dtype=np.float64)
    return pd.Series(means, index=first.index, dtype=float)


def combine_seeds(name: str, source: str, seeds: Mapping[int, History]) -> History:
    """Combine runs of one configuration to a trial: the mean of each metric that all have, and each seed's values.

    Args:
        name: Name of the trial.
        source: Place that the runs were read from, in words.
        seeds: Runs by seed number, at least one. Settings and tags that differ are left out.
    """
    first = next(iter(seeds.values()))
    own = {
        metrics.seed_metric(column, seed): run.curve(column)
        for seed, run in seeds.items()
        for column in run.table.columns
        if run.has(column) and not _SEED.search(column)
    }
    shared = [column for column in first.table.columns if all(run.has(column) for run in seeds.values())]
    means = {
        column: average_curves([run.curve(column) for run in seeds.values()])
        for column in shared
        if not _SEED.search(column)
    }
    table = pd.DataFrame({**means, **own}).rename_axis("iteration")
    speeds = [run.speed for run in seeds.values() if run.speed is not None]
    return replace(
        first,
        name=name,
        source=source,
        table=table,
        settings=_keep_equal([run.settings for run in seeds.values()]),
        tags=_keep_equal([run.tags for run in seeds.values()]),
        remarks=tuple(dict.fromkeys(remark for run in seeds.values() for remark in run.remarks)),
        speed=float(np.mean(speeds)) if speeds else None,
        has_ended=all(run.has_ended for run in seeds.values()),
    )


def _keep_equal(each: "Sequence[Mapping[str, Any]]") -> dict[str, Any]:
    """Return the entries that all mappings have in common, with equal values."""
    first, *rest = each
    return {key: value for key, value in first.items() if all(key in one and one[key] == value for one in rest)}
