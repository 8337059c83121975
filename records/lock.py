"""Allow one process a sweep, and one at a time to make databases, by locks on files; ask the process to stop.

The system frees a lock when the process ends, also after a crash. The locks are our own, not those of the library
filelock: `lock_file` says who holds the lock, and a folder that is gone must not be made again by locking it.
"""

import contextlib
import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unstuck.records.errors import SweepError
from unstuck.records.files import lock_file, replace_text, stop_file

_PATIENCE_S = 0.5
"""Seconds in which a lock must become free: one who only asks whether a sweep runs holds the lock for a moment."""

_PAUSE_S = 0.02


@dataclass(frozen=True)
class Holder:
    """Process that runs a sweep (id, host, token), as recorded in the sweep's lock file.

    Attributes:
        pid: Id of the process on its host.
        host: Name of the host.
        owner: Random token of the process's hold on the sweep.
        heeds_stop: True if the process ends the sweep on a request by `request_stop`.
    """

    pid: int
    host: str
    owner: str = ""
    heeds_stop: bool = False

    @property
    def is_here(self) -> bool:
        """True if the process that holds the lock runs on the present host."""
        return self.host == socket.gethostname()

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@contextlib.contextmanager
def hold_lock(folder: Path, heeds_stop: bool = False) -> Iterator[None]:
    """Hold the lock on a sweep's folder inside the block, so that no other process can run the same sweep.

    Args:
        folder: Folder of the sweep; must exist.
        heeds_stop: True if the block looks for requests to stop, by `is_stop_requested`.

    Raises:
        SweepError: Another process runs the sweep, or the folder cannot be written.
    """
    file = lock_file(folder)
    with contextlib.ExitStack() as until_the_end:
        try:
            held = until_the_end.enter_context(file.open("a+"))
            if not _wait_for_lock(held.fileno()):
                raise SweepError(
                    f"a sweep must be run by one process at a time, and {read_holder(folder) or 'another one'} runs "
                    f"{folder.name}"
                )
            if heeds_stop:  # before the token is known; an older request is for a process that died
                stop_file(folder).unlink(missing_ok=True)
                until_the_end.callback(_forget_request, folder)
            held.truncate(0)
            own = {"owner": secrets.token_hex(8), "pid": os.getpid(), "host": socket.gethostname()}
            held.write(json.dumps({**own, "heeds_stop": heeds_stop}))
            held.flush()
        except OSError as error:
            raise SweepError(f"{file} must be a file that can be written: {error.strerror}; check the disk") from error
        yield


@contextlib.contextmanager
def lock_databases(folder: Path) -> Iterator[None]:
    """Hold a lock on the folder of all sweeps inside the block, so that only one process makes database tables.

    Optuna (optuna#1092) and MLflow (mlflow#24321) fail if two processes make the tables of one database at once.

    Raises:
        OSError: The folder is gone, or cannot be written.
    """
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_running(folder: Path) -> bool:
    """True if some process holds the lock on the sweep's folder, which means that the sweep is running."""
    try:
        with lock_file(folder).open("r") as file:  # also in a folder that may only be read
            return not _try_lock(file.fileno(), fcntl.LOCK_SH)  # shared, so that all may ask at once; freed by closing
    except FileNotFoundError:
        return False


def read_holder(folder: Path) -> Holder | None:
    """Read from the lock file which process runs a sweep, or last ran it; return None if unreadable."""
    try:
        known = json.loads(lock_file(folder).read_text())
        return Holder(
            int(known["pid"]), str(known["host"]), str(known.get("owner", "")), known.get("heeds_stop") is True
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_owner(folder: Path) -> str | None:
    """Read the random token of the process that last ran a sweep from the lock file; return None if unreadable.

    Each process writes a token of its own. A worker of a dead process may live on for seconds, while another process
    continues the sweep. The worker compares the token before writing anything.
    """
    try:
        return str(json.loads(lock_file(folder).read_text())["owner"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def request_stop(folder: Path, holder: Holder) -> None:
    """Ask the process that runs a sweep to end it, as Ctrl-C would; works from any machine that sees the folder.

    Raises:
        OSError: The folder cannot be written.
    """
    replace_text(stop_file(folder), holder.owner)


def _forget_request(folder: Path) -> None:
    with contextlib.suppress(OSError):
        stop_file(folder).unlink(missing_ok=True)


def is_stop_requested(folder: Path, owner: str | None) -> bool:
    """True if another process has asked the process with the token `owner` to end the sweep in the folder."""
    try:
        return owner is not None and stop_file(folder).read_text() == owner
    except OSError:
        return False


def _wait_for_lock(descriptor: int) -> bool:
    """Lock an open file, waiting a moment if necessary; return False if another process still holds the lock."""
    deadline = time.monotonic() + _PATIENCE_S
    while not (is_locked := _try_lock(descriptor, fcntl.LOCK_EX)) and time.monotonic() < deadline:
        time.sleep(_PAUSE_S)
    return is_locked


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
