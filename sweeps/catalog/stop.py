"""Stop a sweep that another process on this machine runs, by the signal that stands for Ctrl-C."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from unstuck.records.errors import SweepError
from unstuck.records.files import lock_file
from unstuck.records.lock import Holder, is_running, read_holder

PATIENCE_S = 90.0
"""Seconds in which a sweep ends that was asked to: its own forced exit comes after 20 s, and then the report."""

_PAUSE_S = 0.1


def stop_sweep(folder: Path, say: Callable[[str], None], patience_s: float = PATIENCE_S) -> bool:
    """Ask the process that runs a sweep to end the sweep, by SIGTERM, and wait until that has happened.

    Args:
        folder: Folder of the sweep, absolute.
        say: Function that tells the user what is waited for.
        patience_s: Seconds to wait.

    Returns:
        True if the sweep ran and has ended; False if no process ran the sweep.

    Raises:
        SweepError: The process runs on another machine or belongs to another user, or has not ended in time.
    """
    if not is_running(folder):
        return False
    holder = read_holder(folder)
    if holder is None:
        raise SweepError(f"{lock_file(folder)} must name the process that runs {folder.name}, and does not; try again")
    if not holder.is_here:
        raise SweepError(f"stop must be called on the machine that runs {folder.name}, {holder.host}: log in there")
    process = _find_process(holder, folder)
    say(f"Asked {holder} to end {folder.name}; waiting until its records are closed")
    try:
        os.kill(holder.pid, signal.SIGTERM)
    except PermissionError:
        raise SweepError(f"{folder.name} must be stopped by the user {process.username()}, who runs it") from None
    except ProcessLookupError:
        return True
    _wait(folder, process, holder, patience_s)
    return True


def _find_process(holder: Holder, folder: Path) -> psutil.Process:
    """Find the process that holds a sweep's lock; refuse one that is not there, as seen from inside a container."""
    try:
        return psutil.Process(holder.pid)
    except psutil.NoSuchProcess:
        raise SweepError(
            f"stop must be called where {folder.name} runs, and no process {holder.pid} is here: is that a container?"
        ) from None


def _wait(folder: Path, process: psutil.Process, holder: Holder, patience_s: float) -> None:
    """Wait until a process has freed a sweep's lock; raise `SweepError` if the process has not done so in time."""
    deadline = time.monotonic() + patience_s
    while is_running(folder):
        if time.monotonic() > deadline:
            raise SweepError(
                f"{folder.name} must end within {patience_s:g} s of the request, and has not; wait, or "
                f"`kill -9 {holder.pid}`: a resume goes on from the last checkpoints"
            )
        time.sleep(_PAUSE_S)
    try:
        process.wait(max(_PAUSE_S, deadline - time.monotonic()))  # the summary is printed without the lock
    except psutil.TimeoutExpired:  # a notebook lives on, and holds no lock any more
        return
