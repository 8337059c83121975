"""Run a sweep for `unstuck.run_sweep`, in a process of its own: a notebook or a script shall live on whatever happens.

Called by its path, as `sweep_process.py PROGRAM FILE [SETTING=VALUE ...]`: `PROGRAM` stands in messages, and `FILE`
gets the sweep's folder.
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path

if not __package__:  # called by its path, from where Python does not find it by its name
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from unstuck.sweep_command import main as sweep

_LOOKS_EVERY_S = 0.25


def main() -> int:
    """Run the sweep that the process's arguments describe; return the exit code, and also write it to a file."""
    program, file, *overrides = sys.argv[1:]
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    told = Path(file)
    code = sweep(program, overrides, Path.cwd(), lambda folder: told.write_text(str(folder), encoding="utf-8"))
    # A program that ignores SIGCHLD, or waits for all children, never learns of the exit code.
    Path(f"{file}.code").write_text(str(code), encoding="utf-8")
    return code


def _end_with_parent(parent: int) -> None:
    """End the sweep, as a closed terminal would, when the process that started it has died."""
    while os.getppid() == parent:
        time.sleep(_LOOKS_EVERY_S)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    os.kill(os.getpid(), signal.SIGHUP)


if __name__ == "__main__":
    sys.exit(main())
