"""Train Stable-Baselines3 with faults that people make, diagnose its logs as a stranger's, and count what was found.

    make bench-strangers
    python -m benchmarks.strangers --half calibration --details
    python -m benchmarks.strangers --train          # trains what is missing, and diagnoses nothing

Runs are trained once and kept, each finished one at once; scoring them again takes a minute.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.diagnosis.split import Half, SplitError
from benchmarks.strangers import split
from benchmarks.strangers.training import BASE, arms, list_runs, train


def main() -> int:
    """Train what is missing and print the result tables; return 2 if the file of the halves does not fit."""
    options = _options()
    everything = arms()
    try:
        halves = split.read(everything)
    except SplitError as error:
        print(error, file=sys.stderr)
        return 2
    # Harm is measured by the plain healthy runs of both halves; then the half that thresholds may be set on.
    order = sorted(everything, key=lambda arm: (arm.name != BASE, halves[arm.pair] is Half.KEPT_OUT))
    every = [run for arm in order for run in list_runs(arm, options.folder)]
    for number, run in enumerate(every, 1):
        if not run.is_finished:
            train(run)
            print(
                f"{number} of {len(every)}: {run.arm.pair}/{run.seed} scores {run.score:.4g}",
                file=sys.stderr,
                flush=True,
            )
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.strangers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", action="store_true", help="train what is missing, and diagnose nothing")
    parser.add_argument("--folder", type=Path, default=Path("runs/bench-strangers"), help="where runs are kept")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
