"""Break runs by bad settings, unstick them by the prescriptions of the diagnosis alone, and count which are mended.

    make bench-unstick
    python -m benchmarks.unstick --look second

Sweeps are run once and kept; another look unsticks all broken runs anew, by the code as it is then.
"""

import argparse
import sys
from multiprocessing.pool import ThreadPool
from pathlib import Path

from unstuck.analysis.sweep.importance import read_sweep
from unstuck.records.machine import count_granted_cores

from benchmarks.unstick import points, tables
from benchmarks.unstick.choosing import choose, train_broken
from benchmarks.unstick.kinds import ENVIRONMENTS
from benchmarks.unstick.levels import measure_levels
from benchmarks.unstick.pairs import describe_pairs, find_pairs, make_pair_table
from benchmarks.unstick.scoring import Score, score


def main() -> int:
    """Train what is missing and print the tables; return 2 if the list of points is not the committed one."""
    options = _options()
    folder, jobs = options.folder.absolute(), options.jobs
    try:
        drawn = points.read()
    except points.PointsError as error:
        print(error, file=sys.stderr)
        return 2
    with ThreadPool(jobs) as pool:
        measured = pool.map(lambda name: measure_levels(name, folder), ENVIRONMENTS, chunksize=1)
        levels = dict(zip(ENVIRONMENTS, measured, strict=True))
        chosen, known = choose(drawn, lambda point: train_broken(point, levels[point.environment], folder), pool)

        def score_one(point: points.Point) -> Score:
            return score(point, known[point.number] or 0.0, levels[point.environment], options.look, folder)

        scores = pool.map(score_one, [] if options.only_break else chosen, chunksize=1)
    print(f"# Unstick, {options.look} look\n\n{tables.describe_figure(scores)}\n")
    print(tables.make_score_table(scores), "\nReplaced in the draw:\n", sep="\n")
    print(tables.make_replaced_table(drawn, known), "", tables.make_level_table(levels), sep="\n")
    pairs = [
        pair
        for point in ([] if options.only_break else chosen)
        for pair in find_pairs(point, read_sweep(f"{point.name}-{options.look}", folder), levels[point.environment])
    ]
    print(f"\nGo on, or start anew ({describe_pairs(pairs)}):\n", make_pair_table(pairs), sep="\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.unstick", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--look", default="first", help="name of the unsticks; another name runs them anew")
    parser.add_argument("--only-break", action="store_true", help="train the broken runs, and unstick none")
    parser.add_argument("--folder", type=Path, default=Path("runs/bench-unstick"), help="where sweeps are kept")
    parser.add_argument("--jobs", type=int, default=count_granted_cores().count, help="sweeps at once; default: cores")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
