"""What docs/probe.md shows runs, and what it lists is what is logged."""

import inspect
import re
import textwrap
from pathlib import Path

import pytest
from unstuck.analysis.history.record import EPISODE_LENGTH, EVAL_LENGTH
from unstuck.rl import metrics

from benchmarks import own_loop
from tests.docs_tests.pages import read_blocks, read_page
from unstuck.probe.log import NAMES

PAGE = read_page("docs/probe.md")


@pytest.mark.slow
def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("stable_baselines3")
    monkeypatch.chdir(tmp_path)
    blocks = [textwrap.dedent(block.text) for block in read_blocks(re.sub(r"^  (?=```)", "", PAGE, flags=re.M))]
    ran: dict[str, object] = {}
    shown = [block for block in blocks if "import unstuck" in block or ("Probe(" in block and "args" not in block)]
    assert len(shown) == 3
    for text in shown:
        exec(text.replace("model.learn(4_096,", "model.learn(1_024,"), ran)  # two iterations show what eight do
    assert "not judged" in capsys.readouterr().out
    assert (tmp_path / "runs" / "sb3" / "probe.csv").read_text().count("\n") == 1 + 2
    assert (tmp_path / "runs" / "two" / "probe.json").is_file()


def test_the_lines_of_the_loop_are_those_of_the_file() -> None:
    source = [line.strip().replace("  # fmt: skip", "") for line in inspect.getsource(own_loop).splitlines()]
    lines = [
        line.strip() for block in read_blocks(PAGE) if block.language == "text" for line in block.text.splitlines()
    ]
    assert len(lines) == 10
    assert [line for line in lines if line not in source] == []


def test_each_metric_of_the_probe_stands_in_the_table() -> None:
    listed = set(re.findall(r"`((?:train|eval)/[\w<>/]+)`", PAGE.partition("## What is measured")[2]))
    assert listed == {*NAMES, metrics.action_metric("<action>")} - {
        "env_steps",
        EPISODE_LENGTH,
        EVAL_LENGTH,
        metrics.EVAL_RETURN,
    }
