"""Compare runs side by side: scores with intervals, differing settings, findings of each."""

from dataclasses import replace
from textwrap import shorten
from typing import Any

from unstuck.analysis.comparison import describe_difference
from unstuck.analysis.diagnosis.finding import Kind
from unstuck.analysis.diagnosis.rules.value_floor import FITTED
from unstuck.analysis.diagnosis.signals import format_setting
from unstuck.analysis.diagnosis.standing import name_counted
from unstuck.analysis.document import Document, Figure, Heading, Paragraph, Table
from unstuck.analysis.document.blocks import Block
from unstuck.analysis.plots.canvas import COLOURS
from unstuck.analysis.plots.curves import plot_curves
from unstuck.analysis.report.figures import make_figure, make_line
from unstuck.analysis.side_by_side import Comparison
from unstuck.analysis.statistics import Difference, Interval
from unstuck.analysis.words import format_range, format_uncertain, join_words, number, pluralize
from unstuck.rl import metrics

_COMPARABLE = (
    *(metrics.F1, metrics.PRECISION, metrics.RECALL, metrics.EVAL_RETURN, metrics.TRAIN_RETURN),
    *(metrics.VALUE_LOSS_EXCESS, metrics.EXPLAINED_VARIANCE_MC, metrics.ENTROPY, metrics.APPROX_KL),
    *(metrics.CLIP_FRACTION, metrics.UPDATE_NORM, metrics.SATURATED_SHARE),
)
"""Metrics that compare between runs; value losses do not (docs/metrics.md)."""

MOST_LETTERS = 40
"""Letters of a run's name in a legend."""


def comparison_document(compared: Comparison) -> Document:
    """Return the report, as a document, that compares each run with the first one, the control."""
    curves = [figure for name in _COMPARED_CURVES if (figure := _draw(compared, name))]
    score = next((figure for figure in curves if figure.name.endswith(_shorten_name(compared.score))), None)
    blocks: list[Block] = [
        Paragraph(compared.verdict, lead=True),
        *([score] if score else []),
        Heading("The scores"),
        _score_blocks(compared),
        *_settings_blocks(compared),
        Heading("What the rules say"),
        *_findings_blocks(compared),
        Heading("How they stand at the end"),
        Paragraph("Value losses are not compared: gamma and normalisation move them while nothing is learned better."),
        _ends_blocks(compared),
    ]
    others = [figure for figure in curves if figure is not score]
    blocks += [Heading("More curves", folded=True), *others] if others else []
    return Document(f"Comparison of {pluralize(len(compared.runs), 'run')}", tuple(blocks))


_COMPARED_CURVES = (
    *(metrics.F1, metrics.EVAL_RETURN, metrics.TRAIN_RETURN, metrics.ENTROPY, metrics.APPROX_KL),
    *(metrics.EXPLAINED_VARIANCE_MC, metrics.EXPLAINED_VARIANCE),
)


def _draw(compared: Comparison, name: str) -> Figure | None:
    """Draw one metric of all runs, the control first; None unless at least two runs recorded it."""
    drawn = [one for one in compared.runs if len(one.diagnosis.signals.select_finite(name)) > 1]
    if len(drawn) < 2:
        return None
    lines = []
    for place, one in enumerate(drawn):
        line = make_line(one.diagnosis.signals, name, one.name, place if place < COLOURS else None)
        lines.append(replace(line, name=shorten(one.name, MOST_LETTERS, placeholder="...")))
    ends = "; ".join(
        f"{one.name} ends at {number(one.diagnosis.signals.select_finite(name).iloc[-1])}" for one in drawn
    )
    more = f"; {len(drawn) - COLOURS} more without colour" if len(drawn) > COLOURS else ""
    caption = f"{name} of {pluralize(len(drawn), 'run')}{more}"
    return make_figure(f"comparison-{_shorten_name(name)}", plot_curves(lines, name), caption, ends)


def _shorten_name(name: str) -> str:
    return name.replace("/", "-")


def comparison_json(compared: Comparison) -> dict[str, Any]:
    """Return a comparison of runs as a dict for JSON: score's name, main sentence, each run's values."""
    return {
        "score": compared.score,
        "verdict": compared.verdict,
        "runs": [
            {
                "run": one.name,
                "value": one.estimate.mean,
                "seeds": list(one.estimate.values) if one.diagnosis.signals.seeds(compared.score) else None,
                "difference": _difference_to_json(one.difference),
                "verdict": one.verdict,
                "settings": dict(one.settings),
                "in_force": dict(one.in_force),
            }
            for one in compared.runs
        ],
    }


def _difference_to_json(found: Difference | None) -> list[float] | None:
    """Return a difference as a list for JSON: mean, lower and upper end of the interval; None without one."""
    if found is None or not isinstance(found.interval, Interval):
        return None
    return [found.mean, found.interval.low, found.interval.high]


def _score_blocks(compared: Comparison) -> Table:
    rows = tuple(
        (
            one.name,
            format_uncertain(one.estimate.mean, one.estimate.spread),
            format_range(one.estimate.values) if len(one.estimate.values) > 1 else "one seed",
            describe_difference(one.difference, metric=compared.score) if one.difference else "",
            str(one.diagnosis.signals.history.last_iteration),
        )
        for one in compared.runs
    )
    header = ("run", f"{compared.score} ± seeds", "seeds from to", f"against {compared.control.name}", "iterations")
    return Table(_describe_means(compared), header, rows, frozenset({1, 2, 3, 4}))


def _describe_means(compared: Comparison) -> str:
    """Describe in words what the scores are means of: how many last values of what."""
    runs = [one.diagnosis.signals for one in compared.runs]
    counts = sorted({min(metrics.FINAL_EVALUATIONS, len(run.select_finite(compared.score))) for run in runs})
    ending = "s" if counts[-1] > 1 else ""
    counted = [f"{word}{ending}" for word in dict.fromkeys(name_counted(run, compared.score) for run in runs)]
    return f"Mean of the last {join_words([*map(str, counts)], 'or')} {join_words(counted, 'or')}"


def _settings_blocks(compared: Comparison) -> list[Block]:
    in_force = list(compared.control.in_force)
    signals = [one.diagnosis.signals for one in compared.runs]
    if not compared.differing and not in_force:
        if not any(run.history.settings for run in signals):
            return [Paragraph("No settings are on record.")]
        return [Paragraph("Their settings on record are the same.")]
    rows = [(f"`{path}`", *(format_setting(run.setting(path, "")) for run in signals)) for path in compared.differing]
    rows += [(f"`{name}` in force", *(one.in_force[name] for one in compared.runs)) for name in in_force]
    header = ("setting", *(one.name for one in compared.runs))
    return [Heading("Where their settings differ"), Table("", header, tuple(rows))]


def _ends_blocks(compared: Comparison) -> Table:
    signals = [one.diagnosis.signals for one in compared.runs]
    rows = []
    for name in _COMPARABLE:
        windows = [run.select_last(name) for run in signals]
        if any(windows):
            rows.append((f"`{name}`", *(format_uncertain(w.mean, w.spread) if w else "" for w in windows)))
    header = ("metric", *(one.name for one in compared.runs))
    excesses = filter(None, (run.select_last(metrics.VALUE_LOSS_EXCESS) for run in signals))
    below = any(excess.mean < 0 for excess in excesses)
    caption = "Mean and spread of the last quarter" + (f"; an excess can be below 0, {FITTED}" if below else "")
    return Table(caption, header, tuple(rows), frozenset(range(1, len(header))))


def _findings_blocks(compared: Comparison) -> list[Block]:
    table: dict[str, dict[int, str]] = {}
    for place, one in enumerate(compared.runs):
        for ranked in one.diagnosis.select_findings(Kind.FAULT, Kind.SUSPECT, Kind.LIMIT):
            table.setdefault(ranked.rule.title, {})[place] = str(ranked.finding.kind)
    blocks: list[Block] = []
    if table:
        rows = [
            (title, *(kinds.get(place, "") for place in range(len(compared.runs)))) for title, kinds in table.items()
        ]
        blocks.append(Table("", ("finding", *(one.name for one in compared.runs)), tuple(rows)))
    return [*blocks, Table("", ("run", "verdict"), tuple((one.name, one.verdict) for one in compared.runs))]
