"""Write reports: Markdown with the figures beside, and one HTML page that needs no other file."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from unstuck.analysis.diagnosis import Diagnosis
from unstuck.analysis.document import Document, Figure, to_markdown
from unstuck.analysis.document.html import to_html
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history import Stores
from unstuck.analysis.plots.png import draw_png
from unstuck.analysis.report.run import READ_FROM, run_document
from unstuck.records.files import replace_text, trial_folder
from unstuck.records.identity import read_identity
from unstuck.records.names import ID_TAG, SWEEP_TAG, TRIAL_TAG

FIGURES = "figures"


def write_document(document: Document, folder: Path, stem: str) -> list[Path]:
    """Write a document as Markdown, HTML and SVG files into a folder; return the paths.

    Args:
        document: The document.
        folder: The folder, made where missing.
        stem: Stem of the files' names.

    Returns:
        The Markdown file, the HTML page and the folder of the Markdown's figures, if there are figures.
    """
    try:
        figures = folder / f"{stem}-{FIGURES}"
        shutil.rmtree(figures, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        drawn = [block for block in document.blocks if isinstance(block, Figure)]
        if drawn:
            figures.mkdir()
        for block in drawn:
            replace_text(figures / f"{block.name}.svg", block.whole_svg)
        markdown, page = folder / f"{stem}.md", folder / f"{stem}.html"
        replace_text(markdown, to_markdown(document, figures.name))
        replace_text(page, to_html(document))
    except OSError as error:
        raise AnalysisError(
            f"the report's folder must be one that can be written to, got {folder}: {error.strerror}"
        ) from None
    return [markdown, page, *([figures] if drawn else [])]


def write_plots(document: Document, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write each figure of a document as image files for papers and slides; return the files.

    Args:
        document: The document.
        folder: The folder, made where missing.
        formats: `png`, `svg` or both.

    Raises:
        AnalysisError: The document has no figure, a file cannot be written, or matplotlib is missing for a PNG.
    """
    drawn = [block for block in document.blocks if isinstance(block, Figure)]
    if not drawn:
        raise AnalysisError(f"--plots needs a report with figures; {document.title} has none: too little is on record")
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for figure in drawn:
            for form in formats:
                path = folder / f"{figure.name}.{form}"
                if form == "svg":
                    replace_text(path, figure.paper_svg)
                else:
                    path.write_bytes(draw_png(figure.canvas, figure.caption, figure.alt))
                written.append(path)
    except OSError as error:
        raise AnalysisError(
            f"the folder of the plots must be one that can be written to, got {folder}: {error.strerror}"
        ) from None
    return written


@dataclass(frozen=True)
class Place:
    """Place of a report's files: a folder, and the file names' common beginning (stem).

    Attributes:
        folder: Folder of the Markdown file and the page.
        stem: Stem of their names.
    """

    folder: Path
    stem: str = "report"

    @property
    def plots(self) -> Path:
        """Folder of the figures as image files, for papers and slides."""
        return self.folder / ("plots" if self.stem == "report" else f"{self.stem}-plots")


def report_run(diagnosis: Diagnosis, stores: Stores, folder: Path | None = None) -> list[Path]:
    """Write the report of a run as Markdown and HTML files; return the paths.

    Args:
        diagnosis: Diagnosis of the run.
        stores: Places where sweeps lie, for commands.
        folder: Folder to write to; by default a trial's own folder, for other runs `reports/` beside the sweeps.

    Returns:
        The files written, to be kept with the run.
    """
    place = place_run_report(diagnosis, stores, folder)
    return write_document(run_document(diagnosis, stores.folder), place.folder, place.stem)


def place_run_report(diagnosis: Diagnosis, stores: Stores, folder: Path | None = None) -> Place:
    """Return where a run's report belongs: the given folder, the trial's own, or `reports/` beside the sweeps.

    Args:
        diagnosis: Diagnosis of the run.
        stores: Places where sweeps lie.
        folder: Folder that the user named; None for the usual one.
    """
    history = diagnosis.signals.history
    sweep, trial = history.tags.get(SWEEP_TAG), history.tags.get(TRIAL_TAG)
    own = read_identity(stores.folder / sweep) if sweep else None
    if folder is None and sweep and trial and (own is None or own.owns(history.tags.get(ID_TAG))):
        return Place(trial_folder(stores.folder / sweep, int(trial)))
    folder = folder or stores.folder / "reports"
    return Place(folder, _choose_stem(folder, make_stem(history.name), history.source))


def make_stem(name: str) -> str:
    """Return a name in letters, digits, `-` and `_` alone, for a file."""
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name)


def _choose_stem(folder: Path, stem: str, source: str) -> str:
    """Return a file-name stem for a run's report that does not overwrite another run's report."""
    there = folder / f"{stem}.md"
    try:
        is_other = there.is_file() and f"{READ_FROM} {source}, " not in there.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        is_other = True
    return f"{stem}-{sha256(source.encode()).hexdigest()[:6]}" if is_other else stem
