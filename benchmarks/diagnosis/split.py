"""Halves of the faults and healthy variants: a list drawn once, committed with its hash before thresholds were set.

Thresholds are set on the other half. A pair of a fault and a world is on one side with both its forms; a way to train
healthily is, in one world, with all its seeds.

This is the third draw: the kept-out halves of the first two have been scored and looked at (`benchmarks/RESULTS.md`),
so they prove nothing any more. All runs are new, by other seeds, and there is one world more each time; faults and the
other worlds were known when thresholds were set again.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.random import SeedSequence

FILE = Path(__file__).parent / "split.json"

SHA256 = "66ddf09703f4a409a242753159eff69f34e83b98087840a026736841607b148e"
"""Of the file."""

DRAWN_BY = 20261126
"""Seed of the draw, and of its runs: this is the third."""


class Half(StrEnum):
    """Names of the benchmark's two halves: one to choose thresholds with, one kept out until the final measurement.

    Attributes:
        CALIBRATION: Thresholds are set on it.
        KEPT_OUT: Measured at the end.
    """

    CALIBRATION = "calibration"
    KEPT_OUT = "kept-out"


class SplitError(Exception):
    """Error: the file with the halves was changed, or does not list exactly the pairs that are trained."""


class Entry(NamedTuple):
    """A pair of a fault (or healthy variant) and a world; all forms and seeds of a pair belong to the same half.

    Attributes:
        pair: `Arm.pair`.
        world: Its world: each world is halved by itself.
        healthy: Whether it is healthy; healthy and faulty pairs are halved by themselves.
    """

    pair: str
    world: str
    healthy: bool


def draw(entries: Sequence[Entry], seed: int = DRAWN_BY) -> dict[str, list[str]]:
    """Assign the pairs of each world to two halves at random; return the sorted pairs of each half.

    Where a group has an odd number of pairs, the odd one is kept out in every second group.
    """
    generator = np.random.default_rng(SeedSequence(seed))
    halves: dict[str, list[str]] = {half: [] for half in Half}
    groups = sorted({(entry.healthy, entry.world) for entry in entries})
    for number, (healthy, world) in enumerate(groups):
        pairs = sorted({entry.pair for entry in entries if (entry.healthy, entry.world) == (healthy, world)})
        order = generator.permutation(len(pairs))
        kept = (len(pairs) + number % 2) // 2
        for place, row in enumerate(order):
            halves[Half.KEPT_OUT if place < kept else Half.CALIBRATION].append(pairs[int(row)])
    return {half: sorted(pairs) for half, pairs in halves.items()}


def write(halves: dict[str, list[str]], file: Path = FILE) -> str:
    """Write the two halves to a JSON file; return the file's SHA-256, to be copied into `SHA256`."""
    file.write_text(json.dumps(halves, indent=1) + "\n", encoding="utf-8")
    return _hash(file)


def read(pairs: Iterable[str], file: Path = FILE, expected: str = SHA256) -> dict[str, Half]:
    """Read the halves from the committed JSON file; return the half of each pair.

    Args:
        pairs: All that are trained.
        file: The list.
        expected: Its hash.

    Raises:
        SplitError: The list is another one, or does not name these pairs.
    """
    got = _hash(file)
    if got != expected:
        raise SplitError(
            f"{file.name} must have the sha256 {expected[:12]}..., committed before thresholds were set, got "
            f"{got[:12]}...; restore it: git checkout -- {file.name}"
        )
    listed = {
        pair: Half(half) for half, names in json.loads(file.read_text(encoding="utf-8")).items() for pair in names
    }
    unknown = sorted(set(pairs) ^ listed.keys())
    if unknown:
        raise SplitError(
            f"{file.name} must name what is trained, and the two differ in {', '.join(unknown[:5])}; "
            "a new list means new thresholds: draw one, and measure its kept-out half once"
        )
    return listed


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
