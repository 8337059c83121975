"""Read the runs of a folder together where they are plainly seeds of one configuration (`seeds_alike`)."""

from pathlib import Path

from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.assemble import Reading
from unstuck.analysis.history.files import is_record, read_files
from unstuck.analysis.history.record import History
from unstuck.analysis.history.seeds_alike import MOST, join_seeds, tell_seeds


def read_seeds(path: Path, reading: Reading) -> History | None:
    """Read the runs in a folder as one trial, if all are seeds of one configuration; return None if they are not.

    Args:
        path: An existing file or folder.
        reading: Choices of the user on how to read.
    """
    runs = _list_runs(path) if path.is_dir() else []
    if not 2 <= len(runs) <= MOST:
        return None
    try:
        read = {run.name: read_files(run, reading) for run in runs}
    except AnalysisError:
        return None  # what is wrong is said of the folder as a whole
    seeds = tell_seeds(list(read), [run.settings for run in read.values()])
    return join_seeds(path.name, path, read, seeds) if seeds else None


def _list_runs(folder: Path) -> list[Path]:
    """List the paths that may be one run each: files with metrics in a folder, or else subfolders with such files."""
    here = sorted(folder.iterdir())
    files = [file for file in here if is_record(file)]
    if files:
        return files
    below = [one for one in here if one.is_dir() and _holds_record(one)]
    return _list_runs(below[0]) if len(below) == 1 else below


def _holds_record(folder: Path) -> bool:
    return any(is_record(file) for depth in ("*", "*/*") for file in folder.glob(depth))
