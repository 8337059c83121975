"""Pairs of a fault and a world that the benchmark trains: drawn once, and committed before the first training."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.random import SeedSequence

from benchmarks.diagnosis.training import HEALTHY, Arm

FILE = Path(__file__).parent / "pairs.json"

DRAWN_BY = 20261127
"""Seed of the draw."""

WORLDS_EACH = 2
"""Worlds that are drawn for each fault."""


def draw(worlds: Mapping[str, Sequence[str]], seed: int = DRAWN_BY) -> list[tuple[str, str]]:
    """Draw worlds for each fault, `WORLDS_EACH` or as many as there are; return the pairs, all first worlds first.

    Each fault has a generator of its own, so that more faults leave the draws of the others as they are.

    Args:
        worlds: Worlds by the name of the fault.
        seed: Seed of the draw.
    """
    orders = {
        name: np.random.default_rng(SeedSequence([seed, crc32(name.encode())])).permutation(sorted(own))
        for name, own in worlds.items()
    }
    return [
        (name, str(order[place]))
        for place in range(WORLDS_EACH)
        for name, order in orders.items()
        if place < len(order)
    ]


def select_arms(arms: Iterable[Arm], worlds: int = WORLDS_EACH) -> list[Arm]:
    """Select the faulty arms of the drawn pairs, in the order of the draw.

    Args:
        arms: All arms of the diagnosis's benchmark.
        worlds: Worlds of each fault: those drawn first.

    Raises:
        ValueError: A drawn pair is none of the arms'.
    """
    faulty: dict[tuple[str, str], list[Arm]] = {}
    for arm in arms:
        if arm.form != HEALTHY:
            faulty.setdefault((arm.name, arm.world), []).append(arm)
    drawn = [(str(name), str(world)) for name, world in json.loads(FILE.read_text(encoding="utf-8"))]
    unknown = [f"{name} in {world}" for name, world in drawn if (name, world) not in faulty]
    if unknown:
        raise ValueError(f"{FILE.name} must name pairs that are trained, got {', '.join(unknown)}; draw anew")
    names = [name for name, _ in drawn]
    first = [pair for place, pair in enumerate(drawn) if names[:place].count(pair[0]) < worlds]
    return [arm for pair in first for arm in faulty[pair]]
