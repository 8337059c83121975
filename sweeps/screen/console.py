"""Make the console that a sweep prints on, which knows whether somebody watches on a terminal."""

import os
import sys
import threading

from rich.console import Console

_PLAIN_WIDTH = 140
"""Width of tables in a file or a pipe, where nobody's screen is too narrow."""


def make_console() -> Console:
    """Make the console that a sweep prints on: with colours and a live view on a terminal, plain lines elsewhere.

    Elsewhere are files, pipes, notebooks, continuous integration (`CI` is set), and a thread beside a program's own.
    """
    is_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    is_watched = sys.stdout.isatty() and not is_ci and threading.current_thread() is threading.main_thread()
    console = Console(force_terminal=is_watched, force_jupyter=False)
    if not is_watched:
        console.width = max(console.width, _PLAIN_WIDTH)
    return console
