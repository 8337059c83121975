"""Plot curves by iteration: a metric with the spread of seeds, several metrics, all trials of a sweep."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unstuck.analysis.plots.canvas import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    Canvas,
    Scale,
    choose_colour,
    choose_dash,
    make_linear_scale,
)
from unstuck.records.axis import ITERATION

_NAMED = 0.07
"""Share from which on an area has room for its name."""

MOST_POINTS = 400
"""Points of a line: more cannot be seen, and only make the page large."""


@dataclass(frozen=True)
class Line:
    """Data of one plotted curve: name, points, optional band around the curve, and index of colour and dash.

    Attributes:
        name: Name in the legend; empty for a single curve.
        points: (iteration, value), finite.
        band: (iteration, low, high) around the curve, such as the lowest and the highest seed.
        index: Number of colour and dash; None for one of many, drawn faint.
    """

    name: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = ()
    index: int | None = 0


@dataclass(frozen=True)
class Level:
    """Horizontal line in a plot to compare curves with, e.g. the F1 of flagging everything."""

    name: str
    value: float


@dataclass(frozen=True)
class Mark:
    """Vertical line in a plot at one iteration, e.g. where trials are compared for early stopping."""

    name: str
    iteration: float


def plot_curves(
    lines: Sequence[Line],
    y_label: str,
    references: Sequence[Level | Mark] = (),
    log: bool = False,
    limits: Sequence[float] = (),
    unit: str = ITERATION,
) -> Canvas:
    """Plot curves over iterations or environment steps, with reference lines; return the canvas.

    Args:
        lines: Lines, at least one with a point.
        y_label: Label of the vertical axis.
        references: Levels to compare with, and iterations to point out.
        log: True for a logarithmic vertical axis; values that are not positive are left out.
        limits: Values that the axis must hold, such as 0 and 1.
        unit: Unit of the horizontal axis.
    """
    canvas = Canvas()
    levels = [one for one in references if isinstance(one, Level)]
    marks = [one for one in references if isinstance(one, Mark)]
    if log:
        lines = [Line(line.name, [p for p in line.points if p[1] > 0], (), line.index) for line in lines]
    lines = [line for line in lines if line.points]
    values = [value for line in lines for _, value in line.points]
    values += [end for line in lines for _, low, high in line.band for end in (low, high)]
    steps = [step for line in lines for step, _ in line.points]
    x = Scale(min(0.0, *steps), max(steps), LEFT, canvas.width - RIGHT)
    bottom, top = canvas.height - BOTTOM, float(TOP)
    if log:
        y = Scale(min(values) * 0.8, max(values) * 1.25, bottom, top, log=True)
    else:
        y = make_linear_scale([*values, *(level.value for level in levels)], bottom, top, limits)
    canvas.axes(x, y, unit, y_label)
    for level in levels:
        canvas.line([(x.start, y(level.value)), (x.end, y(level.value))], "soft", 1.2, "4 4")
        canvas.text(x.end, y(level.value) - 4, level.name, "end", "soft")
    for mark in marks:
        canvas.line([(x(mark.iteration), bottom), (x(mark.iteration), top)], "soft", 1, "2 4")
        canvas.text(x(mark.iteration) + 4, top + 10, mark.name, colour="soft")
    for line in sorted(lines, key=lambda line: line.index is not None):
        _draw(canvas, line, x, y, unit)
    named = [
        (line.name, choose_colour(line.index), choose_dash(line.index))
        for line in lines
        if line.name and line.index is not None
    ]
    if len(named) > 1:
        canvas.legend(named, canvas.height + 6)
    return canvas


def _draw(canvas: Canvas, line: Line, x: Scale, y: Scale, unit: str) -> None:
    points = thin_points(line.points)
    if line.index is None:
        canvas.line([(x(step), y(value)) for step, value in points], "c5", 1, opacity=0.35)
        return
    if line.band:
        band = thin_points(line.band)
        outline = [(x(step), y(high)) for step, _, high in band] + [
            (x(step), y(low)) for step, low, _ in reversed(band)
        ]
        canvas.area(outline, choose_colour(line.index), 0.18)
    canvas.line([(x(step), y(value)) for step, value in points], choose_colour(line.index), 2, choose_dash(line.index))
    if len(points) < 25:
        for step, value in points:
            canvas.dot(
                x(step), y(value), choose_colour(line.index), 2.6, tip=f"{line.name} {value:.4g} at {unit} {step:g}"
            )


def thin_points(points: Sequence[Any]) -> Sequence[Any]:
    """Return about `MOST_POINTS` (400) or fewer of the points, evenly spaced, the last point included."""
    if len(points) <= MOST_POINTS:
        return points
    step = -(-len(points) // MOST_POINTS)
    return [*points[::step], points[-1]]


def plot_stacked_shares(steps: Sequence[int], shares: Sequence[tuple[str, Sequence[float]]], y_label: str) -> Canvas:
    """Plot shares that sum to 1 as stacked areas over iterations; return the canvas.

    Each area is named within; if one is too thin for its name, a legend names all.

    Args:
        steps: Iterations, at least two.
        shares: Name and values, as many as iterations, from the bottom up.
        y_label: Label of the vertical axis.
    """
    canvas = Canvas()
    x = Scale(steps[0], steps[-1], LEFT, canvas.width - RIGHT)
    y = Scale(0.0, 1.0, canvas.height - BOTTOM, float(TOP))
    canvas.axes(x, y, "iteration", y_label)
    kept = thin_points(range(len(steps)))
    below = [0.0] * len(kept)
    thin = False
    for index, (name, values) in enumerate(shares):
        above = [low + values[i] for low, i in zip(below, kept, strict=True)]
        outline = [(x(steps[i]), y(high)) for high, i in zip(above, kept, strict=True)]
        outline += [(x(steps[i]), y(low)) for low, i in reversed(list(zip(below, kept, strict=True)))]
        canvas.area(outline, choose_colour(index), 0.35)
        edge = [(x(steps[i]), y(high)) for high, i in zip(above, kept, strict=True)]
        if index < len(shares) - 1:
            canvas.line(edge, choose_colour(index), 1.5)
        middle = (below[-1] + above[-1]) / 2
        if above[-1] - below[-1] > _NAMED:
            canvas.text(x.end - 6, y(middle) + 4, f"{name} {100 * values[kept[-1]]:.0f} %", "end")
        else:
            thin = True
        below = above
    if thin:
        canvas.legend([(name, choose_colour(index), "") for index, (name, _) in enumerate(shares)], canvas.height + 6)
    return canvas
