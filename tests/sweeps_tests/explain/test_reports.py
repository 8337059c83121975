"""What goes wrong with a report costs no more than the report. Whole ones: test_run.py, tests/analysis_tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from optuna_dashboard._note import get_note_from_system_attrs
from unstuck.records.errors import LedgerError, TrackingError
from unstuck.records.ledger import Ledger
from unstuck.records.measurement import Record
from unstuck.records.outcome import Outcome, Verdict
from unstuck.records.tracker import NullTracker, Tracker
from unstuck.rl import checkpoint, metrics
from unstuck.rl.config import EnvConfig, PPOConfig
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds
from unstuck.sweeps.config.settings import SamplerConfig, StudyConfig, SweepConfig
from unstuck.sweeps.explain.reports import write_reports
from unstuck.sweeps.search.kinds import Log
from unstuck.sweeps.search.sampler import create_ledger
from unstuck.sweeps.search.space import Space

SPACE = Space({"ppo.lr": Log(1e-5, 1e-2)})


class Failing(NullTracker):
    """Counts what it is given, and keeps nothing."""

    attempts = 0

    def attach(
        self, number: int | None, files: Sequence[Path], note: str, figures: Mapping[str, float] | None = None
    ) -> None:
        self.attempts += 1
        raise TrackingError("cannot attach in MLflow: it is gone")


@pytest.fixture
def sweep(tmp_path: Path) -> tuple[SweepConfig, Ledger]:
    """A sweep of two trials that have run to their end, in a folder with a ledger and checkpoints."""
    config = SweepConfig(sweep=StudyConfig(name="mine", folder=str(tmp_path), seeds=1, num_trials=2))
    ledger = create_ledger(config.reference.ledger_url, config.sweep, SamplerConfig(name="random"), {})
    ppo, cartpole = PPOConfig(num_envs=1, num_steps=8, minibatch_size=8), EnvConfig(id="CartPole-v1")
    learner = make_learner(ppo, cartpole, make_member_seeds(0, 1), make_evaluation_seed(0))
    for number in range(2):
        _, raw = ledger.ask(SPACE.distributions())
        ledger.annotate(number, {"values": SPACE.decode(raw)})
        records = [
            Record(i, 1_700_000_000_000 + i, {metrics.F1: i / 10, metrics.EVAL_RETURN: float(i)}) for i in range(1, 7)
        ]
        file = tmp_path / "mine" / "trials" / f"{number:04d}" / "checkpoint.npz"
        file.parent.mkdir(parents=True)
        checkpoint.save(file, learner, [record.to_json() for record in records])
        ledger.report(number, 6, 0.6)
        ledger.finish(number, Verdict(Outcome.COMPLETED, "reached iteration 6"), 0.5, {"final/iterations": 6})
    return config, ledger


def write(sweep: tuple[SweepConfig, Ledger], tracker: Tracker | None = None, is_over: bool = False) -> str:
    config, ledger = sweep
    return write_reports(config, SPACE, ledger, tracker or NullTracker(), lambda: is_over)


def test_the_verdict_and_where_the_report_lies_are_said(sweep: tuple[SweepConfig, Ledger], tmp_path: Path) -> None:
    verdict, where = write(sweep).splitlines()
    assert verdict.startswith("Trial 0 is the best of 2 trials: eval/f1 0.5")
    assert where == f"The report: {tmp_path}/mine/report/report.html"
    assert {file.name for file in (tmp_path / "mine/trials/0001").iterdir()} >= {"report.md", "report.html"}


def attributes(ledger: Ledger) -> dict[str, Any]:
    study = ledger._study
    return study._storage.get_study_system_attrs(study._study_id)


def note(held: dict[str, Any], trial_id: int | None = None) -> str:
    return get_note_from_system_attrs(held, trial_id)["body"]


def test_the_dashboard_has_a_note_on_the_sweep_and_on_each_trial_and_a_picture(
    sweep: tuple[SweepConfig, Ledger], tmp_path: Path
) -> None:
    verdict, _ = write(sweep).splitlines()
    held = attributes(sweep[1])
    assert note(held).startswith(f"**{verdict}**\n\n- **Asked:** ")
    assert f"the report `{tmp_path}/mine/report/report.html`" in note(held)
    assert "http" not in note(held)  # nothing was tracked
    assert [note(held, number + 1).partition(";")[0] for number in (0, 1)] == ["**Completed"] * 2
    assert "dashboard:plot_data:unstuck-settings:0" in held
    write(sweep)  # nothing new: not a single write
    assert attributes(sweep[1]) == held


def test_a_ledger_that_takes_no_notes_costs_the_notes_alone(
    sweep: tuple[SweepConfig, Ledger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise LedgerError("the database is locked")

    monkeypatch.setattr(Ledger, "show", refuse)
    warning, verdict, where = write(sweep).splitlines()
    assert warning == "warning: the dashboard has no new notes: the database is locked"
    assert verdict.startswith("Trial 0 is the best")
    assert where == f"The report: {tmp_path}/mine/report/report.html"


def test_a_tracker_that_fails_is_asked_once_and_the_folder_has_the_report(
    sweep: tuple[SweepConfig, Ledger], tmp_path: Path
) -> None:
    tracker = Failing()
    warning, verdict, _ = write(sweep, tracker).splitlines()
    assert warning == "warning: cannot attach in MLflow: it is gone; the reports are in the sweep's folder alone"
    assert verdict.startswith("Trial 0")
    assert tracker.attempts == 1
    assert (tmp_path / "mine/report/report.html").exists()


def test_who_does_not_wait_is_told_how_to_get_it_later(sweep: tuple[SweepConfig, Ledger], tmp_path: Path) -> None:
    assert write(sweep, is_over=True) == (
        "No report was written, since nobody waited for it; "
        f"python -m unstuck.analysis report mine --folder {tmp_path} writes it"
    )


def test_a_folder_that_cannot_be_written_costs_the_report_alone(
    sweep: tuple[SweepConfig, Ledger], tmp_path: Path
) -> None:
    (tmp_path / "mine/report").write_text("in the way")
    said = write(sweep)
    assert said.startswith("warning: no report was written: the report's folder must be one that can be written to")
    assert said.endswith(f"; python -m unstuck.analysis report mine --folder {tmp_path} writes it")


def test_a_checkpoint_that_cannot_be_read_costs_its_trials_report_alone(
    sweep: tuple[SweepConfig, Ledger], tmp_path: Path
) -> None:
    (tmp_path / "mine/trials/0000/checkpoint.npz").write_bytes(b"torn")
    assert "The report: " in write(sweep)
    assert not (tmp_path / "mine/trials/0000/report.html").exists()
    assert (tmp_path / "mine/trials/0001/report.html").exists()
