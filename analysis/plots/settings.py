"""Plot settings of trials: importances as bars, trials as lines across settings, pairs of settings."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from unstuck.analysis.plots.canvas import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Canvas,
    Scale,
    choose_colour,
    format_tick,
    make_linear_scale,
)


@dataclass(frozen=True)
class Bar:
    """One bar of a bar plot: value, lower and upper end of the interval, and index of the colour."""

    value: float
    low: float
    high: float
    index: int = 0


@dataclass(frozen=True)
class Axis:
    """One axis of a plot: the values of one setting in all trials, with name and kind of scale.

    Attributes:
        name: Short name.
        values: Numbers, or positions of values that are no numbers; one for each trial.
        log: True if values span orders of magnitude.
        names: Names of the positions, where values are no numbers.
    """

    name: str
    values: Sequence[float]
    log: bool = False
    names: tuple[str, ...] = ()

    def scale(self, start: float, end: float) -> Scale:
        """Return the scale that maps the setting's values to pixels along the axis."""
        low, high = min(self.values), max(self.values)
        if self.log:
            return Scale(low, high if high > low else low * 10, start, end, log=True)
        return (
            make_linear_scale(self.values, start, end, (low, high))
            if high > low
            else Scale(low - 0.5, high + 0.5, start, end)
        )

    def label(self, value: float) -> str:
        """Return the text for a value on the axis: the value's name if there are names, else the number to 3 digits."""
        return self.names[round(value)] if self.names else format_tick(float(f"{value:.3g}"))


def plot_bars(rows: Sequence[tuple[str, Sequence[Bar]]], names: Sequence[str], x_label: str) -> Canvas:
    """Plot horizontal bars in groups, each bar with an interval.

    Args:
        rows: Name of the group and its bars, from the top.
        names: Names of the bars in a group, for the legend.
        x_label: Label of the horizontal axis.
    """
    thick, gap = 13.0, 12.0
    left = min(220.0, 20 + 7.4 * max(len(name) for name, _ in rows))
    canvas = Canvas(height=TOP + BOTTOM + sum(thick * len(group) + gap for _, group in rows))
    most = max(max(bar.high, bar.value) for _, group in rows for bar in group)
    x = Scale(0.0, most * 1.05 or 1.0, left, WIDTH - RIGHT)
    bottom = canvas.height - BOTTOM
    for value in x.ticks(5):
        canvas.line([(x(value), TOP), (x(value), bottom)], "grid", 1)
        canvas.text(x(value), bottom + 17, format_tick(value), "middle", "soft")
    canvas.text((x.start + x.end) / 2, bottom + 36, x_label, "middle")
    at = float(TOP) + gap / 2
    for name, group in rows:
        canvas.text(left - 8, at + thick * len(group) / 2 + 4, name, "end")
        for bar in group:
            canvas.rectangle(left, at, x(bar.value) - left, thick - 3, choose_colour(bar.index), 0.75)
            middle = at + (thick - 3) / 2
            canvas.line([(x(bar.low), middle), (x(bar.high), middle)], "ink", 1.4)
            for end in (bar.low, bar.high):
                canvas.line([(x(end), middle - 3), (x(end), middle + 3)], "ink", 1.4)
            at += thick
        at += gap
    if len(names) > 1:
        canvas.legend([(name, choose_colour(index), "") for index, name in enumerate(names)], canvas.height + 6)
    return canvas


def plot_parallel(axes: Sequence[Axis], scores: Sequence[float], best: Sequence[int], tips: Sequence[str]) -> Canvas:
    """Plot one line for each trial across all searched settings, to show which values good trials have.

    Args:
        axes: Settings, and the objective as the last.
        scores: Scores of the trials, higher is better; a better trial's line is more solid.
        best: Positions of the trials to highlight.
        tips: Text for each line, shown on hovering.
    """
    canvas = Canvas(height=320)
    bottom, top = canvas.height - 54, 30.0
    places = [54 + (WIDTH - 94) * i / max(1, len(axes) - 1) for i in range(len(axes))]
    scales = [axis.scale(bottom, top) for axis in axes]
    order = sorted(range(len(scores)), key=lambda i: (i in best, scores[i]))
    for place, trial in enumerate(order):
        points = [(x, scale(axis.values[trial])) for x, scale, axis in zip(places, scales, axes, strict=True)]
        chosen = trial in best
        opacity = 1.0 if chosen else 0.12 + 0.4 * place / max(1, len(order))
        canvas.line(points, "c1" if chosen else "c5", 2 if chosen else 1.2, "", opacity)
        if chosen:
            canvas.dot(*points[-1], "c1", 3, tip=tips[trial])
    for index, (x, axis, scale) in enumerate(zip(places, axes, scales, strict=True)):
        canvas.line([(x, bottom), (x, top)], "soft", 1.2)
        anchor = "start" if index == 0 else "end" if index == len(axes) - 1 else "middle"
        edge = x - 6 if index == 0 else x + 6 if index == len(axes) - 1 else x
        canvas.text(edge, top - 10, axis.label(scale.high if not axis.names else len(axis.names) - 1), anchor, "soft")
        canvas.text(edge, bottom + 16, axis.label(scale.low if not axis.names else 0), anchor, "soft")
        canvas.text(edge, bottom + (34 if index % 2 == 0 else 48), axis.name, anchor)
    return canvas


def plot_scatter(across: Axis, up: Axis, scores: Sequence[float], best: Sequence[int], tips: Sequence[str]) -> Canvas:
    """Plot two settings against each other: a dot for each trial, larger and darker for better trials."""
    canvas = Canvas()
    x, y = across.scale(LEFT, WIDTH - RIGHT), up.scale(canvas.height - BOTTOM, TOP + 6)
    canvas.axes(x, y, across.name, up.name)
    finite = [score for score in scores if math.isfinite(score)]
    low, high = min(finite), max(finite)
    for trial in sorted(range(len(scores)), key=lambda i: scores[i]):
        share = (scores[trial] - low) / (high - low) if high > low else 1.0
        chosen = trial in best
        canvas.dot(
            x(across.values[trial]),
            y(up.values[trial]),
            "c1" if chosen else "c0",
            3 + 5 * share,
            0.9 if chosen else 0.25 + 0.6 * share,
            tips[trial],
        )
    return canvas
