"""Report of a sweep: the best trial and the lead, the search, how trials ended, what matters, what to run next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unstuck.analysis.comparison import describe_difference, judge_difference
from unstuck.analysis.diagnosis import Diagnosis
from unstuck.analysis.document import Bullets, Document, Heading, Paragraph, Table
from unstuck.analysis.document.blocks import Block
from unstuck.analysis.report import searched, sweep_figures
from unstuck.analysis.report.diagnosis import fault_blocks, limit_blocks
from unstuck.analysis.report.pruned import pruning_blocks
from unstuck.analysis.report.run import fold_blocks
from unstuck.analysis.report.sweep_next import next_blocks
from unstuck.analysis.report.sweep_verdict import sweep_verdict
from unstuck.analysis.report.verdict import state_verdict
from unstuck.analysis.statistics import estimate_over_seeds
from unstuck.analysis.sweep.importance import Importance
from unstuck.analysis.sweep.judgements import warn_of_repeated_reading
from unstuck.analysis.sweep.readings import format_time
from unstuck.analysis.sweep.trials import VALUE_AND_RUNG, Sweep, Trial, count_outcomes
from unstuck.analysis.words import format_range, format_uncertain, join_words, number, pluralize
from unstuck.records.outcome import Outcome

MOST_ROWS = 200
"""Rows of the table of all trials, at most."""

TOP = 5
"""Rows of the table of the best configurations."""

MOST_FINDINGS = 5
"""Rows of the table of findings."""


@dataclass(frozen=True)
class Findings:
    """Data for a sweep's report: the sweep's record, trials' diagnoses, settings' importances, the folder.

    Attributes:
        sweep: Record of the sweep in the ledger.
        diagnoses: Diagnoses of the trials whose curves MLflow holds, by number.
        importances: Importances of the searched settings, the most important first; empty where too little is known.
        importance_at: Subject of the importances, in words.
        importance_trials: Number of trials behind the importances.
        dashboard: Importances on Optuna's dashboard, by setting, the most important first.
        folder: Folder of all sweeps, for commands.
        before: Diagnosis of the run that an unstick branches, at the branch; None for any other sweep, or if the run's
            checkpoint cannot be read.
    """

    sweep: Sweep
    diagnoses: Mapping[int, Diagnosis]
    importances: Sequence[Importance] = ()
    importance_at: str = ""
    importance_trials: int = 0
    dashboard: Mapping[str, float] = field(default_factory=dict)
    folder: Path = field(default_factory=lambda: Path("runs"))
    before: Diagnosis | None = None


def sweep_document(found: Findings) -> Document:
    """Return the report of a sweep as a document: main sentence, search, trials, importances, diagnoses, next runs."""
    sweep = found.sweep
    importances = searched.ImportanceView(
        found.importances, found.importance_at, found.importance_trials, explain_other_importances(found)
    )
    blocks: list[Block] = [
        Paragraph(sweep_verdict(sweep, found.importances), lead=True),
        *sweep_figures.curve_blocks(found.sweep, found.diagnoses),
        *_works_section(found),
        *_diagnosed_blocks(found),
        Heading("The best configurations"),
        *_best_blocks(sweep),
        *searched.importance_blocks(sweep, importances),
        *next_blocks(sweep, found.diagnoses, found.folder),
        *_expected_blocks(found),
        Heading("What was searched", folded=True),
        *searched.searched_blocks(sweep),
        Heading("How every trial ended", folded=True),
        *_ended_blocks(sweep),
        *fold_blocks(searched.importance_detail_blocks(sweep, importances)),
        *fold_blocks(pruning_blocks(sweep)),
        *_best_diagnosed(found),
        *trial_blocks(sweep),
    ]
    return Document(f"Report of the sweep {sweep.name}", tuple(blocks))


def explain_other_importances(found: Findings) -> str:
    """Return a text on why Optuna's dashboard shows other importances than the report; "" if it shows none."""
    trials = found.importance_trials if found.importances else 0
    return searched.explain_dashboard_differences(found.sweep, found.dashboard, found.importance_at, trials)


def _works_section(found: Findings) -> list[Block]:
    """Return a section on the best trial, the control, and trials that diverged, got stuck or crashed."""
    sweep, items = found.sweep, []
    best, control = sweep.best, sweep.control
    for trial, who in ((best, "The best trial"), (control, "The control")):
        if trial and trial.number in found.diagnoses and not (trial is control and control is best):
            items.append(f"{who}, {trial.number}: {state_verdict(found.diagnoses[trial.number])}")
    ended = count_outcomes(sweep.trials)
    bad = [f"{ended[name]} {name}" for name in (Outcome.DIVERGED, Outcome.STUCK, Outcome.CRASHED) if name in ended]
    if bad:
        items.append(
            f"Did not work: {join_words(bad)} of {pluralize(len(sweep.feasible), 'trial')}{describe_infeasible(sweep)}."
        )
    return [Heading("What works, and what does not"), Bullets(tuple(items))] if items else []


def describe_infeasible(sweep: Sweep) -> str:
    """Return a phrase with the number of infeasible trials, whose settings could not run; empty without any."""
    count = len(sweep.trials) - len(sweep.feasible)
    return f"; {count} more could not run and do not count" if count else ""


def _ended_blocks(sweep: Sweep) -> list[Block]:
    rows = []
    for outcome, count in count_outcomes(sweep.trials).items():
        trials = [trial for trial in sweep.trials if (trial.outcome or "running") == outcome]
        reasons: dict[str, int] = {}
        for trial in trials:
            reason = (
                trial.reason.partition(":")[0]
                if outcome in (Outcome.PRUNED, Outcome.CRASHED)
                else trial.reason.partition(" at ")[0]
            )
            reasons[reason] = reasons.get(reason, 0) + 1
        top = sorted(reasons.items(), key=lambda item: -item[1])[:3]
        why = "; ".join(f"{reason} ({times})" for reason, times in top if reason and outcome != Outcome.COMPLETED)
        rows.append(
            (
                outcome,
                str(count),
                ", ".join(str(trial.number) for trial in trials[:12]) + ("..." if count > 12 else ""),
                why,
            )
        )
    return [
        Table(
            f"Outcomes of {pluralize(len(sweep.feasible), 'trial')}" + describe_infeasible(sweep),
            ("outcome", "trials", "which", "most frequent reasons"),
            tuple(rows),
            frozenset({1}),
        )
    ]


def _best_blocks(sweep: Sweep) -> list[Block]:
    top = sweep.rank_trials(Outcome.COMPLETED)[:TOP]
    if not top:
        return [Paragraph("No trial completed, so none can be called the best.")]
    control = sweep.control
    chosen = top if control is None or control in top or control.value is None else [*top, control]
    rows = []
    for trial in chosen:
        estimate = trial.estimate
        rows.append(
            (
                f"{trial.number}{' (control)' if trial is control else ''}",
                format_uncertain(trial.value or 0.0, estimate.spread if estimate else None),
                format_range(trial.seeds) if len(trial.seeds) > 1 else "",
                *(searched.format_value(trial.values.get(path)) for path in sweep.searched),
            )
        )
    seeds = len(top[0].seeds)
    header = (
        "trial",
        _name_value_column(seeds),
        "seeds from to",
        *(searched.shorten_path(path) for path in sweep.searched),
    )
    caption = f"{sweep.metric}, mean over {pluralize(seeds, 'seed')} of the last evaluations, as the search saw it"
    blocks: list[Block] = [Table(caption, header, tuple(rows), frozenset(range(1, len(header))))]
    blocks.append(
        Paragraph(
            "The best of many noisy values is flattered by being chosen: only fresh seeds and unseen data judge it. "
            "Intervals are those of differences from the control, widened by as many comparisons as there were "
            "(docs/statistics.md)."
        )
    )
    return blocks + _judged_blocks(sweep)


def _judged_blocks(sweep: Sweep) -> list[Block]:
    """Return a table of all trainings on fresh seeds that used the test data, with results and a warning."""
    readings = sweep.judgements.readings
    if not readings:
        return []
    rows = []
    for reading in readings:
        found = sweep.judgements.difference(reading)
        control = estimate_over_seeds(reading.control) if reading.control else None
        rows.append(
            (
                f"trial {reading.trial}",
                format_time(reading.at),
                str(len(reading.champion)),
                number(reading.searched),
                format_uncertain(reading.estimate.mean, reading.estimate.spread),
                format_uncertain(control.mean, control.spread) if control else "",
                describe_difference(found, metric=sweep.metric) if found else "",
                judge_difference(found, sweep.sign) if found else "",
            )
        )
    header = ("", "when", "seeds", "in the search", "judged ± seeds", "control", "difference", "verdict")
    caption = f"{sweep.metric}, judged on fresh seeds by data that no trial saw"
    blocks: list[Block] = [Table(caption, header, tuple(rows), frozenset({2, 3, 4, 5}))]
    if len(readings) > 1:
        blocks.append(Paragraph(warn_of_repeated_reading(sweep.judgements)))
    return blocks


def _diagnosed_blocks(found: Findings) -> list[Block]:
    """Return report blocks that count the most basic findings of all trials."""
    if not found.diagnoses:
        return [
            Heading("What is wrong"),
            Paragraph("MLflow holds no curves of this sweep, so no trial could be diagnosed."),
        ]
    rows = _count_findings(found)
    text = f"None of the rules found anything in {pluralize(len(found.diagnoses), 'trial')}."
    if not rows:
        return [Heading("What is wrong"), Paragraph(text)]
    more = f"; {pluralize(len(rows) - MOST_FINDINGS, 'rarer one')} left out" if len(rows) > MOST_FINDINGS else ""
    caption = f"What the rules found in {pluralize(len(found.diagnoses), 'trial')}{more}"
    header = ("finding", "kind", "trials", "which", "how these ended")
    return [Heading("What is wrong"), Table(caption, header, tuple(rows[:MOST_FINDINGS]), frozenset({2}))]


def _count_findings(found: Findings) -> list[tuple[str, ...]]:
    """Count each finding over all trials, faults first; return the rows of a table."""
    seen: dict[tuple[str, str], list[int]] = {}
    for trial, diagnosis in found.diagnoses.items():
        for ranked in diagnosis.findings:
            if ranked.finding.kind != "fine":
                seen.setdefault((ranked.rule.title, ranked.finding.kind), []).append(trial)
    rows: list[tuple[str, ...]] = []
    for (title, kind), trials in sorted(seen.items(), key=lambda item: (_KINDS[item[0][1]], -len(item[1]))):
        ended = count_outcomes([trial for trial in found.sweep.trials if trial.number in trials])
        which = ", ".join(map(str, trials[:12])) + ("..." if len(trials) > 12 else "")
        rows.append(
            (title, kind, str(len(trials)), which, ", ".join(f"{count} {name}" for name, count in ended.items()))
        )
    return rows


def _best_diagnosed(found: Findings) -> list[Block]:
    """Return report blocks with the best trial's findings in full, in a folded section."""
    best = found.sweep.best
    if best is None or best.number not in found.diagnoses:
        return []
    diagnosis = found.diagnoses[best.number]
    inner = [*fault_blocks(diagnosis), *limit_blocks(diagnosis)]
    kept = [block for block in inner if not isinstance(block, Heading) or block.level > 2]
    return [Heading(f"Diagnosis of the best trial, {best.number}", folded=True), *kept] if kept else []


_KINDS = {"fault": 0, "suspect": 1, "limit": 2}


def _expected_blocks(found: Findings) -> list[Block]:
    """Return a table that compares measured metrics with theory, or with an untrained policy."""
    rows = searched.list_expectations(found.sweep, found.diagnoses)
    if not rows:
        return []
    header = ("quantity", "expected", "measured", "where from")
    return [Heading("Expected against actual"), Table("", header, tuple(rows))]


def trial_blocks(sweep: Sweep) -> list[Block]:
    """Return the table of all trials with outcome, value, settings and MLflow run, under a heading."""
    rows = [_make_row(sweep, trial) for trial in sweep.trials[:MOST_ROWS]]
    header = (
        "trial",
        "ended",
        _name_value_column(max((len(trial.seeds) for trial in sweep.trials), default=0)),
        sweep.axis.units,
        *(searched.shorten_path(path) for path in sweep.searched),
        "MLflow run",
    )
    numeric = frozenset(range(2, len(header) - 1))
    blocks: list[Block] = [
        Heading("All trials", folded=True),
        Table("Every figure of this report belongs to one of these runs", header, tuple(rows), numeric),
    ]
    if any(trial.outcome == Outcome.PRUNED for trial in sweep.trials):
        blocks.append(Paragraph(f"{VALUE_AND_RUNG[0].upper()}{VALUE_AND_RUNG[1:]}."))
    if len(sweep.trials) > MOST_ROWS:
        blocks.append(Paragraph(f"{len(sweep.trials) - MOST_ROWS} more trials are in MLflow and in the ledger."))
    return blocks


def _name_value_column(seeds: int) -> str:
    """Return the title of a column of values, with `± seeds` if values have several seeds."""
    return "value ± seeds" if seeds > 1 else "value"


def _make_row(sweep: Sweep, trial: Trial) -> tuple[str, ...]:
    estimate = trial.estimate
    reason = f": {trial.reason}" if trial.reason and trial.outcome != Outcome.COMPLETED else ""
    return (
        str(trial.number),
        f"{trial.outcome or 'running'}{reason}",
        "" if trial.value is None else format_uncertain(trial.value, estimate.spread if estimate else None),
        str(trial.iterations),
        *(searched.format_value(trial.values.get(path)) for path in sweep.searched),
        f"`{trial.run_id[:8]}`" if trial.run_id else "",
    )
