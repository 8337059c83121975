"""Answer for a command: a mistake of the user's in one line, a fault of ours in one line and a file with the traceback.

Exit codes: 2 for what the user can mend (a wrong word, a missing file, a full disk), 1 for what we must mend, 130 after
Ctrl-C. With `--debug` the traceback is printed too, and the exit code stays (docs/errors.md).
"""

import argparse
import errno
import io
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from unstuck.records.errors import RefusedError
from unstuck.records.provenance import find_own_version
from unstuck.records.redact import redact_error, redact_value
from unstuck.rl.errors import CheckpointError, ConfigError, DataError

DEBUG = "--debug"
"""Word of a command line that asks for tracebacks."""

REFUSED, OUR_FAULT, STOPPED = 2, 1, 130
"""Exit codes: a request that was refused, a fault of ours, and Ctrl-C."""

REFUSALS = (RefusedError, CheckpointError, ConfigError, DataError)
"""Errors that the user can mend; each message states the rule, the value and the remedy."""

_REMEDIES = {
    errno.EACCES: "give this user the right to it, or name another",
    errno.EPERM: "give this user the right to it, or name another",
    errno.EROFS: "name another, on a disk that can be written",
    errno.ENOSPC: "make room on the disk, or name another",
    errno.EDQUOT: "make room in the quota, or name another",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "raise the limit of open files: ulimit -n 4096",
}
"""Errors of the machine by number, with what the user can do about each."""


class OneLineParser(argparse.ArgumentParser):
    """Command-line parser that prints each error as one line with a remedy."""

    def error(self, message: str) -> NoReturn:
        """Print why a command line is refused, in one line, and exit with code 2."""
        print(f"{self.prog}: error: {message}; --help shows examples", file=sys.stderr)
        raise SystemExit(REFUSED)


def add_debug(parser: argparse.ArgumentParser) -> None:
    """Add the option `--debug`, which shows tracebacks, to a parser."""
    parser.add_argument(DEBUG, action="store_true", help="show the traceback of an error too")


def answer_errors(
    program: str, words: Sequence[str], call: Callable[[], int], stopped: str = "stopped by the user"
) -> int:
    """Run a command's function and return its exit code, or that of an error, which is printed in one line.

    Args:
        program: Command as the user called it, such as `unstuck list`, which begins the line.
        words: Words of the command line, whose secrets are masked; `--debug` among them shows tracebacks.
        call: Body of the command, which returns its exit code.
        stopped: Text to print after Ctrl-C.
    """
    is_debugged = DEBUG in words or os.environ.get("HYDRA_FULL_ERROR") == "1"
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an encoding without `±`, such as ASCII, ends no command
            stream.reconfigure(errors="replace")
    try:
        return call()
    except KeyboardInterrupt:
        print(stopped, file=sys.stderr)
        return STOPPED
    except BrokenPipeError:  # the reader has seen enough
        sys.stderr.close()
        return 0
    except Exception as error:
        text = redact_error(traceback.format_exc(), *words)
        if is_debugged:
            print(text, end="", file=sys.stderr)
        reason = explain_refusal(error)
        code = OUR_FAULT if reason is None else REFUSED
        if reason is None:
            reason = explain_fault(error, text, [program, *map(redact_value, words)])
        print(redact_error(f"{program}: error: {reason}", *words), file=sys.stderr)
        return code


def explain_refusal(error: Exception) -> str | None:
    """Explain in one line an error that the user can correct: rule, value, remedy; None for a bug of ours.

    Example:
        >>> explain_refusal(PermissionError(13, "Permission denied", "runs/optuna.db"))
        'runs/optuna.db cannot be used: Permission denied; give this user the right to it, or name another'
        >>> explain_refusal(KeyError("lr")) is None
        True
    """
    if isinstance(error, REFUSALS):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("unstuck"):
        package = error.name.partition(".")[0]
        return f"package {package} must be installed; pip install {package}, and `unstuck doctor` says what else lacks"
    if isinstance(error, OSError) and error.errno in _REMEDIES:
        what = error.filename or "a file"
        return f"{what} cannot be used: {error.strerror}; {_REMEDIES[error.errno]}"
    return None


def explain_fault(error: Exception, text: str, called: Sequence[str]) -> str:
    """Write the traceback of a bug of ours to a file; return one line with the error, the file and what to do.

    Args:
        error: The error.
        text: Traceback, with secrets masked.
        called: Words of the command line, with secrets masked.
    """
    said = " ".join(str(error).split())
    what = f"a fault of Unstuck's: {type(error).__name__}{f': {said}' if said else ''}"[:300]
    about = (
        f"unstuck {find_own_version()}, Python {platform.python_version()}, {platform.platform()}\n"
        f"command: {' '.join(called)}\n\n{text}"
    )
    try:
        number, name = tempfile.mkstemp(f"-{time.strftime('%Y%m%d-%H%M%S')}.txt", "unstuck-error-")
        with open(number, "w", encoding="utf-8") as file:
            file.write(about)
    except OSError:
        return f"{what}; {DEBUG} shows the traceback: please report it as an issue, with the command"
    return f"{what}; please report it as an issue with {name}, which holds the traceback; {DEBUG} shows it too"
