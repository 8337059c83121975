"""What can be done with a sweep that has run: `python -m sweeps champion runs/NAME`."""

import argparse
import sys
from pathlib import Path

from rl.errors import ConfigError, DataError
from sweeps.errors import SweepError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 2 for a refusal, said in one line, or 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        return _champion(options)
    except (ConfigError, DataError, SweepError) as error:
        print(f"sweeps: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped by the user; nothing was written", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sweeps", description=__doc__)
    commands = parser.add_subparsers(required=True)
    champion = commands.add_parser(
        "champion",
        help="judge a sweep's best trial on fresh seeds and on data that the search never saw",
        description="Trains a sweep's best configuration again, and the control beside it, on seeds that the search "
        "did not use, and evaluates both on the test part. Writes report/champion.json into the sweep's folder.",
        epilog="example: python -m sweeps champion runs/quickstart-20260101-120000 --seeds 8",
    )
    champion.add_argument("folder", type=Path, help="the sweep's folder, such as runs/NAME")
    champion.add_argument("--seeds", type=int, default=8, help="fresh seeds for each configuration (default: 8)")
    champion.add_argument("--trial", type=int, help="judge this trial instead of the best completed one")
    champion.add_argument("--optuna-url", help="the ledger, if its URL holds a password")
    return parser


def _champion(options: argparse.Namespace) -> int:
    if options.seeds < 1:
        raise SweepError(f"--seeds must be at least 1, got {options.seeds}; try 8")
    from sweeps.champion import describe, judge, load_sweep  # late: a refusal need not wait for torch

    folder = options.folder.absolute()
    judgement = judge(folder, options.seeds, options.trial, options.optuna_url)
    print(*describe(judgement, load_sweep(folder).sweep.metric), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
