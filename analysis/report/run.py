"""Report of one run: the diagnosis, with figures."""

from pathlib import Path

from unstuck.analysis.diagnosis import Diagnosis
from unstuck.analysis.diagnosis.signals import format_setting
from unstuck.analysis.document import Bullets, Document, Heading, Paragraph, Table
from unstuck.analysis.document.blocks import Block
from unstuck.analysis.report.diagnosis import (
    fault_blocks,
    fine_blocks,
    limit_blocks,
    missing_metric_blocks,
    next_step_blocks,
)
from unstuck.analysis.report.figures import make_figures
from unstuck.analysis.report.verdict import state_verdict
from unstuck.analysis.words import pluralize
from unstuck.records.names import OUTCOME_TAG, REASON_TAG

READ_FROM = "Read from"
"""Words before the source of a run in a report; they tell whose an earlier report is."""


def run_document(diagnosis: Diagnosis, folder: Path) -> Document:
    """Return the report of one run: verdict, figures, findings, next steps and settings.

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
    blocks: list[Block] = [
        Paragraph(state_verdict(diagnosis), lead=True),
        Paragraph(source),
        *([Paragraph(history.read_as)] if history.read_as else []),
        *([Bullets(history.remarks)] if history.remarks else []),
        Heading("How it went"),
        *make_figures(diagnosis.signals),
        *fault_blocks(diagnosis),
        *limit_blocks(diagnosis),
        *fine_blocks(diagnosis),
        *missing_metric_blocks(diagnosis),
        *next_step_blocks(diagnosis, folder),
        *_settings(diagnosis),
    ]
    return Document(f"Report of {history.name}", tuple(blocks))


def _settings(diagnosis: Diagnosis) -> list[Block]:
    history = diagnosis.signals.history
    rows = tuple(
        (f"`{path}`", format_setting(value), history.comments.get(path, ""))
        for path, value in sorted(history.settings.items())
        if path.partition(".")[0] in ("ppo", "env", "data")
    )
    if not rows:
        return []
    return [Heading("Settings on record"), Table("", ("setting", "value", "its owner's note"), rows)]
