"""Read runs in files: a table, an event file, printed text, results in JSON, or a folder with such files."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.assemble import Found, Reading, assemble_history
from unstuck.analysis.history.ending import note_ending
from unstuck.analysis.history.events import is_events, read_events
from unstuck.analysis.history.forms.console import is_console, read_console
from unstuck.analysis.history.forms.printed import rewrite_prints
from unstuck.analysis.history.forms.results import is_results, read_results
from unstuck.analysis.history.forms.tables import find_delimiter, read_table
from unstuck.analysis.history.forms.zoo import is_monitor, read_evaluations, read_monitors
from unstuck.analysis.history.mapping import read_mapping
from unstuck.analysis.history.probed import SETTINGS, find_probe
from unstuck.analysis.history.raw import Raw
from unstuck.analysis.history.record import History
from unstuck.analysis.history.saved import add_model, find_models
from unstuck.analysis.history.settings import is_sweep, parse_configuration, parse_table, read_settings
from unstuck.analysis.history.several import refuse_several
from unstuck.analysis.history.timeline import join_steps
from unstuck.records.mlflow.names import RULES, from_mlflow
from unstuck.records.names import OUTCOME_TAG, REASON_TAG

_SETTINGS = (".yaml", ".yml", ".json")
_OF_SETTINGS = re.compile(r"conf|param|arg|hyper|setting|flag", re.IGNORECASE)
_TABLES = (".csv", ".tsv")
_RESULTS = (".jsonl", ".ndjson")
_PRINTED = (".txt", ".log", ".out")
_PROGRAMS = (".py", ".ipynb", ".sh")
EVALUATIONS = "evaluations.npz"
_NAMED = {"progress.txt": "table", "result.json": "results", EVALUATIONS: "evaluations"}
STANDARD_INPUT = "-"
_TEXT, _TAGS = "/text_summary", ("about/", "notes/")
"""End of the name of a text in an event file; beginnings of the names of a trial's tags: `records.event_files`."""


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
    found = Found()
    files = [path] if path.is_file() else _list_files(path)
    events = [file for file in files if is_events(file)]
    monitors = [file for file in files if not is_events(file) and is_monitor(file)]
    others = [file for file in files if file not in events and file not in monitors and is_record(file)]
    _read_events(path, events, found, others)
    for file in files:
        if file not in events and file not in monitors:
            _read_file(file, found, alone=len(files) == 1)
    if monitors:
        found.raws.append(read_monitors(monitors))
        found.settings |= found.raws[-1].settings
    if not found.raws:
        kinds = "a table (.csv), event files, result.json, monitor files or printed text"
        raise AnalysisError(f"{path} must be or hold {kinds} with a run's metrics, and there is none")
    history = assemble_history(path.name, _describe_source(path, found), found, reading)
    if path.is_dir():
        history = add_model(history, find_models(path), reading.settings)
    return note_ending(history, found.files)


def _read_probe(path: Path, curves: Path, reading: Reading) -> History:
    """Read the log of a probe (logger in another program's loop): curves and settings, and no other file."""
    found = Found([_read_any(curves, _read_text(curves))])
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
    text = sys.stdin.read()
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
    here = sorted(file for file in folder.iterdir() if file.is_file())
    below = sorted(file for depth in ("*", "*/*") for file in folder.glob(f"{depth}/*") if is_record(file))
    runs = sorted({file.parent for file in below})
    own = [file for file in here if is_record(file)]
    nested = [file for file in below if is_events(file)] if own else below
    trained = [run for run in runs if any(file.parent == run and file.name != EVALUATIONS for file in below)]
    if not own and len(runs) > 1 and (len(trained) != 1 or len(runs) > 2):
        refuse_several(folder, runs)
    if own and len({file.parent for file in nested}) > 1:
        nested = []
    settings = sorted(file for depth in ("*", "*/*") for file in folder.glob(f"{depth}/*") if _is_settings(file))
    files = [*here, *nested, *(file for file in settings if file not in nested)]
    if own or nested:
        return [file for file in files if is_record(file) or file.suffix in _SETTINGS]
    return [file for file in files if file.suffix in (*_PRINTED, *_SETTINGS)]


def _is_settings(file: Path) -> bool:
    """True if a file in a run's folder holds settings, and not timers or saved states."""
    return file.suffix in (".yaml", ".yml") or (file.suffix == ".json" and bool(_OF_SETTINGS.search(file.stem)))


def is_record(file: Path) -> bool:
    """True if a file's name is typical of a run's recorded metrics, rather than of settings or printed text."""
    named = file.suffix in (*_TABLES, *_RESULTS) or file.name in _NAMED
    return file.is_file() and (is_events(file) or named)


def _read_events(path: Path, files: Sequence[Path], found: Found, others: Sequence[Path]) -> None:
    """Join the TensorBoard event files of one run, ordered by the first step in each file.

    Raises:
        AnalysisError: They are of several runs, which are listed, with the other records of the folder.
    """
    raws: list[Raw] = []
    for file in files:
        columns, texts = read_events(file)
        if any(name.startswith(RULES) for name in columns):  # a sweep of ours wrote the file: records/event_files.py
            columns = {from_mlflow(name): points for name, points in columns.items()}
            _read_own_texts(texts, found)
        else:
            for text in texts.values():
                found.settings |= parse_table(text)
        if columns:
            raws.append(Raw(file, columns, stepped=True, form="event file"))
    raws.sort(key=_find_beginning)
    for before, after in pairwise(raws):
        if _begin_alike(before, after):
            refuse_several(path, [raw.file for raw in raws if raw.file], others=others)
    if raws:
        found.raws.append(
            replace(join_steps(raws), form="event file" if len(raws) == 1 else f"{len(raws)} event files")
        )
    elif len(files) == 1 and path.is_file():
        found.raws.append(Raw(files[0], {}, stepped=True, form="event file"))


def _read_own_texts(texts: Mapping[str, str], found: Found) -> None:
    """Read settings and tags of a trial from texts in event files that our own tracker wrote."""
    plain = {name.removesuffix(_TEXT): text for name, text in texts.items()}
    found.settings |= parse_configuration(plain.pop("config", ""))
    outcome, _, reason = plain.pop(OUTCOME_TAG, "").partition(": ")
    found.tags |= {OUTCOME_TAG: outcome, REASON_TAG: reason} if outcome else {}
    found.tags |= {name.partition("/")[2]: text for name, text in plain.items() if name.startswith(_TAGS)}


def _find_beginning(raw: Raw) -> float:
    return min(float(each.at.min()) for each in raw.columns.values())


def _begin_alike(before: Raw, after: Raw) -> bool:
    """True if two event files (TensorBoard) log a metric from equal steps on, so are of different runs."""
    tags = [name for name in before.columns if name in after.columns]
    return any(after.columns[name].at.min() <= before.columns[name].at.min() for name in tags)


def _read_file(file: Path, found: Found, alone: bool) -> None:
    """Read one file's metrics or settings into `found`; skip other types of file, unless the user named the file."""
    if file.name == EVALUATIONS or file.suffix == ".npz":
        found.raws.append(read_evaluations(file))
    elif file.suffix in _SETTINGS and not (_holds_results(file)):
        _read_settings(file, found, alone)
    elif file.suffix in _PROGRAMS:
        raise AnalysisError(f"{file} must be a log, and is a program; name the file or folder that the program writes")
    elif alone or is_record(file) or file.suffix in (*_PRINTED, *_SETTINGS):
        raw = _read_any(file, _read_text(file))
        if raw.columns or alone:
            found.raws.append(raw)
            found.settings |= raw.settings


def _holds_results(file: Path) -> bool:
    if file.suffix != ".json":
        return False
    with file.open(encoding="utf-8", errors="replace") as opened:
        return is_results("".join([opened.readline(), opened.readline()]))


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


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise AnalysisError(f"{file} must be a CSV in UTF-8, and holds other bytes") from None
    except OSError as error:
        raise AnalysisError(f"{file} must be a file that can be read: {error.strerror}") from None


def _read_any(file: Path | None, text: str) -> Raw:
    """Read a text as what it looks like: results in JSON, a table, or a program's printed output."""
    if is_results(text):
        return read_results(file, text)
    text = rewrite_prints(text)
    delimiter = find_delimiter(text)
    if delimiter:
        return read_table(file, text, delimiter)
    if (file is None or file.suffix not in _TABLES) and is_console(text):
        return read_console(file, text)
    return read_table(file, text)
