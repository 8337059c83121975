"""`unstuck list`: the sweeps of a folder."""

import shlex
from argparse import ArgumentParser
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from unstuck.analysis.programs import unstuck_program
from unstuck.commands.parsing import add_folder, add_json, make_parser, run_refusing
from unstuck.records.as_json import format_json
from unstuck.sweeps.catalog.overview import Overview, State, list_sweeps

_WIDTH = 200
"""Width of the table in a file or a pipe."""


def build_parser() -> ArgumentParser:
    """Build the parser of `unstuck list`."""
    parser = make_parser(
        "list",
        "Lists the sweeps of a folder, the newest first: how its trials ended, the best one, and whether it runs.",
        ("", "--folder /data/runs", "--json"),
    )
    add_folder(parser)
    add_json(parser)
    return parser


def main(words: Sequence[str]) -> int:
    """Print the sweeps of a folder, the newest first; return the exit code: 0, or 2 if there is no such folder."""
    parser = build_parser()
    options = parser.parse_args(words)

    def list_all() -> int:
        is_new = options.folder == parser.get_default("folder") and not options.folder.exists()
        found = [] if is_new else list_sweeps(options.folder)  # nobody has run a sweep here yet, which is no mistake
        if options.json:
            print(format_json({"folder": str(options.folder.absolute()), "sweeps": [one.to_json() for one in found]}))
        elif found:
            _print_table(found)
        else:
            first = shlex.join([*unstuck_program(), "sweep", "+experiment=quickstart"])
            print(f"No sweeps in {options.folder.absolute()}; the first one: {first}")
        return 0

    return run_refusing("list", words, list_all)


def _print_table(found: Sequence[Overview]) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    table = Table(box=None, pad_edge=False)
    for name in ("name", "started", "state"):
        table.add_column(name, no_wrap=True)
    table.add_column("best", no_wrap=True)
    table.add_column("trials")
    for one in found:
        best = f"{one.metric} {one.value:.4f}, trial {one.best}" if one.value is not None else ""
        counts = ", ".join(f"{count} {word}" for word, count in one.outcomes.items())
        texts = (one.name, f"{one.started:%Y-%m-%d %H:%M}", str(one.state), best, one.problem or counts)
        style = {State.RUNNING: "green", State.UNREADABLE: "red"}.get(one.state, "")
        table.add_row(*(Text(text, style=style) for text in texts))
    console.print(table)
