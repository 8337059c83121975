"""Break runs by bad settings, unstick them by the prescriptions of the diagnosis alone, and count which are mended.

make bench-unstick
python -m benchmarks.unstick --look second
"""

import argparse
import sys
from multiprocessing.pool import ThreadPool
from pathlib import Path

from unstuck.records.machine import count_granted_cores

from benchmarks.unstick import points
from benchmarks.unstick.choosing import choose, train_broken
from benchmarks.unstick.kinds import ENVIRONMENTS
from benchmarks.unstick.levels import measure_levels


def main() -> int:
    """Train what is missing and print the tables; return 2 if the list of points is not the committed one."""
    options = _options()
    try:
        drawn = points.read()
    except points.PointsError as error:
        print(error, file=sys.stderr)
        return 2
    with ThreadPool(options.jobs) as pool:
        measured = pool.map(lambda name: measure_levels(name, options.folder), ENVIRONMENTS)
    levels = dict(zip(ENVIRONMENTS, measured, strict=True))
    print(levels)
    chosen, known = choose(
        drawn, lambda point: train_broken(point, levels[point.environment], options.folder), options.jobs
    )
    for point in drawn:
        if point.number in known:
            print(point.number, point.environment, point.kind, point.severity, known[point.number], point in chosen)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.unstick", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--look", default="first", help="name of the unsticks: another one runs them anew")
    parser.add_argument("--folder", type=Path, default=Path("runs/bench-unstick"), help="where sweeps are kept")
    parser.add_argument("--jobs", type=int, default=count_granted_cores().count, help="sweeps at once; default: cores")
    options = parser.parse_args()
    options.folder = options.folder.absolute()
    return options


if __name__ == "__main__":
    sys.exit(main())
