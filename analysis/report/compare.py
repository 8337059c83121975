"""Compare runs side by side: scores with intervals, differing settings, findings of each."""

from collections.abc import Sequence
from typing import Any

from unstuck.analysis.comparison import describe_difference
from unstuck.analysis.diagnosis import Diagnosis
from unstuck.analysis.diagnosis.finding import Kind
from unstuck.analysis.diagnosis.rules.value_floor import FITTED
from unstuck.analysis.diagnosis.signals import setting_text
from unstuck.analysis.document import Document, Heading, Paragraph, Table
from unstuck.analysis.document.blocks import Block
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.report.verdict import verdict
from unstuck.analysis.statistics import Difference, Estimate, Interval, NoInterval, difference, estimate_over_seeds
from unstuck.analysis.sweep.trials import same
from unstuck.analysis.words import counted, give_or_take, number, span
from unstuck.rl import metrics
from unstuck.rl.metrics import FINAL_EVALUATIONS

_COMPARABLE = (
    *(metrics.F1, metrics.PRECISION, metrics.RECALL, metrics.EVAL_RETURN, metrics.TRAIN_RETURN),
    *(metrics.VALUE_LOSS_EXCESS, metrics.EXPLAINED_VARIANCE_MC, metrics.ENTROPY, metrics.APPROX_KL),
    *(metrics.CLIP_FRACTION, metrics.UPDATE_NORM, metrics.SATURATED_SHARE),
)
"""What compares between runs; value losses do not (docs/metrics.md)."""


def score_of(diagnoses: Sequence[Diagnosis]) -> str:
    """Choose the best metric that all of the runs have.

    Raises:
        AnalysisError: There is none.
    """
    for name in (metrics.F1, metrics.EVAL_RETURN, metrics.TRAIN_RETURN):
        if all(one.signals.has(name) for one in diagnoses):
            return name
    raise AnalysisError(
        "runs must have F1, a greedy return or a training return in common to be compared, and have none"
    )


def compare_document(diagnoses: Sequence[Diagnosis]) -> Document:
    """Compare runs with the first of them, the control."""
    score = score_of(diagnoses)
    estimates = [_estimate(one, score) for one in diagnoses]
    blocks: list[Block] = [
        Paragraph(_verdict(diagnoses, estimates, score), lead=True),
        Paragraph("Value losses are not compared: gamma and normalisation move them while nothing is learned better."),
        _scores(diagnoses, estimates, score),
        *_settings(diagnoses),
        Heading("How they stand at the end"),
        _ends(diagnoses),
        Heading("What the rules say"),
        *_findings(diagnoses),
    ]
    return Document(f"Comparison of {counted(len(diagnoses), 'run')}", tuple(blocks))


def compare_json(diagnoses: Sequence[Diagnosis]) -> dict[str, Any]:
    """Compare runs, as lists and numbers for programs."""
    score = score_of(diagnoses)
    estimates = [_estimate(one, score) for one in diagnoses]
    return {
        "score": score,
        "verdict": _verdict(diagnoses, estimates, score),
        "runs": [
            {
                "run": one.signals.history.name,
                "value": estimate.mean,
                "seeds": list(estimate.values) if one.signals.seeds(score) else None,
                "difference": _json(_difference(estimates, place)),
                "verdict": verdict(one),
                "settings": {path: one.signals.setting(path) for path in _differing(diagnoses)},
            }
            for place, (one, estimate) in enumerate(zip(diagnoses, estimates, strict=True))
        ],
    }


def _estimate(diagnosis: Diagnosis, score: str) -> Estimate:
    """The last evaluations' mean: over seeds, or of the one curve there is."""
    seeds = list(diagnosis.signals.seeds(score).values())
    if seeds:
        return estimate_over_seeds(seeds)
    window = diagnosis.signals.late(score, share=0.0, least=FINAL_EVALUATIONS)
    return estimate_over_seeds([window.mean if window else 0.0])


def _difference(estimates: Sequence[Estimate], place: int) -> Difference | None:
    """A run minus the first, its interval at once with those of all others; None of the first."""
    if place == 0:
        return None
    return difference(estimates[place].values, estimates[0].values, len(estimates) - 1)


def _json(found: Difference | None) -> list[float] | None:
    """Mean and interval; None without an interval."""
    if found is None or not isinstance(found.interval, Interval):
        return None
    return [found.mean, found.interval.low, found.interval.high]


def _verdict(diagnoses: Sequence[Diagnosis], estimates: Sequence[Estimate], score: str) -> str:
    names = [one.signals.history.name for one in diagnoses]
    best = max(range(len(estimates)), key=lambda place: estimates[place].mean)
    if best == 0:
        return f"None is better than {names[0]}: {score} {number(estimates[0].mean)}."
    values = f"{number(estimates[best].mean)} against {number(estimates[0].mean)}"
    text = f"{names[best]} is the best: {score} {values} of {names[0]}"
    found = _difference(estimates, best)
    if found is None or found.interval is NoInterval.ONE_SEED:
        return f"{text}; one seed each, or none on record, so noise is not ruled out."
    sure = "clear of 0" if found.side else "noise is not ruled out"
    return f"{text}, a difference of {describe_difference(found)}: {sure}."


def _scores(diagnoses: Sequence[Diagnosis], estimates: Sequence[Estimate], score: str) -> Table:
    rows = []
    for place, (one, estimate) in enumerate(zip(diagnoses, estimates, strict=True)):
        found = _difference(estimates, place)
        rows.append(
            (
                one.signals.history.name,
                give_or_take(estimate.mean, estimate.spread),
                span(estimate.values) if len(estimate.values) > 1 else "one seed",
                describe_difference(found) if found else "",
                str(one.signals.history.last_iteration),
            )
        )
    header = ("run", f"{score} ± seeds", "seeds from to", f"against {diagnoses[0].signals.history.name}", "iterations")
    return Table("Mean of the last three evaluations", header, tuple(rows), frozenset({1, 2, 3, 4}))


def _differing(diagnoses: Sequence[Diagnosis]) -> list[str]:
    """List settings that are not the same in all runs."""
    paths = dict.fromkeys(path for one in diagnoses for path in one.signals.history.settings)
    first = diagnoses[0].signals
    return [
        path
        for path in paths
        if any(
            not same(one.signals.setting(path, "not recorded"), first.setting(path, "not recorded"))
            for one in diagnoses
        )
    ]


def _settings(diagnoses: Sequence[Diagnosis]) -> list[Block]:
    paths = _differing(diagnoses)
    if not paths:
        return [Paragraph("Their settings on record are the same.")]
    rows = [(f"`{path}`", *(setting_text(one.signals.setting(path, "")) for one in diagnoses)) for path in paths]
    header = ("setting", *(one.signals.history.name for one in diagnoses))
    return [Heading("Where their settings differ"), Table("", header, tuple(rows))]


def _ends(diagnoses: Sequence[Diagnosis]) -> Table:
    rows = []
    for name in _COMPARABLE:
        windows = [one.signals.late(name) for one in diagnoses]
        if any(windows):
            rows.append((f"`{name}`", *(give_or_take(w.mean, w.spread) if w else "" for w in windows)))
    header = ("metric", *(one.signals.history.name for one in diagnoses))
    excesses = filter(None, (one.signals.late(metrics.VALUE_LOSS_EXCESS) for one in diagnoses))
    below = any(excess.mean < 0 for excess in excesses)
    caption = "Mean and spread of the last quarter" + (f"; an excess can be below 0, {FITTED}" if below else "")
    return Table(caption, header, tuple(rows), frozenset(range(1, len(header))))


def _findings(diagnoses: Sequence[Diagnosis]) -> list[Block]:
    table: dict[str, dict[int, str]] = {}
    for place, one in enumerate(diagnoses):
        for ranked in one.findings_of(Kind.FAULT, Kind.SUSPECT, Kind.LIMIT):
            table.setdefault(ranked.rule.title, {})[place] = str(ranked.finding.kind)
    blocks: list[Block] = []
    if table:
        rows = [(title, *(kinds.get(place, "") for place in range(len(diagnoses)))) for title, kinds in table.items()]
        blocks.append(Table("", ("finding", *(one.signals.history.name for one in diagnoses)), tuple(rows)))
    verdicts = tuple((one.signals.history.name, verdict(one)) for one in diagnoses)
    return [*blocks, Table("", ("run", "verdict"), verdicts)]
