"""What is printed to be typed next, typed: from the folder where the user stands, which is not the checkout."""

import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from unstuck.sweeps.run.preparation import PreparedSweep, prepare_sweep

from tests.conftest import Command

ROOT = Path(__file__).parents[2]


class ReachedError(BaseException):
    """All that can be refused has been passed, and all records are open: trials would run now."""


def prepare(command: Command, words: list[str], monkeypatch: pytest.MonkeyPatch) -> PreparedSweep:
    """The sweep that a call of sweep.py would run, before anything is on record."""
    found: list[PreparedSweep] = []

    def reach(*arguments: Any) -> PreparedSweep:
        found.append(prepare_sweep(*arguments))
        raise ReachedError

    with monkeypatch.context() as patch:
        patch.setattr("unstuck.sweeps.run.sweep.prepare_sweep", reach)
        with pytest.raises(ReachedError):
            command(*words)
    return found[0]


def starts(command: Command, words: list[str], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a call of sweep.py comes to where its trials would run; it prints why where it does not."""

    def reach(*arguments: object) -> str:
        raise ReachedError

    with monkeypatch.context() as patch:
        patch.setattr("unstuck.sweeps.run.sweep._run_trials", reach)
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
    assert arms
    for words in arms:
        assert any(word.startswith("ppo.value_coef=") for word in words)  # what the trial had of the search
        prepared = prepare(command, words[2:], monkeypatch)
        config, plan = prepared.config, prepared.plan
        first, *others = [plan.space.decode(point) for point in plan.known]
        assert plan.space.is_control(config, 0, first)
        assert not any(plan.space.is_control(config, number, one) for number, one in enumerate(others, 1))


def test_a_resume_with_other_settings_is_answered_by_the_line_that_works(
    command: Command, ended: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = command("+experiment=quickstart", f"sweep.folder={ended.parent}", "resume=ended")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    told, _, line = refused.err.partition("; start a new sweep, or resume this one as it was: ")
    assert " must be what the sweep was started with, " in told
    words = shlex.split(line)
    assert words[-1] == "resume=ended"
    assert starts(command, words[2:], monkeypatch)


def test_a_champion_is_named_as_for_the_other_commands(command: Command, ended: Path) -> None:
    shutil.copytree(ended.parent, command.folder / "runs")
    by_name = command.sweeps("champion", "ended", "--seeds", "1")
    assert (by_name.code, by_name.err) == (0, "")
    refused = command.sweeps("champion", "no-such")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == (
        f"sweeps: error: no sweep in {command.folder}/runs/no-such; sweeps in {command.folder}/runs: ended, stopped\n"
    )
