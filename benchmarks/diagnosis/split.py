"""Halves of the faults and healthy variants: a list drawn once, committed with its hash before thresholds were set.

Thresholds are set on the other half. This is the fourth draw: the kept-out halves of the first three have been scored
and looked at (`benchmarks/RESULTS.md`), so they prove nothing any more. All runs are new, by other seeds, with 26 kinds
of fault and four worlds that no draw held before. All of them would train for hours, so a part is drawn: each fault and
each healthy variant in one to three worlds, a fault in one of its forms. A half lists its arms in an order drawn as
well, so that the first of them are a part drawn at random.
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

SHA256 = "6e0e4c2850cec51fcb3433af7cc8a1850d96e0413a820d16e65fa8f344e2bd66"
"""Of the file."""

DRAWN_BY = 20261128
"""Seed of the draw, and of its runs: this is the fourth."""


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


class Candidate(NamedTuple):
    """Arm that may be drawn.

    Attributes:
        name: The fault's, or the healthy variant's.
        world: Where it is trained.
        form: `Arm.form`.
        group: Arms of one name are drawn for each group apart.
    """

    name: str
    world: str
    form: str
    group: str


def draw_arms(candidates: Sequence[Candidate], seed: int = DRAWN_BY) -> dict[str, list[str]]:
    """Draw the arms of both halves; return their titles, `<name> in <world>, <form>`, in an order drawn as well.

    The worlds of a name, in its group, are put in order at random: the first is kept out, the second is for
    calibration, the third is kept out in every second case, the others are trained in neither half. Where an arm has
    several forms, one of them is drawn.
    """
    generator = np.random.default_rng(SeedSequence(seed))
    halves: dict[Half, list[str]] = {half: [] for half in Half}
    cases = sorted({(one.group, one.name) for one in candidates})
    for number, (group, name) in enumerate(cases):
        own = [one for one in candidates if (one.group, one.name) == (group, name)]
        worlds = sorted({one.world for one in own})
        order = [worlds[int(place)] for place in generator.permutation(len(worlds))]
        kept = (Half.KEPT_OUT, Half.CALIBRATION, *([Half.KEPT_OUT] if number % 2 else []))
        for half, world in zip(kept, order, strict=False):
            forms = sorted(one.form for one in own if one.world == world)
            halves[half].append(f"{name} in {world}, {forms[int(generator.integers(len(forms)))]}")
    return {half: [titles[int(row)] for row in generator.permutation(len(titles))] for half, titles in halves.items()}


def write(halves: dict[str, list[str]], file: Path = FILE) -> str:
    """Write the two halves to a JSON file; return the file's SHA-256, to be copied into `SHA256`."""
    file.write_text(json.dumps(halves, indent=1) + "\n", encoding="utf-8")
    return _hash(file)


def read(names: Iterable[str], file: Path = FILE, expected: str = SHA256, *, is_part: bool = False) -> dict[str, Half]:
    """Read the halves from the committed JSON file; return the half of each name in the file's order.

    Args:
        names: All pairs or arms that there are.
        file: The list.
        expected: Its hash.
        is_part: True if the list may leave out some of them.

    Raises:
        SplitError: The list is another one, or does not name these.
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
    there = set(names)
    unknown = sorted(listed.keys() - there if is_part else listed.keys() ^ there)
    if unknown:
        raise SplitError(
            f"{file.name} must name what is trained, and the two differ in {', '.join(unknown[:5])}; "
            "a new list means new thresholds: draw one, and measure its kept-out half once"
        )
    return listed


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
