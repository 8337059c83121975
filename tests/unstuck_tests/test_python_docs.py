"""The page on `import unstuck`: its examples run, in their order, and its tables name what there is."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

import unstuck
from tests.analysis_tests.runs import healthy
from tests.conftest import Command
from unstuck import running

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


@pytest.fixture
def first_runs_here(command: Command, monkeypatch: pytest.MonkeyPatch, without_ray: None, undiagnosed: None) -> None:
    """The page's new sweep runs in this process; what is refused or goes on has a process of its own, as always.

    A sweep with Ray in a process of `run_sweep`: sweeps_tests/run/test_sweep_resume.py.
    """
    run_process = running._run_process

    def run(words: Sequence[str], told: Path, show: bool) -> running._Ran:
        if "sweep.name=first" not in words:
            return run_process(words, told, show)
        done = command.unstuck("sweep", *words)
        print(done.out)
        told.write_text(str(command.folder / "runs" / "first"))
        return running._Ran(done.code, done.err)

    monkeypatch.setattr(running, "_run_process", run)


@pytest.mark.slow
def test_the_examples_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], first_runs_here: None
) -> None:
    monkeypatch.chdir(tmp_path)
    for stem, f1 in (("progress", 0.0), ("worse", -0.3)):
        run = healthy(seeds=3)
        for name in run.table.columns[run.table.columns.str.startswith("eval/f1")]:
            run.table[name] += f1
        run.table.to_csv(f"{stem}.csv", index_label="iteration")
    names: dict[str, object] = {}
    printed = []
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(compile(code, str(PAGE), "exec"), names)
        printed.append(capfd.readouterr().out)
    assert len(printed) == 7
    diagnosed, curves, compared, run_out, tables, again, last = printed
    assert diagnosed.startswith("progress.csv:\n")
    assert "train/value_loss" in curves
    assert compared.startswith("None is better than progress.csv") or "None has a higher score" in compared
    assert "worse than the control" in compared
    assert "[0 s] starting Ray" in run_out
    assert "\nall trials have ended\nTrial " in run_out
    assert "ppo.lr" in tables
    assert "first/" in tables
    assert list(tmp_path.glob("first-*.svg"))
    assert again == "ended 2\n"
    assert "ppo.learning_rate; " in last
    assert "ppo.lr" in last
    assert "Nothing left to do: all 2 trials have ended" in last
    assert last.endswith("False\n")


def test_every_public_name_is_on_the_page() -> None:
    page = PAGE.read_text()
    functions = [name for name in unstuck.__all__ if name.islower()]
    assert [name for name in functions if f"| `{name}(" not in page] == []
    result = [name for name in vars(unstuck.SweepResult) if not name.startswith("_") and name != "dataclass"]
    named = {*result, *unstuck.SweepResult.__dataclass_fields__} - {"config", "entries"}
    assert [name for name in named if f"`{name}`" not in page and f"`{name}(" not in page] == []
