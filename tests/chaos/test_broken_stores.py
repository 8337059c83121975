"""Databases that are locked, gone, read-only or replaced; a full disk; a file cut short."""

import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.chaos.harness import TINY, TO_THE_END, Process, Sweep

pytestmark = [pytest.mark.slow, pytest.mark.chaos, pytest.mark.timeout(1200)]
Maker = Callable[..., Sweep]
LONG = (*TO_THE_END, "ppo.num_iterations=150")
"""Long enough for an accident to begin and to end in it."""


def begin(sick: Sweep, evaluations: int = 4) -> Process:
    process = sick.start()
    sick.wait_for_evaluations(evaluations, process)
    assert process.popen.poll() is None, process.wait()
    return process


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """As by a backup, or by somebody's tool."""
    with closing(sqlite3.connect(file, timeout=60)) as database:
        database.execute("BEGIN EXCLUSIVE")
        yield
        database.rollback()


@contextmanager
def gone(file: Path) -> Iterator[None]:
    away = file.with_suffix(".away")
    file.rename(away)
    yield
    for left in file.parent.glob(f"{file.name}*"):  # what somebody made in its place
        left.unlink()
    away.rename(file)


@contextmanager
def read_only(file: Path) -> Iterator[None]:
    """Root may write to anything, except to what is immutable."""
    if subprocess.run(["chattr", "+i", file], check=False, capture_output=True).returncode:
        pytest.skip("this file system knows no immutable files, or we are not root")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", file], check=True)


ACCIDENTS = {"locked": locked, "gone": gone, "read-only": read_only}


@pytest.mark.parametrize("accident", ACCIDENTS.values(), ids=ACCIDENTS.keys())
def test_mlflow_fails_for_10_s(sweep: Maker, accident) -> None:
    """A failing tracker never ends a sweep: what it missed is written when it returns."""
    sick = sweep(*LONG, num_trials=4)
    process = begin(sick)
    with accident(sick.folder / "runs/mlflow.db"):
        before = sick.evaluations()
        time.sleep(10)
        assert accident is locked or sick.evaluations() > before  # it went on meanwhile
    process.succeed()
    sick.check()


@pytest.mark.parametrize("accident", [gone, read_only], ids=["gone", "read-only"])
def test_mlflow_fails_until_the_end(sweep: Maker, accident) -> None:
    """What could not be written then is written by the next resume, which has nothing else to do."""
    sick = sweep(*LONG, num_trials=2)
    process = begin(sick)
    with accident(sick.folder / "runs/mlflow.db"):
        process.succeed()
    sick.resume().succeed()
    sick.check()


def test_mlflow_that_cannot_be_opened_at_the_start_and_a_sweep_without_it(sweep: Maker) -> None:
    """Refused, with nothing left behind; run without, a resume writes it."""
    sick = sweep(*TINY)
    code, printed = sick.start("tracking.mlflow_url=sqlite:////nonexistent/mlflow.db").wait()
    assert code == 2, printed
    assert printed.startswith("sweep.py: error: cannot start sweep tiny in MLflow: ")
    assert "check tracking.mlflow_url and the disk, or run with tracking=none" in printed
    assert printed.count("\n") == 1
    sick.start("tracking=none").succeed()
    assert not (sick.folder / "runs/mlflow.db").exists()
    assert "Nothing left to do" in sick.resume().succeed()
    sick.check()


def test_mlflow_replaced_by_an_empty_database(sweep: Maker) -> None:
    """What it held is destroyed: only a repair brings it back, from the checkpoints."""
    sick = sweep(*LONG, num_trials=3)
    process = begin(sick)
    (sick.folder / "runs/mlflow.db").unlink()
    process.succeed()
    code, printed = sick.audit("--repair")
    assert code == 0, printed
    sick.check()


def test_mlflow_replaced_by_an_older_copy(sweep: Maker) -> None:
    sick = sweep(*LONG, num_trials=4)
    process = begin(sick)
    file = sick.folder / "runs/mlflow.db"
    with closing(sqlite3.connect(file)) as old, closing(sqlite3.connect(file.with_suffix(".copy"))) as new:
        old.backup(new)
    sick.wait_for_evaluations(100, process)
    file.with_suffix(".copy").replace(file)
    process.succeed()
    code, printed = sick.audit("--repair")
    assert code == 0, printed
    sick.check()


@pytest.mark.parametrize("accident", ACCIDENTS.values(), ids=ACCIDENTS.keys())
def test_ledger_fails_for_10_s(sweep: Maker, accident) -> None:
    """Nothing goes on without the truth; the sweep waits for it."""
    sick = sweep(*LONG, num_trials=4)
    process = begin(sick)
    with accident(sick.folder / "runs/optuna.db"):
        time.sleep(10)
    process.succeed()
    sick.check()


@pytest.mark.parametrize("accident", [gone, read_only], ids=["gone", "read-only"])
def test_ledger_fails_for_longer_than_a_sweep_waits(sweep: Maker, accident) -> None:
    """It ends, in one line; what the ledger lacks did not happen, and a resume runs it."""
    sick = sweep(*LONG, num_trials=4)
    process = begin(sick)
    with accident(sick.folder / "runs/optuna.db"):
        code, printed = process.wait()
    assert code == 1, printed
    assert "the ledger must be there and writable" in printed
    assert "resume=tiny" in printed
    assert "Traceback" not in printed
    sick.resume().succeed()
    sick.check()


def test_ledger_replaced_by_an_older_copy(sweep: Maker) -> None:
    """The truth is gone, and says so; with it back, all is well."""
    sick = sweep(*LONG, num_trials=4)
    file = sick.folder / "runs/optuna.db"
    process = begin(sick)
    with closing(sqlite3.connect(file)) as old, closing(sqlite3.connect(file.with_suffix(".copy"))) as new:
        old.backup(new)
    process.succeed()
    shutil.copy(file, file.with_suffix(".true"))
    file.with_suffix(".copy").replace(file)
    code, printed = sick.audit("--repair")
    assert code == 1
    assert "the ledger has no such trial; restore the ledger from a copy" in printed
    file.with_suffix(".true").replace(file)
    assert sick.audit("--repair")[0] == 0
    sick.check()


def test_ledger_replaced_while_the_sweep_runs(sweep: Maker) -> None:
    """Nothing is written to what is not the truth: it ends, and goes on with the truth once that is back."""
    sick = sweep(*LONG, num_trials=4)
    file = sick.folder / "runs/optuna.db"
    process = begin(sick)
    with closing(sqlite3.connect(file)) as old, closing(sqlite3.connect(file.with_suffix(".copy"))) as new:
        old.backup(new)
    sick.wait_for_evaluations(60, process)
    file.rename(file.with_suffix(".true"))
    file.with_suffix(".copy").replace(file)
    code, printed = process.wait()
    assert code == 1, printed
    assert "the ledger must be there and writable" in printed
    assert "Traceback" not in printed
    file.with_suffix(".true").replace(file)
    sick.resume().succeed()
    sick.check()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 32 MB, mounted on `runs`: more than twice what the records of a sweep take, which is 13."""
    folder = tmp_path / "runs"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", folder], check=False).returncode:
        pytest.skip("a file system may not be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(ballast: Path) -> None:
    """Until nothing is left."""
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 512)


@pytest.mark.parametrize("lasting", [False, True], ids=["for 10 s", "until it ends"])
def test_disk_full(sweep: Maker, small_disk: Path, lasting: bool) -> None:
    sick = sweep(*LONG, num_trials=4)
    process = begin(sick)
    ballast = small_disk / "ballast"
    fill(ballast)
    if lasting:
        code, printed = process.wait()
    else:
        time.sleep(10)
    ballast.unlink()
    if not lasting:
        code, printed = process.wait()
    assert code in (0, 1), printed
    assert "Traceback" not in printed
    sick.resume().succeed()
    sick.check()


@pytest.mark.parametrize("left", [0, 1, 5000], ids=["emptied", "one byte", "cut short"])
def test_checkpoint_cut_short(sweep: Maker, left: int) -> None:
    """Its trial starts anew, and its records stay as they were: the same seeds give the same numbers."""
    sick = sweep(*LONG, num_trials=3)
    begin(sick, 20).kill_with_workers()
    files = list((sick.folder / "runs/tiny/trials").glob("*/checkpoint.npz"))
    assert files
    for file in files:
        os.truncate(file, left)
    code, printed = sick.audit()
    assert code == 1
    assert "its checkpoint cannot be read" in printed
    sick.resume().succeed()
    sick.check()
