"""The package as users have it: a wheel and an editable install, in a folder that holds names like ours."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import optuna
import pytest

from tests.analysis_tests.runs import healthy
from tests.unstuck_tests.test_extensions import ALL, install

ROOT = Path(__file__).parents[2]
ROOMS = ("rl", "records", "sweeps", "analysis", "conf")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet")
TINY = ("+experiment=quickstart", "sweep.name=tiny", "sweep.num_trials=2", "sweep.seeds=1", "ppo.num_iterations=4")
TINY += ("ppo.eval_every=1", "data.eval_flows=50", "tracking=none", "health=none", "scheduler=none", "resources.cpus=1")
ACME = ("sampler.name=acme_sampler", "data.source=acme_data")


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
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout copied, since a build writes beside what it builds."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("unstuck", *ROOMS):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "sweep.py"):
        shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the wheel is installed, in no environment."""
    built, installed = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("installed")
    checked(built, sys.executable, *PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", ".", str(source))
    (file,) = built.glob("unstuck-*.whl")
    checked(built, sys.executable, *PIP, "install", "--no-deps", "--target", str(installed), str(file))
    return installed


@pytest.fixture(scope="module")
def editable(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the copy installed editable, and all else from this one."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    checked(source, sys.executable, "-m", "venv", "--without-pip", str(folder))
    python = folder / "bin" / "python"
    where = checked(source, str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    (Path(where) / "shared.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    checked(source, str(python), *PIP, "install", "--no-deps", "--no-build-isolation", "--editable", str(source))
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


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_wheel_works_where_a_user_has_names_like_ours(wheel: Path, home: Path) -> None:
    python, unstuck = sys.executable, str(wheel / "bin" / "unstuck")
    composed = checked(home, unstuck, "sweep", "--cfg", "job", "+experiment=quickstart", path=wheel)
    assert "num_trials: 12" in composed
    assert "Diagnosis of progress.csv" in checked(
        home, python, "-m", "unstuck.analysis", "diagnose", "progress.csv", path=wheel
    )
    assert "Diagnosis of progress.csv" in checked(
        home, python, str(wheel / "unstuck/analysis"), "diagnose", "progress.csv"
    )
    assert checked(home, python, str(wheel / "unstuck"), "--help").startswith("usage: unstuck COMMAND")
    said = "import unstuck; print(unstuck.__file__); print(unstuck.diagnose('progress.csv'))"
    assert checked(home, python, "-c", said, path=wheel).splitlines()[:2] == [
        str(wheel / "unstuck" / "__init__.py"),
        "progress.csv:",
    ]
    refused = run(home, unstuck, "sweep", "ppo.lrr=1", path=wheel)
    assert (refused.returncode, refused.stderr) == (
        2,
        "unstuck sweep: error: unknown setting ppo.lrr; did you mean ppo.lr?\n",
    )
    relative = run(home, unstuck, "sweep", "--config-path", "conf", path=wheel)
    assert relative.stderr.startswith(
        "unstuck sweep: error: unknown setting not;"
    )  # the user's own, from where the user stands


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_sweep_runs_from_a_wheel_with_what_another_package_brings_and_prints_what_works_next(
    wheel: Path, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    site = tmp_path_factory.mktemp("site")
    install(site, "acme", ALL)
    unstuck, path = str(wheel / "bin" / "unstuck"), f"{wheel}{os.pathsep}{site}"
    out = checked(home, unstuck, "sweep", *TINY, *ACME, path=path)
    assert "trial 0 completed" in out, out
    champion = next(line for line in out.splitlines() if " champion tiny" in line)
    assert champion.split() == [unstuck, "champion", "tiny"]
    assert "tiny" in checked(home, unstuck, "audit", "tiny", path=path)
    study = optuna.load_study(study_name="tiny", storage=f"sqlite:///{home}/runs/optuna.db")
    control, other = study.trials
    assert (control.user_attrs["outcome"], other.user_attrs["outcome"]) == ("completed", "pruned")
    assert other.user_attrs["reason"].startswith("acme: enough")
    assert "acme_rule" in json.dumps(control.user_attrs)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_editable_install_works_where_a_user_has_names_like_ours(editable: Path, source: Path, home: Path) -> None:
    python, unstuck = str(editable), str(editable.with_name("unstuck"))
    assert "num_trials: 12" in checked(home, unstuck, "sweep", "--cfg", "job", "+experiment=quickstart")
    assert "num_trials: 12" in checked(home, python, str(source / "sweep.py"), "--cfg", "job", "+experiment=quickstart")
    assert "Diagnosis of progress.csv" in checked(home, python, "-m", "unstuck.analysis", "diagnose", "progress.csv")
    assert "Diagnosis of progress.csv" in checked(home, unstuck, "diagnose", "progress.csv")
