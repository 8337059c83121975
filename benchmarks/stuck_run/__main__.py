"""Show the stuck run's picture by three planted faults, and print the tables of docs/studies/stuck_run.md.

    make study-stuck-run
    python -m benchmarks.stuck_run --quick

Tables go to standard output, what the commands print to standard error.
"""

import argparse
import os
import sys
import tempfile
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.stuck_run.picture import show_picture, train_stuck
from benchmarks.stuck_run.scale import full_scale, quick_scale
from benchmarks.stuck_run.unsticking import unstick


def main() -> None:
    """Train the stuck run, unstick it, and print the tables of each part as soon as the part is done."""
    options = _options()
    torch.set_num_threads(1)
    scale = replace(quick_scale() if options.quick else full_scale(options.data), processes=options.processes)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="stuck_run-"))
    print(f"torch {torch.__version__}, one thread{', --quick: too short to show anything' if options.quick else ''}")
    with redirect_stdout(sys.stderr):
        stuck = train_stuck(scale, folder)
        tables = show_picture(scale, stuck, folder)
    print("\n## The picture", *tables, sep="\n\n", flush=True)
    with redirect_stdout(sys.stderr):
        tables = unstick(scale, folder)
    print("\n## What moves", *tables, sep="\n\n", flush=True)
    print(f"all records: {folder}", file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small and short, to see that all of it runs")
    beside = Path(os.environ.get("UNSTUCK_DATA", Path(__file__).parents[3] / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=beside, help="folder of data sets; $UNSTUCK_DATA, ../shared/data")
    parser.add_argument(
        "--folder", type=Path, help="folder for all records, whose trainings are not repeated; default: a new one"
    )
    parser.add_argument("--processes", type=int, help="arms to train at a time; default: one a core")
    return parser.parse_args()


if __name__ == "__main__":
    main()
