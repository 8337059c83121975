"""Run a command that ends when whoever started it ends: `python watch.py GRACE_S COMMAND...`.

Standard input is a pipe that nobody writes to. When the pipe closes, because the other end was closed or its process
is gone (kill -9 included), all processes of the command are asked to end, and are killed after the grace. The file
imports nothing of ours, so that it starts in a moment.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time

_PAUSE_S = 0.05


def main() -> int:
    """Run the command; return its exit status, or 128 and the number of the signal that ended it."""
    grace_s, words = float(sys.argv[1]), sys.argv[2:]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the pipe alone decides, so that no part of the command is left behind
    try:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        print(f"{words[0]}: {error.strerror}", file=sys.stderr)
        return 127
    while process.poll() is None:
        if select.select([sys.stdin], [], [], _PAUSE_S)[0] and not os.read(sys.stdin.fileno(), 1):
            _end(process, grace_s)
    _signal(process, signal.SIGKILL)  # what the command left running
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _end(process: "subprocess.Popen[bytes]", grace_s: float) -> None:
    """Ask all processes of the command to end, and kill those that have not ended after the grace."""
    _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(_PAUSE_S)
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: "subprocess.Popen[bytes]", number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


if __name__ == "__main__":
    sys.exit(main())
