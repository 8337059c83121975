"""A diagnosis as blocks of a document: verdict, faults with evidence and causes, limits, what works, what to do."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from unstuck.analysis.diagnosis import Diagnosis
from unstuck.analysis.diagnosis.arms import Arm, list_arms
from unstuck.analysis.diagnosis.cost import COSTS, estimate_cost, explain_costs
from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Kind, Ranked, Support, Unexamined
from unstuck.analysis.diagnosis.translation import find_metric_name, find_setting_name
from unstuck.analysis.diagnosis.withhold import is_unmended
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

SHOWN = 5
"""Changes that a report shows at once; the others are folded."""

BEHIND = "What may be behind it"
"""Title of the causes of a finding."""


def diagnosis_document(diagnosis: Diagnosis, folder: Path) -> Document:
    """Return the report of a diagnosis as a document without figures, as the `diagnose` command prints."""
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
        blocks += _finding_blocks(ranked, f"{place}. {ranked.rule.title}", titles, diagnosis.signals.history.dialect)
    return blocks


def overview_blocks(diagnosis: Diagnosis) -> list[Block]:
    """Return report blocks on what is wrong: all findings in brief, then evidence and causes of the most basic."""
    found = diagnosis.select_findings(Kind.FAULT, Kind.SUSPECT, Kind.LIMIT)
    if not found:
        return []
    first, dialect = found[0], diagnosis.signals.history.dialect
    briefly = tuple(f"{one.rule.title} ({_name_kind(one)}): {one.finding.headline}." for one in found)
    wrong = first.finding.kind is not Kind.LIMIT
    blocks: list[Block] = [Heading("What is wrong" if wrong else "What limits it"), Bullets(briefly, ordered=True)]
    of = f" of the first: {first.rule.title.lower()}" if len(found) > 1 else ""
    blocks += [Heading(f"The evidence{of}"), *_evidence_blocks(first, dialect)]
    causes = [
        replace(table, caption="") if table.caption == BEHIND else table for table in _causes_blocks(first.finding)
    ]
    return [*blocks, Heading(BEHIND), *causes] if causes else blocks


def other_finding_blocks(diagnosis: Diagnosis) -> list[Block]:
    """Return report blocks with all findings in full, except the most basic one, which the overview shows."""
    found = diagnosis.select_findings(Kind.FAULT, Kind.SUSPECT, Kind.LIMIT)
    blocks: list[Block] = [Heading("The other findings in full", folded=True)] if len(found) > 1 else []
    titles = {one.rule.name: one.rule.title for one in found}
    for place, ranked in enumerate(found[1:], start=2):
        blocks += _finding_blocks(ranked, f"{place}. {ranked.rule.title}", titles, diagnosis.signals.history.dialect)
    return blocks


def limit_blocks(diagnosis: Diagnosis) -> list[Block]:
    """Return report blocks on limits that hold the run back but are not faults; empty without limits."""
    found = diagnosis.select_findings(Kind.LIMIT)
    blocks: list[Block] = [Heading("What limits it, and is no fault")] if found else []
    for ranked in found:
        blocks += _finding_blocks(ranked, ranked.rule.title, {}, diagnosis.signals.history.dialect)
    return blocks


def fine_blocks(diagnosis: Diagnosis, title: str = "What works") -> list[Block]:
    """Return report blocks that list the checks that found all well; empty if there are none."""
    fine = [ranked.finding.headline for ranked in diagnosis.select_findings(Kind.FINE)]
    items = tuple(f"{text[:1].upper()}{text[1:]}." for text in fine)
    more: list[Block] = [Heading("More that is in order", 3, folded=True), Bullets(items[SHOWN:])]
    return [Heading(title), Bullets(items[:SHOWN]), *(more if items[SHOWN:] else [])] if fine else []


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
        blocks.append(Bullets(tuple(f"{one.rule.title}: {one.why}; {_describe_needs(one, dialect)}." for one in blind)))
    if silent:
        count = pluralize(len(silent), "more rule" if blind else "rule")
        blocks.append(Paragraph(f"{count} had nothing to look at: {join_words(silent)}."))
    return blocks


def _describe_needs(one: Unexamined, dialect: str) -> str:
    groups = [" or ".join(f"`{find_metric_name(name, dialect)}`" for name in group) for group in one.missing]
    return f"it would take {join_words(groups)}"


def next_step_blocks(diagnosis: Diagnosis, folder: Path) -> list[Block]:
    """Return report blocks on next runs: changes to try beside a control, effects to watch, commands."""
    arms = list_arms(diagnosis)
    tests = list_tests(diagnosis)
    if not arms and not tests:
        return []
    blocks: list[Block] = [Heading("What to do next")]
    if tests:
        blocks += [Paragraph("First, since no setting mends it:"), Bullets(tests)]
    return [*blocks, *arm_blocks(diagnosis, arms, folder)]


def arm_blocks(diagnosis: Diagnosis, arms: Sequence[Arm], folder: Path, with_watch: bool = True) -> list[Block]:
    """Return report blocks on changes to try: what, why and at which cost, the most promising first; and the command.

    Args:
        diagnosis: Diagnosis of the run.
        arms: Changes that the diagnosis proposes.
        folder: Folder of the sweeps, for commands.
        with_watch: True for a column on what to watch for, which a report has in its milestones.
    """
    if not arms:
        return []
    run, history = diagnosis.signals, diagnosis.signals.history
    caption = "Arms beside an untouched control, on the same seeds, the most promising first"
    tables = tabulate_arms(diagnosis, group_arms(arms), caption, with_watch)
    blocks: list[Block] = [tables[0], Paragraph(explain_costs(run, len(arms), estimate_cost(run)))]
    before = len(blocks)
    words = make_arms_command(history, arms, folder)
    blocks += [Commands((quote_command(words),))] if words else []
    blocks += own_sweep_blocks(diagnosis, arms, folder)
    if len(blocks) == before:
        blocks.append(Paragraph(f"Run each beside an unchanged control.{_why_no_command(history)}"))
    elif missing := list_missing_settings(history):
        blocks.append(Paragraph(_missing_text(missing, history.program)))
    return [*blocks, *tables[1:]]


def tabulate_arms(diagnosis: Diagnosis, groups: Sequence[Sequence[Arm]], caption: str, with_watch: bool) -> list[Block]:
    """Return the table of changes with costs; of more than `SHOWN` changes, the rest in a folded section.

    Args:
        diagnosis: Diagnosis of the run.
        groups: Changes, those of one reason together, the most promising first; at least one.
        caption: Caption of the table.
        with_watch: True for a column on what to watch for.
    """
    rows = []
    for place, group in enumerate(groups, start=1):
        change = f"{place}. {name_changes(group, diagnosis.signals.history.program)}"
        watch = (group[0].watch,) if with_watch else ()
        rows.append((change, group[0].why, *watch, estimate_cost(diagnosis.signals, group[0].change).briefly))
    header = ("change", "why", *(("watch for",) if with_watch else ()), COSTS)
    shown = Table(caption, header, tuple(rows[:SHOWN]))
    if len(rows) <= SHOWN:
        return [shown]
    return [shown, Heading("Changes further down the list", 3, folded=True), Table("", header, tuple(rows[SHOWN:]))]


def milestone_blocks(arms: Sequence[Arm], program: str) -> list[Block]:
    """Return a table of what each change must achieve by when; empty if there are no changes."""
    seen: dict[str, list[Arm]] = {}
    for group in group_arms(arms)[:SHOWN]:
        seen.setdefault(group[0].watch, []).extend(group)
    rows = [(name_changes(group, program), watch) for watch, group in seen.items() if watch]
    return [Heading("Milestones"), Table("", ("after the change", "to be seen"), tuple(rows))] if rows else []


def _why_no_command(history: History) -> str:
    why = find_obstacle(history)
    return f" There is no command for it here: {why}." if why else ""


def _missing_text(missing: Sequence[str], program: str) -> str:
    """Return a sentence on unrecorded settings that would make the control a different run; empty without any."""
    theirs = join_words([find_setting_name(name, program) for name in missing])
    ours = " ".join(f"ppo.{name}=..." for name in missing)
    return f"Not on record: {theirs}. Add what the run had ({ours}), or the control is another run, of our defaults."


def own_sweep_blocks(diagnosis: Diagnosis, arms: Sequence[Arm], folder: Path) -> list[Block]:
    """Return report blocks with a command for each change that alters rewards, and so needs its own sweep."""
    history = diagnosis.signals.history
    words = [make_own_sweep_command(history, arm, folder) for arm in arms if arm.changes_objective]
    if not any(words):
        return []
    text = "What changes the rewards changes what trials are compared by, so it runs as a sweep of its own:"
    return [Paragraph(text), Commands(tuple(quote_command(each) for each in words if each))]


def group_arms(arms: Sequence[Arm]) -> list[list[Arm]]:
    """Group changes that are proposed for the same reason, such as several values of one setting, in order."""
    reasons: dict[tuple[str, str], list[Arm]] = {}
    for arm in arms:
        reasons.setdefault((arm.why, arm.watch), []).append(arm)
    return list(reasons.values())


def name_changes(arms: Sequence[Arm], program: str) -> str:
    """Name several changes of settings in a program's words: `gamma 0.5 or gamma 0`."""
    return join_words([describe_change(arm.change, program) for arm in arms], "or")


def list_tests(diagnosis: Diagnosis) -> tuple[str, ...]:
    """List tests for the causes of the most basic fault that no setting can mend; empty if there is none."""
    for ranked in diagnosis.select_findings(Kind.FAULT):
        if not is_unmended(ranked):
            continue
        causes = [cause for cause in ranked.finding.causes if cause.support is not Support.RULED_OUT]
        return tuple(f"{cause.test[:1].upper()}{cause.test[1:]}." for cause in causes)
    return ()


def _finding_blocks(ranked: Ranked, title: str, titles: dict[str, str], dialect: str) -> list[Block]:
    headline = ranked.finding.headline
    blocks: list[Block] = [
        Heading(f"{title} ({_name_kind(ranked)})", 3),
        Paragraph(f"{headline[:1].upper()}{headline[1:]}."),
    ]
    after = [titles[name].lower() for name in ranked.follows_from if name in titles]
    if after:
        blocks.append(Paragraph(f"It may follow from what stands above: {join_words(after)}."))
    *evidence, source = _evidence_blocks(ranked, dialect)
    return [*blocks, *evidence, *_causes_blocks(ranked.finding), source]


def _name_kind(ranked: Ranked) -> str:
    finding = ranked.finding
    sureness = SURENESS[finding.sureness] + finding.name_seeds(", ", "")
    return sureness if finding.kind is Kind.LIMIT else f"{finding.kind}, {sureness}"


def _evidence_blocks(ranked: Ranked, dialect: str) -> list[Block]:
    """Return report blocks on why a finding is believed: reason, further facts, and source."""
    finding = ranked.finding
    since = f" (from iteration {finding.since} on)" if finding.since is not None else ""
    blocks: list[Block] = []
    if finding.why:
        blocks.append(Paragraph(f"Why {SURENESS[finding.sureness]}{since}: {finding.why}."))
    facts = tuple(_describe_fact(fact, dialect) for fact in finding.evidence if fact.text not in finding.headline)
    if facts:
        blocks.append(Bullets(facts))
    return [*blocks, Paragraph(f"Source: {ranked.rule.source}.")]


def _describe_fact(fact: Evidence, dialect: str) -> str:
    """Format a piece of evidence as text, followed by the names of the metrics it was read from."""
    if not fact.metrics:
        return fact.text
    shown = ", ".join(f"`{find_metric_name(name, dialect)}`" for name in fact.metrics[:4])
    names = shown + (", ..." if len(fact.metrics) > 4 else "")
    return f"{fact.text} ({names})"


def _causes_blocks(finding: Finding) -> list[Table]:
    blocks: list[Table] = []
    order = {Support.SUPPORTED: 0, Support.OPEN: 1, Support.RULED_OUT: 2}
    if finding.causes:
        rows = [_describe_cause(cause) for cause in sorted(finding.causes, key=lambda cause: order[cause.support])]
        header = ("cause", "this run", "test that tells")
        blocks.append(Table(BEHIND, header, tuple(rows)))
    if finding.unsupported:
        header = ("often blamed", "this run", "what would settle it")
        rows = [(cause.what, cause.why, cause.test) for cause in finding.unsupported]
        blocks.append(Table("What is often blamed for it", header, tuple(rows)))
    return blocks


def _describe_cause(cause: Cause) -> tuple[str, str, str]:
    return cause.what, f"{cause.support}{f': {cause.why}' if cause.why else ''}", cause.test
