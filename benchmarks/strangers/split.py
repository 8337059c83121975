"""Halves of the benchmark's pairs: a list drawn once, committed with its hash before any of its runs was trained.

This is the third draw. The kept-out halves of the first two were diagnosed (`benchmarks/RESULTS.md`), so that their
pairs have joined those that thresholds may be set on. New are three worlds and five kinds of fault. Each kind is drawn
in one of the new worlds, some kinds also in an older world where they had never been trained, and each healthy way in
one world of either sort. Pairs that were not drawn are trained in neither half.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.random import SeedSequence

from benchmarks.diagnosis import split
from benchmarks.diagnosis.split import Half
from benchmarks.strangers.training import BASE, Arm
from benchmarks.strangers.worlds import NEWEST

FILE = Path(__file__).parent / "split.json"

SHA256 = "88cc20fde16135d070a26c5b2e1434edf247c34eb9977fbbe4333f3985c120f2"
"""Of the file."""

DRAWN_BY = 20261130
"""Seed of the draw."""

OLDER = 5
"""Kinds of fault that are drawn in an older world as well; the plain script is kept out in each new world."""

TRAINED_APART = frozenset(
    {
        "frozen layers in acrobot",
        "gamma too low in lander",
        "lr in the wrong unit in acrobot",
        "one hidden unit in tank",
        "plain gradient descent in acrobot",
        "plain gradient descent in tank",
        "weight decay in reach",
        "weight decay in tank",
    }
)
"""Pairs outside of the draws that readers of saved models were written with: these can't be drawn any more."""


def draw(arms: Sequence[Arm], seen: Iterable[str]) -> dict[str, list[str]]:
    """Draw the pairs that are kept out among those that were never trained; return the pairs of each half.

    The half that is kept out begins with plain scripts; the order of all others is drawn, so that the first of them are
    a part drawn at random.

    Args:
        arms: All that there are.
        seen: Pairs of the earlier draws.
    """
    generator = np.random.default_rng(SeedSequence(DRAWN_BY))
    old = set(seen)
    fresh = [arm for arm in arms if arm.pair not in old | TRAINED_APART]
    plain, kept, older = list[str](), list[str](), list[str]()
    for is_healthy, name in sorted({(arm.is_healthy, arm.name) for arm in fresh}):
        by_world = {arm.world: arm.pair for arm in fresh if (arm.is_healthy, arm.name) == (is_healthy, name)}
        own = sorted(by_world.values())
        newest = sorted(pair for world, pair in by_world.items() if world in NEWEST)
        others = sorted(pair for world, pair in by_world.items() if world not in NEWEST)
        if name == BASE:
            plain += own
        elif is_healthy:
            kept += _shuffle(own, generator)[:1]
        else:
            kept += _shuffle(newest or others, generator)[:1]
            older += _shuffle(others, generator)[:1] if newest else []
    kept += _shuffle(older, generator)[:OLDER]
    return {Half.CALIBRATION: sorted(old), Half.KEPT_OUT: [*plain, *_shuffle(kept, generator)]}


def _shuffle(pairs: Sequence[str], generator: np.random.Generator) -> list[str]:
    return [pairs[int(row)] for row in generator.permutation(len(pairs))]


def read(arms: Iterable[Arm]) -> dict[str, Half]:
    """Return the half of each pair that was drawn, from the committed file.

    Raises:
        SplitError: The file is another one, or names a pair that there is not.
    """
    return split.read({arm.pair for arm in arms}, FILE, SHA256, is_part=True)
