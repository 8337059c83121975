"""Starting points of the benchmark: drawn once from the list of kinds, and committed with the list's hash.

The rule, written down with the draw and before any point was trained. Each draw takes a kind, then an environment, then
a severity, each with equal odds among those of which something is left. The benchmark walks through the draws in order
and takes the first `TAKEN` that count, of a kind at most `MOST_OF_A_KIND`, in an environment at most as many as
`MOST_IN` says. A point counts if its run completes (a run that diverges leaves nothing to go on from) and is
broken: after `BROKEN_ITERATIONS` its members went, on average, less than `BROKEN_BELOW` of the way from the uniformly
random policy to the healthy run of as many iterations. Whatever is found about a point later, the point stays.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.random import SeedSequence

from benchmarks.unstick.kinds import ENVIRONMENTS, KINDS, Kind, Settings

FILE = Path(__file__).parent / "points.json"

SHA256 = "90db96f4c55168cb91c7df4b46a7f2fe022ba9604cf76e4e1206f11e144b2403"
"""Of the file."""

DRAWN_BY = 20261127
"""Seed of the draw."""

TAKEN = 14
MOST_OF_A_KIND = 2
MOST_IN = {"triage": 4, "stream": 4, "cartpole": 4, "acrobot": 2}
"""Acrobot's steps cost four times as much: it was 4 like the others when the list was drawn, and was lowered before any
point was trained."""

BROKEN_BELOW = 0.7


class PointsError(Exception):
    """Error: the file with the drawn starting points was changed."""


class Point(NamedTuple):
    """A drawn starting point: an environment, and the fault in settings that its run is trained with.

    Attributes:
        number: Place in the draw, from 0.
        kind: `Kind.name`.
        severity: Name of the severity.
        environment: Name in `ENVIRONMENTS`.
        healthy: Healthy settings of the environment.
        fault: Settings that break the run; they replace healthy ones.
    """

    number: int
    kind: str
    severity: str
    environment: str
    healthy: Settings
    fault: Settings

    @property
    def name(self) -> str:
        """Name of the point's sweep: its number, its environment and its kind."""
        return f"{self.number:02d}-{self.environment}-{self.kind}".replace("'", "").replace(" ", "-")


def draw(kinds: Sequence[Kind] = KINDS, seed: int = DRAWN_BY) -> list[Point]:
    """Draw all combinations of kind, environment and severity in random order: kind first, then where, then how."""
    generator = np.random.default_rng(SeedSequence(seed))

    def choose(options: Sequence[str]) -> str:
        return options[int(generator.integers(len(options)))]

    left = {kind.name: {where: dict(kind.severities) for where in kind.environments} for kind in kinds}
    points: list[Point] = []
    while left:
        kind = choose(list(left))
        environment = choose(list(left[kind]))
        severities = left[kind][environment]
        severity = choose(list(severities))
        fault = severities.pop(severity)
        points.append(Point(len(points), kind, severity, environment, ENVIRONMENTS[environment], fault))
        left[kind] = {where: rest for where, rest in left[kind].items() if rest}
        left = {name: rest for name, rest in left.items() if rest}
    return points


def write(points: Sequence[Point], file: Path = FILE) -> str:
    """Write drawn points to a JSON file; return the file's SHA-256, to be copied into `SHA256`."""
    rows: list[dict[str, Any]] = [point._asdict() for point in points]
    file.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n", encoding="utf-8")
    return _hash(file)


def read(file: Path = FILE, expected: str = SHA256) -> list[Point]:
    """Read the drawn points from the committed JSON file.

    Raises:
        PointsError: The file is another one.
    """
    got = _hash(file)
    if got != expected:
        raise PointsError(
            f"{file.name} must have the sha256 {expected[:12]}..., committed before anything was tuned to it, got "
            f"{got[:12]}...; restore it: git checkout -- {file.name}"
        )
    return [Point(**row) for row in json.loads(file.read_text(encoding="utf-8"))]


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
