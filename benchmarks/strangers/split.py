"""Halves of the benchmark's pairs: drawn once, and committed with their hash before any run was diagnosed."""

from collections.abc import Iterable
from pathlib import Path

from benchmarks.diagnosis import split
from benchmarks.diagnosis.split import Entry, Half
from benchmarks.strangers.training import Arm

FILE = Path(__file__).parent / "split.json"

SHA256 = "7f8d6182725c78e051c2db66b9418bbea5912edb77fb2a76aec76dd725c50cfc"
"""Of the file."""

DRAWN_BY = 20261127
"""Seed of the draw."""


def draw(arms: Iterable[Arm]) -> dict[str, list[str]]:
    """Assign the pairs of each world to two halves at random; return the sorted pairs of each half."""
    return split.draw([Entry(arm.pair, arm.world, arm.is_healthy) for arm in arms], DRAWN_BY)


def read(arms: Iterable[Arm]) -> dict[str, Half]:
    """Return the half of each pair, from the committed file.

    Raises:
        SplitError: The file is another one, or does not name these pairs.
    """
    return split.read({arm.pair for arm in arms}, FILE, SHA256)
