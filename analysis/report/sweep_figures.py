"""Figures of a sweep: curves of the trials."""

import math
from collections.abc import Mapping
from dataclasses import replace

from unstuck.analysis.diagnosis import Diagnosis
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.document.blocks import Block
from unstuck.analysis.plots.curves import Level, Line, Mark, plot_curves
from unstuck.analysis.report.figures import make_figure, make_line
from unstuck.analysis.sweep.trials import Sweep, Trial
from unstuck.analysis.words import number, pluralize
from unstuck.records.axis import BATCH
from unstuck.rl import metrics


def curve_blocks(sweep: Sweep, diagnoses: Mapping[int, Diagnosis]) -> list[Block]:
    """Return a figure of all trials' objective over time, with best trial and control in colour."""
    trials = [trial for trial in sweep.trials if len(list_finite_points(trial)) > 1]
    if not trials:
        return []
    best, control = sweep.best, sweep.control
    chosen = [trial for trial in (best, None if control is best else control) if trial is not None]
    lines = [Line("", list_finite_points(trial), (), None) for trial in trials if trial not in chosen]
    for index, trial in enumerate(chosen):
        name = f"trial {trial.number}, {'the best' if trial is best else 'the control'}"
        if trial.number in diagnoses and diagnoses[trial.number].signals.has(sweep.metric):
            lines.append(_on_axis(sweep, diagnoses[trial.number].signals, name, index))
        else:
            lines.append(Line(name, list_finite_points(trial), (), index))
    rungs = [Mark(f"rung {rung}", iteration) for rung, iteration in find_first_rungs(sweep).items()]
    references: list[Level | Mark] = [*_find_trivial_score(sweep, diagnoses), *rungs]
    canvas = plot_curves(lines, sweep.metric, references, unit=sweep.axis.unit)
    last = "; ".join(f"trial {trial.number} ends at {number(trial.value or 0.0)}" for trial in chosen)
    caption = (
        f"{sweep.metric} of {pluralize(len(trials), 'trial')}; in colour the best and the control, with their seeds"
    )
    return [make_figure(f"{sweep.name}-curves", canvas, caption, last or caption)]


def list_finite_points(trial: Trial) -> list[tuple[float, float]]:
    """Return the finite points of a trial's curve."""
    return [(step, value) for step, value in sorted(trial.curve.items()) if math.isfinite(value)]


def _on_axis(sweep: Sweep, run: Signals, name: str, index: int) -> Line:
    """Return a trial's curve of the objective, with a band over seeds, by iteration or environment step."""
    line = make_line(run, sweep.metric, name, index)
    stride = math.prod(int(run.read_number(path) or 1) for path in BATCH) if sweep.axis.in_env_steps else 1
    points = [(step * stride, value) for step, value in line.points]
    return replace(line, points=points, band=[(step * stride, low, high) for step, low, high in line.band])


def find_first_rungs(sweep: Sweep) -> dict[int, int]:
    """Return the earliest iteration or step at which trials were compared at each rung, by rung number."""
    first: dict[int, int] = {}
    for trial in sweep.trials:
        for entry in trial.rungs:
            first[entry.rung] = min(entry.iteration, first.get(entry.rung, entry.iteration))
    return dict(sorted(first.items()))


def _find_trivial_score(sweep: Sweep, diagnoses: Mapping[int, Diagnosis]) -> list[Level]:
    """Return the F1 of the best policy that has learned nothing, as a line to plot; empty if there is no F1."""
    if sweep.metric != metrics.F1:
        return []
    for diagnosis in diagnoses.values():
        policies = diagnosis.signals.trivial_f1
        if policies:
            name = max(policies, key=lambda key: policies[key])
            return [Level(f"{name.replace('_', ' ')} {number(policies[name], 3)}", policies[name])]
    return []
