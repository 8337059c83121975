"""Apply the first remedy of each planted fault's diagnosis, with the fault left in, and count what it cures.

    make bench-remedies
    python -m benchmarks.remedies --only "lr too high" --details

Each trial has 3 seeds; a remedy's trial starts anew and is as long as the faulty one. Trials are trained once and kept.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.diagnosis.training import arms
from benchmarks.remedies.pairs import WORLDS_EACH, select_arms
from benchmarks.remedies.scoring import Case, require_answers, score_case
from benchmarks.remedies.tables import describe_figures, make_case_table, make_fault_table
from benchmarks.remedies.trials import score_healthy


def main() -> int:
    """Train what is missing and print the tables; return 2 if the lists do not fit what is trained."""
    options = _options()
    everything = arms()
    try:
        drawn = select_arms(everything, options.worlds)
        require_answers(drawn)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    wanted = [arm for arm in drawn if not options.only or arm.name in options.only]
    base = {arm.world: arm for arm in everything if arm.name == "base"}
    cases: list[Case] = []
    for number, arm in enumerate(wanted, 1):
        case = score_case(arm, score_healthy(base[arm.world], options.folder), options.folder)
        cases += [case] if case else []
        told = f"{case.effect} ({case.advice.rule or 'no remedy'})" if case else "does not hurt"
        print(f"{number} of {len(wanted)}: {arm.pair}, {arm.form}: {told}", file=sys.stderr, flush=True)
    print(f"# Remedies\n\n{describe_figures(cases)}\n\n{make_fault_table(cases)}")
    if options.details:
        print(f"\n{make_case_table(cases)}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.remedies", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="faults; default: all")
    parser.add_argument(
        "--worlds", type=int, default=WORLDS_EACH, help="worlds of each fault, in the order of the draw; default: all"
    )
    parser.add_argument("--details", action="store_true", help="a row for each case")
    parser.add_argument("--folder", type=Path, default=Path("runs/bench-remedies"), help="where records are kept")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
