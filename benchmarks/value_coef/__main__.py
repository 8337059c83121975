"""Test seven predictions about value_coef, and print the tables of docs/studies/value_coef.md.

    make study-value-coef
    python -m benchmarks.value_coef --only P3 P4
    python -m benchmarks.value_coef --quick

Tables go to standard output, progress to standard error. All of it takes some ten minutes of one core.
"""

import argparse
import sys
import time

import torch

from benchmarks.value_coef import critic, policy, scaling
from benchmarks.value_coef.training import Scale

FULL = Scale(seeds=8, few=4, iterations=100)
QUICK = Scale(seeds=2, few=2, iterations=8, num_steps=32, num_epochs=2, evaluations=2)

PREDICTIONS = {
    "P1": scaling.exactly_inert,
    "P2": scaling.slowed_by_epsilon,
    "P3": policy.through_the_clip,
    "P4": policy.through_the_trunk,
    "P5": critic.faster,
    "P6": scaling.critic_rate_under_sgd,
    "P7": critic.further,
}


def main() -> None:
    """Run the chosen tests of the study's predictions (P1 to P7) in order; print the tables of each."""
    options = _options()
    print(f"torch {torch.__version__}, one thread{', --quick: too short to show anything' if options.quick else ''}")
    for name in options.only:
        start = time.process_time()
        tables = PREDICTIONS[name](QUICK if options.quick else FULL)
        print(f"\n## {name}", *tables, sep="\n\n", flush=True)
        print(f"{name}: {time.process_time() - start:.0f} s of a core", file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few seeds and iterations, to see that all of it runs")
    parser.add_argument(
        "--only", nargs="+", choices=PREDICTIONS, default=list(PREDICTIONS), metavar="P", help="P1 to P7; default: all"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
