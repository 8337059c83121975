"""Join the TensorBoard event files of one run: resumed parts, evaluations beside training, one of two starts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.assemble import Found
from unstuck.analysis.history.events import is_events, read_events
from unstuck.analysis.history.forms.tables import find_delimiter, read_table
from unstuck.analysis.history.forms.texts import read_text
from unstuck.analysis.history.forms.zoo import EVALUATIONS, is_of_evaluation
from unstuck.analysis.history.names import recognise_dialect, translate_metrics
from unstuck.analysis.history.raw import Numbers, Raw
from unstuck.analysis.history.settings import parse_configuration, parse_table
from unstuck.analysis.history.several import refuse_several
from unstuck.analysis.history.timeline import join_steps
from unstuck.records.mlflow.names import RULES, from_mlflow
from unstuck.records.names import OUTCOME_TAG, REASON_TAG

_FORM = "event file"
_TABLES = (".csv", ".tsv")
_EVALUATED = "eval/"
_TEXT, _TAGS = "/text_summary", ("about/", "notes/")
"""End of the name of a text in an event file; beginnings of the names of a trial's tags: `records.event_files`."""

_BEGINNING = 2**16
"""Bytes of an event file that tell its tags, where there is but one."""

_AGREES = 0.9
"""Share of a table's values that stand in the event file of the same start."""


def read_event_files(path: Path, files: Sequence[Path], found: Found, others: Sequence[Path]) -> None:
    """Join the TensorBoard event files of one run, ordered by the first step in each file.

    Files of evaluations alone are kept apart. Of several starts in one folder, the one that the table beside the event
    files is of counts: each start adds an event file, and writes the table anew.

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
        if curve := _name_part(file, list(columns)):
            columns = {f"{tag}/{curve}": points for tag, points in columns.items()}
        if columns:
            raws.append(Raw(file, columns, stepped=True, form=_FORM))
    judged = [raw for raw in raws if raw.file and is_of_evaluation(raw.file, path)]
    trained = [raw for raw in raws if raw not in judged]
    if not trained:
        trained, judged = judged, []
    for part, evaluated in ((trained, False), (judged, True)):
        part = _select_start(path, sorted(part, key=_find_beginning), found, others)
        if part:
            form = _FORM if len(part) == 1 else f"{len(part)} event files"
            found.raws.append(replace(join_steps(part), form=form, evaluated=evaluated))
    if not raws and len(files) == 1 and path.is_file():
        found.raws.append(Raw(files[0], {}, stepped=True, form=_FORM))


def find_run(file: Path) -> Path:
    """Return the folder of a record's run: of a curve in a folder of its own (`add_scalars`) the folder above."""
    if is_events(file) and _name_part(file, list(read_events(file, _BEGINNING)[0])):
        return file.parent.parent
    return file.parent


def _name_part(file: Path, tags: Sequence[str]) -> str:
    """Return which curve of a tag an event file holds, as `add_scalars` names the curve's folder; "" for none.

    Source: torch/utils/tensorboard/writer.py: the folder has the tag's name, `_` and the curve's name.
    """
    beginning = f"{tags[0].replace('/', '_')}_" if len(tags) == 1 else ""
    return file.parent.name.removeprefix(beginning) if beginning and file.parent.name.startswith(beginning) else ""


def is_evaluation(file: Path, folder: Path) -> bool:
    """True if a record in a run's folder holds evaluations alone, by its form, its name or its metrics."""
    if file.name == EVALUATIONS or is_of_evaluation(file, folder):
        return True
    columns = read_events(file)[0] if is_events(file) else {}
    known = translate_metrics(columns, recognise_dialect(columns)).values()
    return bool(known) and all(ours.startswith(_EVALUATED) for ours, _ in known)


def _select_start(path: Path, raws: list[Raw], found: Found, others: Sequence[Path]) -> list[Raw]:
    """Return the event files of one run: all, or of files that begin alike those that the table beside them is of.

    Raises:
        AnalysisError: Files begin alike, and no table tells which of them counts.
    """
    if not any(_begin_alike(before, after) for before, after in pairwise(raws)):
        return raws
    chosen = [raw for raw in raws for table in others if table.suffix in _TABLES and _agree(raw, table)]
    if len(chosen) != 1:
        refuse_several(path, [raw.file for raw in raws if raw.file], others=others)
    left = [raw.file.name for raw in raws if raw.file and raw is not chosen[0]]
    found.remarks.append(f"of another start in the same folder, and not read: {', '.join(left)}")
    return chosen


def _agree(raw: Raw, table: Path) -> bool:
    """True if the values of a table stand in an event file as well, as where one logger wrote both."""
    text = read_text(table)
    try:
        columns = read_table(table, text, find_delimiter(text) or ",").columns
    except AnalysisError:
        return False
    shared = [name for name in columns if name in raw.columns and not name.startswith("time/") and len(columns[name])]
    shares = [_share_alike(columns[name].values, raw.columns[name].values) for name in shared]
    return bool(shares) and float(np.mean(shares)) >= _AGREES


def _share_alike(values: Numbers, among: Numbers) -> float:
    """Compute the share of values that stand, in float32, among others."""
    return float(np.isin(values.astype(np.float32), among.astype(np.float32)).mean())


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
