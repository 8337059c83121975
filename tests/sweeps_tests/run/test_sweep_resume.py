"""A whole sweep is killed, gone on with, ended by Ctrl-C and gone on with, beside the same one left alone.

Real Ray, real databases, kill -9: `accident` in conftest.py. Two sweeps in one fresh folder, workers that are killed,
and a resume that Ray's workers train to the end: `make test-chaos`.
"""

import contextlib
import io
import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest
from optuna_dashboard import get_note
from unstuck.records.files import checkpoint_file, read_records
from unstuck.sweeps.audit.audit import audit_sweep
from unstuck.sweeps.config.find import find_sweep

import unstuck
from tests.sweeps_tests.real import (
    SHORT,
    SMALL,
    check_stopped,
    count_evaluations,
    open_study,
    runs_in,
    runs_of,
    start,
    stop,
    wait_for,
    workers_of,
)
from tests.sweeps_tests.watched import (
    KILLED_IN,
    MLFLOW_PASSWORD,
    NAME,
    NUM_TRIALS,
    OPTUNA_PASSWORD,
    STOPPED_IN,
    url,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def _trials(folder, name):
    return open_study(folder, name).trials


def _story(trial):
    """What must be the same: all but the time that it took, and what the accident left."""
    attributes = {
        name: trial.user_attrs[name] for name in ("outcome", "reason", "values", "rungs") if name in trial.user_attrs
    }
    return trial.state, trial.value, trial.params, trial.intermediate_values, attributes


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory):
    """A folder with the sweep `killed`, whose driver is killed, and the sweep `beside`, which starts at the same time.

    The former goes on to its end. Of the latter the workers are killed, and then Ctrl-C ends it.
    """
    folder = tmp_path_factory.mktemp("neighbours")
    beside, killed = start(folder, *BESIDE), start(folder, *KILLED)
    try:
        with ThreadPoolExecutor() as others:
            stopping = others.submit(_kill_workers_and_stop, folder, beside)
            _kill_and_go_on(folder, killed)
            return folder, stopping.result()
    finally:
        killed.kill()
        beside.kill()


KILLED = (*SMALL, "sweep.num_trials=4", "sweep.name=killed")


def _kill_and_go_on(folder, killed):
    wait_for(lambda: checkpoint_file(folder / "runs/killed", KILLED_IN).exists())
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    words = (*SMALL, f"sweep.num_trials={NUM_TRIALS}", "resume=killed")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.chdir(folder)
        patch.setenv("COLUMNS", "200")
        result = unstuck.run_sweep(words)  # as on the command line: tests/chaos
    assert (result.ended, len(result.trials)) == ("all trials have ended", NUM_TRIALS)


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
    assert [trial.number for trial in killed if "resumed_from" in trial.user_attrs] == [KILLED_IN, STOPPED_IN]
    assert f"trials {KILLED_IN} go on" in accident.printed["stopped"]
    assert f"trials {STOPPED_IN} go on" in accident.printed["ended"]


def test_rays_workers_go_on_with_a_trial_and_train_new_ones_before_ctrl_c(accident):
    study = optuna.load_study(study_name=NAME, storage=f"sqlite:///{accident.runs_then}/optuna.db")
    assert [trial.number for trial in study.trials if trial.state.is_finished()] == list(range(STOPPED_IN))


def test_ctrl_c_ends_in_seconds_with_everything_recorded(accident):
    study = optuna.load_study(study_name=NAME, storage=f"sqlite:///{accident.runs_then}/optuna.db")
    runs = runs_in(f"sqlite:///{accident.runs_then}/mlflow.db", NAME)
    check_stopped(accident.stopped, "scheduler.reduction_factor=2", study, *runs)


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
    stores = (url(accident.runs, "optuna", OPTUNA_PASSWORD), url(accident.runs, "mlflow", MLFLOW_PASSWORD))
    for sweep in (find_sweep(NAME, accident.runs, *stores), find_sweep("finished", finished_sweep.runs)):
        found = audit_sweep(sweep)
        assert found.is_clean, "\n".join(found.describe())


def test_nothing_is_left_of_the_killed_process(accident):
    assert not accident.scratch.exists()
    assert not list((accident.folder / "runs").glob("*/scratch"))


def test_nothing_left_to_do_is_said_and_exits_with_0(finished_sweep, command):
    shutil.copytree(finished_sweep.folder, command.folder, dirs_exist_ok=True)
    before = [_story(trial) for trial in _trials(command.folder, "finished")]
    done = command(*SMALL, f"sweep.num_trials={NUM_TRIALS}", "resume=finished")
    assert (done.code, done.err) == (0, "")
    assert f"Nothing left to do: all {NUM_TRIALS} trials have ended" in done.out
    assert [_story(trial) for trial in _trials(command.folder, "finished")] == before
    assert audit_sweep(find_sweep("finished", command.folder / "runs")).is_clean


def test_what_would_mean_nothing_is_refused_in_one_line(finished_sweep, command):
    command.folder = finished_sweep.folder
    done = command(*SMALL, "resume=finished", "sweep.seed=7")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(
        "sweep.py: error: sweep.seed must be what the sweep was started with, 0, got 7: trials with another one do not "
        "compare; start a new sweep, or resume this one as it was: "
    )
    assert done.err.endswith(" resume=finished\n")


@pytest.mark.chaos
def test_a_trial_whose_worker_is_killed_goes_on_and_crashes_if_that_happens_more_often_than_allowed(neighbours):
    folder, _ = neighbours
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
    folder, stopped = neighbours
    check_stopped(stopped, "health=none scheduler=none", open_study(folder, "beside"), *runs_of(folder, "beside"))


@pytest.mark.chaos
def test_two_sweeps_that_start_at_once_in_a_fresh_folder_have_their_trials(neighbours):
    folder, _ = neighbours
    assert [len(_trials(folder, name)) for name in ("beside", "killed")] == [2, NUM_TRIALS]


@pytest.mark.chaos
def test_every_record_agrees_of_sweeps_side_by_side(neighbours, finished_sweep):
    folder, _ = neighbours
    for name in ("beside", "killed"):
        found = audit_sweep(find_sweep(name, folder / "runs"))
        assert found.is_clean, "\n".join(found.describe())
    alone, killed = _trials(finished_sweep.folder, "finished"), _trials(folder, "killed")
    assert [_story(trial) for trial in killed] == [_story(trial) for trial in alone]
