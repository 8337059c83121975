"""Figures of one run, drawn from the metrics on record."""

import math
from collections.abc import Mapping, Sequence

from unstuck.analysis.diagnosis.rules.value_floor import FITTED
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing, name_return
from unstuck.analysis.document import Figure, Table
from unstuck.analysis.document.blocks import Block
from unstuck.analysis.plots.canvas import Canvas
from unstuck.analysis.plots.curves import Level, Line, plot_curves, plot_stacked_shares
from unstuck.analysis.words import format_range, number, percent
from unstuck.rl import metrics


def draw_run(run: Signals) -> dict[str, Figure]:
    """Draw the figures that a run's metrics allow, by kind: score, returns, value loss, actions and others."""
    drawn = {
        "score": _draw_score(run),
        "returns": _draw_returns(run),
        "value-loss": _value_loss(run),
        "actions": _draw_actions(run),
        "updates": _draw_updates(run),
        "entropy": _draw_entropy(run),
    }
    return {kind: figure for kind, figure in drawn.items() if figure}


_SHOWN_BY = {
    "actions": (metrics.ACTION_PREFIX,),
    "value-loss": (metrics.VALUE_LOSS, metrics.VALUE_FLOOR, metrics.EXPLAINED_VARIANCE, metrics.TARGET_STD),
    "updates": (metrics.APPROX_KL, metrics.CLIP_FRACTION, metrics.UPDATE_NORM),
    "entropy": (metrics.ENTROPY,),
    "returns": (metrics.TRAIN_RETURN, metrics.EVAL_RETURN),
    "score": (metrics.F1, metrics.TRUE_POSITIVES, metrics.EVAL_RETURN, metrics.GREEDY_PREFIX),
}
"""Kind of figure: beginnings of the names of the metrics whose message the figure shows."""


def choose_picture(figures: Mapping[str, Figure], evidence: Sequence[str]) -> str:
    """Choose the figure that shows the main finding's evidence; return its kind, or "" if there is none.

    Args:
        figures: Figures by kind, as `draw_run` returns them.
        evidence: Metrics that the verdict rests on, the weightiest first.
    """
    for name in evidence:
        for kind, shown in _SHOWN_BY.items():
            if kind in figures and name.startswith(shown):
                return kind
    return next(iter(figures), "")


def make_figure(name: str, canvas: Canvas, caption: str, alt: str) -> Figure:
    """Make a report's figure block from a canvas."""
    return Figure(name, canvas, caption, alt)


def make_line(run: Signals, name: str, title: str, index: int | None = 0) -> Line:
    """Return a metric's curve for a plot, with a band from lowest to highest seed if recorded."""
    curve = run.select_finite(name)
    seeds = [seed for seed in run.history.seeds(name).values() if len(seed)]
    band = []
    if len(seeds) > 1:
        for step in curve.index:
            values = [float(seed[step]) for seed in seeds if math.isfinite(seed.get(step, math.nan))]
            if values:
                band.append((float(step), min(values), max(values)))
    return Line(title, [(float(step), float(value)) for step, value in curve.items()], band, index)  # type: ignore[arg-type]


def _name(run: Signals, kind: str) -> str:
    stem = "".join(c if c.isalnum() else "-" for c in run.history.name).strip("-")
    return f"{stem}-{kind}"


def _describe_curve(run: Signals, name: str) -> str:
    """Describe a metric's curve in words: first and last value, and range."""
    curve = run.select_finite(name)
    ends = f"{number(float(curve.iloc[0]), 3)} at iteration {curve.index[0]} to {number(float(curve.iloc[-1]), 3)}"
    return f"{name} from {ends} at {curve.index[-1]}, between {format_range([float(curve.min()), float(curve.max())])}"


def _draw_score(run: Signals) -> Figure | None:
    score = judge_standing(run).score
    if len(run.select_finite(score)) < 2 or score == metrics.TRAIN_RETURN:
        return None
    best = max(run.trivial_f1, key=lambda name: run.trivial_f1[name], default="")
    levels = (
        [Level(f"{best.replace('_', ' ')} {number(run.trivial_f1[best], 3)}", run.trivial_f1[best])] if best else []
    )
    seeds = len(run.history.seeds(score))
    line = make_line(run, score, score)
    canvas = plot_curves(
        [line], score, levels if score == metrics.F1 else (), limits=(0.0,) if score == metrics.F1 else ()
    )
    shade = f"; the shade spans the {seeds} seeds" if seeds > 1 else ""
    compared = "; the dashed line is the best policy that has learned nothing" if levels and score == metrics.F1 else ""
    return make_figure(
        _name(run, "score"), canvas, f"{score} of {run.history.name}{shade}{compared}", _describe_curve(run, score)
    )


def _draw_returns(run: Signals) -> Figure | None:
    if len(run.select_finite(metrics.TRAIN_RETURN)) < 2:
        return None
    lines = [make_line(run, metrics.TRAIN_RETURN, "sampled, in training")]
    if judge_standing(run).score == metrics.F1 and len(run.select_finite(metrics.EVAL_RETURN)) > 1:
        lines.append(make_line(run, metrics.EVAL_RETURN, name_return(run), 1))
    canvas = plot_curves(lines, "episode return")
    caption = f"Episode returns of {run.history.name}, not discounted"
    return make_figure(_name(run, "returns"), canvas, caption, _describe_curve(run, metrics.TRAIN_RETURN))


def _value_loss(run: Signals) -> Figure | None:
    if len(run.select_finite(metrics.VALUE_LOSS)) < 2:
        return None
    lines = [make_line(run, metrics.VALUE_LOSS, "value loss")]
    alt = _describe_curve(run, metrics.VALUE_LOSS)
    if len(run.select_finite(metrics.VALUE_FLOOR)) > 1:
        lines.append(make_line(run, metrics.VALUE_FLOOR, "floor: what no critic can foresee", 1))
        alt += "; " + _describe_curve(run, metrics.VALUE_FLOOR)
    curve = run.select_finite(metrics.VALUE_LOSS)
    wide = float(curve.min()) > 0 and float(curve.max()) > 50 * float(curve.min())
    canvas = plot_curves(lines, "value loss", log=wide, limits=() if wide else (0.0,))
    caption = f"Value loss of {run.history.name}, and its floor where measured"
    excess = run.select_finite(metrics.VALUE_LOSS_EXCESS)
    if len(excess) and float(excess.min()) < 0:
        caption += f"; it can lie below, {FITTED}"
    return make_figure(_name(run, "value-loss"), canvas, caption, alt)


def _draw_actions(run: Signals) -> Figure | None:
    shares = run.shares(metrics.ACTION_PREFIX)
    if len(shares) < 2 or len(shares.columns) > 8:
        return None
    steps = [int(step) for step in shares.index]
    canvas = plot_stacked_shares(
        steps, [(str(name), shares[name].tolist()) for name in shares.columns], "share of sampled actions"
    )
    last = ", ".join(f"{name} {percent(float(shares[name].iloc[-1]))}" for name in shares.columns)
    caption = f"What the sampled policy of {run.history.name} does"
    return make_figure(_name(run, "actions"), canvas, caption, f"at iteration {steps[-1]}: {last}")


def _draw_updates(run: Signals) -> Figure | None:
    named = {
        metrics.APPROX_KL: "KL",
        metrics.CLIP_FRACTION: "clip fraction",
        metrics.UPDATE_NORM: "change of parameters",
    }
    drawn = [(name, title) for name, title in named.items() if (run.select_finite(name) > 0).sum() > 1]
    if not drawn:
        return None
    lines = [make_line(run, name, title, index) for index, (name, title) in enumerate(drawn)]
    canvas = plot_curves(
        [Line(line.name, line.points, (), line.index) for line in lines], "size of an update", log=True
    )
    caption = f"Size of {run.history.name}'s updates, on a logarithmic axis"
    return make_figure(
        _name(run, "updates"), canvas, caption, "; ".join(_describe_curve(run, name) for name, _ in drawn)
    )


def _draw_entropy(run: Signals) -> Figure | None:
    if len(run.select_finite(metrics.ENTROPY)) < 2:
        return None
    most = run.entropy_range
    levels: Sequence[Level] = [Level(f"largest possible {number(most)}", most)] if most else ()
    canvas = plot_curves(
        [make_line(run, metrics.ENTROPY, "entropy")], "entropy in nats", levels, limits=(0.0,) if most else ()
    )
    return make_figure(
        _name(run, "entropy"), canvas, f"Entropy of {run.history.name}'s policy", _describe_curve(run, metrics.ENTROPY)
    )


def make_confusion_table(run: Signals) -> list[Block]:
    """Return a table of the last confusion counts beside those of trivial policies; empty if not recorded.

    All counts are of the same flows.
    """
    counts = run.confusion
    if counts.empty:
        return []
    last = counts.iloc[-1]
    threats, benign = float(last["tp"] + last["fn"]), float(last["tn"] + last["fp"])
    policies = [
        (f"{run.history.name} at iteration {counts.index[-1]}", last["tp"], last["fp"], last["tn"], last["fn"]),
        ("flag every flow", threats, benign, 0.0, 0.0),
        ("flag none", 0.0, 0.0, benign, threats),
    ]
    if len(run.actions) == 4:
        policies.append(("draw the four actions evenly", 0.75 * threats, 0.75 * benign, 0.25 * benign, 0.25 * threats))
    rows = []
    for name, tp, fp, tn, fn in policies:
        f1 = 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0
        rows.append((name, *(f"{count:,.0f}" for count in (tp, fp, tn, fn)), f"{f1:.3f}"))
    header = ("policy", "true positives", "false positives", "true negatives", "false negatives", "F1")
    caption = "Flagged and allowed flows, beside policies that have learned nothing"
    return [Table(caption, header, tuple(rows), frozenset(range(1, 6)))]
