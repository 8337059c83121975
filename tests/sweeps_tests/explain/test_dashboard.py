"""Notes on a sweep that starts, goes on, stops or cannot be written to."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna_dashboard import get_note
from sqlalchemy import text
from unstuck.records.ledger import Ledger
from unstuck.records.outcome import Outcome, Verdict
from unstuck.sweeps.config.settings import SamplerConfig, StudyConfig, SweepConfig
from unstuck.sweeps.explain.dashboard import show_start, show_stop
from unstuck.sweeps.search.kinds import Log
from unstuck.sweeps.search.sampler import create_ledger
from unstuck.sweeps.search.space import Space

SPACE = Space({"ppo.lr": Log(1e-5, 1e-2), "ppo.gamma": Log(0.9, 0.99)})
RESUME = ["python", "sweep.py", "resume=mine", "sweep.num_trials=two words"]


@pytest.fixture
def sweep(tmp_path: Path) -> tuple[SweepConfig, Ledger]:
    """A sweep of which three trials have ended and one runs."""
    config = SweepConfig(sweep=StudyConfig(name="mine", folder=str(tmp_path), seeds=2, mode="min"))
    ledger = create_ledger(config.reference.ledger_url, config.sweep, SamplerConfig(name="random"), {})
    for outcome in (Outcome.COMPLETED, Outcome.PRUNED, Outcome.PRUNED, None):
        number, _ = ledger.ask(SPACE.distributions())
        if outcome:
            ledger.finish(number, Verdict(outcome, ""), 0.5 if outcome is Outcome.COMPLETED else None)
    return config, ledger


def note_of(ledger: Ledger) -> str:
    return get_note(ledger._study).partition("\n\n---")[0]


def test_a_sweep_that_runs_says_since_when_what_is_asked_and_how_to_go_on(sweep: tuple[SweepConfig, Ledger]) -> None:
    config, ledger = sweep
    assert show_start(config, 12, SPACE, ledger, RESUME) == ""
    head, asked, so_far, on = note_of(ledger).replace("\n\n", "\n").splitlines()
    assert head.startswith("**Running since 2")
    assert asked == (
        "- **Asked:** 12 trials of 2 seeds, searching `ppo.lr` and `ppo.gamma` for the lowest eval/f1 in "
        "unstuck/Triage-v0."
    )
    assert so_far == "- **So far:** 3 trials ended: 1 completed and 2 pruned."
    assert "`python sweep.py resume=mine 'sweep.num_trials=two words'`" in on


def test_an_unstick_that_runs_says_which_run_it_branches(sweep: tuple[SweepConfig, Ledger]) -> None:
    config, ledger = sweep
    show_start(replace(config, run="stuck/7"), 12, SPACE, ledger, RESUME)
    assert (
        "**Asked:** which change fixes stuck/7? 12 trials of 2 seeds, beside an untouched control, for the lowest"
    ) in note_of(ledger)


def test_a_sweep_that_the_user_stopped_says_so(sweep: tuple[SweepConfig, Ledger]) -> None:
    config, ledger = sweep
    show_start(config, 12, SPACE, ledger, RESUME)
    assert show_stop(config, ledger, "stopped by the user", RESUME) == ""
    told = note_of(ledger)
    assert told.startswith("**Ended early, ")
    assert "stopped by the user**" in told
    assert "3 trials ended: 1 completed and 2 pruned." in told
    assert "Running" not in told


def test_a_note_that_cannot_be_written_is_a_warning(sweep: tuple[SweepConfig, Ledger]) -> None:
    config, ledger = sweep
    study: Any = ledger._study
    with study._storage._backend.engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TRIGGER full BEFORE INSERT ON study_system_attributes "
                "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
            )
        )
    warning = show_start(config, 12, SPACE, ledger, RESUME)
    assert warning.startswith("warning: the dashboard has no new notes: ")
    assert "disk is full" in warning
    assert ledger.ask(SPACE.distributions())[0] == 4  # the sweep goes on
