"""Notes and pictures on a study, as Optuna's dashboard reads them."""

import json
from pathlib import Path
from typing import Any

import pytest
from optuna_dashboard._custom_plot_data import get_plotly_graph_objects
from optuna_dashboard._note import get_note_from_system_attrs, save_note_with_version
from sqlalchemy import text
from unstuck.records.dashboard import PART, YOURS, Shown
from unstuck.records.errors import LedgerError
from unstuck.records.ledger import Ledger

FIGURE = {"data": [{"type": "bar", "x": ["a"], "y": [0.5]}], "layout": {"title": {"text": "é" * PART}}}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger.create(f"sqlite:///{tmp_path}/optuna.db", "shown", "eval/f1", "max", {})
    for _ in range(2):
        made._study.ask()
    return made


def attributes(ledger: Ledger) -> dict[str, Any]:
    study = ledger._study
    return study._storage.get_study_system_attrs(study._study_id)


def note(held: dict[str, Any], trial_id: int | None = None) -> str:
    return get_note_from_system_attrs(held, trial_id)["body"]


def test_the_dashboard_reads_what_was_written(ledger: Ledger) -> None:
    long = "a|b\n" * PART
    ledger.show(Shown("**best**", {1: long}, {"unstuck-bars": FIGURE}))
    held = attributes(ledger)
    of_study, of_trial = (get_note_from_system_attrs(held, trial) for trial in (None, 2))
    assert (of_study["version"], of_trial["version"]) == (1, 1)
    assert of_study["body"] == f"**best**\n\n{YOURS}\n"
    assert of_trial["body"] == f"{long}\n\n{YOURS}\n"
    assert get_note_from_system_attrs(held, 1)["body"] == ""
    assert {name: json.loads(told) for name, told in get_plotly_graph_objects(held).items()} == {"unstuck-bars": FIGURE}


def test_only_what_differs_is_written_and_a_shorter_text_leaves_nothing_behind(ledger: Ledger) -> None:
    ledger.show(Shown("x" * 3 * PART, {0: "zero", 1: "one"}, {"unstuck-bars": FIGURE}))
    before = attributes(ledger)
    ledger.show(Shown("x" * 3 * PART, {0: "zero", 1: "one"}, {"unstuck-bars": FIGURE}))
    assert attributes(ledger) == before
    small = {"data": [], "layout": {}}
    ledger.show(Shown("short", {1: "another"}, {"unstuck-bars": small}))
    held = attributes(ledger)
    assert note(held).startswith("short\n")
    versions = [get_note_from_system_attrs(held, trial)["version"] for trial in (None, 1, 2)]
    assert versions == [2, 1, 2]
    assert json.loads(get_plotly_graph_objects(held)["unstuck-bars"]) == small
    assert note(held, 1).startswith("zero\n")


def test_what_a_person_adds_below_the_line_outlives_the_next_note(ledger: Ledger) -> None:
    study = ledger._study
    ledger.show(Shown("first", {0: "zero"}))
    save_note_with_version(study._storage, study._study_id, None, 2, f"touched\n\n{YOURS}\n\nMy *own* words.\n")
    save_note_with_version(study._storage, study._study_id, 2, 1, "mine alone")
    for _ in range(2):
        ledger.show(Shown("second", {0: "zero", 1: "one"}))
    held = attributes(ledger)
    assert note(held) == f"second\n\n{YOURS}\n\nMy *own* words.\n"
    assert note(held, 2) == f"one\n\n{YOURS}\n\nmine alone\n"


def test_a_database_that_refuses_keeps_the_former_notes_whole(ledger: Ledger) -> None:
    ledger.show(Shown("former", {0: "zero"}))
    before = attributes(ledger)
    study: Any = ledger._study
    with study._storage._backend.engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TRIGGER full BEFORE INSERT ON study_system_attributes WHEN NEW.key LIKE '%plot_data%' "
                "BEGIN SELECT RAISE(ABORT, 'no space left'); END"
            )
        )
    with pytest.raises(LedgerError, match="no space left"):
        ledger.show(Shown("new", {0: "new", 1: "new"}, {"unstuck-bars": FIGURE}))
    assert attributes(ledger) == before
    assert study.ask().number == 2
