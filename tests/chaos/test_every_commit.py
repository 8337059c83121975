"""A sweep that is killed before any commit ends, after a resume, as one that nobody disturbed: bit for bit."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.harness import ROOT, TOTALS, Counts
from tests.sweeps_tests.trained import KEEP_STATE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]


def by_hand(folder: Path, *options: object) -> list[dict[str, Any]]:
    """The undisturbed sweep, and then one for each moment."""
    command = (sys.executable, ROOT / "tests/chaos/by_hand.py", folder / "sweeps", *map(str, options))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(accident: str, results: list[dict[str, Any]], same: bool = True, prunes: bool = True) -> None:
    """Compare each killed sweep with the undisturbed one, which must have trials that ended in each way."""
    undisturbed, *killed = results
    assert undisturbed["audit"]["findings"] == []
    outcomes = [outcome for _, outcome, *_ in undisturbed["decided"]]
    assert {"completed", "infeasible", *(["pruned"] if prunes else [])} <= set(outcomes)
    assert killed
    for result in killed:
        found = result["audit"]
        kinds = [finding["kind"] for finding in found["findings"]]
        missing = len(outcomes) - found["trials"] + len(found["open"])
        counts = {kind: kinds.count(kind) for kind in ("duplicate", "curve", "disagreement")}
        TOTALS[accident] += Counts(1, found["trials"], lost=kinds.count("lost") + max(0, missing), **counts)
    assert [result for result in killed if result["audit"]["findings"] or result["audit"]["open"]] == []
    if same:  # with several at a time, who is first at a rung depends on who was interrupted
        assert [result["at"] for result in killed if not result["same"]] == []


@pytest.mark.chaos
@pytest.mark.parametrize("trainer", [*KEEP_STATE, "command"])
def test_killed_before_a_few_commits(tmp_path: Path, trainer: str) -> None:
    """A command keeps no state: its trials start anew, and end with the same numbers all the same."""
    results = by_hand(tmp_path, "--first", 20, "--every", 60, "--trainer", trainer)
    check("killed_before_a_few_commits", results, prunes=trainer != "sb3")  # whose few trials are all good enough


@pytest.mark.chaos
def test_killed_before_every_commit(tmp_path: Path) -> None:
    check("killed_before_every_commit", by_hand(tmp_path))


@pytest.mark.chaos
def test_killed_before_every_commit_two_at_a_time(tmp_path: Path) -> None:
    check("killed_before_every_commit_two_at_a_time", by_hand(tmp_path, "--slots", 2, "--every", 6), same=False)


@pytest.mark.chaos
@pytest.mark.parametrize("again", [(7,), (30, 11), (2, 2, 2)])
def test_killed_before_every_commit_and_in_the_resume(tmp_path: Path, again: tuple[int, ...]) -> None:
    results = by_hand(tmp_path, "--first", 3, "--every", 7, "--again", *again)
    check("killed_before_every_commit_and_in_the_resume", results)
