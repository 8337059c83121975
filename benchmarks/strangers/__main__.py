"""Train Stable-Baselines3 with faults that people make, diagnose its logs as a stranger's, and count what was found.

    make bench-strangers
    make bench-strangers ARGS=--probe               # from the probe's logs, in place of the trainer's own
    python -m benchmarks.strangers --half calibration --details
    python -m benchmarks.strangers --train          # trains what is missing, and diagnoses nothing

Runs are trained once and kept, each as soon as it is finished; scoring them again takes a minute.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.diagnosis.scoring import harms
from benchmarks.diagnosis.split import Half, SplitError
from benchmarks.diagnosis.tables import false_table, harmless_table
from benchmarks.seeds_together import SEEDS, together_table
from benchmarks.strangers import split
from benchmarks.strangers.scoring import find_place, judge, judge_together
from benchmarks.strangers.tables import found_table, missed_table, quiet_table
from benchmarks.strangers.training import BASE, Arm, arms, list_runs, train


def main() -> int:
    """Train what is missing and print the result tables; return 2 if the file of the halves does not fit."""
    options = _options()
    try:
        halves = split.read(arms())
    except SplitError as error:
        print(error, file=sys.stderr)
        return 2
    everything = [arm for arm in arms() if arm.pair in halves]
    wanted = [Half(options.half)] if options.half else list(Half)
    # Harm is measured by the plain healthy runs of both halves; then the half that thresholds may be set on.
    order = sorted(
        (arm for arm in everything if arm.name == BASE or halves[arm.pair] in wanted),
        key=lambda arm: (arm.name != BASE, halves[arm.pair] is Half.KEPT_OUT, arm.is_healthy, arm.pair),
    )
    _train(order, options.folder)
    if not options.train:
        for half in wanted:
            own = [arm for arm in everything if halves[arm.pair] is half]
            print(f"# Strangers, {half} half, {'log of the probe' if options.probe else 'plain log'}\n")
            print(_report(own, everything, options), end="\n\n")
    return 0


def _train(order: Sequence[Arm], folder: Path) -> None:
    every = [run for arm in order for run in list_runs(arm, folder)]
    for number, run in enumerate(every, 1):
        if not run.is_finished:
            train(run)
            place = f"{number} of {len(every)}"
            print(f"{place}: {run.arm.pair}/{run.seed} scores {run.score:.4g}", file=sys.stderr, flush=True)


def _report(own: Sequence[Arm], everything: Sequence[Arm], options: argparse.Namespace) -> str:
    """Diagnose the runs of some arms; return the tables."""
    judged = {arm: [judge(run, options.probe) for run in list_runs(arm, options.folder)] for arm in own}
    healthy = {
        arm.world: [run.score for run in list_runs(arm, options.folder)] for arm in everything if arm.name == BASE
    }
    hurt = harms(judged, healthy)
    tables = [found_table(judged, hurt), quiet_table(judged), harmless_table(hurt)]
    if options.together:
        trials = [judge_together(arm, list_runs(arm, options.folder), options.probe) for arm in own]
        tables.append(together_table(trials, hurt, find_place))
    if options.details:
        tables += [missed_table(judged, hurt), false_table(judged)]
    return "\n\n".join(tables)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.strangers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--half", choices=[*Half], help="default: both, one after the other")
    parser.add_argument("--probe", action="store_true", help="read the probe's logs, in place of the trainer's own")
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
