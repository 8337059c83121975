"""One object of JSON as a run's record: a list of records, lists by name, points, and notebooks' outputs."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history import load
from unstuck.rl import metrics

RETURN, VALUE = metrics.TRAIN_RETURN, metrics.VALUE_LOSS
ROWS = [{"iteration": i, "reward": i + 0.5, "critic_loss": 8.0 / i, "file": None} for i in (1, 2, 3)]
LISTS = {"reward": [1.5, 2.5, 3.5], "critic_loss": [8.0, 4.0, 8.0 / 3]}


@pytest.mark.parametrize(
    "tree",
    [
        ROWS,
        LISTS,
        {"train": LISTS, "config": {"gamma": 0.9, "hidden": [64, 64]}},
        {"log_history": ROWS, "best": 3.5},
        {str(row["iteration"]): row for row in ROWS},
        {name: {str(row): value for row, value in enumerate(values)} for name, values in LISTS.items()},
        {"history": {"train": ROWS, "eval": [{"note": "none"}]}},
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_a_record_in_json_is_read_whatever_its_shape(tmp_path: Path, tree: Any, indent: int | None) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps(tree, indent=indent))
    for place in (tmp_path, tmp_path / "metrics.json"):
        run = load(str(place))
        assert run.curve(RETURN).to_dict() == {1: 1.5, 2: 2.5, 3: 3.5}
        assert run.curve(VALUE).tolist() == [8.0, 4.0, pytest.approx(8 / 3)]


def test_the_longest_record_counts(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(json.dumps({"test": {"reward": [9.0, 9.0]}, "train": LISTS}, indent=1))
    assert load(str(tmp_path)).curve(RETURN).tolist() == [1.5, 2.5, 3.5]


def test_points_of_a_download_are_named_by_the_file(tmp_path: Path) -> None:
    (tmp_path / "value_loss.json").write_text(json.dumps([[1e9, 10, 5.0], [2e9, 20, 4.0]]))
    assert load(str(tmp_path / "value_loss.json")).curve(VALUE).tolist() == [5.0, 4.0]


def test_beside_another_record_json_holds_settings(tmp_path: Path) -> None:
    (tmp_path / "progress.csv").write_text("iteration,reward\n1,5\n2,6\n")
    (tmp_path / "summary.json").write_text(json.dumps(LISTS))
    assert load(str(tmp_path)).curve(RETURN).to_dict() == {1: 5.0, 2: 6.0}


@pytest.mark.parametrize("tree", [[1, 2], [], {}, {"lr": 0.1}, [{"loudness": 1}, {"loudness": 2}]])
def test_json_without_a_known_metric_is_no_record(tmp_path: Path, tree: Any) -> None:
    (tmp_path / "m.json").write_text(json.dumps(tree, indent=1))
    with pytest.raises(AnalysisError, match="must be or hold a table"):
        load(str(tmp_path / "m.json"))


def make_notebook(*printed: list[str]) -> str:
    cells = [{"cell_type": "code", "outputs": [{"output_type": "stream", "text": text}]} for text in printed]
    shown = {"outputs": [{"output_type": "execute_result", "data": {"text/plain": ["<Axes>"]}}]}
    return json.dumps({"cells": [{"cell_type": "markdown", "source": ["# PPO"]}, *cells, shown], "nbformat": 4})


def test_the_longest_log_that_a_notebook_printed_is_read(tmp_path: Path) -> None:
    long = [f"Update {i} | reward: {i}.5\n" for i in range(1, 6)]
    (tmp_path / "run.ipynb").write_text(make_notebook(["Using cpu device\n"], ["Update 1 | reward: 9\n"], long))
    run = load(str(tmp_path / "run.ipynb"))
    assert run.curve(RETURN).to_dict() == {i: i + 0.5 for i in range(1, 6)}
    assert "console text in a notebook" in run.read_as
    assert "1 more of its cells printed metrics, and fewer rows; not read" in run.remarks


@pytest.mark.parametrize("text", [make_notebook(["hello\n"]), "{}", "no JSON"])
def test_a_notebook_without_a_log_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.ipynb").write_text(text)
    with pytest.raises(AnalysisError, match=r"must hold the printed log of a training in its outputs, and holds none"):
        load(str(tmp_path / "run.ipynb"))


@pytest.mark.parametrize("name", ["metrics.json", "metrics.jsonl"])
def test_whole_numbers_beyond_all_floats_are_infinite(tmp_path: Path, name: str) -> None:
    rows = [{"iteration": 1, "reward": 1}, {"iteration": 2, "reward": 10**400}]
    (tmp_path / name).write_text(json.dumps(rows) if name.endswith("n") else "\n".join(map(json.dumps, rows)))
    assert load(str(tmp_path / name)).curve(RETURN).tolist() == [1.0, math.inf]
