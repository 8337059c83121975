"""Convert a column of text to numbers or to names, by the content."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from unstuck.rl.data.notation import Notation, guess_notations
from unstuck.rl.data.raw import Categorical
from unstuck.rl.errors import DataError

PLAIN = Notation()
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-"})
MISSING_NAME = "missing"
NUMERIC_SHARE = 0.9  # beyond this share of numbers, what is no number is taken for a mistake
LARGEST = 1e100  # the encoder squares values: beyond this a square could overflow


def is_missing(cell: str) -> bool:
    """True if the text of a table's cell means a missing value, e.g. an empty text, `?`, `-`, `n/a` or `null`."""
    return cell.strip().lower() in MISSING


def read_column(
    name: str, cells: Sequence[str], row_numbers: Sequence[int], path: Path, notation: Notation = PLAIN
) -> npt.NDArray[np.float64] | Categorical:
    """Convert a column's text to numbers, or to a column of names if at most 90 % of the filled cells are numbers.

    All known values are numbers: a column of numbers, float64 `[n]`, NaN where missing or infinite. At most 90 %
    are: a column of names, of which "missing" is one. In between: an error.

    Raises:
        DataError: Some but few of the values are no number; the first is named.
    """
    values, junk = _parse(cells, notation)
    if not junk:
        return values
    known = [cell for cell in cells if not is_missing(cell)]
    if len(known) - len(junk) > NUMERIC_SHARE * len(known):
        others = guess_notations([cells[position] for position in junk], notation)
        how = f", set {others[0].settings(notation)}" if others else ""
        raise DataError(_junk_message(name, cells, junk, row_numbers, path) + f"{how}, or add {name} to data.drop")
    return Categorical.from_cells(MISSING_NAME if is_missing(cell) else cell.strip() for cell in cells)


def read_numbers(name: str, cells: Sequence[str], row_numbers: Sequence[int], path: Path) -> npt.NDArray[np.float64]:
    """Convert a column's text to float64 numbers, one for each cell, with NaN for a missing or infinite cell.

    Raises:
        DataError: A value is neither a number nor missing; the first is named.
    """
    values, junk = _parse(cells, PLAIN)
    if junk:
        raise DataError(_junk_message(name, cells, junk, row_numbers, path))
    return values


def count_infinite(values: npt.NDArray[np.float64], cells: Sequence[str]) -> int:
    """Count the cells of a column that are infinite numbers, which stand as NaN in `values`."""
    return sum(not is_missing(cells[position]) for position in np.flatnonzero(np.isnan(values)).tolist())


def _parse(cells: Sequence[str], notation: Notation) -> tuple[npt.NDArray[np.float64], list[int]]:
    """Convert cells to numbers; also return the indices of cells that are neither a number nor missing."""
    junk: list[int] = []
    read = float if notation == PLAIN else notation.read  # the same, and faster
    try:
        values = np.fromiter(map(read, cells), np.float64, len(cells))
    except ValueError:
        values = np.full(len(cells), np.nan)
        for position, cell in enumerate(cells):
            try:
                values[position] = read(cell)
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
