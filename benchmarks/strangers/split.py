"""Halves of the benchmark's pairs: a list drawn once, committed with its hash before any of its runs was trained.

This is the second draw. The kept-out half of the first was diagnosed (`benchmarks/RESULTS.md`), so that its pairs have
joined those that thresholds may be set on. New are three worlds, and each fault and each healthy way in up to two
worlds where neither was trained before. Pairs that were not drawn are trained in neither half.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.random import SeedSequence

from benchmarks.diagnosis import split
from benchmarks.diagnosis.split import Half
from benchmarks.strangers.training import BASE, Arm

FILE = Path(__file__).parent / "split.json"

SHA256 = "92ca564486364de33689e8bfc6460c6c96a2e307b929b2d73e6f768b6f8baca3"
"""Of the file."""

DRAWN_BY = 20261129
"""Seed of the draw."""

WORLDS_DRAWN = 2
"""Worlds drawn for each fault and each healthy way; the plain script is kept out in each new world."""


def draw(arms: Sequence[Arm], seen: Iterable[str]) -> dict[str, list[str]]:
    """Draw the pairs that are kept out among those that were never trained; return the sorted pairs of each half.

    Args:
        arms: All that there are.
        seen: Pairs of the first draw.
    """
    generator = np.random.default_rng(SeedSequence(DRAWN_BY))
    old, kept = set(seen), list[str]()
    for is_healthy, name in sorted({(arm.is_healthy, arm.name) for arm in arms}):
        new = sorted(arm.pair for arm in arms if (arm.is_healthy, arm.name) == (is_healthy, name))
        new = [pair for pair in new if pair not in old]
        count = len(new) if name == BASE else WORLDS_DRAWN
        kept += [new[int(row)] for row in generator.permutation(len(new))[:count]]
    return {Half.CALIBRATION: sorted(old), Half.KEPT_OUT: sorted(kept)}


def read(arms: Iterable[Arm]) -> dict[str, Half]:
    """Return the half of each pair that was drawn, from the committed file.

    Raises:
        SplitError: The file is another one, or names a pair that there is not.
    """
    return split.read({arm.pair for arm in arms}, FILE, SHA256, is_part=True)
