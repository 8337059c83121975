"""Strangers' runs are read as a script that knows nothing of the reader says they must be."""

from pathlib import Path

import pytest
from unstuck.analysis.history import load

from benchmarks.wild import list_differences, read_all


@pytest.mark.slow
def test_every_case_is_read_with_its_iterations_returns_and_units(cases: Path) -> None:
    assert read_all(cases) == {}


def test_a_run_that_was_read_wrongly_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "progress.csv"
    file.write_text("iteration,value_loss\n1,4\n2,2\n")
    history = load(str(file))
    right = {"count": 2, "first": 4.0, "last": 2.0, "mean": 3.0}
    assert list_differences(history, {"iterations": 2, "rows": 2, "train/value_loss": right}) == []
    assert list_differences(history, {"iterations": 3, "rows": 2, "train/value_loss": right | {"last": 1.0}}) == [
        "iterations 2, not 3",
        "train/value_loss [2, 4.0, 2.0, 3.0], not [2, 4.0, 1.0, 3.0]",
    ]
