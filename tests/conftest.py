import contextlib
import fcntl
import functools
import gc
import io
import os
import secrets
import shutil
import signal
import sqlite3
import sys
import tarfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.wheel import Built

os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
"""As in an environment that is in force: commands are printed with `python` then."""

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
"""As in a sweep's workers; two threads on small tensors spend their time waiting for each other. Read on import."""

os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
"""One for all sweeps of this process: Ray's core reads the token once and keeps it."""


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A shell that starts a command in the background has it ignore Ctrl-C, and so would every process of the tests.


gc.disable()
"""While tests are collected, little becomes garbage, and each look at a million objects takes a second."""


def pytest_collection_finish() -> None:
    from unstuck.records.machine import collect_garbage_seldom
    from unstuck.sweeps.trainers.torch_internals import defer_compiler

    if "torch" in sys.modules:
        defer_compiler()  # as workers do; three seconds of each process whose tests train with torch's optimisers
    gc.freeze()  # modules and tests, which live until the end anyway: the collector need not look at them
    gc.enable()
    collect_garbage_seldom()  # as commands do


def pytest_unconfigure() -> None:
    gc.freeze()  # or the end of the process looks at all there is several times


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--docs", action="store_true", help="run every command of the documentation: minutes")
    parser.addoption("--chaos", action="store_true", help="run all tests marked chaos too: hours")


MAX_PROCESSOR_S = 5.0
"""Of a test that is not marked `slow`, in this process and in those that the test waited for, on an idle machine."""

SLOWEST_MACHINE = 3.0
"""How many times as much processor time the same test may take on an older core, or on one that others use as well."""

LOADED_ONCE = ("torch", "mlflow", "ray", "stable_baselines3")
"""Libraries that take seconds to import; no fault of the test that happens to be the first."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    before, loaded = sum(os.times()[:4]), [name in sys.modules for name in LOADED_ONCE]
    result = yield
    spent_s, is_first = sum(os.times()[:4]) - before, loaded != [name in sys.modules for name in LOADED_ONCE]
    if spent_s > MAX_PROCESSOR_S and not is_first and not item.get_closest_marker("slow"):
        rule = f"a test must take at most {MAX_PROCESSOR_S:g} s of processor time, took {spent_s:.1f} s; mark it slow"
        if spent_s > MAX_PROCESSOR_S * SLOWEST_MACHINE:
            pytest.fail(rule)
        warnings.warn(f"{item.nodeid}: {rule}, unless this machine is slow", stacklevel=1)
    return result


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(180))
    unasked = [name for name in ("chaos", "docs") if not config.getoption(f"--{name}")]
    left_out = [item for item in items if any(item.get_closest_marker(name) for name in unasked)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets: $UNSTUCK_DATA, or `shared/data` beside the repository; skips without it."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("UNSTUCK_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set UNSTUCK_DATA")
    return folder


@pytest.fixture(scope="session")
def cases() -> Path:
    """The folder of strangers' runs: $UNSTUCK_CASES, or `shared/cases` beside the repository; skips without it."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "cases"
    folder = Path(os.environ.get("UNSTUCK_CASES", beside))
    if not (folder / "wild").is_dir():
        pytest.skip(f"no cases in {folder}; set UNSTUCK_CASES")
    return folder


@pytest.fixture(scope="session")
def stuck_run() -> Path:
    """The folder of the run that this project began with, in `shared` beside the repository; skips without it."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "cases" / "stuck-run-220"
    if not folder.is_dir():
        pytest.skip(f"no case in {folder}")
    return folder


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the processes of one run of pytest share, for what one of them makes for all, under a lock."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def built(shared_folder: Path) -> "Built":
    """The package as users have it, made once for all tests: see `tests/wheel.py`."""
    from tests.wheel import Built, build

    folder, done = shared_folder / "built", shared_folder / "built.done"
    with open(shared_folder / "built.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            build(folder)
            done.touch()
    return Built(folder)


@pytest.fixture
def old_sweeps(tmp_path: Path) -> Path:
    """A folder with `runs/`, `flows.csv` and `expected.json` as commit 3fefaf5 made them: see tests/fixtures."""
    with tarfile.open(Path(__file__).parent / "fixtures" / "sweeps-3fefaf5.tar.xz") as packed:
        packed.extractall(tmp_path, filter="data")
    return tmp_path / "sweeps-3fefaf5"


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """A headless Chromium; skips without, except under CI."""
    from benchmarks.browser import find_browser, open_browser

    found = find_browser()
    if found is None and os.environ.get("CI"):
        pytest.fail("CI must have a browser; .ci/run installs it")
    if found is None:
        pytest.skip("needs Chromium")
    with open_browser(found) as chromium:
        yield chromium


@pytest.fixture(scope="session", autouse=True)
def mlflow_tables(shared_folder: Path) -> Iterator[Callable[[Path], None]]:
    """Makes MLflow's tables in a new file, once as MLflow does, which takes 2 s, and then by copying that file.

    All stores of this process are made so; the fixture `mlflow_makes_its_tables` takes it back.
    """
    from unstuck.records.mlflow import connection

    original = connection._make_tables
    template = shared_folder / "mlflow.db"

    @functools.wraps(original)
    def make_tables(file: Path) -> None:
        with open(shared_folder / "mlflow.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not template.exists():
                original(template)
        file.parent.mkdir(exist_ok=True)
        shutil.copy(template, file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "_make_tables", make_tables)
        yield make_tables


@pytest.fixture(scope="session", autouse=True)
def optuna_tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Makes Optuna's tables in new sqlite files of this process by copying those that Optuna has made once."""
    from optuna.storages import RDBStorage
    from unstuck.records.optuna_internals import PatientStorage
    from unstuck.records.urls import sqlite_file

    template = tmp_path_factory.mktemp("optuna") / "optuna.db"

    def open_storage(storage: PatientStorage, url: str, **options: Any) -> None:
        file = sqlite_file(url)
        if file and file.name != ":memory:" and file.parent.is_dir() and not file.exists():
            if not template.exists():
                RDBStorage(f"sqlite:///{template}").engine.dispose()
            shutil.copy(template, file)
        RDBStorage.__init__(storage, url, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PatientStorage, "__init__", open_storage)
        yield


@pytest.fixture(scope="session", autouse=True)
def migrations_read_once() -> Iterator[None]:
    """Reads the migrations of Optuna's tables and of MLflow's once: who opens a file reads all, to know the last."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    read, known = ScriptDirectory.from_config, dict[str | None, ScriptDirectory]()

    def read_once(config: Config) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        if place not in known:
            known[place] = read(config)
        return known[place]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", read_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_wait_for_disks() -> Iterator[None]:
    """Leaves what this process commits to sqlite files with the system, which writes it to the disk in its own time.

    Whoever else reads the file sees the same, also when this process is killed: only a machine that fails loses it.
    Each commit would wait for the disk else, some 20 ms, and take a millisecond of processor time.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def let_go(connection: Any, record: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", let_go)
    yield
    event.remove(Engine, "connect", let_go)


@pytest.fixture(scope="session", autouse=True)
def composed_fast() -> Iterator[Callable[[pytest.MonkeyPatch], None]]:
    """Makes Hydra compose in a third of the time: see `compose_fast`.

    Yields what takes that back for as long as a test's own patches last.
    """
    from tests.composing_fast import compose_fast

    with pytest.MonkeyPatch.context() as patch:
        yield compose_fast(patch)


@pytest.fixture
def mlflow_makes_its_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes `mlflow_tables` back, for tests of how they are made."""
    from unstuck.records.mlflow import connection

    monkeypatch.setattr(connection, "_make_tables", connection._make_tables.__wrapped__)


@dataclass(frozen=True)
class Done:
    """What a command printed, its exit code, and the environment that it left to its children."""

    code: int
    out: str
    err: str
    environment: dict[str, str]


def _refuse_ray(_: object) -> None:
    pytest.fail("a sweep in the test's process trains without Ray; use the fixture without_ray")


class Command:
    """Runs the project's commands in this process, as a user does in `folder`.

    Ray is not started unless `starts_ray` says so: a sweep starts it while its records are opened, which takes seconds.
    Without it, a sweep that gets as far as its trials needs the fixture `without_ray`.

    What is printed is read from `capfd`; without it, for longer than one test, from `sys.stdout` and `sys.stderr`.
    """

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str] | None = None) -> None:
        self.folder, self._capfd, self.starts_ray = folder, capfd, False

    def __call__(self, *arguments: str) -> Done:
        """`python sweep.py ARGUMENTS`."""
        import sweep

        return self._run("sweep.py", sweep.main, arguments)

    def run_file(self, file: Path, *arguments: str) -> Done:
        """`python FILE ARGUMENTS`, for the file `sweep.py`: what it prints names the file."""
        import sweep

        return self._run(str(file), sweep.main, arguments)

    def sweeps(self, *arguments: str) -> Done:
        """`python -m unstuck.sweeps ARGUMENTS`."""
        from unstuck.sweeps.__main__ import main

        return self._run("sweeps", main, arguments)

    def analysis(self, *arguments: str) -> Done:
        """`python -m unstuck.analysis ARGUMENTS`."""
        from unstuck.analysis.__main__ import main

        return self._run("analysis", main, arguments)

    def unstuck(self, *arguments: str) -> Done:
        """`unstuck ARGUMENTS`."""
        from unstuck.command import main

        return self._run("unstuck", main, arguments)

    def _run(self, program: str, main: Callable[[], int | None], arguments: tuple[str, ...]) -> Done:
        from unstuck.sweeps.ray_tune.cluster import Cluster

        before, import_path = dict(os.environ), list(sys.path)
        with pytest.MonkeyPatch.context() as patch, self._printed() as read:
            patch.setattr(sys, "argv", [program, *arguments])
            patch.chdir(self.folder)
            patch.setenv("COLUMNS", "200")
            if not self.starts_ray:
                patch.setattr(Cluster, "begin", lambda _: None)
                patch.setattr(Cluster, "wait", _refuse_ray)
            try:
                code = main() or 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
            finally:
                left = dict(os.environ)
                # A process of its own would take what it sets along: HYDRA_FULL_ERROR, RAY_..., NO_PROXY.
                os.environ.clear()
                os.environ.update(before)
                sys.path[:] = import_path
            return Done(code, *read(), left)

    @contextlib.contextmanager
    def _printed(self) -> Iterator[Callable[[], tuple[str, str]]]:
        """Reads what has been printed since the block began."""
        if self._capfd:
            self._capfd.readouterr()
            yield self._capfd.readouterr
            return
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
            yield lambda: (out.getvalue(), err.getvalue())


@pytest.fixture
def command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    """The project's commands, run in this process in `tmp_path`: see `Command`."""
    return Command(tmp_path, capfd)


@pytest.fixture(scope="module")
def module_command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The same for all tests of a module, in a folder of the module's own."""
    return Command(tmp_path_factory.mktemp("module"))


@pytest.fixture
def without_ray() -> Iterator[None]:
    """Sweeps train their trials in this process, for tests of what is before and after Ray: see `in_process`."""
    from benchmarks.in_process import no_ray

    with no_ray():
        yield


@pytest.fixture
def undiagnosed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps do not diagnose their trials while they train, which takes a third of one without Ray."""
    from tests.sweeps_tests.real import leave_out_diagnoses

    leave_out_diagnoses(monkeypatch)
