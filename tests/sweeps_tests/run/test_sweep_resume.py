"""A whole sweep is killed and gone on with, beside the same one left alone: real Ray, real databases, kill -9."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest
from unstuck.records.files import checkpoint_file, read_records, scratch_file
from unstuck.sweeps.audit.audit import audit_sweep
from unstuck.sweeps.config.find import find_sweep

from tests.sweeps_tests.conftest import ROOT, SMALL, FinishedSweep

NUM_TRIALS = FinishedSweep.num_trials
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def _start(folder, *overrides):
    return subprocess.Popen(
        [sys.executable, str(ROOT / "sweep.py"), *SMALL, *overrides],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _finish(process):
    try:
        printed, _ = process.communicate(timeout=300)
    finally:
        process.kill()
    return process.returncode, printed


def _trials(folder, name):
    if not (folder / "runs" / name / "trials").exists():
        return []
    return optuna.load_study(study_name=name, storage=f"sqlite:///{folder}/runs/optuna.db").trials


def _wait_for(condition):
    deadline = time.monotonic() + 200
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


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


@pytest.fixture(scope="module")
def accident(tmp_path_factory):
    """Kills the driver of a sweep in the midst of its third trial, and goes on with it.

    Another sweep starts at the same time in the same fresh folder, and is not harmed.
    """
    folder = tmp_path_factory.mktemp("accident")
    beside = _start(folder, "sweep.num_trials=1", "sweep.name=beside")
    killed = _start(folder, "sweep.num_trials=4", "sweep.name=killed")
    try:
        _wait_for(lambda: checkpoint_file(folder / "runs/killed", 2).exists())
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        before = [trial.state.name for trial in _trials(folder, "killed")]
        assert before.count("RUNNING") == 1
        scratch = Path(json.loads(scratch_file(folder / "runs/killed").read_text())["path"])
        assert scratch.is_dir()
        code, printed = _finish(beside)
        assert code == 0, printed
        code, resumed = _finish(_start(folder, f"sweep.num_trials={NUM_TRIALS}", "resume=killed"))
        assert code == 0, resumed
    finally:
        killed.kill()
        beside.kill()
    return Accident(folder, resumed, scratch)


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
    assert "resumed_from" in killed[2].user_attrs
    assert "trials 2 go on" in accident.resumed


def test_two_sweeps_that_start_at_once_in_a_fresh_folder_have_their_trials(accident):
    assert [len(_trials(accident.folder, name)) for name in ("beside", "killed")] == [1, NUM_TRIALS]


def test_every_record_agrees_afterwards(accident, finished_sweep):
    sweeps = [(name, accident.folder / "runs") for name in ("beside", "killed")]
    for name, runs in (*sweeps, ("finished", finished_sweep.runs)):
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
    assert done.err == (
        "sweep.py: error: sweep.seed must be what the sweep was started with, 0, got 7: trials with another one do not "
        "compare; resume it as it was, or start a new sweep\n"
    )
