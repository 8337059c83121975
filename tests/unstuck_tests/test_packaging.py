"""The package as users have it: a wheel and an editable install, in a folder that holds names like ours."""

import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

from tests.analysis_tests.runs import healthy
from tests.wheel import PIP_INSTALL, ROOMS, Built

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_folder_with_modules_is_packaged() -> None:
    folders = {"unstuck", "unstuck.commands", "unstuck.probe"}
    for room in ROOMS:
        folders |= {
            ".".join(("unstuck", *file.parent.relative_to(ROOT).parts)) for file in (ROOT / room).rglob("__init__.py")
        }
    packages = PYPROJECT["tool"]["setuptools"]["packages"]
    assert sorted(packages) == sorted(folders)
    assert len(packages) == len(set(packages))


def test_every_module_lies_in_a_package() -> None:
    astray = [
        str(file.relative_to(ROOT))
        for room in ROOMS
        for file in (ROOT / room).rglob("*.py")
        if not (file.parent / "__init__.py").is_file()
    ]
    assert astray == []


def run(folder: Path, *words: str, path: Path | str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "HYDRA_FULL_ERROR")}
    if path:
        environment["PYTHONPATH"] = str(path)
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)


def checked(folder: Path, *words: str, path: Path | str | None = None) -> str:
    done = run(folder, *words, path=path)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def editable(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the copy installed editable, and all else from this one."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    checked(ROOT, sys.executable, "-m", "venv", "--without-pip", str(folder))
    python = folder / "bin" / "python"
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "shared.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    checked(ROOT, str(python), *PIP_INSTALL, str(built.editable))
    return python


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's folder: a log, and modules of the user's own with our names."""
    for name in ("rl", "conf", "sweeps"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('not ours')\n")
    for name in ("analysis", "records", "sweep"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not ours')\n")
    (tmp_path / "conf" / "config.yaml").write_text("not: ours\n")
    healthy().table.to_csv(tmp_path / "progress.csv", index_label="iteration")
    return tmp_path


IN_ONE_PROCESS = """
import runpy, sys, unstuck
print(unstuck.__file__)
sys.argv = ["analysis", "diagnose", "progress.csv"]
try:
    runpy.run_module("unstuck.analysis", run_name="__main__", alter_sys=True)
finally:
    print(unstuck.diagnose("progress.csv"))
"""
"""As `python -m unstuck.analysis diagnose progress.csv`, and then in Python."""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_wheel_works_where_a_user_has_names_like_ours(built: Built, home: Path) -> None:
    """A sweep with Ray: sweeps_tests/run/test_sweep_joined.py."""
    python, wheel, unstuck = sys.executable, built.installed, str(built.program)
    composed = checked(home, unstuck, "sweep", "--cfg", "job", "+experiment=quickstart", path=wheel)
    assert "num_trials: 12" in composed
    told = checked(home, python, "-c", IN_ONE_PROCESS, path=wheel)
    assert told.splitlines()[0] == str(wheel / "unstuck" / "__init__.py")
    assert "\nDiagnosis of progress.csv" in told
    assert "\nprogress.csv:\n" in told
    assert "Diagnosis of progress.csv" in checked(
        home, python, str(wheel / "unstuck/analysis"), "diagnose", "progress.csv"
    )
    assert checked(home, python, str(wheel / "unstuck"), "--help").startswith("usage: unstuck COMMAND")
    refused = run(home, unstuck, "sweep", "--config-path", "conf", path=wheel)
    assert refused.returncode == 2
    assert refused.stderr.startswith(
        "unstuck sweep: error: unknown setting not;"
    )  # the user's own, from where the user stands
    assert refused.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_editable_install_works_where_a_user_has_names_like_ours(editable: Path, built: Built, home: Path) -> None:
    python, unstuck, checkout = str(editable), str(editable.with_name("unstuck")), str(built.source / "sweep.py")
    assert "num_trials: 12" in checked(home, unstuck, "sweep", "--cfg", "job", "+experiment=quickstart")
    assert "num_trials: 12" in checked(home, python, checkout, "--cfg", "job", "+experiment=quickstart")
    assert "diagnose" in checked(home, python, "-m", "unstuck.analysis", "--help")
    assert "Diagnosis of progress.csv" in checked(home, unstuck, "diagnose", "progress.csv")
