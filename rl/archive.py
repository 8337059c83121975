"""Read the file of a checkpoint: arrays by name, and a header of JSON values. PyTorch is not needed for that."""

import json
import os
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from unstuck.rl.errors import CheckpointError

FORMAT = "unstuck checkpoint"
VERSION = 3
"""Goes up when a file of the version before can no longer be read."""

HEADER = "header"
_ZIP = b"PK"

_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    SyntaxError,
    tokenize.TokenError,
)
"""Errors of reading a damaged file; the last two come from numpy's reader of an array's shape, before checksums."""


def read_archive(path: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Read the arrays and the header of a checkpoint file; raise `CheckpointError` for an incomplete file."""
    try:
        with path.open("rb") as file:
            begins_as_one = file.read(len(_ZIP)) == _ZIP
    except OSError as error:
        raise CheckpointError(
            f"{path} must be a checkpoint, got no file to read ({error.strerror}); check the path"
        ) from error
    foreign = CheckpointError(f"{path} must be a checkpoint, got a file of another kind; give one that save() wrote")
    if not begins_as_one:
        raise foreign
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name]) for name in archive.files}
        header = json.loads(bytes(arrays.pop(HEADER))) if HEADER in arrays else {}
    except _DAMAGE as error:
        raise CheckpointError(
            f"{path} must be a whole checkpoint of numbers, got one cut short, damaged or forged ({error}); "
            "go on from an earlier one, or from the start"
        ) from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise foreign
    if header.get("version") != VERSION:
        raise CheckpointError(
            f"{path} must be of checkpoint format {VERSION}, got {header.get('version')}; go on with the program "
            "that saved it, or from the start"
        )
    return arrays, header


def read_history(path: str | os.PathLike[str]) -> list[Any]:
    """Read the history of metrics in a checkpoint file, without making a learner.

    Raises:
        CheckpointError: The file is not a whole checkpoint of this format.
    """
    path = Path(path)
    _, header = read_archive(path)
    history = header.get("history")
    if not isinstance(history, list):
        raise CheckpointError(f"{path} must hold a history, got {type(history).__name__}; give one that save() wrote")
    return history
