"""Run a command that ends when whoever started it ends: `python watch.py GRACE_S COMMAND...`.

Standard input is a pipe: `PAUSE` stops all processes of the command until `RESUME`. When the pipe closes, because the
other end was closed or its process is gone (kill -9 included), all processes of the command are asked to end, and are
killed after the grace. The file imports nothing of ours, so that it starts in a moment.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time

PAUSE, RESUME = b"p", b"r"
"""Bytes that the pipe takes."""

_PAUSE_S = 0.05


def main() -> int:
    """Run the command; return its exit status, or 128 and the number of the signal that ended it."""
    grace_s, words = float(sys.argv[1]), sys.argv[2:]
    for number in (signal.SIGINT, signal.SIGTERM):
        # The pipe alone decides, so that no part of the command is left behind; the command would inherit SIG_IGN.
        signal.signal(number, lambda *_: None)
    try:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        print(f"{words[0]}: {error.strerror}", file=sys.stderr)
        return 127
    while process.poll() is None:
        if select.select([sys.stdin], [], [], _PAUSE_S)[0]:
            _obey(os.read(sys.stdin.fileno(), 1), process, grace_s)
    _signal(process, signal.SIGKILL)  # what the command left running
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _obey(told: bytes, process: "subprocess.Popen[bytes]", grace_s: float) -> None:
    """Obey the word read from the pipe: pause or resume the command; end the command if the pipe was closed."""
    if told == PAUSE:
        _signal(process, signal.SIGSTOP)
    elif told == RESUME:
        _signal(process, signal.SIGCONT)
    elif not told:
        _end(process, grace_s)


def _end(process: "subprocess.Popen[bytes]", grace_s: float) -> None:
    """Ask all processes of the command to end, and kill those still running after `grace_s` seconds."""
    _signal(process, signal.SIGTERM)
    _signal(process, signal.SIGCONT)  # a paused process would not hear it
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
