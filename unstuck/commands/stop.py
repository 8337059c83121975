"""`unstuck stop NAME`: end a running sweep."""

import shlex
import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from unstuck.analysis.programs import sweep_words, unstuck_program
from unstuck.commands.parsing import add_json, add_sweep, make_parser, run_refusing
from unstuck.records.as_json import format_json


def build_parser() -> ArgumentParser:
    """Build the parser of `unstuck stop`."""
    parser = make_parser(
        "stop",
        "Ends a running sweep as Ctrl-C in its terminal does, and waits until its records are closed. A resume\n"
        "goes on with it. A notebook or a script that runs it lives on. A sweep that does not run is left alone.",
        ("quickstart-20260131-174500-a1b2c3", "runs/kdd"),
    )
    add_sweep(parser)
    add_json(parser)
    return parser


def main(words: Sequence[str]) -> int:
    """Ask a running sweep to end, as Ctrl-C does, and wait; return the exit code: 0, or 2 if refused."""
    options = build_parser().parse_args(words)

    def stop() -> int:
        from unstuck.sweeps.catalog.stop import stop_sweep
        from unstuck.sweeps.config.find import find_sweep

        folder = find_sweep(options.name, options.folder, options.optuna_url, options.mlflow_url).own_folder
        screen = sys.stderr if options.json else sys.stdout
        stopped = stop_sweep(folder, lambda text: print(text, file=screen, flush=True))
        if options.json:
            print(format_json({"sweep": folder.name, "folder": str(folder), "stopped": stopped}))
        elif stopped:
            show = shlex.join([*unstuck_program(), "show", *sweep_words(folder.name, folder.parent)])
            print(f"{folder.name} has ended; how to go on is said by: {show}")
        else:
            print(f"{folder.name} does not run")
        return 0

    return run_refusing("stop", words, stop)
