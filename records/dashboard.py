"""Write what Optuna's dashboard shows beside a study's trials: notes in Markdown, and pictures of ours.

The dashboard keeps both as attributes of the study, cut into parts. Its own functions commit each part by itself and
need a second to import; here one transaction writes all of them, and only those that differ, so that notes on 500
trials take no longer than one of the ledger's own writes, and a process that dies leaves the former ones whole.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna.study import Study
from unstuck.records.optuna_internals import change_attributes

PART = 2045
"""Characters in a part of a note or picture, as the dashboard cuts them."""

YOURS = "---\n*What is written below this line stays; what is above it is written anew.*"
"""Last lines of a note: what a person adds below them outlives the next note."""


@dataclass(frozen=True)
class Shown:
    """Notes and pictures to write to Optuna's dashboard; those that are not given remain unchanged.

    Attributes:
        note: Note on the study, in Markdown.
        trials: Notes on trials in Markdown, by the trial's number.
        figures: Pictures as Plotly figures (`data` and `layout`), by name.
    """

    note: str
    trials: Mapping[int, str] = field(default_factory=dict)
    figures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def write_shown(study: Study, shown: Shown) -> None:
    """Write notes and pictures to a sweep's Optuna study, all or none; keep what people have added to the notes.

    Raises:
        LedgerError: The database refused, at the first attempt: nothing depends on notes.
    """
    change_attributes(study, "dashboard:", lambda known, ids: dict(_list_changes(known, shown, ids)))


def _list_changes(
    known: Mapping[str, Any], shown: Shown, ids: Mapping[int, int]
) -> Iterator[tuple[str, str | int | None]]:
    """Yield name and new value of each attribute of the study to change; the value is None for one to delete."""
    notes: dict[int | None, str] = {None: shown.note, **{ids[number]: text for number, text in shown.trials.items()}}
    for trial_id, text in notes.items():
        prefix, version = _make_note_prefix(trial_id), _make_version_key(trial_id)
        changes = list(_change_parts(known, prefix, _keep_yours(_join_parts(known, prefix), text)))
        yield from changes
        if changes:  # a page that is open with the former text refuses to write over this one
            yield version, int(known.get(version, 0)) + 1
    for name, figure in shown.figures.items():
        text = json.dumps(figure, separators=(",", ":"), allow_nan=False)
        yield from _change_parts(known, f"dashboard:plot_data:{name}:", text)


def _keep_yours(before: str, after: str) -> str:
    """Combine a new note with what a person added to the old note, below the line `YOURS`.

    All of an old note without that line counts as written by a person.
    """
    head, line, yours = before.partition(YOURS)
    yours = yours if line else head
    return f"{after}\n\n{YOURS}\n" + (f"\n{yours.strip()}\n" if yours.strip() else "")


def _change_parts(known: Mapping[str, Any], prefix: str, text: str) -> Iterator[tuple[str, str | None]]:
    parts = math.ceil(len(text) / PART)
    for number in range(parts):
        key, part = f"{prefix}{number}", text[number * PART : (number + 1) * PART]
        if known.get(key) != part:
            yield key, part
    for key in known:
        if key.startswith(prefix) and int(key.removeprefix(prefix)) >= parts:
            yield key, None


def _join_parts(attributes: Mapping[str, Any], prefix: str) -> str:
    found = {int(key.removeprefix(prefix)): part for key, part in attributes.items() if key.startswith(prefix)}
    return "".join(found[number] for number in sorted(found))


def _make_note_prefix(trial_id: int | None) -> str:
    return "dashboard:note_str:" if trial_id is None else f"dashboard:{trial_id}:note_str:"


def _make_version_key(trial_id: int | None) -> str:
    return "dashboard:note_ver" if trial_id is None else f"dashboard:{trial_id}:note_ver"
