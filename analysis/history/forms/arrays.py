"""Read arrays by name, as `numpy.savez` writes them: a column each."""

import zipfile
from pathlib import Path

import numpy as np
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.forms.zoo import read_evaluations
from unstuck.analysis.history.raw import Raw, select_points

_EVALUATED = frozenset(("timesteps", "results"))
"""Arrays of Stable-Baselines3's evaluations."""


def read_arrays(file: Path) -> Raw:
    """Read the evaluations, or else the columns of numbers, in an `.npz` file; arrays of objects are never loaded.

    Raises:
        AnalysisError: The file holds no arrays by name, or no numbers in a row.
    """
    columns = {}
    try:
        with np.load(file, allow_pickle=False) as stored:
            if set(stored.files) >= _EVALUATED:
                return read_evaluations(file)
            for name in stored.files:
                try:
                    array = stored[name]
                except ValueError:
                    continue  # objects, which a pickle holds
                if array.ndim == 1 and array.dtype.kind in "fiub" and len(array):
                    columns[name] = select_points(array.astype(np.float64))
    except (OSError, ValueError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise AnalysisError(
            f"{file} must be arrays by name, as numpy.savez writes them: {error}; write the run as a CSV"
        ) from None
    if not columns:
        raise AnalysisError(f"{file} must hold columns of numbers (shape (n,)), and holds none; write the run as a CSV")
    return Raw(file, columns, form="arrays")
