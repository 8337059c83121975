"""Align metrics that were logged at any steps to one row for each iteration."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from unstuck.analysis.history.raw import Numbers, Points
from unstuck.analysis.history.record import ENV_STEPS
from unstuck.rl import metrics

_PACE = (metrics.VALUE_LOSS, metrics.POLICY_LOSS, metrics.APPROX_KL, metrics.ENTROPY, metrics.LR, metrics.TRAIN_RETURN)
"""Metrics of which the first one logged tells when iterations ended."""

LATE_START = 3
"""Iterations at the start that a record may lack and still hold the start: a first rollout, or a logger that waits."""

_LARGEST_STRIDE = 64
"""Largest distance of logged steps that count iterations; steps further apart are environment steps."""


def tabulate_iterations(
    points: Mapping[str, Points],
    counted: bool | None = None,
    ends: Numbers | None = None,
    numbers: Numbers | None = None,
) -> pd.DataFrame:
    """Build a table with one row for each iteration from values logged at iterations or environment steps.

    Values logged several times within an iteration, such as the return of each episode, are averaged.

    Args:
        points: Values at steps that count iterations, or environment steps, by our names.
        counted: True if steps count iterations; None to tell by their distances.
        ends: Environment steps at which iterations ended; None: steps at which a loss was logged.
        numbers: Number of the iteration that ended at each of `ends`, ascending; None: counted from 1.

    Returns:
        The table; where steps counted the environment's, they are kept in the column `ENV_STEPS`.
    """
    logged = {name: each for name, each in points.items() if len(each)}
    pace = next((name for name in (*_PACE, *sorted(logged)) if name in logged), None)
    if pace is None:
        return pd.DataFrame(index=pd.Index([], name="iteration", dtype=int))
    last = logged[pace].at if ends is None or not len(ends) else ends
    last, first_of_each = np.unique(last, return_index=True)
    if counted is None:
        counted = count_iterations(last)
    if counted:
        columns = {name: _average_column(each.at, each.values) for name, each in logged.items()}
    else:
        known = (
            np.arange(1.0, len(last) + 1) if numbers is None else np.asarray(numbers, dtype=np.float64)[first_of_each]
        )
        columns = {
            name: _average_column(_number_steps(each.at, last, known), each.values) for name, each in logged.items()
        }
        columns[ENV_STEPS] = pd.Series(last, index=known.astype(int)).groupby(level=0).last()
    table = pd.DataFrame(columns).sort_index()
    table.index = pd.Index(table.index.astype(int), name="iteration")
    return table


def count_iterations(steps: Numbers) -> bool:
    """True if logged steps lie so close together that the steps count iterations, not environment steps."""
    distances = np.diff(np.unique(steps))
    return len(distances) == 0 or bool(distances.min() <= _LARGEST_STRIDE)


def _number_steps(steps: Numbers, ends: Numbers, numbers: Numbers) -> Numbers:
    """Return the number of the iteration in which each step lies; steps after the last end get the next number."""
    stride = numbers[-1] - numbers[-2] if len(numbers) > 1 else 1.0
    found: Numbers = np.append(numbers, numbers[-1] + stride)[np.searchsorted(ends, steps)]
    return found


def _average_column(iterations: Numbers, values: Numbers) -> "pd.Series[float]":
    if len(iterations) < 2 or bool(np.all(np.diff(iterations) > 0)):
        return pd.Series(values, index=iterations)
    return pd.Series(values).groupby(iterations).mean()


def count_from_one(table: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Renumber a table's iterations to start at 1; return the table, and the offset that was added.

    A count that begins at 0 is moved by one (0, 1, 2 and 4, 9, 14 alike). One that begins far above its stride is that
    of a run that was resumed without its first part, and begins anew.

    Example:
        >>> count_from_one(pd.DataFrame({"a": [1.0, 2.0]}, index=[858, 859]))[0].index.tolist()
        [1, 2]
    """
    counts = table.index.to_numpy(dtype=np.int64)
    if len(counts) == 0:
        return table, 0
    stride = int(np.median(np.diff(counts))) if len(counts) > 1 else 1
    first = int(counts[0])
    moved = 0
    if first == 0 or (stride > 1 and first % stride == stride - 1):
        moved = 1
    elif len(counts) > 1 and first > 2 * stride:
        moved = stride - first
    if not moved:
        return table, 0
    return table.set_axis(pd.Index(counts + moved, name="iteration"), axis=0), moved


def count_unrecorded(table: pd.DataFrame, moved: int) -> int:
    """Count the iterations of a run before the first of its record, as of a training that goes on; 0 if it is whole.

    Args:
        table: The run's table, counted from 1.
        moved: Offset that was added to the numbers in the files.

    Example:
        >>> count_unrecorded(pd.DataFrame({ENV_STEPS: [550e3, 600e3, 650e3]}, index=[1, 2, 3]), 0)
        10
    """
    steps = table[ENV_STEPS].dropna() if ENV_STEPS in table else pd.Series(dtype=float)
    before = -moved
    if before <= 0 and len(steps) > 1 and steps.iloc[-1] > steps.iloc[0]:
        at, done = steps.index.to_numpy(), steps.to_numpy()
        mean = float(done[-1] - done[0]) / int(at[-1] - at[0])
        an_iteration = max(mean, float(np.median(np.diff(done) / np.diff(at))))
        before = round(float(done[0]) / an_iteration) - int(at[0])
    stride = float(np.median(np.diff(table.index))) if len(table) > 1 else 1.0
    return before if before > LATE_START * stride else 0


def merge_tables(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join tables of one run; where two tables have a value for the same cell, the first table's value is kept."""
    merged = tables[0]
    for table in tables[1:]:
        merged = merged.combine_first(table)
    return merged.sort_index()
