"""What is printed to be typed next, typed: from the folder where the user stands, which is not the checkout."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from analysis import programs
from analysis.overrides import literal
from tests.conftest import Command

pytestmark = pytest.mark.timeout(60)  # the first test waits for torch, which is no fault of its own

ROOT = Path(__file__).parents[2]


class ReachedError(Exception):
    """All that can be refused has been passed, and all records are open: trials would run now."""


def starts(command: Command, words: list[str], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a call of sweep.py comes to where its trials would run; it prints why where it does not."""

    def reach(*arguments: object) -> str:
        raise ReachedError

    with monkeypatch.context() as patch:
        patch.setattr("sweeps.run._run_trials", reach)
        try:
            print(command(*words).err)
        except ReachedError:
            return True
    return False


@pytest.fixture
def ended(old_sweeps: Path) -> Path:
    """The folder of a sweep of commit 3fefaf5 that was not judged, in a folder whose name needs every quote."""
    folder = old_sweeps.rename(old_sweeps.with_name("it's $5 [a], b")) / "runs" / "ended"
    recorded = folder / "config.yaml"
    flows = str(folder.parents[1] / "flows.csv")
    recorded.write_text(recorded.read_text().replace("path: /tmp/fx/flows.csv", f"path: {_in_yaml(flows)}"))
    (folder / "report" / "champion.json").unlink()
    return folder


def _in_yaml(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def test_commands_of_a_report_work_where_it_was_written(
    command: Command, ended: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = command.analysis("report", "ended", "--folder", str(ended.parent))
    assert (done.code, done.err) == (0, "")
    text = (ended / "report" / "report.md").read_text()
    found = [shlex.split(line) for line in text.splitlines() if line.partition(" ")[0].endswith("python")]
    programs_called = {Path(words[1]) for words in found}
    assert programs_called == {ROOT / "sweep.py", ROOT / "sweeps"}
    for words in found:
        if Path(words[1]).name == "sweeps":
            judged = command.sweeps(*words[2:], "--seeds", "1")
            assert (judged.code, judged.err) == (0, "")
        else:
            assert starts(command, words[2:], monkeypatch), words
    resumed = next(words for words in found if "resume=ended" in words)
    assert resumed[-1] == "sweep.num_trials=8"
    arms = [words for words in found if words[-1].endswith("-arms")]
    assert all("sampler.points=[{ppo: {value_coef: " in word for words in arms for word in words if "points=[" in word)


def test_a_champion_is_named_as_for_the_other_commands(command: Command, ended: Path) -> None:
    shutil.copytree(ended.parent, command.folder / "runs")
    by_name = command.sweeps("champion", "ended", "--seeds", "1")
    assert (by_name.code, by_name.err) == (0, "")
    refused = command.sweeps("champion", "no-such")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == (
        f"sweeps: error: no sweep in {command.folder}/runs/no-such; sweeps in {command.folder}/runs: ended, stopped\n"
    )


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
    assert done.stdout.startswith(f"usage: python -m {package}")


def test_programs_are_typed_as_they_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert programs.sweep_program() == ["python", "sweep.py"]
    assert programs.module_program("sweeps") == ["python", "-m", "sweeps"]
    assert (programs.tool("mlflow"), programs.sweep_words("a", Path("runs"))) == ("mlflow", ["a"])
    monkeypatch.setenv("PATH", str(tmp_path))  # no environment is in force
    monkeypatch.setattr(sys, "executable", str(ROOT / ".venv" / "bin" / "python3"))
    assert programs.sweep_program() == [".venv/bin/python3", "sweep.py"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [f"{ROOT}/tests/../sweep.py"])
    assert programs.sweep_program() == [f"{ROOT}/.venv/bin/python3", f"{ROOT}/tests/../sweep.py"]
    assert programs.tool("mlflow") == f"{ROOT}/.venv/bin/mlflow"
    assert programs.sweep_words("a", ROOT / "runs") == ["a", "--folder", f"{ROOT}/runs"]


@pytest.mark.parametrize(
    "value", ["a b", "it's", 'a "b"', "[a]", "{a: b}", "a,b", "$x", "null", "true", "1e-3", "", "é", "word", "a/b-c.d"]
)
def test_text_is_quoted_for_hydra(value: str) -> None:
    override = OverridesParser.create().parse_override(f"sampler.points=[{{env: {{id: {literal(value)}}}}}]")
    assert override.value() == [{"env": {"id": value}}]
