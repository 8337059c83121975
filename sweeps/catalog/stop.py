"""Stop a sweep that another process runs, by a request that stands for Ctrl-C."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
from unstuck.records.errors import SweepError
from unstuck.records.files import lock_file
from unstuck.records.lock import Holder, is_running, read_holder, request_stop

PATIENCE_S = 90.0
"""Seconds in which a sweep ends that was asked to: its own forced exit comes after 20 s, and then the report."""

_PAUSE_S = 0.1

_SUMMARY_TAKES_S = 2.0
"""Seconds to wait for the end of a process that has closed its records; a notebook or script may live on."""


def stop_sweep(folder: Path, say: Callable[[str], None], patience_s: float = PATIENCE_S) -> bool:
    """Ask the process that runs a sweep to end the sweep, and wait; return False if no process ran the sweep.

    The request is a file in the sweep's folder, no signal: the process may be a notebook or a script that lives on.

    Args:
        folder: Folder of the sweep, absolute.
        say: Function that tells the user what is waited for.
        patience_s: Seconds to wait.

    Returns:
        True if the sweep ran and has ended; False if no process ran the sweep.

    Raises:
        SweepError: The folder cannot be written, the process works on the records of a sweep that does not run, or the
            sweep has not ended in time.
    """
    if not is_running(folder):
        return False
    holder = read_holder(folder)
    if holder is None:
        raise SweepError(f"{lock_file(folder)} must name the process that runs {folder.name}, and does not; try again")
    if not holder.heeds_stop:
        raise SweepError(
            f"stop ends a sweep that runs, and {holder} only works on the records of {folder.name}: wait for its end "
            f"(a sweep of an older version ends by `kill {holder.pid}` there)"
        )
    try:
        request_stop(folder, holder)
    except OSError as error:
        raise SweepError(
            f"{folder} must be a folder that you can write to, to stop its sweep: {error.strerror}; stop it as the "
            "user who runs it"
        ) from error
    say(f"Asked {holder} to end {folder.name}; waiting until its records are closed")
    _wait(folder, holder, patience_s)
    return True


def _wait(folder: Path, holder: Holder, patience_s: float) -> None:
    """Wait until a process has freed a sweep's lock; raise `SweepError` if the process has not done so in time."""
    deadline = time.monotonic() + patience_s
    while is_running(folder):
        if time.monotonic() > deadline:
            raise SweepError(
                f"{folder.name} must end within {patience_s:g} s of the request, and has not; wait, or "
                f"`kill -9 {holder.pid}` on {holder.host}: a resume goes on from the last checkpoints"
            )
        time.sleep(_PAUSE_S)
    if holder.is_here:  # the summary is printed without the lock
        with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
            psutil.Process(holder.pid).wait(_SUMMARY_TAKES_S)
