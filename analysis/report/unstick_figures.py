"""Figures of an unstick: curves of all arms beside the control, counted from the branch."""

import math
from collections.abc import Sequence
from dataclasses import replace
from textwrap import shorten

from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.document.blocks import Block
from unstuck.analysis.plots.canvas import COLOURS
from unstuck.analysis.plots.curves import Line, Mark, plot_curves
from unstuck.analysis.report.figures import make_figure, make_line
from unstuck.analysis.report.sweep import Findings
from unstuck.analysis.report.sweep_figures import list_finite_points
from unstuck.analysis.report.unstick_verdict import describe_arm, get_arm, list_arms_with_values, trace_parents
from unstuck.analysis.sweep.trials import Sweep, Trial
from unstuck.analysis.sweep.unstick import RESET, Arm, Unstick
from unstuck.analysis.words import number
from unstuck.records.axis import BATCH
from unstuck.rl import metrics

MOST_WORDS = 48
"""Characters of an arm's name in the legend."""

NAMED = COLOURS - 2
"""Arms in colour beside the control and the run before the branch."""


def arm_curve_blocks(found: Findings, unstick: Unstick) -> list[Block]:
    """Return figures of objective and value loss of a stuck run's branches beside the unchanged control."""
    drawn = [_draw(found, unstick, name) for name in dict.fromkeys((found.sweep.metric, metrics.VALUE_LOSS))]
    return [figure for figure in drawn if figure is not None]


def _draw(found: Findings, unstick: Unstick, name: str) -> Block | None:
    sweep, control = found.sweep, found.sweep.control
    best = list_arms_with_values(sweep)[:NAMED]
    rest = [trial for trial in sweep.trials if trial not in best and trial is not control]
    lines = [replace(line, index=None, band=()) for trial in rest for line in _make_line(found, trial, name, "")]
    for index, trial in enumerate(best, start=1):
        words = shorten(f"trial {trial.number}: {_describe_briefly(get_arm(sweep, trial.number))}", MOST_WORDS)
        lines += [replace(line, index=index, band=()) for line in _make_line(found, trial, name, words)]
    if control:
        lines += _make_line(found, control, name, f"trial {control.number}: the control")
    if not lines:
        return None
    lines += _read_before(found, unstick, name)
    unit = f"{sweep.axis.unit}, counted from the branch"
    values = [value for line in lines for _, value in line.points]
    wide = name != sweep.metric and min(values) > 0 and max(values) > 50 * min(values)
    canvas = plot_curves(lines, name, _list_marks(sweep, unstick), log=wide, unit=unit)
    ends = [f"{line.name or 'another arm'} ends at {number(line.points[-1][1], 3)}" for line in lines if line.points]
    caption = f"{name} of all arms and the control, from where {unstick.branched_from} was branched"
    return make_figure(f"{sweep.name}-arms-{name.replace('/', '-')}", canvas, caption, "; ".join(ends))


def _describe_briefly(arm: Arm) -> str:
    """Describe what a branch of a stuck run changes, without the state that it resets."""
    return describe_arm(replace(arm, values={path: value for path, value in arm.values.items() if path != RESET}))


def _make_line(found: Findings, trial: Trial, name: str, title: str) -> list[Line]:
    """Return a metric's curve of a stuck run's branch, placed after the branches it continues; or empty.

    Diagnoses hold all metrics; without one only the objective is on record.
    """
    sweep, diagnosis = found.sweep, found.diagnoses.get(trial.number)
    if diagnosis and diagnosis.signals.has(name):
        stride = _choose_stride(sweep, diagnosis.signals)
        line = make_line(diagnosis.signals, name, title)
    elif name == sweep.metric:
        stride, line = 1, Line(title, list_finite_points(trial))
    else:
        return []
    shift = count_steps_before(sweep, trial.number)
    points = [(step * stride + shift, value) for step, value in line.points]
    band = [(step * stride + shift, low, high) for step, low, high in line.band]
    return [replace(line, points=points, band=band)] if points else []


def count_steps_before(sweep: Sweep, number: int) -> int:
    """Count the iterations or environment steps trained from the stuck run's checkpoint to a trial's start."""
    lengths = {trial.number: trial.iterations for trial in sweep.trials}
    return sum(lengths.get(parent, 0) for parent in trace_parents(sweep, number))


def _choose_stride(sweep: Sweep, run: Signals) -> int:
    return math.prod(int(run.read_number(path) or 1) for path in BATCH) if sweep.axis.in_env_steps else 1


def _read_before(found: Findings, unstick: Unstick, name: str) -> list[Line]:
    """Return the stuck run's own curve before its checkpoint, as long as a branch; empty if not recorded."""
    if found.before is None:
        return []
    run, stride = found.before.signals, _choose_stride(found.sweep, found.before.signals)
    branch = int(unstick.run.get("iteration") or run.history.last_iteration)
    points = [((step - branch) * stride, value) for step, value in make_line(run, name, "").points]
    kept = [(step, value) for step, value in points if -found.sweep.length <= step <= 0]
    return [Line("the run before the branch", kept, (), COLOURS - 1)] if kept else []


def _list_marks(sweep: Sweep, unstick: Unstick) -> Sequence[Mark]:
    marks = [Mark("branch", 0)]
    for stage in unstick.stages:
        if stage.is_started and stage.parent is not None:
            at = count_steps_before(sweep, stage.arms[0])
            marks.append(Mark(f"stage {stage.stage}, from trial {stage.parent}", at))
    return marks
