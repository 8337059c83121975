"""Bring the numbers of a run's files to one time: iterations, and the environment steps done by the end of each."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.align import count_from_one, count_iterations, merge_tables, tabulate_iterations
from unstuck.analysis.history.dialects.dialect import Dialect, Renamed, find_first, make_canonical
from unstuck.analysis.history.dialects.plain import PLAIN
from unstuck.analysis.history.names import UNSTUCK, translate_metric, translate_metrics
from unstuck.analysis.history.raw import Numbers, Points, Raw, select_points
from unstuck.analysis.history.record import (
    ENV_STEPS,
    EVAL_MISSED,
    EVAL_SUCCESS_RATE,
    RETURN_VALUES,
    REWARD_AFTER,
    STEP_PAY,
    SUCCESS_RATE,
    TOTAL_LOSS,
)
from unstuck.rl import metrics

_LARGEST_STEP = 2.0**53  # beyond it, numbers of a table are no longer exact
_COVERED = 0.5  # share of the rows in which a counter must stand
_UNSURE = frozenset(("step", "steps", "_step", "timestep"))
"""Names of counters that may count iterations, or environment steps."""

_EPISODES = frozenset(("episode", "episodes", "ep"))
"""Names of counters that count iterations only where an iteration is a fixed number of episodes."""

_LOSSES = (metrics.VALUE_LOSS, metrics.POLICY_LOSS, metrics.APPROX_KL, metrics.ENTROPY)
_BREAK = frozenset((metrics.VALUE_LOSS, metrics.POLICY_LOSS, metrics.GRAD_NORM, TOTAL_LOSS))
"""Metrics that are not finite in a run that has broken down; of others, as an explained variance, NaN says nothing."""

_EVAL = "eval/"


@dataclass(frozen=True)
class Track:
    """Metrics of one file under our names, each value at an iteration or environment step.

    Attributes:
        raw: Numbers as they stood in the file.
        points: Values by our metric.
        renamed: Our name and factor by the name in the file.
        counted: True if values stand at iterations; False at environment steps.
        counter: Words for what was counted, and by which column.
        ends: Environment steps at which iterations ended; empty if values stand at iterations.
        numbers: Number of the iteration that ended at each of `ends`; empty where not recorded.
    """

    raw: Raw
    points: Mapping[str, Points]
    renamed: Mapping[str, Renamed]
    counted: bool
    counter: str
    ends: Numbers
    numbers: Numbers

    @property
    def span(self) -> tuple[float, float]:
        """First and last iteration or step at which a value was logged; zeros if there is none."""
        steps = np.concatenate([each.at for each in self.points.values()] or [np.zeros(1)])
        return (float(steps.min()), float(steps.max())) if len(steps) else (0.0, 0.0)

    def is_part_of(self, other: "Track") -> bool:
        """True if two files' metrics have the same form and names, as parts of one resumed run do."""
        alike = self.raw.form == other.raw.form and self.raw.stepped == other.raw.stepped
        return alike and self.counted == other.counted and self.points.keys() == other.points.keys()

    def join(self, later: "Track") -> "Track":
        """Join the parts of a resumed run: earlier values up to the start of `later`, then those of `later`."""
        start = later.span[0]
        points = {
            ours: Points(
                np.concatenate([each.at[each.at < start], later.points[ours].at]),
                np.concatenate([each.values[each.at < start], later.points[ours].values]),
            )
            for ours, each in self.points.items()
        }
        kept = self.ends < start
        numbers = self.numbers[kept] if len(self.numbers) else self.numbers
        if len(numbers) and len(later.numbers):
            numbers = _continue_counts(np.concatenate([numbers, later.numbers]))
        return replace(self, points=points, ends=np.concatenate([self.ends[kept], later.ends]), numbers=numbers)

    def holds(self, names: Iterable[str]) -> bool:
        """True if any of the named metrics has a value in the file."""
        return any(name in self.points and len(self.points[name]) for name in names)


_NONE: Numbers = np.empty(0)


def make_track(raw: Raw, dialect: Dialect) -> Track | None:
    """Convert a file's numbers to our metrics by iteration or environment step; None if no metric is known.

    Raises:
        AnalysisError: A counter holds other than whole numbers, or goes back without being passed again.
    """
    names = [name for name, each in raw.columns.items() if not _counts_successes(name, each, dialect, raw.evaluated)]
    renamed = translate_metrics(names, dialect, raw.evaluated)
    renamed = {name: each for name, each in renamed.items() if each[0] != ENV_STEPS}
    if not renamed:
        return None
    if raw.stepped:
        return _track_steps(raw, dialect, renamed)
    return _track_rows(raw, dialect, renamed)


def _counts_successes(name: str, each: Points, dialect: Dialect, evaluated: bool) -> bool:
    """True if a column has a name of success rates and a value above 1, as numbers of successes have."""
    ours, times = translate_metric(name, dialect, evaluated) or (name, 1.0)
    return ours in (SUCCESS_RATE, EVAL_SUCCESS_RATE) and bool(np.any(each.values * times > 1))


def _scale_columns(columns: Mapping[str, Points], renamed: Mapping[str, Renamed]) -> dict[str, Points]:
    return {ours: _finite_or_broken(columns[name], ours, times) for name, (ours, times) in renamed.items()}


def _finite_or_broken(each: Points, ours: str, times: float) -> Points:
    """Scale a metric's values to our unit; make NaN infinite in a loss, and drop NaN elsewhere."""
    values, broken = each.values * times, np.isnan(each.values)
    if ours in _BREAK:
        return Points(each.at, np.where(broken, np.inf, values))
    return Points(each.at[~broken], values[~broken])


def _track_steps(raw: Raw, dialect: Dialect, renamed: Mapping[str, Renamed]) -> Track:
    raw = _stretch_gradients(raw, dialect)
    points = _scale_columns(raw.columns, renamed)
    pace = find_first(dialect.pace, raw.columns)
    first = next((name for name in (*_LOSSES, metrics.LR, metrics.TRAIN_RETURN) if name in points), min(points))
    if pace and len(raw.columns[pace]) < _COVERED * len(points[first]):
        pace = None  # logged now and then
    ends = np.unique(raw.columns[pace].at if pace else points[first].at)
    counted = False if raw.evaluated else dialect.steps_are_iterations
    counted = count_iterations(ends) if counted is None else counted
    words = "logged steps count iterations" if counted else "logged steps count the environment's"
    return Track(raw, points, renamed, counted, words, _NONE if counted else ends, _NONE)


def _stretch_gradients(raw: Raw, dialect: Dialect) -> Raw:
    """Convert gradient steps in a file to environment steps, whose ratio is constant."""
    gradients = {name for name in raw.columns if dialect.counts_gradients(name) and len(raw.columns[name])}
    others = [each.at.max() for name, each in raw.columns.items() if name not in gradients and len(each)]
    if not gradients or not others:
        return raw
    ratio = max(others) / max(max(raw.columns[name].at.max() for name in gradients), 1.0)
    columns = {
        name: Points(np.round(each.at * ratio), each.values) if name in gradients else each
        for name, each in raw.columns.items()
    }
    return replace(raw, columns=columns)


def _track_rows(raw: Raw, dialect: Dialect, renamed: Mapping[str, Renamed]) -> Track:
    rows = 1 + int(max((each.at.max() for each in raw.columns.values() if len(each)), default=-1))
    named = () if dialect.alone else PLAIN.iteration
    iteration = _find_counter(raw, (*dialect.iteration, *named), rows, renamed)
    named = () if dialect.alone else PLAIN.env_steps
    env_steps = _find_counter(raw, (*dialect.env_steps, *named), rows, {})
    if (
        iteration is None
        and (own := find_first(dialect.iteration, raw.columns))
        and env_steps
        and _moves(raw.columns[own])
    ):
        iteration = own  # few rows beside many of evaluations
    if iteration and env_steps and not dialect.alone:
        if make_canonical(iteration) in _EPISODES and not _is_even(raw.columns[iteration]):
            iteration = None
        elif _counts_each_alone(raw.columns[iteration], raw.columns[env_steps], env_steps):
            env_steps = None
    metric_columns = {name: each for name, each in renamed.items() if name not in (iteration, env_steps)}
    columns, steps = _unwind_rows(raw, iteration, env_steps, rows)
    points = _scale_columns({name: columns[name] for name in metric_columns}, metric_columns)
    track = Track(raw, points, metric_columns, True, "", _NONE, _NONE)
    if iteration is None and env_steps is None:
        return replace(_place_values(track, np.arange(1.0, rows + 1)), counter="each row was taken for an iteration")
    if env_steps is None:
        counts = _fill_counter(steps[iteration or ""], rows)
        return replace(_place_values(track, counts), counter=f"{iteration} counts iterations")
    if iteration is not None and len(steps[iteration]) == rows > len(steps[env_steps]):  # stands where steps lack
        track = replace(track, points={**points, ENV_STEPS: steps[env_steps]})
        return replace(_place_values(track, steps[iteration].values), counter=f"{iteration} counts iterations")
    environment = _fill_counter(steps[env_steps], rows)
    if iteration is not None:
        known = steps[iteration]
        marks = environment[known.at.astype(int)]
        words = f"{iteration} counts iterations, {env_steps} environment steps"
        return replace(
            _place_values(track, environment), counted=False, counter=words, ends=marks, numbers=known.values
        )
    ends = environment[_find_ending_rows(columns, dialect, points, rows).astype(int)]
    unsure = make_canonical(env_steps) in _UNSURE and (
        dialect.steps_are_iterations is None or raw.form.startswith("W&B")
    )
    counted = unsure and count_iterations(ends)
    words = f"{env_steps} counts iterations" if counted else f"{env_steps} counts environment steps"
    return replace(_place_values(track, environment), counted=counted, counter=words, ends=_NONE if counted else ends)


def _find_counter(raw: Raw, wanted: Sequence[str], rows: int, renamed: Mapping[str, Renamed]) -> str | None:
    """Return the first wanted counter (steps ...) that most rows have and that changes; None if there is none."""
    names = [
        name
        for name, each in raw.columns.items()
        if name not in renamed and len(each) >= _COVERED * rows and _moves(each)
    ]
    whole = [name for name in names if not len(_find_odd(raw.columns[name]))]
    return find_first(wanted, whole) or find_first(wanted, names)


def _moves(each: Points) -> bool:
    """True if a column may be a counter of rows: values differ, or there is only one value."""
    return len(each) == 1 or bool(np.any(each.values != each.values[:1]))


def _is_even(each: Points) -> bool:
    """True if a counter rises by the same amount from row to row."""
    steps = np.unique(np.diff(each.values))
    return len(steps) == 0 or (len(steps) == 1 and bool(steps[0] > 0))


def _counts_each_alone(iterations: Points, steps: Points, name: str) -> bool:
    """True if a step counter restarts each iteration: iterations rise from row to row, and steps do not."""
    total = re.search("total|global|/", make_canonical(name))
    back = bool(np.any(np.diff(steps.values) < 0)) and bool(np.all(np.diff(iterations.values) > 0))
    return back and not total and np.array_equal(iterations.at, steps.at)


def _place_values(track: Track, counts: Numbers) -> Track:
    """Return a file's metrics placed at each row's iteration or step instead of the row number."""
    points = {ours: Points(counts[each.at.astype(int)], each.values) for ours, each in track.points.items()}
    return replace(track, points=points)


def _fill_counter(known: Points, rows: int) -> Numbers:
    """Return a count for every row; a row without one takes the next row's, or else the last one."""
    counts = np.full(rows, np.nan)
    counts[known.at.astype(int)] = known.values
    return pd.Series(counts).bfill().ffill().to_numpy(dtype=np.float64)


def _find_ending_rows(
    columns: Mapping[str, Points], dialect: Dialect, points: Mapping[str, Points], rows: int
) -> Numbers:
    """Find the rows at which iterations end: rows with the program's once-an-iteration metric, else training rows."""
    pace = find_first(dialect.pace, columns)
    if pace and len(columns[pace]):
        return columns[pace].at
    train = [each.at for ours, each in points.items() if not ours.startswith(_EVAL)]
    found: Numbers = np.unique(np.concatenate(train or [each.at for each in points.values()]))
    return found if len(found) else np.arange(float(rows))


def _unwind_rows(
    raw: Raw, iteration: str | None, env_steps: str | None, rows: int
) -> tuple[Mapping[str, Points], dict[str, Points]]:
    """Return columns and counters of a table without the rows that a resumed run wrote a second time.

    Raises:
        AnalysisError: A counter holds other than whole numbers from 0 on, or goes back without being passed again.
    """
    named = {name: raw.columns[name] for name in (iteration, env_steps) if name is not None}
    counters = {name: select_points(each.values, each.at) for name, each in named.items()}
    for name, each in counters.items():
        _check_whole(raw, name, each)
    main = env_steps or iteration
    kept = np.ones(rows, dtype=bool)
    if main is not None:
        _drop_repeated(raw, main, counters[main], kept)
    columns = {name: _select_rows(each, kept) for name, each in raw.columns.items()} if not kept.all() else raw.columns
    counters = {name: _select_rows(each, kept) for name, each in counters.items()}
    if iteration is not None and iteration != main:
        each = counters[iteration]
        counters[iteration] = Points(each.at, _continue_counts(each.values))
    return columns, counters


def _select_rows(each: Points, kept: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> Points:
    chosen = kept[each.at.astype(int)]
    return Points(each.at[chosen], each.values[chosen])


def _find_odd(each: Points) -> Numbers:
    """Return the values that no counter can have: negative, too large, or not whole."""
    known = each.values[~np.isnan(each.values)]
    odd: Numbers = known[(known < 0) | (known > _LARGEST_STEP) | (np.floor(known) != known)]
    return odd


def _check_whole(raw: Raw, name: str, each: Points) -> None:
    odd = _find_odd(each)
    if len(odd):
        raise AnalysisError(f"{name} in {raw.place} must hold whole numbers from 0 on, got {odd[0]:g}")


def _drop_repeated(raw: Raw, name: str, each: Points, kept: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> None:
    """Mark rows that a resumed run wrote again as dropped; raise an error if a counter falls for good."""
    counts = each.values
    for place in np.flatnonzero(np.diff(counts) < 0) + 1:
        if counts[place] <= counts[0] or counts[place:].max() <= counts[place - 1]:
            row = int(each.at[place])
            where = f"block {row + 1}; keep" if raw.is_printed else f"row {row + 2}; sort its rows, or keep"
            raise AnalysisError(
                f"{name} in {raw.place} must not go back, got {counts[place]:g} after {counts[place - 1]:g} in "
                f"{where} one run a file"
            )
        repeated = each.at[:place][counts[:place] >= counts[place]]
        if len(repeated):
            kept[int(repeated.min()) : int(each.at[place])] = False


def _continue_counts(counts: Numbers) -> Numbers:
    """Return counts that keep rising where a counter restarted from the beginning."""
    before = np.where(np.diff(counts, prepend=counts[:1]) < 0, np.append(0.0, counts[:-1]), 0.0)
    total: Numbers = counts + np.cumsum(before)
    return total


def join_steps(raws: Sequence[Raw]) -> Raw:
    """Join event files of one run in the given order; where two overlap in a metric, use the later file."""
    columns: dict[str, Points] = {}
    for raw in raws:
        for name, later in raw.columns.items():
            earlier = columns.get(name)
            if earlier is None or not len(later):
                columns[name] = earlier or later
                continue
            before = earlier.at < later.at.min()
            columns[name] = Points(
                np.concatenate([earlier.at[before], later.at]), np.concatenate([earlier.values[before], later.values])
            )
    settings = {name: value for raw in raws for name, value in raw.settings.items()}
    return replace(raws[0], columns=columns, settings=settings)


def make_table(tracks: Sequence[Track], dialect: Dialect) -> tuple[pd.DataFrame, int]:
    """Build the run's table, one row for each iteration from 1; return also the offset added to logged numbers."""
    tracks = _drop_monitors(tracks)
    counted = [track for track in tracks if track.counted]
    stepping = sorted((track for track in tracks if not track.counted), key=_rank_track)
    tables = [tabulate_iterations(track.points, counted=True) for track in counted]
    if stepping:
        leader = stepping[0]
        numbers = leader.numbers if len(leader.numbers) else None
        stepped = [
            tabulate_iterations(_clip_evaluations(track, leader), False, leader.ends, numbers) for track in stepping
        ]
        tables = stepped + tables if len(leader.numbers) else tables + stepped
    table = merge_tables(tables)
    return (table, 0) if dialect is UNSTUCK else count_from_one(table)


def _clip_evaluations(track: Track, leader: Track) -> Mapping[str, Points]:
    """Return a file's values, with evaluations after the last iteration moved to that iteration."""
    if not track.raw.evaluated:
        return track.points
    last = leader.ends.max()
    return {ours: Points(np.minimum(each.at, last), each.values) for ours, each in track.points.items()}


def _rank_track(track: Track) -> tuple[bool, bool, bool, int]:
    """Return a sort key that puts first the files whose iterations are known best."""
    return (
        not len(track.numbers),
        not track.holds(_LOSSES),
        track.raw.evaluated,
        -len(track.ends),
    )


_OF_EPISODES = (RETURN_VALUES, REWARD_AFTER, STEP_PAY, SUCCESS_RATE, EVAL_MISSED)
"""What only the record of each episode tells."""


def _drop_monitors(tracks: Sequence[Track]) -> Sequence[Track]:
    """Drop single episodes' returns in monitor files if another file has the mean; what they came to is kept."""
    others = [track for track in tracks if "monitor" not in track.raw.form]
    if len(others) == len(tracks) or not any(track.holds((metrics.TRAIN_RETURN,)) for track in others):
        return tracks
    kept = [
        replace(track, points=told, ends=_NONE)
        for track in tracks
        if track not in others and (told := {name: track.points[name] for name in _OF_EPISODES if name in track.points})
    ]
    return [*others, *kept]
