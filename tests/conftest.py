import os
import secrets
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
"""As in an environment that is in force: commands are printed with `python` then."""

os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
"""One for all sweeps of this process: Ray's core reads the token once and keeps it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chaos", action="store_true", help="run all accidents of tests/chaos: an hour and a half")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(60))
    if not config.getoption("--chaos"):
        left_out = [item for item in items if item.get_closest_marker("chaos")]
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
def stuck_run() -> Path:
    """The folder of the run that this project began with, in `shared` beside the repository; skips without it."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "cases" / "stuck-run-220"
    if not folder.is_dir():
        pytest.skip(f"no case in {folder}")
    return folder


@pytest.fixture
def old_sweeps(tmp_path: Path) -> Path:
    """A folder with `runs/`, `flows.csv` and `expected.json` as commit 3fefaf5 made them: see tests/fixtures."""
    with tarfile.open(Path(__file__).parent / "fixtures" / "sweeps-3fefaf5.tar.xz") as packed:
        packed.extractall(tmp_path, filter="data")
    return tmp_path / "sweeps-3fefaf5"


@dataclass(frozen=True)
class Done:
    """What a command printed, its exit code, and the environment that it left to its children."""

    code: int
    out: str
    err: str
    environment: dict[str, str]


class Command:
    """Runs the project's commands in this process, as a user does in `folder`."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder, self._monkeypatch, self._capfd = folder, monkeypatch, capfd

    def __call__(self, *arguments: str) -> Done:
        """`python sweep.py ARGUMENTS`."""
        import sweep

        return self._run("sweep.py", sweep.main, arguments)

    def sweeps(self, *arguments: str) -> Done:
        """`python -m unstuck.sweeps ARGUMENTS`."""
        from unstuck.sweeps.__main__ import main

        return self._run("sweeps", main, arguments)

    def analysis(self, *arguments: str) -> Done:
        """`python -m unstuck.analysis ARGUMENTS`."""
        from unstuck.analysis.__main__ import main

        return self._run("analysis", main, arguments)

    def _run(self, program: str, main: Callable[[], int | None], arguments: tuple[str, ...]) -> Done:
        self._monkeypatch.setattr(sys, "argv", [program, *arguments])
        self._monkeypatch.chdir(self.folder)
        self._monkeypatch.setenv("COLUMNS", "200")
        self._capfd.readouterr()
        before = dict(os.environ)
        try:
            code = main() or 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        finally:
            left = dict(os.environ)
            # A process of its own would take what it sets along: HYDRA_FULL_ERROR, RAY_..., NO_PROXY.
            os.environ.clear()
            os.environ.update(before)
        return Done(code, *self._capfd.readouterr(), left)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """The project's commands, run in this process in `tmp_path`: see `Command`."""
    return Command(tmp_path, monkeypatch, capfd)
