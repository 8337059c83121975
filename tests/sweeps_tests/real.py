"""Sweeps in processes of their own, with real Ray, and what their records say."""

import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import psutil
from mlflow import MlflowClient
from mlflow.entities import Run

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


def start(folder: Path, *overrides: str) -> "subprocess.Popen[str]":
    """A sweep in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "sweep.py"), *overrides],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200", "PYTHONUNBUFFERED": "1"},
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


def open_study(folder: Path, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{folder}/runs/optuna.db")


def runs_of(folder: Path, name: str) -> tuple[MlflowClient, Run, dict[int, Run]]:
    """MLflow's runs of a sweep: the parent, and the children by trial number."""
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/runs/mlflow.db")
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
