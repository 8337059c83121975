"""`unstuck ui [NAME]`: open MLflow and Optuna's dashboard."""

import os
import signal
import sys
import webbrowser
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from unstuck.commands.parsing import add_folder, add_urls, make_parser, run_refusing
from unstuck.sweeps.catalog.pages import plan_folder_pages, plan_sweep_pages, serve_pages
from unstuck.sweeps.config.find import find_sweep


def build_parser() -> ArgumentParser:
    """Build the parser of `unstuck ui`."""
    parser = make_parser(
        "ui",
        "Opens MLflow, on model training, and Optuna's dashboard: on one sweep, or on all of a folder. Both listen on\n"
        "this machine alone, and end with Ctrl-C.",
        ("", "quickstart-20260131-174500-a1b2c3", "runs/kdd --no-browser"),
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="the sweep's name or folder (default: all sweeps)")
    add_folder(parser)
    add_urls(parser)
    parser.add_argument("--no-browser", action="store_true", help="print the addresses alone")
    return parser


def main(words: Sequence[str]) -> int:
    """Run the servers of MLflow and Optuna's dashboard until Ctrl-C; return the exit code: 0, or 2 for an error."""
    options = build_parser().parse_args(words)

    def serve() -> int:
        where = options.folder, options.optuna_url, options.mlflow_url
        pages = plan_sweep_pages(find_sweep(options.name, *where)) if options.name else plan_folder_pages(*where)
        print("Starting", " and ".join(page.title for page in pages if page.command), flush=True)
        try:
            with _signals_as_interrupt(), serve_pages(pages) as wait:
                for page in pages:
                    print(page.title, *(f"  {what}: {link}" for what, link in page.links.items()), sep="\n")
                print("Ctrl-C ends both", flush=True)
                if not options.no_browser and _has_screen():
                    for page in pages:
                        webbrowser.open(next(iter(page.links.values())))
                wait()
        except KeyboardInterrupt:
            print("\nEnded", flush=True)
        return 0

    return run_refusing("ui", words, serve)


def _has_screen() -> bool:
    """Return True if a browser would open in a window, and not as text in the terminal."""
    shown = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    return shown or sys.platform in ("darwin", "win32")


@contextmanager
def _signals_as_interrupt() -> Iterator[None]:
    """Convert SIGTERM and a closed terminal inside the block to Ctrl-C, so that servers end with the command."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
