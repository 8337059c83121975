"""Report of one run: the diagnosis, with figures."""

from pathlib import Path

from unstuck.analysis.diagnosis import Diagnosis
from unstuck.analysis.diagnosis.signals import setting_text
from unstuck.analysis.document import Bullets, Document, Heading, Paragraph, Table
from unstuck.analysis.document.blocks import Block
from unstuck.analysis.report.diagnosis import limits, next_steps, unknown, works, wrong
from unstuck.analysis.report.figures import figures_of
from unstuck.analysis.report.verdict import verdict
from unstuck.analysis.words import counted
from unstuck.records.names import OUTCOME_TAG, REASON_TAG


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
    source = f"Read from {history.source}, {counted(history.last_iteration, 'iteration')}.{ended}"
    blocks: list[Block] = [
        Paragraph(verdict(diagnosis), lead=True),
        Paragraph(source),
        *([Bullets(history.remarks)] if history.remarks else []),
        Heading("How it went"),
        *figures_of(diagnosis.signals),
        *wrong(diagnosis),
        *limits(diagnosis),
        *works(diagnosis),
        *unknown(diagnosis),
        *next_steps(diagnosis, folder),
        *_settings(diagnosis),
    ]
    return Document(f"Report of {history.name}", tuple(blocks))


def _settings(diagnosis: Diagnosis) -> list[Block]:
    history = diagnosis.signals.history
    rows = tuple(
        (f"`{path}`", setting_text(value), history.comments.get(path, ""))
        for path, value in sorted(history.settings.items())
        if path.partition(".")[0] in ("ppo", "env", "data")
    )
    if not rows:
        return []
    return [Heading("Settings on record"), Table("", ("setting", "value", "its owner's note"), rows)]
