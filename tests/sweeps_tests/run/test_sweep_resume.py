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
from unstuck.sweeps.audit.audit import audit
from unstuck.sweeps.config.find import find_sweep

ROOT = Path(__file__).parents[3]
SMALL = [
    "+experiment=quickstart",
    "data.num_flows=2000",
    "ppo.num_iterations=12",
    "ppo.eval_every=2",
    "ppo.num_steps=32",
    "ppo.minibatch_size=64",
    "scheduler.grace_iterations=4",
    "scheduler.reduction_factor=2",
    "health.stuck_grace_iterations=6",
    "sampler.num_startup_trials=2",
    "sweep.seeds=2",
    "resources.cpus=1",  # with one worker the order of arrival is the same, so all decisions are
]
NUM_TRIALS = 6

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
    """Kills the driver of one sweep in the midst of its third trial, and goes on with it; another is left alone."""
    folder = tmp_path_factory.mktemp("accident")
    alone = _start(folder, f"sweep.num_trials={NUM_TRIALS}", "sweep.name=alone")
    _wait_for(lambda: _trials(folder, "alone"))
    killed = _start(folder, "sweep.num_trials=4", "sweep.name=killed")
    try:
        _wait_for(lambda: checkpoint_file(folder / "runs/killed", 2).exists())
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        before = [trial.state.name for trial in _trials(folder, "killed")]
        assert before.count("RUNNING") == 1
        scratch = Path(json.loads(scratch_file(folder / "runs/killed").read_text())["path"])
        assert scratch.is_dir()
        code, resumed = _finish(_start(folder, f"sweep.num_trials={NUM_TRIALS}", "resume=killed"))
        assert code == 0, resumed
        code, printed = _finish(alone)
        assert code == 0, printed
    finally:
        killed.kill()
        alone.kill()
    return Accident(folder, resumed, scratch)


def test_an_interrupted_sweep_ends_as_one_left_alone(accident):
    alone, killed = (_trials(accident.folder, name) for name in ("alone", "killed"))
    assert len(alone) == NUM_TRIALS
    assert [_story(trial) for trial in killed] == [_story(trial) for trial in alone]
    for number in range(NUM_TRIALS):
        one, other = (
            [
                {name: value for name, value in record.metrics.items() if not name.startswith("effective/")}
                for record in read_records(accident.folder / "runs" / name, number)
            ]
            for name in ("alone", "killed")
        )
        assert one == other  # every metric, bit for bit
    assert "resumed_from" in killed[2].user_attrs
    assert "trials 2 go on" in accident.resumed


def test_every_record_agrees_afterwards(accident):
    for name in ("alone", "killed"):
        found = audit(find_sweep(name, accident.folder / "runs"))
        assert found.is_clean, "\n".join(found.describe())


def test_nothing_is_left_of_the_killed_process(accident):
    assert not accident.scratch.exists()
    assert not list((accident.folder / "runs").glob("*/scratch"))


def test_nothing_left_to_do_is_said_and_exits_with_0(accident):
    before = [_story(trial) for trial in _trials(accident.folder, "killed")]
    code, printed = _finish(_start(accident.folder, f"sweep.num_trials={NUM_TRIALS}", "resume=killed"))
    assert code == 0
    assert f"Nothing left to do: all {NUM_TRIALS} trials have ended" in printed
    assert "Traceback" not in printed
    assert [_story(trial) for trial in _trials(accident.folder, "killed")] == before
    assert audit(find_sweep("killed", accident.folder / "runs")).is_clean


def test_what_would_mean_nothing_is_refused_in_one_line(accident):
    code, printed = _finish(_start(accident.folder, "resume=killed", "sweep.seed=7"))
    assert code == 2
    assert printed == (
        "sweep.py: error: sweep.seed must be what the sweep was started with, 0, got 7: trials with another one do not "
        "compare; resume it as it was, or start a new sweep\n"
    )
