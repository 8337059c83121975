"""The report of one run: its diagnosis, with figures."""

from pathlib import Path

from analysis.diagnosis import Diagnosis
from analysis.diagnosis.signals import setting_text
from analysis.document import Bullets, Document, Heading, Paragraph, Table
from analysis.document.blocks import Block
from analysis.report.diagnosis import limits, next_steps, unknown, works, wrong
from analysis.report.figures import figures_of
from analysis.report.verdict import verdict
from analysis.words import counted


def run_document(diagnosis: Diagnosis, folder: Path) -> Document:
    """The report of a run.

    Args:
        diagnosis: Of the run.
        folder: Of the sweeps, for commands.
    """
    history = diagnosis.signals.history
    ended = (
        f" It ended as {history.tags['outcome']}: {history.tags.get('reason', '')}."
        if "outcome" in history.tags
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
