"""Keep a sweep's temporary files in a folder outside `runs/`, readable by the user alone, removed with the sweep.

The path is noted in the sweep's folder before the folder is made. So the next sweep in the same `runs/` removes what a
killed process left behind, and never the files of others.
"""

import json
import os
import re
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from unstuck.records.errors import SweepError
from unstuck.records.files import scratch_file
from unstuck.records.lock import hold_lock, is_running

_NAME = re.compile(r"unstuck-[0-9a-f]{8}")

_LONGEST_PARENT = 24
"""A socket's path may hold 107 characters, and Ray's lie 83 below the folder for temporary files."""


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """Make a folder for temporary files of Ray and Tune, yield the path, and delete the folder after the block.

    Args:
        folder: Folder of the sweep that this process runs.

    Raises:
        SweepError: The folder cannot be made.
    """
    remove_left_behind(folder)
    path = _choose_parent() / f"unstuck-{secrets.token_hex(4)}"
    try:
        scratch_file(folder).write_text(json.dumps({"host": socket.gethostname(), "path": str(path)}))
        path.mkdir(mode=0o700)
    except OSError as error:
        where = f"{folder} and {path.parent}"
        raise SweepError(f"{where} must be folders that can be written to: {error.strerror}; check the disk") from error
    try:
        with hold_lock(path):
            yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        scratch_file(folder).unlink(missing_ok=True)


def _choose_parent() -> Path:
    parent = tempfile.gettempdir()
    return Path(parent if len(parent) <= _LONGEST_PARENT else "/tmp")


def remove_left_behind(folder: Path) -> None:
    """Delete temporary folders that killed processes did not delete, of this sweep and of other sweeps that do not run.

    Args:
        folder: Folder of the sweep that this process runs.
    """
    for note in folder.parent.glob(f"*/{scratch_file(folder).name}"):
        if note.parent == folder or not is_running(note.parent):
            with suppress(OSError, ValueError, KeyError, TypeError):
                _remove_noted(note)


def _remove_noted(note: Path) -> None:
    known = json.loads(note.read_text())
    if known["host"] != socket.gethostname():
        return
    path = Path(known["path"])
    # A note is only a file that anybody may have written: remove nothing but a scratch folder of the user.
    if path.parent == _choose_parent() and _NAME.fullmatch(path.name) and not path.is_symlink() and path.is_dir():
        if path.stat().st_uid != os.getuid():
            return
        if is_running(path):  # the note was copied along with the folder of a sweep that still runs
            return
        shutil.rmtree(path, ignore_errors=True)
    note.unlink()
