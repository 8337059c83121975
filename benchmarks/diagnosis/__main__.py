"""Plant faults, train healthy runs beside them, diagnose them all, and count what was found and what was not.

    make bench-diagnosis                                  # trains what is missing, then reads
    python -m benchmarks.diagnosis --half calibration --details
    python -m benchmarks.diagnosis --only "lr too high" base
    python -m benchmarks.diagnosis --train                # trains what is missing, and diagnoses nothing

Runs are trained once and kept; scoring them again takes minutes. Reading trains nothing: a half that is kept out is
trained on purpose, and read once.
"""

import argparse
import sys
from pathlib import Path

from unstuck.records.machine import count_granted_cores
from unstuck.rl import metrics

from benchmarks.diagnosis import split, tables, together
from benchmarks.diagnosis.scoring import harms, verdicts
from benchmarks.diagnosis.training import BASE, arms, find_records, records, runs
from benchmarks.diagnosis.worlds import NEW
from benchmarks.seeds_together import SEEDS, together_table


def main() -> int:
    """Print the result tables of one half of the benchmark, or train it; return 2 if the halves' file does not fit."""
    options = _options()
    everything = {arm.title: arm for arm in arms()}
    try:
        halves = split.read(everything, is_part=True)
    except split.SplitError as error:
        print(error, file=sys.stderr)
        return 2
    half = split.Half(options.half)
    drawn = [everything[title] for title, own in halves.items() if own is half][: options.first]
    wanted = [arm for arm in drawn if not options.only or arm.name in options.only]
    # Harm is measured by a world's plain healthy runs, whichever half they are in: by their scores alone.
    worlds = {arm.world for arm in wanted}
    plain = [arm for arm in everything.values() if arm.is_healthy and arm.name == BASE and arm.world in worlds]
    every = dict.fromkeys([*plain, *wanted])
    missing = [arm for arm in every if not find_records(arm, options.folder).exists()]
    if options.train:
        for number, arm in enumerate(missing, 1):
            records(arm, options.folder)
            print(f"{number} of {len(missing)}: {arm.title}", flush=True)
        return 0
    if missing:
        print(
            f"each arm of the half must be trained before it is read, got {len(missing)} of {len(every)} not in "
            f"{options.folder}, or of other code; train them: add --train",
            file=sys.stderr,
        )
        return 2
    judged = verdicts(wanted, options.folder, options.jobs, options.without)
    hurt = harms(judged, {arm.world: [run.score for run in runs(arm, options.folder)] for arm in plain})
    print(f"# Diagnosis, {half} half\n")
    print(tables.found_table(judged, hurt), tables.cause_table(judged, hurt), sep="\n\n")
    for words, is_new in (("Older", False), ("Newest", True)):
        print(f"\n{words} worlds:\n")
        print(tables.alarm_table({arm: own for arm, own in judged.items() if (arm.world in NEW) == is_new}))
    print("", tables.harmless_table(hurt), sep="\n")
    if options.together:
        trials = together.judge_trials(wanted, options.folder, options.jobs, options.without)
        print("", together_table(trials, hurt, together.find_place), sep="\n\n")
    if options.details:
        print("", tables.missed_table(judged, hurt), tables.false_table(judged), sep="\n\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.diagnosis", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--half", choices=[*split.Half], default=split.Half.KEPT_OUT, help="default: kept-out")
    parser.add_argument("--first", type=int, metavar="N", help="only N arms of the half, a part drawn at random")
    parser.add_argument("--train", action="store_true", help="train what is not trained yet, in this process, and stop")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="faults and healthy variants; default: all")
    parser.add_argument(
        "--without", nargs="+", default=(), metavar="METRIC", help="leave these out, as where nobody logs them"
    )
    parser.add_argument("--details", action="store_true", help="what was missed or wrong, arm by arm")
    parser.add_argument("--together", action="store_true", help=f"trials of {SEEDS} seeds too, beside each seed alone")
    parser.add_argument("--folder", type=Path, default=Path("runs/bench-diagnosis"), help="where runs are kept")
    parser.add_argument("--jobs", type=int, default=count_granted_cores().count, help="processes; default: one a core")
    options = parser.parse_args()
    unknown = sorted(set(options.without) - {name for name in vars(metrics).values() if isinstance(name, str)})
    if unknown:
        parser.error(f"--without must name metrics of docs/metrics.md, got {', '.join(unknown)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
