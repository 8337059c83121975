"""Read runs in files: a table, an event file, printed text, results in JSON, or a folder with such files."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.assemble import Found, Reading, assemble_history
from unstuck.analysis.history.dialects.plain import find_plain_name
from unstuck.analysis.history.ending import note_ending
from unstuck.analysis.history.event_runs import find_run, is_evaluation, read_event_files
from unstuck.analysis.history.events import is_events
from unstuck.analysis.history.forms.arrays import read_arrays
from unstuck.analysis.history.forms.console import is_console, read_console
from unstuck.analysis.history.forms.notebook import SUFFIX as NOTEBOOK
from unstuck.analysis.history.forms.notebook import list_outputs
from unstuck.analysis.history.forms.packed import is_note_of_mac
from unstuck.analysis.history.forms.printed import rewrite_prints
from unstuck.analysis.history.forms.results import is_results, read_results
from unstuck.analysis.history.forms.tables import find_delimiter, read_table
from unstuck.analysis.history.forms.texts import decode_text, rewrite_commas, strip_terminal
from unstuck.analysis.history.forms.texts import read_text as read_file
from unstuck.analysis.history.forms.trees import read_tree
from unstuck.analysis.history.forms.zoo import (
    EVALUATIONS,
    has_start,
    is_monitor,
    is_of_evaluation,
    read_evaluation_monitors,
    read_evaluations,
    read_monitors,
)
from unstuck.analysis.history.mapping import read_mapping
from unstuck.analysis.history.names import recognise_dialect, translate_metrics
from unstuck.analysis.history.probed import SETTINGS, find_probe
from unstuck.analysis.history.raw import Raw
from unstuck.analysis.history.record import History
from unstuck.analysis.history.saved import add_model, find_models
from unstuck.analysis.history.settings import is_sweep, read_settings
from unstuck.analysis.history.several import refuse_several

_SETTINGS = (".yaml", ".yml", ".json")
_OF_SETTINGS = re.compile(r"conf|param|arg|hyper|setting|flag", re.IGNORECASE)
_TABLES = (".csv", ".tsv")
_RESULTS = (".jsonl", ".ndjson")
_PRINTED = (".txt", ".log", ".out")
_PROGRAMS = (".py", ".sh")
_ARRAYS = ".npz"
_NAMED = {"progress.txt": "table", "result.json": "results", EVALUATIONS: "evaluations"}
STANDARD_INPUT = "-"


def read_files(path: Path, reading: Reading) -> History:
    """Read one run's metrics and settings from a file, or from all files of a folder.

    Args:
        path: An existing file or folder.
        reading: Choices of the user: a mapping file's names, settings.

    Raises:
        AnalysisError: No file there is a run's record, or several runs are there.
    """
    probe = find_probe(path)
    if probe is not None:
        return _read_probe(path, probe, reading)
    if not path.is_file() and not path.is_dir():
        raise AnalysisError(f"{path} must be a file or a folder, and is neither; pipe what it gives, and name -")
    found = Found()
    files = [path] if path.is_file() else _list_files(path)
    events = [file for file in files if is_events(file)]
    monitors = [file for file in files if not is_events(file) and is_monitor(file)]
    others = [file for file in files if file not in events and file not in monitors and is_record(file)]
    read_event_files(path, events, found, others)
    for file in files:
        if file not in events and file not in monitors:
            _read_file(file, found, alone=len(files) == 1)
    _read_monitors(path, monitors, [file for file in files if file.name == EVALUATIONS], found)
    if not found.raws:
        _read_trees(files, found)
    if not found.raws:
        kinds = "a table (.csv), event files, result.json, monitor files or printed text"
        raise AnalysisError(f"{path} must be or hold {kinds} with a run's metrics, and there is none")
    history = assemble_history(path.name, _describe_source(path, found), found, reading)
    if path.is_dir():
        history = add_model(history, find_models(path), reading.settings)
    return note_ending(history, found.files)


def _read_monitors(path: Path, files: Sequence[Path], evaluations: Sequence[Path], found: Found) -> None:
    """Read monitor files: those of training together, those of evaluations at the steps that training had done."""
    whole = [file for file in files if has_start(file)] or list(files)
    if copies := [file.name for file in files if file not in whole]:
        found.remarks.append(f"not read, as a copy of other monitor files: {', '.join(copies)}")
    trained = [file for file in whole if not is_of_evaluation(file, path)] or whole
    if not trained:
        return
    found.raws.append(read_monitors(trained, evaluations))
    found.settings |= found.raws[-1].settings
    if judged := [file for file in whole if file not in trained]:
        found.raws.append(read_evaluation_monitors(judged, trained))


def _read_trees(files: Sequence[Path], found: Found) -> None:
    """Read files of JSON as records, where nothing else of a run is there."""
    for file in files:
        text = read_file(file) if len(files) == 1 else _read_beside(file)
        raw = _read_json(file, text) if file.suffix == ".json" and text is not None else None
        if raw and any(map(find_plain_name, raw.columns)):
            found.raws.append(raw)
            found.settings |= raw.settings


def _read_probe(path: Path, curves: Path, reading: Reading) -> History:
    """Read the log of a probe (logger in another program's loop): curves and settings, and no other file."""
    found = Found([_read_any(curves, read_file(curves))])
    settings = curves.with_name(SETTINGS)
    if settings.is_file():
        _read_settings(settings, found, alone=False)
    others = (
        [file.name for file in sorted(path.iterdir()) if is_record(file) and file != curves] if path.is_dir() else []
    )
    if others:
        found.remarks.append(f"read from {curves.name} alone; not read: {', '.join(others)}")
    history = assemble_history(path.name, _describe_source(path, found), found, reading)
    return note_ending(history, found.files)


def find_sweep_folder(name: str, folder: Path) -> Path | None:
    """Find the folder of a sweep given by name or folder; return None if the text names a run instead.

    Args:
        name: Name of a sweep in `folder`, or path of a sweep's folder anywhere.
        folder: Folder of the sweeps.
    """
    plain = name.removeprefix(f"{folder}/").rstrip("/")
    try:
        if "/" not in plain and (folder / plain / "config.yaml").is_file():
            return folder / plain
        path = Path(name).expanduser().absolute()
        is_one = (path / "config.yaml").is_file() and is_sweep(read_settings(path / "config.yaml")[0])
    except (AnalysisError, OSError, RuntimeError, ValueError):  # another program's file, a name too long, a zero byte
        return None
    return path if is_one else None


def read_text(reading: Reading) -> History:
    """Read a run from standard input: printed text, a table, or results in JSON.

    Raises:
        AnalysisError: The text holds no metrics.
    """
    piped = getattr(sys.stdin, "buffer", None)
    text = decode_text(piped.read(), "standard input") if piped else sys.stdin.read()
    if not text.strip():
        raise AnalysisError("standard input must hold a run's metrics, and is empty")
    found = Found([_read_any(None, text)])
    return assemble_history("standard input", "standard input", found, reading)


def read_names(names: Path | None, settings: Mapping[str, Any]) -> Reading:
    """Return the user's choices for reading runs: names and settings from a mapping file, and single settings."""
    mapped, added = read_mapping(names) if names else (None, {})
    return Reading(mapped, {**added, **settings})


def _describe_source(path: Path, found: Found) -> str:
    if path.is_file():
        return str(path)
    files = dict.fromkeys(str(raw.file.relative_to(path)) for raw in found.raws if raw.file)
    return f"{', '.join(files)} in {path}"


def _list_files(folder: Path) -> list[Path]:
    """List the files of a run in a folder: those in the folder itself, or else in the only subfolder with a run.

    A second subfolder with nothing but evaluations belongs to the run, as scripts often keep them apart.

    Raises:
        AnalysisError: Several runs lie below.
    """
    here = sorted(file for file in folder.iterdir() if file.is_file() and not is_note_of_mac(file))
    below = sorted(file for depth in ("*", "*/*") for file in folder.glob(f"{depth}/*") if is_record(file))
    runs = sorted({find_run(file) for file in below})
    own = [file for file in here if is_record(file)]
    if not own and len(runs) > 2:
        refuse_several(folder, runs)  # before event files are read in full, to tell evaluations
    nested = [file for file in below if is_events(file)] if own else below
    trained = {find_run(file) for file in nested if len(runs) == 1 or not is_evaluation(file, folder)}
    if not own and len(runs) > 1 and len(trained) != 1:
        refuse_several(folder, runs)
    if own and len(trained) > 1:
        nested = []
    settings = sorted(file for depth in ("*", "*/*") for file in folder.glob(f"{depth}/*") if _is_settings(file))
    files = [*here, *nested, *(file for file in settings if file not in nested)]
    if own or nested:
        return [file for file in files if is_record(file) or file.suffix in _SETTINGS]
    return [file for file in files if file.suffix in (*_PRINTED, *_SETTINGS)]


def _is_settings(file: Path) -> bool:
    """True if a file in a run's folder holds settings, and not timers or saved states."""
    named = file.suffix in (".yaml", ".yml") or (file.suffix == ".json" and bool(_OF_SETTINGS.search(file.stem)))
    return named and not is_note_of_mac(file)


def is_record(file: Path) -> bool:
    """True if a file's name is typical of a run's recorded metrics, rather than of settings or printed text."""
    named = file.suffix in (*_TABLES, *_RESULTS) or file.name in _NAMED
    return file.is_file() and (is_events(file) or named) and not is_note_of_mac(file)


def _read_file(file: Path, found: Found, alone: bool) -> None:
    """Read one file's metrics or settings into `found`; skip other types of file, unless the user named the file."""
    if file.name == EVALUATIONS:
        found.raws.append(read_evaluations(file))
    elif file.suffix == _ARRAYS:
        found.raws.append(read_arrays(file))
    elif file.suffix == NOTEBOOK:
        found.raws.append(_read_notebook(file))
    elif file.suffix in _SETTINGS and not (_holds_results(file)):
        if not (file.suffix == ".json" and (_read_beside(file) or "").lstrip().startswith("[")):
            _read_settings(file, found, alone)
    elif file.suffix in _PROGRAMS:
        raise AnalysisError(f"{file} must be a log, and is a program; name the file or folder that the program writes")
    elif alone or is_record(file) or file.suffix in (*_PRINTED, *_SETTINGS):
        text = read_file(file) if alone or is_record(file) else _read_beside(file)
        if text is None or not (text.strip() or alone):
            found.remarks.append(f"not read, as it holds no text: {file.name}")
            return
        raw = _read_any(file, text)
        if raw.columns or alone:
            found.raws.append(raw)
            found.settings |= raw.settings


def _read_beside(file: Path) -> str | None:
    """Read the text of a file that may belong to a run; None if the file holds no text."""
    try:
        return read_file(file)
    except AnalysisError:
        return None


def _read_notebook(file: Path) -> Raw:
    """Read the output of the notebook's cell that printed most rows of a run, with a remark on the others.

    Raises:
        AnalysisError: No cell printed metrics.
    """
    raws = []
    for printed in list_outputs(read_file(file)):
        try:
            raw = _read_any(None, printed)
        except AnalysisError:
            continue  # a cell that printed something else
        if translate_metrics(raw.columns, recognise_dialect(raw.columns)):
            raws.append(replace(raw, file=file, form=f"{raw.form} in a notebook"))
    if not raws:
        raise AnalysisError(
            f"{file} must hold the printed log of a training in its outputs, and holds none; name the log"
        )
    raws.sort(key=lambda raw: max(map(len, raw.columns.values())), reverse=True)
    others = f"{len(raws) - 1} more of its cells printed metrics, and fewer rows; not read"
    return replace(raws[0], remarks=(*raws[0].remarks, others)) if len(raws) > 1 else raws[0]


def _read_json(file: Path | None, text: str) -> Raw | None:
    """Read results, one a line, or one object of JSON that holds a record; None if the text is neither.

    A single line that names a metric itself is a result, and not the lists that the line may hold beside the metric.
    """
    if text.lstrip()[:1] not in ("{", "["):
        return None
    results = read_results(file, text) if is_results(text) else None
    if results and ("\n" in text.strip() or any(find_plain_name(name) for name in results.columns if "/" not in name)):
        return results
    return read_tree(file, text) or results


def _holds_results(file: Path) -> bool:
    """True if a file of JSON holds a result in each line, rather than one object."""
    if file.suffix != ".json":
        return False
    with file.open(encoding="utf-8", errors="replace") as opened:
        first, second = opened.readline(), opened.readline()
    return is_results(first) and (bool(second.strip()) or file.name in _NAMED)


def _read_settings(file: Path, found: Found, alone: bool) -> None:
    try:
        settings, comments = read_settings(file)
    except (AnalysisError, OSError) as error:
        if alone:
            return
        found.remarks.append(f"settings not read: {error}")
        return
    if is_sweep(settings):
        raise AnalysisError(
            f"{file.parent} is a sweep, not a run; name one of its trials, such as {file.parent.name}/0"
        )
    found.settings |= settings
    found.comments |= comments


def _read_any(file: Path | None, text: str) -> Raw:
    """Read a text as what it looks like: results in JSON, a table, or a program's printed output."""
    if raw := _read_json(file, text):
        return raw
    text = rewrite_prints(strip_terminal(text))
    delimiter = find_delimiter(text)
    if delimiter:
        return read_table(file, text, delimiter)
    printed = rewrite_commas(text)
    if (file is None or file.suffix not in _TABLES) and is_console(printed):
        return read_console(file, printed)
    return read_table(file, text)
