"""How the project's programs are typed, in whatever folder and environment."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from unstuck.analysis import programs
from unstuck.analysis.overrides import format_literal

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("package", ["sweeps", "analysis"])
def test_packages_are_found_from_a_folder_that_has_others_of_their_names(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sweeps", "rl", "analysis"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not ours')\n")
    monkeypatch.chdir(tmp_path)
    words = [*programs.module_program(package), "--help"]
    done = subprocess.run(shlex.join(words), shell=True, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: python -m unstuck.{package}")


def test_programs_are_typed_as_they_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert programs.sweep_program() == ["python", "sweep.py"]
    assert programs.module_program("sweeps") == ["python", "-m", "unstuck.sweeps"]
    assert (programs.tool_program("mlflow"), programs.sweep_words("a", Path("runs"))) == ("mlflow", ["a"])
    monkeypatch.setenv("PATH", str(tmp_path))  # no environment is in force
    monkeypatch.setattr(sys, "executable", str(ROOT / ".venv" / "bin" / "python3"))
    assert programs.sweep_program() == [".venv/bin/python3", "sweep.py"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [f"{ROOT}/tests/../sweep.py"])
    assert programs.sweep_program() == [f"{ROOT}/.venv/bin/python3", f"{ROOT}/tests/../sweep.py"]
    assert programs.tool_program("mlflow") == f"{ROOT}/.venv/bin/mlflow"
    assert programs.sweep_words("a", ROOT / "runs") == ["a", "--folder", f"{ROOT}/runs"]


def test_the_console_command_is_typed_where_it_was_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("python", "unstuck"):
        (tmp_path / "bin" / name).touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "bin" / "unstuck")])
    assert programs.sweep_program() == [str(tmp_path / "bin" / "unstuck"), "sweep"]
    assert programs.module_program("analysis") == [str(tmp_path / "bin" / "unstuck")]
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert programs.sweep_program() == ["unstuck", "sweep"]
    assert programs.module_program("sweeps") == ["unstuck"]


def test_an_installed_package_has_no_script_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "ROOT", tmp_path / "site" / "unstuck")
    monkeypatch.chdir(tmp_path)
    assert programs.sweep_program() == ["python", str(tmp_path / "site" / "unstuck"), "sweep"]  # on PYTHONPATH, or not
    monkeypatch.setattr(programs.sysconfig, "get_path", lambda kind: str(tmp_path / "site"))
    assert programs.sweep_program() == ["python", "-m", "unstuck", "sweep"]
    assert programs.module_program("analysis") == ["python", "-m", "unstuck.analysis"]
    (tmp_path / "unstuck").mkdir()  # a folder of the user's, which Python would find first
    assert programs.sweep_program() == ["python", str(tmp_path / "site" / "unstuck"), "sweep"]


@pytest.mark.parametrize(
    "value", ["a b", "it's", 'a "b"', "[a]", "{a: b}", "a,b", "$x", "null", "true", "1e-3", "", "é", "word", "a/b-c.d"]
)
def test_text_is_quoted_for_hydra(value: str) -> None:
    override = OverridesParser.create().parse_override(f"sampler.points=[{{env: {{id: {format_literal(value)}}}}}]")
    assert override.value() == [{"env": {"id": value}}]
