"""Sweeps in processes of their own, with real Ray, and what their records say."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import optuna
import psutil
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from optuna_dashboard import get_note
from unstuck.records.files import scratch_file
from unstuck.sweeps.explain.diagnoses import Diagnoses

ROOT = Path(__file__).parents[2]
SHORT = (
    "+experiment=quickstart",
    "data.num_flows=2000",
    "ppo.num_iterations=12",
    "ppo.eval_every=2",
    "ppo.num_steps=32",
    "ppo.minibatch_size=64",
    "sweep.seeds=2",
    "resources.cpus=1",
)
SMALL = (
    *SHORT,
    "scheduler.grace_iterations=4",
    "scheduler.reduction_factor=2",
    "health.stuck_grace_iterations=6",
    "sampler.num_startup_trials=2",
)
"""Settings of a sweep whose trials take a second.

With one worker the order of arrival is always the same, so all decisions are.
"""


CHECKOUT = (sys.executable, str(ROOT / "sweep.py"))


def start(
    folder: Path,
    *overrides: str,
    program: tuple[str, ...] = CHECKOUT,
    environment: Mapping[str, str] = os.environ,
) -> "subprocess.Popen[str]":
    """A sweep in a process group of its own."""
    return subprocess.Popen(
        [*program, *overrides],
        cwd=folder,
        env={**environment, "COLUMNS": "200", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: "subprocess.Popen[str]") -> str:
    """What a sweep has printed, which must end well."""
    try:
        printed, _ = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == 0, printed
    return printed


@dataclass(frozen=True)
class Stopped:
    """A sweep that a signal has ended: what it printed, how long its end took, and what was left of its processes."""

    name: str
    code: int
    printed: str
    seconds: float
    scratch: Path
    left: list[str]


def stop(process: "subprocess.Popen[str]", own_folder: Path, send: Callable[[], None]) -> Stopped:
    """Send a running sweep a signal, and wait for its end."""
    scratch = json.loads(scratch_file(own_folder).read_text())["path"]
    assert _processes_that_name(scratch)
    send()
    signalled = time.monotonic()
    printed, _ = process.communicate(timeout=60)
    seconds = time.monotonic() - signalled
    return Stopped(own_folder.name, process.returncode, printed, seconds, Path(scratch), _processes_that_name(scratch))


def check_stopped(
    stopped: Stopped, setting: str, study: optuna.Study, client: MlflowClient, parent: Run, children: dict[int, Run]
) -> None:
    """It ended in seconds, nothing of it is left, all is on record, and its last line, with `setting`, how to go on."""
    assert stopped.seconds < 45
    assert stopped.code == 130
    assert "stopped by the user" in stopped.printed
    assert "no longer answered" not in stopped.printed  # Ray's own processes did not hear it
    assert "Traceback" not in stopped.printed
    assert "Trials did not complete" not in stopped.printed  # Ray's own words on trials that crashed
    assert stopped.left == []
    assert not stopped.scratch.exists()
    last = stopped.printed.splitlines()[-1]
    assert last.startswith(f"  python {ROOT}/sweep.py +experiment=quickstart ")
    assert f" {setting} " in last
    crashed = any(trial.user_attrs["outcome"] == "crashed" for trial in study.trials)
    assert last.endswith(f" resume={stopped.name}{' retry=crashed' if crashed else ''}")
    assert parent.info.status == "KILLED"
    assert "stopped by the user**" in get_note(study)
    assert sorted(children) == [trial.number for trial in study.trials]
    running = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.RUNNING]
    assert running  # a resume can continue them
    for trial in running:
        assert children[trial.number].info.status == "KILLED"
        assert children[trial.number].data.tags["outcome"] == trial.user_attrs["outcome"] == "interrupted"
    for trial in study.trials:
        history = client.get_metric_history(children[trial.number].info.run_id, "progress/f1")
        assert {point.step: point.value for point in history} == trial.intermediate_values


def leave_out_diagnoses(patch: pytest.MonkeyPatch) -> None:
    """Trials are not diagnosed while they train in this process, for sweeps of which something else is tested."""
    patch.setattr(Diagnoses, "refresh_if_due", lambda *_, **__: None)


def _processes_that_name(folder: str) -> list[str]:
    """Command lines; Ray's own have their folder in theirs, its agents too."""
    lines = [" ".join(command_line(process)) for process in psutil.process_iter()]
    return [line for line in lines if folder in line]


def open_study(folder: Path, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{folder}/runs/optuna.db")


def runs_of(folder: Path, name: str) -> tuple[MlflowClient, Run, dict[int, Run]]:
    """MLflow's runs of a sweep: the parent, and the children by trial number."""
    return runs_in(f"sqlite:///{folder}/runs/mlflow.db", name)


def runs_in(url: str, name: str) -> tuple[MlflowClient, Run, dict[int, Run]]:
    """The same of the MLflow at a URL."""
    client = MlflowClient(tracking_uri=url)
    experiment = client.get_experiment_by_name("unstuck")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], f"tags.sweep = '{name}'", max_results=1000)
    parent = next(run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    children = {int(run.data.tags["trial"]): run for run in runs if run is not parent}
    assert len(children) == len(runs) - 1  # no trial twice
    return client, parent, children


def count_evaluations(folder: Path, name: str, number: int) -> int:
    """Evaluations of a trial that the ledger has; 0 before it is there. It opens no study, which would make tables."""
    question = (
        "SELECT count(*) FROM trial_intermediate_values JOIN trials USING (trial_id) JOIN studies USING (study_id) "
        "WHERE study_name = ? AND number = ?"
    )
    try:
        with contextlib.closing(sqlite3.connect(f"file:{folder}/runs/optuna.db?mode=ro", uri=True)) as ledger:
            return int(ledger.execute(question, (name, number)).fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def wait_for(condition: Callable[[], object], seconds: float = 600) -> None:
    """Return when it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


def workers_of(driver: int) -> list[psutil.Process]:
    """Processes of this driver's Ray that train."""
    below = psutil.Process(driver).children(recursive=True)
    return [process for process in below if "Trainable" in " ".join(command_line(process))]


def command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # has just ended
        return []
