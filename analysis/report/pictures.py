"""Pictures of a sweep as Plotly figures, small enough for the attributes of a study on Optuna's dashboard.

Written as plain data: the dashboard's page draws them, and Plotly's Python package would take longer to load than the
rest takes to write.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from unstuck.analysis.plots.canvas import LIGHT
from unstuck.analysis.report.searched import format_value, make_axis, shorten_path
from unstuck.analysis.report.sweep import Findings
from unstuck.analysis.report.sweep_figures import find_first_rungs, list_finite_points
from unstuck.analysis.sweep.importance import Importance
from unstuck.analysis.sweep.pruning import find_stopping_rung
from unstuck.analysis.sweep.trials import Sweep, Trial
from unstuck.analysis.words import pluralize
from unstuck.records.outcome import Outcome

Picture = dict[str, Any]
"""Plotly figure: `data` and `layout`."""

MOST_CURVES, MOST_POINTS = 20, 60
"""Curves in a picture, and points in a curve: 20 KB."""

MOST_TRIALS, MOST_SETTINGS = 200, 6
"""Trials and settings in the picture of the settings."""

COLOURS = {
    Outcome.COMPLETED: "c0",
    Outcome.PRUNED: "c5",
    Outcome.STUCK: "c3",
    Outcome.DIVERGED: "c1",
    Outcome.CRASHED: "c4",
    Outcome.INFEASIBLE: "c2",
}

_GAP = 0.24
"""Room between two rows of panels, for the axis between them, as a share of the picture's height."""

_BOTH = "#6b7680"
"""Colour of text and axes, readable on the light and on the dark theme."""


def draw_pictures(found: Findings) -> dict[str, Picture]:
    """Return a sweep's pictures for Optuna's dashboard by name: importances, curves, early stopping, settings."""
    drawn = {
        "unstuck-importance": _draw_importances(found.importances, found.importance_at),
        "unstuck-curves": _draw_curves(found.sweep),
        "unstuck-rungs": _draw_rungs(found.sweep),
        "unstuck-settings": _draw_settings(found.sweep),
    }
    return {name: picture for name, picture in drawn.items() if picture}


def _draw_importances(found: Sequence[Importance], about: str) -> Picture | None:
    if not found:
        return None
    names = [shorten_path(one.path) for one in reversed(found)]
    traces = []
    for index, (measure, share, ends) in enumerate(
        (("PED-ANOVA", "ped_anova", "ped_range"), ("fANOVA", "fanova", "fanova_range"))
    ):
        middles = [getattr(one, share) for one in reversed(found)]
        ranges = [getattr(one, ends) for one in reversed(found)]
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": measure,
                "y": names,
                "x": _round_values(middles),
                "marker": {"color": LIGHT[f"c{index}"], "opacity": 0.75},
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "array": _round_values([high - middle for middle, (_, high) in zip(middles, ranges, strict=True)]),
                    "arrayminus": _round_values(
                        [middle - low for middle, (low, _) in zip(middles, ranges, strict=True)]
                    ),
                    "color": _BOTH,
                },
            }
        )
    layout = _make_layout("Which settings matter", f"share of importance for {about}")
    layout["xaxis"] |= {"tickformat": ".0%", "rangemode": "tozero"}
    layout["yaxis"] |= {"automargin": True}
    layout["legend"] |= {"traceorder": "reversed"}
    return {"data": traces[::-1], "layout": layout | {"barmode": "group"}}


def _draw_curves(sweep: Sweep) -> Picture | None:
    control = sweep.control
    ranked = [trial for trial in sweep.rank_trials() if len(list_finite_points(trial)) > 1]
    chosen = ranked[:MOST_CURVES]
    if control in ranked and control not in chosen:
        chosen = [*chosen[:-1], control]
    if not chosen:
        return None
    named = {id(sweep.best): ("the best", "c0"), id(control): ("the control", "c1")} | (
        {id(control): ("the control, and the best", "c0")} if control is sweep.best else {}
    )
    traces = []
    for trial in sorted(chosen, key=lambda trial: id(trial) in named):
        points = _thin(list_finite_points(trial))
        role, colour = named.get(id(trial), (trial.outcome or "running", "c5"))
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": f"trial {trial.number}, {role}",
                "x": [step for step, _ in points],
                "y": _round_values([value for _, value in points]),
                "line": {"color": LIGHT[colour], "width": 2.5 if id(trial) in named else 1},
                "opacity": 1 if id(trial) in named else 0.4,
                "showlegend": id(trial) in named,
            }
        )
    is_part = len(ranked) > MOST_CURVES
    which = f"the best {MOST_CURVES} of {pluralize(len(ranked), 'trial')}" if is_part else "all trials"
    layout = _make_layout(f"{sweep.metric} of {which}; dotted, the rungs", sweep.axis.unit, sweep.metric)
    marks = find_first_rungs(sweep)
    layout["shapes"] = [
        {"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper", "line": {"color": _BOTH, "dash": "dot"}}
        for at in marks.values()
    ]
    return {"data": traces, "layout": layout}


def _draw_rungs(sweep: Sweep) -> Picture | None:
    marks = find_first_rungs(sweep)
    groups: dict[str, list[tuple[str, float, str]]] = {
        "went on": [],
        "stopped here": [],
        "spared, would have stopped": [],
    }
    for trial in sweep.trials:
        for entry in trial.rungs:
            if not math.isfinite(entry.value):
                continue
            stopped = trial.outcome == Outcome.PRUNED and find_stopping_rung(trial) == entry.rung
            spared = bool(entry.would_stop) and not stopped and entry.spared
            group = "stopped here" if stopped else "spared, would have stopped" if spared else "went on"
            at = f"rung {entry.rung}, {sweep.axis.describe_step(marks[entry.rung])}"
            groups[group].append((at, entry.value, f"trial {trial.number}"))
    if not marks:
        return None
    traces = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": group,
            "x": [at for at, _, _ in points],
            "y": _round_values([value for _, value, _ in points]),
            "text": [text for _, _, text in points],
            "marker": {"color": LIGHT[colour], "symbol": symbol, "size": 9, "opacity": 0.8},
        }
        for (group, points), colour, symbol in zip(
            groups.items(), ("c0", "c1", "c2"), ("circle", "x", "diamond-open"), strict=True
        )
        if points
    ]
    layout = _make_layout("Who was stopped at which rung", "", f"{sweep.metric} at the rung")
    layout["xaxis"] |= {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": [f"rung {rung}, {sweep.axis.describe_step(at)}" for rung, at in marks.items()],
    }
    return {"data": traces, "layout": layout}


def _draw_settings(sweep: Sweep) -> Picture | None:
    trials = sweep.trials[-MOST_TRIALS:]
    paths = [path for path in sweep.searched if len({str(trial.values.get(path)) for trial in trials}) > 1]
    paths = paths[:MOST_SETTINGS]
    values = [trial.value for trial in trials if _has_value(trial)]
    if not paths or not values:
        return None
    low, high = min(values), max(values)  # type: ignore[type-var]
    floor = low - 0.1 * (high - low or 1.0)  # type: ignore[operator]
    layout = _make_layout("Settings against the objective", "", sweep.metric)
    traces: list[Picture] = []
    for place, path in enumerate(paths):
        suffix = "" if place == 0 else str(place + 1)
        axis = make_axis(sweep, path, [trial for trial in trials if path in trial.values])
        across, up = _place_panel(place, len(paths), suffix)
        scale = (
            {"type": "category"}
            if axis.names
            else {"type": "log", "dtick": 1, "exponentformat": "none"}
            if axis.log
            else {"nticks": 4}
        )
        layout[f"xaxis{suffix}"] = _make_axis(shorten_path(path)) | across | scale
        layout[f"yaxis{suffix}"] = _make_axis(sweep.metric if up["showticklabels"] else "") | up
        traces += _list_dots(trials, path, bool(axis.names), floor, suffix)
    return {"data": traces, "layout": layout}


def _place_panel(place: int, panels: int, suffix: str) -> tuple[Picture, Picture]:
    """Return horizontal and vertical axis of one panel in a grid of three panels to a row."""
    columns = min(3, panels)
    rows = -(-panels // columns)
    column, row = place % columns, place // columns
    across = {"domain": [column / columns + 0.02, (column + 1) / columns - 0.03], "anchor": f"y{suffix}"}
    height = (1 - _GAP * (rows - 1)) / rows
    top = 1 - row * (height + _GAP)
    up = {"domain": [max(0.0, top - height), top], "anchor": f"x{suffix}", "showticklabels": column == 0, "nticks": 5}
    return across, up


def _has_value(trial: Trial) -> bool:
    return trial.value is not None and math.isfinite(trial.value)


def _list_dots(trials: Sequence[Trial], path: str, is_named: bool, floor: float, suffix: str) -> Iterator[Picture]:
    """Yield one setting's dots, grouped by outcome; a trial without a value is a cross below the dots."""
    for outcome, colour in COLOURS.items():
        for has_value in (True, False):
            chosen = [
                trial
                for trial in trials
                if trial.outcome == outcome and _has_value(trial) is has_value and path in trial.values
            ]
            if chosen:
                yield {
                    "type": "scatter",
                    "mode": "markers",
                    "name": str(outcome) if has_value else f"{outcome}, without a value",
                    "legendgroup": f"{outcome}{has_value}",
                    "showlegend": suffix == "",
                    "x": [format_value(trial.values[path]) if is_named else trial.values[path] for trial in chosen],
                    "y": _round_values([trial.value if has_value else floor for trial in chosen]),  # type: ignore[misc]
                    "text": [f"trial {trial.number}" for trial in chosen],
                    "marker": {
                        "color": LIGHT[colour],
                        "size": 7,
                        "opacity": 0.8,
                        "symbol": "circle" if has_value else "x",
                    },
                    "xaxis": f"x{suffix}",
                    "yaxis": f"y{suffix}",
                }


def _make_layout(title: str, across: str, up: str = "") -> Picture:
    return {
        "title": {"text": f"Unstuck: {title}", "font": {"size": 15}, "x": 0.02, "y": 0.97, "yanchor": "top"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": _BOTH},
        "margin": {"l": 60, "r": 20, "t": 80, "b": 50},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "xaxis": _make_axis(across),
        "yaxis": _make_axis(up),
    }


def _make_axis(title: str) -> Picture:
    return {"title": {"text": title}, "gridcolor": "rgba(107,118,128,0.25)", "zeroline": False, "automargin": True}


def _thin(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    step = -(-len(points) // MOST_POINTS)
    return [*points[:-1:step], points[-1]]


def _round_values(values: Sequence[float]) -> list[float]:
    """Round numbers to 4 digits, to keep pictures small."""
    return [float(f"{value:.4g}") for value in values]
