"""`unstuck delete NAME`: delete one sweep."""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from unstuck.commands.parsing import add_json, add_sweep, make_parser, run_refusing
from unstuck.records.as_json import format_json
from unstuck.records.errors import SweepError


def build_parser() -> ArgumentParser:
    """Build the parser of `unstuck delete`."""
    parser = make_parser(
        "delete",
        "Deletes one sweep: its folder, its study in Optuna's database, and its runs in MLflow, which keeps deleted\n"
        "runs in its trash. Shows what will go, and asks. A sweep that runs is refused; other sweeps stay as they are.",
        ("quickstart-20260131-174500-a1b2c3", "runs/kdd --yes"),
    )
    add_sweep(parser)
    add_json(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    return parser


def main(words: Sequence[str]) -> int:
    """Delete one sweep after asking; return the exit code: 0, 1 if the user said no, 2 if refused."""
    options = build_parser().parse_args(words)

    def delete() -> int:
        from unstuck.sweeps.catalog.removal import plan_removal
        from unstuck.sweeps.config.find import find_sweep

        config = find_sweep(options.name, options.folder, options.optuna_url, options.mlflow_url)
        screen = sys.stderr if options.json else sys.stdout
        with plan_removal(config) as removal:
            lines = [f"This deletes the sweep {config.sweep.name}:", *removal.describe()]
            print(*lines, sep="\n", file=screen, flush=True)
            if not options.yes and not _confirm():
                print("Nothing was deleted", file=screen)
                return 1
            removal.delete()
        name, gone = config.sweep.name, {"files": removal.files, "trials": removal.trials, "runs": len(removal.runs)}
        print(format_json({"sweep": name, "deleted": gone}) if options.json else f"Deleted {name}")
        return 0

    return run_refusing("delete", words, delete)


def _confirm() -> bool:
    """Ask the user to confirm; return True for a yes.

    Raises:
        SweepError: Nobody is there to be asked.
    """
    if not sys.stdin.isatty():
        raise SweepError("delete must be confirmed at a terminal, or by --yes, got neither; add --yes")
    return input("Delete it? [y/N] ").strip().lower() in ("y", "yes")
