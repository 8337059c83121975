"""Strangers' runs are read as a script that knows nothing of the reader says they must be."""

import math
from pathlib import Path
from typing import Any

import pytest
from unstuck.analysis.history import History, load

from benchmarks.wild_expected import expected


def differences(history: History, wanted: dict[str, Any]) -> list[str]:
    """What of a run was read otherwise than it should have been."""
    found = {"iterations": history.last_iteration, "rows": len(history.table)}
    wrong = [f"{name} {got}, not {wanted[name]}" for name, got in found.items() if got != wanted[name]]
    for metric, summary in wanted.items():
        if not isinstance(summary, dict):
            continue
        curve = history.curve(metric)
        values = [
            len(curve),
            *map(float, curve.iloc[[0, -1]] if len(curve) else (math.nan, math.nan)),
            float(curve.mean()),
        ]
        if not all(math.isclose(a, b, rel_tol=1e-6) for a, b in zip(values, summary.values(), strict=True)):
            wrong.append(f"{metric} {values}, not {list(summary.values())}")
    return wrong


@pytest.mark.slow
def test_every_case_is_read_with_its_iterations_returns_and_units(cases: Path) -> None:
    wrong = {}
    for name, wanted in expected(cases).items():
        history = load(str(cases / name))
        assert history.read_as, name
        wrong[name] = differences(history, wanted)
    assert {name: texts for name, texts in wrong.items() if texts} == {}
    assert len(wrong) >= 60


def test_a_run_that_was_read_wrongly_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "progress.csv"
    file.write_text("iteration,value_loss\n1,4\n2,2\n")
    history = load(str(file))
    right = {"count": 2, "first": 4.0, "last": 2.0, "mean": 3.0}
    assert differences(history, {"iterations": 2, "rows": 2, "train/value_loss": right}) == []
    assert differences(history, {"iterations": 3, "rows": 2, "train/value_loss": right | {"last": 1.0}}) == [
        "iterations 2, not 3",
        "train/value_loss [2, 4.0, 2.0, 3.0], not [2, 4.0, 1.0, 3.0]",
    ]
