"""Examples in docstrings are run: each must give what it says."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("unstuck", "rl", "records", "sweeps", "analysis")
WITH_EXAMPLES = sorted(
    ".".join(("unstuck", *file.relative_to(ROOT).with_suffix("").parts)).replace("unstuck.unstuck", "unstuck")
    for room in ROOMS
    for file in (ROOT / room).rglob("*.py")
    if ">>> " in file.read_text() and file != ROOT / "unstuck" / "api.py"  # those read runs: tests/unstuck_tests
)


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_give_what_they_say(module: str) -> None:
    found = doctest.testmod(importlib.import_module(module.removesuffix(".__init__")))
    assert found.attempted > 0
    assert found.failed == 0
