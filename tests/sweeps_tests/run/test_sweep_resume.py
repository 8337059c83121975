"""A whole sweep is killed and gone on with, beside the same one left alone: real Ray, real databases, kill -9.

Two sweeps in one folder, and workers that are killed: `make test-chaos`.
"""

import contextlib
import io
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from optuna_dashboard import get_note
from unstuck.records.files import checkpoint_file, read_records, scratch_file
from unstuck.sweeps.audit.audit import audit_sweep
from unstuck.sweeps.config.find import find_sweep

import unstuck
from tests.sweeps_tests.conftest import FinishedSweep
from tests.sweeps_tests.real import (
    SHORT,
    SMALL,
    check_stopped,
    count_evaluations,
    open_study,
    runs_of,
    start,
    stop,
    wait_for,
    workers_of,
)

NUM_TRIALS = FinishedSweep.num_trials
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def _trials(folder, name):
    return open_study(folder, name).trials


def _story(trial):
    """What must be the same: all but the time that it took, and what the accident left."""
    attributes = {
        name: trial.user_attrs[name] for name in ("outcome", "reason", "values", "rungs") if name in trial.user_attrs
    }
    return trial.state, trial.value, trial.params, trial.intermediate_values, attributes


@dataclass
class Accident:
    """What was printed and found around a sweep that was killed and gone on with."""

    folder: Path
    resumed: str
    scratch: Path
    note: str


@pytest.fixture(scope="module")
def accident(tmp_path_factory):
    """Kills the driver of the sweep `killed` in the midst of its third trial, and goes on with it."""
    folder = tmp_path_factory.mktemp("accident")
    killed = start(folder, *KILLED)
    try:
        return _kill_and_go_on(folder, killed)
    finally:
        killed.kill()


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory):
    """The same, and the sweep `beside`, which starts at the same time in the same fresh folder.

    Not its driver is killed, but its workers, and then Ctrl-C ends it.
    """
    folder = tmp_path_factory.mktemp("neighbours")
    beside, killed = start(folder, *BESIDE), start(folder, *KILLED)
    try:
        with ThreadPoolExecutor() as others:
            stopping = others.submit(_kill_workers_and_stop, folder, beside)
            accident = _kill_and_go_on(folder, killed)
            return accident, stopping.result()
    finally:
        killed.kill()
        beside.kill()


KILLED = (*SMALL, "sweep.num_trials=4", "sweep.name=killed")


def _kill_and_go_on(folder, killed):
    wait_for(lambda: checkpoint_file(folder / "runs/killed", 2).exists())
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    before = [trial.state.name for trial in _trials(folder, "killed")]
    assert before.count("RUNNING") == 1
    note = get_note(open_study(folder, "killed"))
    scratch = Path(json.loads(scratch_file(folder / "runs/killed").read_text())["path"])
    assert scratch.is_dir()
    words = (*SMALL, f"sweep.num_trials={NUM_TRIALS}", "resume=killed")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as resumed:
        patch.chdir(folder)
        patch.setenv("COLUMNS", "200")
        result = unstuck.run_sweep(words)  # as on the command line: tests/chaos
    assert (result.ended, len(result.trials)) == ("all trials have ended", NUM_TRIALS)
    return Accident(folder, resumed.getvalue(), scratch, note)


BESIDE = (
    *(*SHORT, "sweep.name=beside", "sweep.num_trials=9", "ppo.num_iterations=100000", "health=none", "scheduler=none"),
    "resources.max_failures=1",
)


def _kill_workers_and_stop(folder, driver):
    """The worker of trial 0 gets kill -9 twice, once more than it may; that of trial 1 once."""
    for number in (0, 0, 1):
        before = count_evaluations(folder, "beside", number)
        wait_for(
            lambda number=number, before=before: (
                count_evaluations(folder, "beside", number) > before or driver.poll() is not None
            )
        )
        workers = workers_of(driver.pid)
        assert workers
        for worker in workers:
            worker.kill()
    before = count_evaluations(folder, "beside", 1)
    wait_for(lambda: count_evaluations(folder, "beside", 1) > before or driver.poll() is not None)
    return stop(driver, folder / "runs/beside", lambda: os.killpg(driver.pid, signal.SIGINT))


def test_an_interrupted_sweep_ends_as_one_left_alone(accident, finished_sweep):
    alone, killed = _trials(finished_sweep.folder, "finished"), _trials(accident.folder, "killed")
    assert len(alone) == NUM_TRIALS
    assert [_story(trial) for trial in killed] == [_story(trial) for trial in alone]
    for number in range(NUM_TRIALS):
        one, other = (
            [
                {name: value for name, value in record.metrics.items() if not name.startswith("effective/")}
                for record in read_records(folder, number)
            ]
            for folder in (finished_sweep.own_folder, accident.folder / "runs/killed")
        )
        assert one == other  # every metric, bit for bit
    assert [trial.number for trial in killed if "resumed_from" in trial.user_attrs] == [2]
    assert "trials 2 go on" in accident.resumed


def test_no_pickle_and_no_ray_files_in_the_runs_folder(accident):
    names = {path.name for path in (accident.folder / "runs").rglob("*") if path.is_file()}
    assert {name for name in names if Path(name).suffix not in (".svg", ".md", ".html")} == {
        *("mlflow.db", "optuna.db", "config.yaml", "checkpoint.npz", "lock", ".lock")
    }


def test_the_dashboards_note_says_how_to_go_on_and_then_what_one_left_alone_says(accident, finished_sweep):
    assert accident.note.startswith("**Running since ")
    assert "if the sweep runs no more, `" in accident.note
    assert " resume=killed` goes on with it" in accident.note
    killed, alone = open_study(accident.folder, "killed"), open_study(finished_sweep.folder, "finished")
    answers = [get_note(study).splitlines()[0] for study in (killed, alone)]
    assert answers[0] == answers[1]
    assert answers[0].startswith("**Trial ")


def test_every_record_agrees_afterwards(accident, finished_sweep):
    for name, runs in (("killed", accident.folder / "runs"), ("finished", finished_sweep.runs)):
        found = audit_sweep(find_sweep(name, runs))
        assert found.is_clean, "\n".join(found.describe())


def test_nothing_is_left_of_the_killed_process(accident):
    assert not accident.scratch.exists()
    assert not list((accident.folder / "runs").glob("*/scratch"))


def test_nothing_left_to_do_is_said_and_exits_with_0(accident, command):
    before = [_story(trial) for trial in _trials(accident.folder, "killed")]
    command.folder = accident.folder
    done = command(*SMALL, f"sweep.num_trials={NUM_TRIALS}", "resume=killed")
    assert (done.code, done.err) == (0, "")
    assert f"Nothing left to do: all {NUM_TRIALS} trials have ended" in done.out
    assert [_story(trial) for trial in _trials(accident.folder, "killed")] == before
    assert audit_sweep(find_sweep("killed", accident.folder / "runs")).is_clean


def test_what_would_mean_nothing_is_refused_in_one_line(accident, command):
    command.folder = accident.folder
    done = command(*SMALL, "resume=killed", "sweep.seed=7")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(
        "sweep.py: error: sweep.seed must be what the sweep was started with, 0, got 7: trials with another one do not "
        "compare; start a new sweep, or resume this one as it was: "
    )
    assert done.err.endswith(" resume=killed\n")


@pytest.mark.chaos
def test_a_trial_whose_worker_is_killed_goes_on_and_crashes_if_that_happens_more_often_than_allowed(neighbours):
    folder = neighbours[0].folder
    client, _, children = runs_of(folder, "beside")
    outcomes = {0: ("crashed", "FAILED"), 1: ("interrupted", "KILLED")}
    for trial in _trials(folder, "beside"):
        run, (outcome, status) = children[trial.number], outcomes[trial.number]
        assert trial.user_attrs["outcome"] == run.data.tags["outcome"] == outcome
        assert run.info.status == status
        steps = [point.step for point in client.get_metric_history(run.info.run_id, "progress/value_loss")]
        assert steps == list(range(1, max(trial.intermediate_values) + 1))  # no gap, no repeat
        assert trial.user_attrs["resumed_from"] == run.data.tags["resumed_from"]


@pytest.mark.chaos
def test_ctrl_c_ends_in_seconds_with_everything_recorded_whatever_has_happened_before(neighbours):
    accident, stopped = neighbours
    check_stopped(stopped, open_study(accident.folder, "beside"), *runs_of(accident.folder, "beside"))


@pytest.mark.chaos
def test_two_sweeps_that_start_at_once_in_a_fresh_folder_have_their_trials(neighbours):
    folder = neighbours[0].folder
    assert [len(_trials(folder, name)) for name in ("beside", "killed")] == [2, NUM_TRIALS]


@pytest.mark.chaos
def test_every_record_agrees_of_sweeps_side_by_side(neighbours, finished_sweep):
    folder = neighbours[0].folder
    for name in ("beside", "killed"):
        found = audit_sweep(find_sweep(name, folder / "runs"))
        assert found.is_clean, "\n".join(found.describe())
    alone, killed = _trials(finished_sweep.folder, "finished"), _trials(folder, "killed")
    assert [_story(trial) for trial in killed] == [_story(trial) for trial in alone]
