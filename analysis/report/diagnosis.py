"""A diagnosis as blocks of a document: verdict, faults with evidence and causes, limits, what works, what to do."""

from collections.abc import Sequence
from pathlib import Path

from unstuck.analysis.diagnosis import Diagnosis
from unstuck.analysis.diagnosis.arms import Arm, list_arms
from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Kind, Ranked, Support, Unexamined
from unstuck.analysis.diagnosis.language import find_metric_name, find_setting_name
from unstuck.analysis.document import Bullets, Commands, Document, Heading, Paragraph, Table
from unstuck.analysis.document.blocks import Block
from unstuck.analysis.history import History
from unstuck.analysis.report.arms import (
    describe_change,
    find_obstacle,
    list_missing_settings,
    make_arms_command,
    make_own_sweep_command,
    quote_command,
)
from unstuck.analysis.report.verdict import SURENESS, state_verdict
from unstuck.analysis.words import join_words, pluralize


def diagnosis_document(diagnosis: Diagnosis, folder: Path) -> Document:
    """Return the report of a diagnosis, without figures, for `python -m unstuck.analysis diagnose`."""
    history = diagnosis.signals.history
    blocks: list[Block] = [
        Paragraph(state_verdict(diagnosis), lead=True),
        Paragraph(f"Read from {history.source}, {pluralize(history.last_iteration, 'iteration')}."),
        *([Paragraph(history.read_as)] if history.read_as else []),
        *([Bullets(history.remarks)] if history.remarks else []),
        *fault_blocks(diagnosis),
        *limit_blocks(diagnosis),
        *fine_blocks(diagnosis),
        *missing_metric_blocks(diagnosis),
        *next_step_blocks(diagnosis, folder),
    ]
    return Document(f"Diagnosis of {history.name}", tuple(blocks))


def fault_blocks(diagnosis: Diagnosis) -> list[Block]:
    """Return report blocks on faults and suspects, the most basic cause first; empty without faults and suspects."""
    found = diagnosis.select_findings(Kind.FAULT, Kind.SUSPECT)
    if not found:
        return []
    blocks: list[Block] = [Heading("What is wrong")]
    for place, ranked in enumerate(found, start=1):
        titles = {one.rule.name: one.rule.title for one in found}
        blocks += _finding(ranked, f"{place}. {ranked.rule.title}", titles, diagnosis.signals.history.dialect)
    return blocks


def limit_blocks(diagnosis: Diagnosis) -> list[Block]:
    """Return report blocks on limits that hold the run back but are no faults; empty without limits."""
    found = diagnosis.select_findings(Kind.LIMIT)
    blocks: list[Block] = [Heading("What limits it, and is no fault")] if found else []
    for ranked in found:
        blocks += _finding(ranked, ranked.rule.title, {}, diagnosis.signals.history.dialect)
    return blocks


def fine_blocks(diagnosis: Diagnosis) -> list[Block]:
    """Return report blocks that list the checks with a fine result; empty without a fine result."""
    fine = [ranked.finding.headline for ranked in diagnosis.select_findings(Kind.FINE)]
    return [Heading("What works"), Bullets(tuple(f"{text[:1].upper()}{text[1:]}." for text in fine))] if fine else []


def missing_metric_blocks(diagnosis: Diagnosis) -> list[Block]:
    """Return report blocks on metrics worth logging next time, and on rules that could not judge the run."""
    dialect = diagnosis.signals.history.dialect
    rows = tuple((f"`{find_metric_name(name, dialect)}`", text) for name, text in diagnosis.questions.items())
    blind = [one for one in diagnosis.unexamined if one.why]
    silent = [one.rule.title.lower() for one in diagnosis.unexamined if not one.why]
    if not rows and not blind and not silent:
        return []
    blocks: list[Block] = [
        Heading("What was not recorded, and would decide" if rows or blind else "What could not be judged")
    ]
    if rows:
        blocks.append(Table("", ("to log", "what it would tell"), rows))
    if blind:
        blocks.append(Paragraph("Could not be judged:"))
        blocks.append(Bullets(tuple(f"{one.rule.title}: {one.why}; {_needs(one, dialect)}." for one in blind)))
    if silent:
        count = pluralize(len(silent), "more rule" if blind else "rule")
        blocks.append(Paragraph(f"{count} had nothing to look at: {join_words(silent)}."))
    return blocks


def _needs(one: Unexamined, dialect: str) -> str:
    groups = [" or ".join(f"`{find_metric_name(name, dialect)}`" for name in group) for group in one.missing]
    return f"it would take {join_words(groups)}"


def next_step_blocks(diagnosis: Diagnosis, folder: Path) -> list[Block]:
    """Return report blocks that propose next runs: changes to try beside a control, effects to watch, commands."""
    arms = list_arms(diagnosis)
    tests = list_tests(diagnosis)
    if not arms and not tests:
        return []
    blocks: list[Block] = [Heading("What to do next")]
    if tests:
        blocks += [Paragraph("First, since no setting mends it:"), Bullets(tests)]
    if arms:
        header = ("change", "why", "watch for")
        blocks.append(Table("Arms beside an untouched control, on the same seeds", header, _rows(arms, diagnosis)))
        before = len(blocks)
        history = diagnosis.signals.history
        words = make_arms_command(history, arms, folder)
        blocks += [Commands((quote_command(words),))] if words else []
        blocks += own_sweep_blocks(diagnosis, arms, folder)
        if len(blocks) == before:
            blocks.append(Paragraph(f"Run each beside an unchanged control.{_why_no_command(history)}"))
        elif missing := list_missing_settings(history):
            blocks.append(Paragraph(_missing_text(missing, history.program)))
    return blocks


def _why_no_command(history: History) -> str:
    why = find_obstacle(history)
    return f" There is no command for it here: {why}." if why else ""


def _missing_text(missing: Sequence[str], program: str) -> str:
    """Return a sentence on settings that are not on record and without which the control is another run."""
    theirs = join_words([find_setting_name(name, program) for name in missing])
    ours = " ".join(f"ppo.{name}=..." for name in missing)
    return f"Not on record: {theirs}. Add what the run had ({ours}), or the control is another run, of our defaults."


def own_sweep_blocks(diagnosis: Diagnosis, arms: Sequence[Arm], folder: Path) -> list[Block]:
    """Return report blocks with a command for each arm that changes rewards and so needs a separate sweep."""
    history = diagnosis.signals.history
    words = [make_own_sweep_command(history, arm, folder) for arm in arms if arm.changes_objective]
    if not any(words):
        return []
    text = "What changes the rewards changes what trials are compared by, so it runs as a sweep of its own:"
    return [Paragraph(text), Commands(tuple(quote_command(each) for each in words if each))]


def _rows(arms: Sequence[Arm], diagnosis: Diagnosis) -> tuple[tuple[str, ...], ...]:
    """Build table rows of arms, with arms that are proposed for the same reason in one row."""
    reasons: dict[tuple[str, str], list[str]] = {}
    program = diagnosis.signals.history.program
    for arm in arms:
        reasons.setdefault((arm.why, arm.watch), []).append(describe_change(arm.change, program))
    return tuple((join_words(changes, "or"), why, watch) for (why, watch), changes in reasons.items())


def list_tests(diagnosis: Diagnosis) -> tuple[str, ...]:
    """List tests for the causes of the most basic fault, if that fault has no remedy (a bug rather than a setting)."""
    for ranked in diagnosis.select_findings(Kind.FAULT):
        if ranked.finding.remedies or ranked.follows_from:
            continue
        causes = [cause for cause in ranked.finding.causes if cause.support is not Support.RULED_OUT]
        return tuple(f"{cause.test[:1].upper()}{cause.test[1:]}." for cause in causes)
    return ()


def _finding(ranked: Ranked, title: str, titles: dict[str, str], dialect: str) -> list[Block]:
    finding = ranked.finding
    how = (
        f"{finding.kind}, {SURENESS[finding.sureness]}"
        if finding.kind is not Kind.LIMIT
        else SURENESS[finding.sureness]
    )
    since = f" (from iteration {finding.since} on)" if finding.since is not None else ""
    blocks: list[Block] = [
        Heading(f"{title} ({how})", 3),
        Paragraph(f"{finding.headline[:1].upper()}{finding.headline[1:]}."),
    ]
    after = [titles[name].lower() for name in ranked.follows_from if name in titles]
    if after:
        blocks.append(Paragraph(f"It may follow from what stands above: {join_words(after)}."))
    if finding.why:
        blocks.append(Paragraph(f"Why {SURENESS[finding.sureness]}{since}: {finding.why}."))
    facts = tuple(_fact(fact, dialect) for fact in finding.evidence if fact.text not in finding.headline)
    if facts:
        blocks.append(Bullets(facts))
    blocks += _causes(finding)
    blocks.append(Paragraph(f"Source: {ranked.rule.source}."))
    return blocks


def _fact(fact: Evidence, dialect: str) -> str:
    """Format a piece of evidence as text, followed by the names of the metrics that the evidence was read from."""
    if not fact.metrics:
        return fact.text
    shown = ", ".join(f"`{find_metric_name(name, dialect)}`" for name in fact.metrics[:4])
    names = shown + (", ..." if len(fact.metrics) > 4 else "")
    return f"{fact.text} ({names})"


def _causes(finding: Finding) -> list[Block]:
    blocks: list[Block] = []
    order = {Support.SUPPORTED: 0, Support.OPEN: 1, Support.RULED_OUT: 2}
    if finding.causes:
        rows = [_cause(cause) for cause in sorted(finding.causes, key=lambda cause: order[cause.support])]
        header = ("cause", "this run", "test that tells")
        blocks.append(Table("What may be behind it", header, tuple(rows)))
    if finding.unsupported:
        header = ("often blamed", "this run", "what would settle it")
        rows = [(cause.what, cause.why, cause.test) for cause in finding.unsupported]
        blocks.append(Table("What is often blamed for it", header, tuple(rows)))
    return blocks


def _cause(cause: Cause) -> tuple[str, str, str]:
    return cause.what, f"{cause.support}{f': {cause.why}' if cause.why else ''}", cause.test
