"""Read arrays by name, as `numpy.savez` writes them: a column each."""

import zipfile
import zlib
from pathlib import Path

import numpy as np
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.forms.zoo import read_evaluations
from unstuck.analysis.history.raw import Raw, select_points

_EVALUATED = frozenset(("timesteps", "results"))
"""Arrays of Stable-Baselines3's evaluations."""


_BROKEN = (OSError, EOFError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""Errors of files that are damaged, cut off, encrypted, or packed by a method that Python does not know."""


def read_arrays(file: Path) -> Raw:
    """Read the evaluations, or else the columns of numbers, in an `.npz` file; arrays of objects are never loaded.

    Raises:
        AnalysisError: The file holds no arrays by name, or no numbers in a row.
    """
    columns = {}
    try:
        with _open_arrays(file) as stored:
            if set(stored.files) >= _EVALUATED:
                return read_evaluations(file)
            for name in stored.files:
                try:
                    array = stored[name]
                except ValueError:
                    continue  # objects, which a pickle holds
                if array.ndim == 1 and array.dtype.kind in "fiub" and len(array):
                    columns[name] = select_points(array.astype(np.float64))
    except _BROKEN as error:
        raise AnalysisError(
            f"{file} must be arrays by name, as numpy.savez writes them: {error}; write the run as a CSV"
        ) from None
    if not columns:
        raise AnalysisError(f"{file} must hold columns of numbers (shape (n,)), and holds none; write the run as a CSV")
    return Raw(file, columns, form="arrays")


def _open_arrays(file: Path) -> np.lib.npyio.NpzFile:
    """Open a file of arrays by name.

    Raises:
        ValueError: The file is one array without names.
    """
    stored = np.load(file, allow_pickle=False)
    if not isinstance(stored, np.lib.npyio.NpzFile):
        raise ValueError("the file is one array without names")
    return stored
