"""`unstuck show NAME`: one sweep, or one trial of it."""

import shlex
from argparse import ArgumentParser
from collections.abc import Sequence

from rich.console import Console

from unstuck.commands.parsing import add_json, add_sweep, make_parser, run_refusing
from unstuck.records.as_json import format_json
from unstuck.sweeps.catalog.details import (
    Found,
    describe_sweep,
    describe_trial,
    find_recorded,
    list_next_commands,
    make_best_table,
    sweep_to_json,
    trial_to_json,
)

_WIDTH = 140
"""Width of the leaderboard in a file or a pipe."""


def build_parser() -> ArgumentParser:
    """Build the parser of `unstuck show`."""
    parser = make_parser(
        "show",
        "Shows one sweep, or one trial of it: settings, values, outcome and its reason, and where its files are.",
        ("quickstart-20260131-174500-a1b2c3", "quickstart-20260131-174500-a1b2c3/7", "runs/kdd/trials/0007 --json"),
    )
    add_sweep(parser, "the sweep's name or folder; NAME/7 for its trial 7")
    add_json(parser)
    return parser


def main(words: Sequence[str]) -> int:
    """Print what is recorded of a sweep or a trial; return the exit code: 0, or 2 if there is none."""
    options = build_parser().parse_args(words)

    def show() -> int:
        found = find_recorded(options.name, options.folder, options.optuna_url, options.mlflow_url)
        if options.json:
            print(format_json(sweep_to_json(found) if found.trial is None else trial_to_json(found)))
        elif found.trial is None:
            _print_sweep(found)
        else:
            print(*describe_trial(found), sep="\n")
        return 0

    return run_refusing("show", words, show)


def _print_sweep(found: Found) -> None:
    print(*describe_sweep(found), sep="\n", flush=True)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    if found.entries:
        console.print(make_best_table(found, console.width))
    print("Next", *(f"  {shlex.join(words)}" for words in list_next_commands(found)), sep="\n")
