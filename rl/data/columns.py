"""A column of text to numbers or to names: what it holds decides."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rl.data.raw import Categorical
from rl.errors import DataError

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-"})
MISSING_NAME = "missing"
NUMERIC_SHARE = 0.9  # beyond this share of numbers, what is no number is taken for a mistake
LARGEST = 1e100  # the encoder squares values: beyond this a square could overflow


def is_missing(cell: str) -> bool:
    """Whether a cell stands for "not known"."""
    return cell.strip().lower() in MISSING


def read_column(
    name: str, cells: Sequence[str], row_numbers: Sequence[int], path: Path
) -> npt.NDArray[np.float64] | Categorical:
    """Tell numbers from names.

    All known values are numbers: a column of numbers, float64 `[n]`, NaN where missing or infinite. At most 90 %
    are: a column of names, of which "missing" is one. In between: an error.

    Raises:
        DataError: Some but few of the values are no number; the first is named.
    """
    values, junk = _parse(cells)
    if not junk:
        return values
    known = sum(not is_missing(cell) for cell in cells)
    if known - len(junk) > NUMERIC_SHARE * known:
        raise DataError(_junk_message(name, cells, junk, row_numbers, path) + f", or add {name} to data.drop")
    return Categorical.of(MISSING_NAME if is_missing(cell) else cell.strip() for cell in cells)


def read_numbers(name: str, cells: Sequence[str], row_numbers: Sequence[int], path: Path) -> npt.NDArray[np.float64]:
    """A column that is known to hold numbers: float64 `[n]`, NaN where missing or infinite.

    Raises:
        DataError: A value is neither a number nor missing; the first is named.
    """
    values, junk = _parse(cells)
    if junk:
        raise DataError(_junk_message(name, cells, junk, row_numbers, path))
    return values


def _parse(cells: Sequence[str]) -> tuple[npt.NDArray[np.float64], list[int]]:
    """The numbers, and the positions of what is neither a number nor missing."""
    junk: list[int] = []
    try:
        values = np.array([float(cell) for cell in cells])
    except ValueError:
        values = np.full(len(cells), np.nan)
        for position, cell in enumerate(cells):
            try:
                values[position] = float(cell)
            except ValueError:
                if not is_missing(cell):
                    junk.append(position)
    values[np.isinf(values)] = np.nan  # rates over a duration of zero, in some public files
    return np.clip(values, -LARGEST, LARGEST), junk


def _junk_message(name: str, cells: Sequence[str], junk: list[int], row_numbers: Sequence[int], path: Path) -> str:
    return (
        f"column {name!r} must hold numbers, got {cells[junk[0]]!r} in row {row_numbers[junk[0]]} of {path} "
        f"({len(junk)} of {len(cells)} values are no number); correct it"
    )
