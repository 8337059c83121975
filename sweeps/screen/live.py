"""Draw the live view of a running sweep, fit to the terminal: progress, best trial, a line for each running trial."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from rich.console import Group
from rich.table import Table
from rich.text import Text

CURVE = 8
"""Number of points in a trial's small curve."""

_BARS = "▁▂▃▄▅▆▇█"
_GAP = 2
_MARGIN = 6
"""Lines that the live view leaves to what has happened."""

_LEAST_DIAGNOSIS, _MOST_DIAGNOSIS, _LEAST_SETTINGS = 14, 36, 20
_TIME = 7


@dataclass(frozen=True)
class Row:
    """Row of the live view on the terminal: texts and curve of one running trial.

    Attributes:
        number: Number of the trial.
        reached: Progress of the trial, such as `15/30`.
        points: Objective over the trial so far, at most `CURVE` points.
        value: Value so far, with the spread over seeds; empty before the first evaluation.
        diagnosis: Title of the diagnosis; empty if nothing was found.
        settings: Settings of the trial's own.
        began: Time of the start by the monotonic clock, in seconds.
    """

    number: int
    reached: str
    points: Sequence[float]
    value: str
    diagnosis: str
    settings: str
    began: float


@dataclass(frozen=True)
class Frame:
    """Contents of the live view on the terminal: texts on the whole sweep, such as time and speed.

    Attributes:
        name: Name of the sweep.
        time: Elapsed time, and the estimate of the time left.
        done: Number of trials that have ended, out of all.
        share: Share of the sweep's work that is done, from 0 to 1.
        speed: Environment steps per second; empty before the first evaluation.
        best: The best trial so far; empty without one.
        outcomes: Number of trials by outcome.
        phase: What is being started; empty while trials run.
        unit: Unit in which trials count their progress.
        metric: Name of the objective.
    """

    name: str
    time: str
    done: str
    share: float
    speed: str
    best: str
    outcomes: str
    phase: str
    unit: str
    metric: str


@dataclass(frozen=True)
class Widths:
    """Widths of the live view's columns of numbers, which only ever grow, so that the columns do not move.

    Attributes:
        number: Width of the trials' numbers.
        reached: Width of the progress.
        value: Width of the objective.
    """

    number: int = len("trial")
    reached: int = 0
    value: int = 0

    def grow(self, row: Row) -> "Widths":
        """Return column widths that are large enough for a further row of the live view."""
        return Widths(
            max(self.number, len(str(row.number))),
            max(self.reached, len(row.reached)),
            max(self.value, len(row.value)),
        )


def draw_frame(
    frame: Frame, rows: Sequence[Row], widths: Widths, size: tuple[int, int], now: float, is_ascii: bool = False
) -> Group:
    """Draw the live view for a terminal of the given size; drop whole columns rather than cut numbers.

    Args:
        frame: The sweep.
        rows: Running trials, in the order of their numbers.
        widths: Widths of the columns of numbers.
        size: Columns and lines of the terminal.
        now: Time by the monotonic clock, in seconds.
        is_ascii: True for a terminal that shows neither bars nor curves.
    """
    width, height = size
    head = [_join_ends(Text(frame.name, style="bold"), frame.time, width), _draw_bar(frame, width, is_ascii)]
    head += [Text(line, no_wrap=True, overflow="ellipsis") for line in (frame.best, frame.phase) if line]
    space = max(1, height - _MARGIN - len(head) - 2)  # of which the columns' names take one
    shown = rows if len(rows) <= space else rows[: max(space - 1, 1)]
    lines: list[Text | Table] = [Text(""), *head]
    if rows:
        lines.append(_draw_table(frame, shown, widths, width, now, is_ascii))
    if left := len(rows) - len(shown):
        lines.append(Text(f"and {left} more that run", style="dim"))
    return Group(*lines)


def _join_ends(left: Text, right: str, width: int) -> Text:
    """Join a text at the left and a text at the right end of a line; shorten the left one if both do not fit."""
    left.truncate(max(1, width - len(right) - _GAP), overflow="ellipsis")
    left.append(" " * max(1, width - left.cell_len - len(right)))
    left.append(right, style="not bold")
    left.no_wrap = True
    return left


def _draw_bar(frame: Frame, width: int, is_ascii: bool) -> Text:
    """Draw the line with the number of trials done, a progress bar if there is room, outcomes and speed."""
    full, empty = ("#", "-") if is_ascii else ("━", "─")
    words = f"{frame.done}, {frame.outcomes}" if frame.outcomes else frame.done
    room = width - len(words) - len(frame.speed) - 2 * _GAP
    line = Text(words)
    if room >= len(full) * 8:
        length = min(room, 30)
        filled = int(frame.share * length)
        line.append(" " * _GAP)
        line.append(full * filled, style="green")
        line.append(empty * (length - filled), style="dim")
    return _join_ends(line, frame.speed, width)


def _draw_table(frame: Frame, rows: Sequence[Row], widths: Widths, width: int, now: float, is_ascii: bool) -> Table:
    header = {"trial": widths.number, frame.unit: max(widths.reached, len(frame.unit))}
    metric = frame.metric if len(frame.metric) <= widths.value else frame.metric.rpartition("/")[2]
    value = max(widths.value, len(metric))
    fitted = _fit_columns(width - sum(header.values()) - value - 2 * _GAP, has_curve=not is_ascii)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim", show_edge=False)
    columns = [*header.items(), ("curve", fitted["curve"]), (metric, value)]
    columns += [(name, fitted[name]) for name in ("time", "diagnosis", "settings")]
    for name, size in columns:
        if size:
            is_text = name in ("curve", "diagnosis", "settings")
            table.add_column(
                name, width=size, justify="left" if is_text else "right", no_wrap=True, overflow="ellipsis"
            )
    low, high = _find_range(rows)
    for row in rows:
        cells = {
            "trial": str(row.number),
            frame.unit: row.reached,
            "curve": draw_curve(row.points, low, high),
            metric: row.value,
            "time": format_clock(now - row.began),
            "diagnosis": row.diagnosis,
            "settings": row.settings,
        }
        table.add_row(*(Text(cells[name]) for name, size in columns if size))
    return table


def _fit_columns(room: int, has_curve: bool) -> Mapping[str, int]:
    """Divide the width that numbers leave free among diagnosis, curve, time and settings, in order of use."""
    found = dict.fromkeys(("diagnosis", "curve", "time", "settings"), 0)
    for name, least in (("diagnosis", _LEAST_DIAGNOSIS), ("curve", CURVE if has_curve else 0), ("time", _TIME)):
        if least and room >= least + _GAP:
            found[name] = least
            room -= least + _GAP
    if found["diagnosis"]:
        more = min(room, _MOST_DIAGNOSIS - _LEAST_DIAGNOSIS)
        found["diagnosis"] += more
        room -= more
    if room >= _LEAST_SETTINGS + _GAP:
        found["settings"] = room - _GAP
    return found


def _find_range(rows: Sequence[Row]) -> tuple[float, float]:
    """Find the lowest and the highest finite point of all curves, so that all are drawn on one scale."""
    points = [point for row in rows for point in row.points if math.isfinite(point)]
    return (min(points), max(points)) if points else (0.0, 0.0)


def draw_curve(points: Sequence[float], low: float, high: float) -> str:
    """Draw points as a text of bars with eight heights; a point that is not finite becomes a blank.

    Example:
        >>> draw_curve([0.0, 0.5, float("nan"), 1.0], low=0.0, high=1.0)
        '▁▅ █'
    """
    top = len(_BARS) - 1
    return "".join(
        " " if not math.isfinite(point) else _BARS[round((point - low) / (high - low) * top) if high > low else 0]
        for point in points
    )


def thin_curve(values: Sequence[float], most: int = CURVE) -> list[float]:
    """Reduce a curve to at most `most` points, each the mean of neighbouring points.

    Example:
        >>> thin_curve([1.0, 3.0, 5.0, 7.0], most=2), thin_curve([1.0, 3.0], most=8)
        ([2.0, 6.0], [1.0, 3.0])
    """
    if len(values) <= most:
        return list(values)
    bounds = [round(place * len(values) / most) for place in range(most + 1)]
    return [fmean(values[first:last]) for first, last in pairwise(bounds)]


def format_clock(seconds: float) -> str:
    """Format a number of seconds as a short text for a narrow column.

    Example:
        >>> format_clock(65), format_clock(3725)
        ('1:05', '1:02:05')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
