"""Sweeps for all tests to read: a finished one, one with accidents, and an old one."""

import fcntl
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from unstuck.sweeps.config.find import load_sweep
from unstuck.sweeps.config.settings import SweepConfig

from benchmarks.in_process import no_ray
from tests.conftest import Command
from tests.sweeps_tests.real import ROOT, SMALL
from tests.sweeps_tests.watch import Watch

if TYPE_CHECKING:
    from tests.sweeps_tests.watched import Accident


@dataclass(frozen=True)
class FinishedSweep:
    """A sweep of 8 trials that `sweep.py` ran, to be read and never changed: copy its folder for that.

    Its trials were trained in the test's process. `run/test_sweep_resume.py` shows that Ray's workers train them to the
    same numbers, bit for bit.

    Attributes:
        folder: Where it was called; its records are in `runs` below.
        printed: What it printed.
    """

    folder: Path
    printed: str
    name: str = "finished"
    num_trials: int = 8

    @property
    def runs(self) -> Path:
        """The folder of the databases, and of the sweep's own folder."""
        return self.folder / "runs"

    @property
    def own_folder(self) -> Path:
        """The folder with `config.yaml`, `trials` and `report`."""
        return self.runs / self.name

    @cached_property
    def config(self) -> SweepConfig:
        """The recorded configuration."""
        return load_sweep(self.own_folder)


@pytest.fixture(scope="session")
def finished_sweep(shared_folder: Path, mlflow_tables: Callable[[Path], None]) -> FinishedSweep:
    """One for all tests: control, completed and pruned trials in both stores, and a report. See `SMALL`."""
    sweep = FinishedSweep(shared_folder / "finished", "")
    printed = shared_folder / "finished.txt"
    with open(shared_folder / "finished.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # let go of when the file is closed, also by a process that is killed
        if not printed.exists():
            shutil.rmtree(sweep.folder, ignore_errors=True)
            sweep.folder.mkdir()
            mlflow_tables(sweep.runs / "mlflow.db")
            words = (*SMALL, f"sweep.num_trials={sweep.num_trials}", f"sweep.name={sweep.name}")
            with no_ray():
                done = Command(sweep.folder).run_file(ROOT / "sweep.py", *words)
            assert (done.code, done.err) == (0, "")
            printed.write_text(done.out)
    return FinishedSweep(sweep.folder, printed.read_text())


@pytest.fixture(scope="session")
def accident(shared_folder: Path, mlflow_tables: Callable[[Path], None]) -> "Accident":
    """One for all tests: a sweep with Ray that was looked at, killed, ended by Ctrl-C, and gone on with."""
    from tests.sweeps_tests.watched import bring_about

    folder, packed = shared_folder / "accident", shared_folder / "accident.pickle"
    with open(shared_folder / "accident.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not packed.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            mlflow_tables(folder / "runs" / "mlflow.db")
            packed.write_bytes(pickle.dumps(bring_about(folder)))
    return pickle.loads(packed.read_bytes())  # type: ignore[no-any-return]


@pytest.fixture
def ended(old_sweeps: Path) -> Path:
    """The folder of a sweep of commit 3fefaf5, whose flows lie in the folder above all sweeps."""
    folder = old_sweeps / "runs" / "ended"
    recorded = folder / "config.yaml"
    recorded.write_text(recorded.read_text().replace("/tmp/fx/flows.csv", str(old_sweeps / "flows.csv")))
    return folder


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Watch:
    return Watch(tmp_path_factory.mktemp("watch"))
