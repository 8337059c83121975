"""Align metrics that were logged at any steps to one row for each iteration."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from unstuck.analysis.history.record import ENV_STEPS
from unstuck.rl import metrics

Points = Mapping[str, Sequence[tuple[int, float]]]
"""Logged values by the names of `rl.metrics`: (step, value) in the order of steps."""

_PACE = (metrics.VALUE_LOSS, metrics.POLICY_LOSS, metrics.APPROX_KL, metrics.ENTROPY, metrics.LR, metrics.TRAIN_RETURN)
"""Metrics of which the first one logged tells when iterations ended."""

_LARGEST_STRIDE = 64
"""Largest distance of logged steps that count iterations; steps further apart are environment steps."""


def tabulate_iterations(points: Points, counted: bool | None = None, ends: Sequence[int] = ()) -> pd.DataFrame:
    """Build a table with one row for each iteration from values that were logged at any steps.

    Values logged several times within an iteration, such as the return of each episode, are averaged.

    Args:
        points: Values at steps that count iterations, or environment steps.
        counted: True if steps count iterations; None to tell by their distances.
        ends: Environment steps at which iterations ended; empty: steps at which a loss was logged.

    Returns:
        The table; where steps counted the environment's, they are kept in the column `ENV_STEPS`.
    """
    pace = next((name for name in (*_PACE, *sorted(points)) if points.get(name)), None)
    if pace is None:
        return pd.DataFrame(index=pd.Index([], name="iteration", dtype=int))
    last = np.unique(list(ends) or [step for step, _ in points[pace]])
    if counted is None:
        counted = len(last) == 1 or bool(np.diff(last).min() <= _LARGEST_STRIDE)
    columns = {name: _column(logged, None if counted else last) for name, logged in points.items() if logged}
    if not counted:
        columns[ENV_STEPS] = pd.Series(last.astype(float), index=np.arange(1, len(last) + 1))
    table = pd.DataFrame(columns).sort_index()
    table.index = pd.Index(table.index.astype(int), name="iteration")
    return table


def _column(logged: Sequence[tuple[int, float]], ends: npt.NDArray[np.int64] | None) -> "pd.Series[float]":
    steps = np.array([step for step, _ in logged])
    values = np.array([value for _, value in logged], dtype=np.float64)
    iterations = steps if ends is None else np.searchsorted(ends, steps) + 1
    return pd.Series(values).groupby(iterations).mean()


def merge_tables(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join tables of one run into one; where two tables hold the same value, the first table wins."""
    merged = tables[0]
    for table in tables[1:]:
        merged = merged.combine_first(table)
    return merged.sort_index()
