"""Train Stable-Baselines3 with faults that people make, diagnose its logs as a stranger's, and count what was found.

    make bench-strangers                            # trains what is missing, then reads each run's folder
    make bench-strangers ARGS="--form csv"          # reads progress.csv alone, as where somebody passes on one file
    make bench-strangers ARGS=--probe               # reads the probe's logs; short for --form probe
    python -m benchmarks.strangers --half calibration --details
    python -m benchmarks.strangers --train          # trains what is missing, and diagnoses nothing

Runs are trained once and kept, each as soon as it is finished; scoring them again takes a minute. Reading trains
nothing: a half that is kept out is trained on purpose, and read once.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from benchmarks.diagnosis.scoring import harms
from benchmarks.diagnosis.split import Half, SplitError
from benchmarks.diagnosis.tables import false_table, harmless_table
from benchmarks.seeds_together import SEEDS, together_table
from benchmarks.strangers import split
from benchmarks.strangers.scoring import LogForm, find_place, judge, judge_together
from benchmarks.strangers.tables import found_table, missed_table, quiet_table
from benchmarks.strangers.training import BASE, Arm, Run, arms, list_runs, train

_FORMS = {
    LogForm.CSV: "progress.csv alone",
    LogForm.FOLDER: "folder of the trainer",
    LogForm.PROBE: "log of the probe",
}


def main() -> int:
    """Print the result tables, or train what is missing; return 2 if the list does not fit or a run is not trained."""
    options = _options()
    try:
        halves = split.read(arms())
    except SplitError as error:
        print(error, file=sys.stderr)
        return 2
    by_pair = {arm.pair: arm for arm in arms()}
    wanted = [Half(options.half)] if options.half else list(Half)
    own = {half: [by_pair[pair] for pair in halves if halves[pair] is half][: options.first] for half in wanted}
    worlds = {arm.world for drawn in own.values() for arm in drawn}
    # Harm is measured by the plain scripts of the same worlds, whichever half they are in: by their scores alone.
    plain = [by_pair[pair] for pair in halves if by_pair[pair].name == BASE and by_pair[pair].world in worlds]
    every = dict.fromkeys(run for arm in (*plain, *chain(*own.values())) for run in list_runs(arm, options.folder))
    missing = [run for run in every if not run.is_finished]
    if options.train:
        _train(missing)
        return 0
    if missing:
        print(
            f"each run of the half must be trained before it is read, got {len(missing)} of {len(every)} not in "
            f"{options.folder}; train them: add --train",
            file=sys.stderr,
        )
        return 2
    for half in wanted:
        print(f"# Strangers, {half} half, {_FORMS[options.form]}\n")
        print(_report(own[half], plain, options), end="\n\n")
    return 0


def _train(missing: Sequence[Run]) -> None:
    for number, run in enumerate(missing, 1):
        train(run)
        place = f"{number} of {len(missing)}"
        print(f"{place}: {run.arm.pair}/{run.seed} scores {run.score:.4g}", file=sys.stderr, flush=True)


def _report(own: Sequence[Arm], plain: Sequence[Arm], options: argparse.Namespace) -> str:
    """Diagnose the runs of some arms; return the tables."""
    judged = {arm: [judge(run, options.form) for run in list_runs(arm, options.folder)] for arm in own}
    healthy = {arm.world: [run.score for run in list_runs(arm, options.folder)] for arm in plain}
    hurt = harms(judged, healthy)
    tables = [found_table(judged, hurt), quiet_table(judged), harmless_table(hurt)]
    if options.together:
        trials = [judge_together(arm, list_runs(arm, options.folder), options.form) for arm in own]
        tables.append(together_table(trials, hurt, find_place))
    if options.details:
        tables += [missed_table(judged, hurt), false_table(judged)]
    return "\n\n".join(tables)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.strangers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--half", choices=[*Half], help="default: both, one after the other")
    parser.add_argument("--first", type=int, metavar="N", help="only N pairs of a half, a part drawn at random")
    parser.add_argument(
        "--form", type=LogForm, choices=[*LogForm], default=LogForm.FOLDER, help="what is read; default: folder"
    )
    parser.add_argument("--probe", action="store_const", dest="form", const=LogForm.PROBE, help="--form probe")
    parser.add_argument("--details", action="store_true", help="what was missed or wrong, pair by pair; with --half")
    parser.add_argument(
        "--together", action="store_true", help=f"trials of {SEEDS} seeds too, beside each seed alone; some minutes"
    )
    parser.add_argument("--train", action="store_true", help="train what is missing, and diagnose nothing")
    parser.add_argument("--folder", type=Path, default=Path("runs/bench-strangers"), help="where runs are kept")
    options = parser.parse_args()
    if options.details and not options.half:
        parser.error("--details needs --half: details of the kept-out half are for whoever sets no thresholds any more")
    return options


if __name__ == "__main__":
    sys.exit(main())
