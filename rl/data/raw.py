"""Define flows as read from a source: all rows, unscaled, in the order of recording."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Categorical:
    """Column of names (categories): the list of different names, and an integer code for each row.

    Attributes:
        values: The different names, in order of first appearance.
        codes: int64 `[n]`, positions in `values`.
    """

    values: tuple[str, ...]
    codes: npt.NDArray[np.int64]

    @classmethod
    def from_cells(cls, cells: Iterable[str]) -> "Categorical":
        """Make a column of names from the names in the rows."""
        positions: dict[str, int] = {}
        codes = [positions.setdefault(cell, len(positions)) for cell in cells]
        return cls(tuple(positions), np.array(codes, dtype=np.int64))


@dataclass(frozen=True)
class RawFlows:
    """Network flows as read, before scaling: columns of numbers, columns of names, labels (threat or benign).

    Attributes:
        numbers: Column name to float64 `[n]`; NaN where a value is missing, never infinite.
        categories: Column name to its names.
        threat: bool `[n]`.
        infinite: Column name to the count of missing numbers that were infinite in the source, where any were.
    """

    numbers: dict[str, npt.NDArray[np.float64]]
    categories: dict[str, Categorical]
    threat: npt.NDArray[np.bool_]
    infinite: Mapping[str, int] = field(default_factory=dict)

    def select_rows(self, rows: npt.NDArray[np.intp]) -> "RawFlows":
        """Return the network flows in the given rows, in the given order."""
        numbers = {name: values[rows] for name, values in self.numbers.items()}
        categories = {name: Categorical(c.values, c.codes[rows]) for name, c in self.categories.items()}
        return RawFlows(numbers, categories, self.threat[rows])

    def vectors(self) -> npt.NDArray[np.int64]:
        """Give each network flow an integer id, so that flows with equal values in all columns have equal ids.

        Labels are not part of a feature vector.
        """
        columns = [*self.numbers.values(), *(c.codes.astype(np.float64) for c in self.categories.values())]
        return number_rows(np.column_stack(columns))


def number_rows(matrix: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """Give each row of a matrix an integer id, so that equal rows have equal ids.

    0 and -0 are equal, and so are NaN and NaN.

    Example:
        >>> number_rows(np.array([[1.0, 0.0], [2.0, np.nan], [1.0, -0.0]])).tolist()
        [0, 1, 0]
    """
    positions: dict[bytes, int] = {}
    rows = np.ascontiguousarray(matrix + 0.0)  # -0.0 + 0.0 is 0.0, so equal rows have equal bytes
    return np.array([positions.setdefault(row.tobytes(), len(positions)) for row in rows], dtype=np.int64)
