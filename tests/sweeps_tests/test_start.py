"""A start is whole or nothing, and its name is its own."""

import datetime as real
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from sweeps import run, schema

ROOT = Path(__file__).parents[2]
FEW = ("+experiment=quickstart", "data.num_flows=600", "sweep.num_trials=1", "sweep.seeds=1", "resources.cpus=1")

HOMELESS = """
import pathlib, sys

def no_home(*_):
    raise RuntimeError("Could not determine home directory.")

pathlib.Path.home = no_home
import sweep
sys.exit(sweep.main())
"""


@pytest.fixture
def no_trials(monkeypatch):
    """The sweep's records are made, and its trials are left to a resume."""
    monkeypatch.setattr(run, "_run_trials", lambda *_: run.BY_THE_USER)


@pytest.mark.timeout(60)
def test_what_no_one_foresaw_is_one_line_and_takes_no_name(tmp_path, command, no_trials):
    words = [sys.executable, "-c", HOMELESS, *FEW, "sweep.name=mine"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith(
        "sweep.py: error: cannot start sweep mine in MLflow: RuntimeError: Could not determine home directory; check"
    )
    assert done.returncode == 2
    assert not (tmp_path / "runs" / "mine").exists()
    assert optuna.get_all_study_names(f"sqlite:///{tmp_path}/runs/optuna.db") == []
    refused = command(*FEW, "resume=mine")
    assert "there are: none" in refused.err
    assert command(*FEW, "sweep.name=mine", "tracking=none").code == 130
    assert optuna.get_all_study_names(f"sqlite:///{tmp_path}/runs/optuna.db") == ["mine"]


def test_two_unnamed_sweeps_in_one_second_have_two_names(tmp_path, command, no_trials, monkeypatch):
    class Stopped(real.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 1, 31, 17, 45, 5)

    monkeypatch.setattr(schema, "datetime", Stopped)
    for _ in range(2):
        started = command(*FEW, "tracking=none")
        assert started.code == 130, started.err
    names = sorted(path.parent.name for path in (tmp_path / "runs").glob("*/config.yaml"))
    assert len(names) == 2
    assert all(name.startswith("quickstart-20260131-174505-") for name in names)
    assert sorted(optuna.get_all_study_names(f"sqlite:///{tmp_path}/runs/optuna.db")) == names
