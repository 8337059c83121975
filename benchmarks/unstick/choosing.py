"""Choose the points that count, by the rule that `points` states: those that are broken, in the order of the draw."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path

from unstuck.records.outcome import Outcome

from benchmarks.unstick.levels import Levels
from benchmarks.unstick.points import BROKEN_BELOW, MOST_IN, MOST_OF_A_KIND, TAKEN, Point
from benchmarks.unstick.sweeps import train

SEED_OF_FIRST = 100
"""`sweep.seed` of the point drawn first; the next one's is one more."""


def walk(points: Sequence[Point], known: Mapping[int, float | None]) -> list[Point]:
    """Walk through the draws in order and return the points that count, as many as are taken.

    Args:
        points: In the order of the draw.
        known: Share of the way from random to healthy by the numbers of the points trained so far; None for a run that
            did not complete. A point that is not trained yet is taken to count.
    """
    chosen: list[Point] = []
    kinds, environments = Counter[str](), Counter[str]()
    for point in points:
        share = known.get(point.number, 0.0)
        counts = share is not None and share < BROKEN_BELOW
        is_open = kinds[point.kind] < MOST_OF_A_KIND and environments[point.environment] < MOST_IN[point.environment]
        if counts and is_open and len(chosen) < TAKEN:
            chosen.append(point)
            kinds[point.kind] += 1
            environments[point.environment] += 1
    return chosen


def choose(
    points: Sequence[Point], break_one: Callable[[Point], float | None], pool: ThreadPool
) -> tuple[list[Point], dict[int, float | None]]:
    """Train points broken until it is known which count; return these, and the share of each point that was trained."""
    known: dict[int, float | None] = {}
    while unknown := [point for point in walk(points, known) if point.number not in known]:
        known |= zip((point.number for point in unknown), pool.map(break_one, unknown, chunksize=1), strict=True)
    return walk(points, known), known


def train_broken(point: Point, levels: Levels, folder: Path) -> float | None:
    """Train a point's broken run, or read a finished one; return its share of the way, None if the run diverged."""
    settings = {**point.healthy, **point.fault, "sweep.seed": SEED_OF_FIRST + point.number}
    trial = train(point.name, settings, folder).trials[0]
    return levels.share(trial.value) if trial.outcome is Outcome.COMPLETED and trial.value is not None else None
