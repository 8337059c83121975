"""Plant faults, train healthy runs beside them, diagnose them all, and count what was found and what was not.

    make bench-diagnosis
    python -m benchmarks.diagnosis --half calibration --details
    python -m benchmarks.diagnosis --only "lr too high" base

Runs are trained once and kept; scoring them again takes minutes.
"""

import argparse
import sys
from pathlib import Path

from unstuck.records.machine import count_granted_cores
from unstuck.rl import metrics

from benchmarks.diagnosis import split, tables
from benchmarks.diagnosis.scoring import harms, verdicts
from benchmarks.diagnosis.training import arms, runs


def main() -> int:
    """Print the result tables of one half of the benchmark; return 2 if the file of the halves does not fit."""
    options = _options()
    everything = arms()
    try:
        halves = split.read({arm.pair for arm in everything})
    except split.SplitError as error:
        print(error, file=sys.stderr)
        return 2
    half = split.Half(options.half)
    wanted = [arm for arm in everything if halves[arm.pair] is half and (not options.only or arm.name in options.only)]
    judged = verdicts(wanted, options.folder, options.jobs, options.without)
    # Harm is measured by a world's plain healthy runs, whichever half they are in: by their scores alone.
    healthy = {arm.world: [run.score for run in runs(arm, options.folder)] for arm in everything if arm.name == "base"}
    hurt = harms(judged, healthy)
    print(f"# Diagnosis, {half} half\n")
    print(tables.found_table(judged, hurt), tables.alarm_table(judged), tables.harmless_table(hurt), sep="\n\n")
    if options.details:
        print("", tables.missed_table(judged, hurt), tables.false_table(judged), sep="\n\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.diagnosis", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--half", choices=[*split.Half], default=split.Half.KEPT_OUT, help="default: kept-out")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="faults and healthy variants; default: all")
    parser.add_argument(
        "--without", nargs="+", default=(), metavar="METRIC", help="leave these out, as where nobody logs them"
    )
    parser.add_argument("--details", action="store_true", help="what was missed or wrong, arm by arm")
    parser.add_argument("--folder", type=Path, default=Path("runs/bench-diagnosis"), help="where runs are kept")
    parser.add_argument("--jobs", type=int, default=count_granted_cores().count, help="processes; default: one a core")
    options = parser.parse_args()
    unknown = sorted(set(options.without) - {name for name in vars(metrics).values() if isinstance(name, str)})
    if unknown:
        parser.error(f"--without must name metrics of docs/metrics.md, got {', '.join(unknown)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
