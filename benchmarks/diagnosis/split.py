"""Halves of the faults and healthy variants: a list drawn once, committed with its hash before thresholds were set.

Thresholds are set on the other half. This is the ninth draw: the kept-out halves of the first eight have been scored
and looked at (`benchmarks/RESULTS.md`), so that all their arms have joined those that thresholds may be set on, with
arms that were trained to mend rules in sight of. No world is new. Kept out are as many kinds of fault as can be trained
in half an hour, each in one world where nobody had trained the kind. Faults are drawn in their strong form alone: of
the sixth draw's fourteen, six did no harm. A half lists its arms in an order drawn as well, so that the first of them
are a part drawn at random.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.random import SeedSequence

FILE = Path(__file__).parent / "split.json"

SHA256 = "2ee60c9558e609036b6259470b5d642986d85866c9276db3d9bbe3b7d00f90df"
"""Of the file."""

DRAWN_BY = 20261207
"""Seed of the draw: this is the ninth."""

RUNS_BY = 20261128
"""Seed of the runs, as of the fourth draw: no pair of later draws was trained before."""

FAULTS_COUNT, HEALTHY_COUNT = 32, 12
"""Kinds of fault, and healthy variants beside the plain one, that are kept out, each in one world."""


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
        group: What is drawn for itself: `PLAIN`, or faults or healthy variants.
    """

    name: str
    world: str
    form: str
    group: str

    @property
    def title(self) -> str:
        """Entry of the halves, `<name> in <world>, <form>`."""
        return f"{self.name} in {self.world}, {self.form}"


PLAIN = "plain"
"""Group of which all are kept out."""


def draw_arms(candidates: Sequence[Candidate], counts: Mapping[str, int], seed: int = DRAWN_BY) -> list[str]:
    """Draw the arms that are kept out; return their titles in an order drawn as well, all plain ones first.

    Of a group so many names are drawn, and of each name one arm; a name that one group drew is left out of the next one
    as far as the names suffice.

    Args:
        candidates: Arms that were never trained.
        counts: Names to draw, by group.
        seed: Of the draw.
    """
    generator = np.random.default_rng(SeedSequence(seed))
    kept, used = list[str](), set[str]()
    for group, count in counts.items():
        names = _shuffle(sorted({one.name for one in candidates if one.group == group}), generator)
        chosen = sorted(names, key=lambda name: name in used)[:count]
        used |= set(chosen)
        for name in chosen:
            own = sorted(one.title for one in candidates if (one.group, one.name) == (group, name))
            kept += _shuffle(own, generator)[:1]
    plain = sorted(one.title for one in candidates if one.group == PLAIN)
    return [*plain, *_shuffle(kept, generator)]


def _shuffle(values: Sequence[str], generator: np.random.Generator) -> list[str]:
    return [values[int(row)] for row in generator.permutation(len(values))]


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
