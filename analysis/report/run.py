"""Report of one run: the diagnosis, with figures."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from unstuck.analysis.diagnosis import Diagnosis
from unstuck.analysis.diagnosis.arms import Arm, list_arms
from unstuck.analysis.diagnosis.finding import Kind
from unstuck.analysis.diagnosis.signals import format_setting
from unstuck.analysis.document import Bullets, Document, Heading, Paragraph, Table
from unstuck.analysis.document.blocks import Block
from unstuck.analysis.report.diagnosis import (
    arm_blocks,
    fine_blocks,
    list_tests,
    milestone_blocks,
    missing_metric_blocks,
    other_finding_blocks,
    overview_blocks,
)
from unstuck.analysis.report.expected import expected_blocks
from unstuck.analysis.report.figures import choose_picture, draw_run, make_confusion_table
from unstuck.analysis.report.verdict import state_verdict
from unstuck.analysis.words import pluralize
from unstuck.records.names import OUTCOME_TAG, REASON_TAG

READ_FROM = "Read from"
"""Words before the source of a run in a report; they tell whose an earlier report is."""


def run_document(diagnosis: Diagnosis, folder: Path) -> Document:
    """Return the report of one run as a document: main sentence, figures, findings, next steps, settings.

    Args:
        diagnosis: Diagnosis of the run.
        folder: Folder of the sweeps, for commands.
    """
    history = diagnosis.signals.history
    ended = (
        f" It ended as {history.tags[OUTCOME_TAG]}: {history.tags.get(REASON_TAG, '')}."
        if OUTCOME_TAG in history.tags
        else ""
    )
    source = f"{READ_FROM} {history.source}, {pluralize(history.last_iteration, 'iteration')}.{ended}"
    arms = list_arms(diagnosis)
    figures = draw_run(diagnosis.signals)
    picture = choose_picture(figures, _list_evidence(diagnosis))
    curves = [figure for kind, figure in figures.items() if kind != picture]
    others = [*curves, *make_confusion_table(diagnosis.signals)]
    blocks: list[Block] = [
        Paragraph(state_verdict(diagnosis), lead=True),
        *([figures[picture]] if picture else []),
        *fine_blocks(diagnosis),
        *overview_blocks(diagnosis),
        *_fixes_blocks(diagnosis, arms, folder),
        *expected_blocks(diagnosis.signals),
        *milestone_blocks(arms, history.program),
        *other_finding_blocks(diagnosis),
        *([Heading("All curves", folded=True), *others] if others else []),
        *fold_blocks(missing_metric_blocks(diagnosis)),
        *_settings_blocks(diagnosis),
        Heading("How the run was read", folded=True),
        Paragraph(source),
        *([Paragraph(history.read_as)] if history.read_as else []),
        *([Bullets(history.remarks)] if history.remarks else []),
    ]
    return Document(f"Report of {history.name}", tuple(blocks))


def fold_blocks(blocks: Sequence[Block]) -> list[Block]:
    """Return the blocks of a section with all but the heading folded."""
    return [
        replace(block, folded=True) if place == 0 and isinstance(block, Heading) else block
        for place, block in enumerate(blocks)
    ]


def _list_evidence(diagnosis: Diagnosis) -> list[str]:
    """List the metrics that the most basic finding rests on, the most important first."""
    found = diagnosis.select_findings(Kind.FAULT, Kind.SUSPECT, Kind.LIMIT)
    if not found:
        return []
    finding, rule = found[0].finding, found[0].rule
    return [name for fact in finding.evidence for name in fact.metrics] + [
        name for group in rule.needs for name in group
    ]


def _fixes_blocks(diagnosis: Diagnosis, arms: Sequence[Arm], folder: Path) -> list[Block]:
    """Return report blocks on what to do: tests of causes where no setting helps, and changes to try."""
    tests = list_tests(diagnosis)
    if not arms and not tests:
        return []
    text = "No setting mends the first fault: make the tests of its causes first, in the order of the table above."
    told = [Paragraph(text)] if tests else []
    return [Heading("What to do next"), *told, *arm_blocks(diagnosis, arms, folder, with_watch=False)]


def _settings_blocks(diagnosis: Diagnosis) -> list[Block]:
    history = diagnosis.signals.history
    rows = tuple(
        (f"`{path}`", format_setting(value), history.comments.get(path, ""))
        for path, value in sorted(history.settings.items())
        if path.partition(".")[0] in ("ppo", "env", "data")
    )
    if not rows:
        return []
    return [Heading("Settings on record", folded=True), Table("", ("setting", "value", "its owner's note"), rows)]
