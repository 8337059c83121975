"""Numbers of one file as they stand there, before any name is understood."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Points:
    """Values of one column or tag, each with its row or step.

    Attributes:
        at: Row of each value (from 0), or the step at which the value was logged; shape (n,).
        values: The values, none of them NaN unless the program logged NaN; shape (n,).
    """

    at: Numbers
    values: Numbers

    def __len__(self) -> int:
        return len(self.at)


@dataclass(frozen=True)
class Raw:
    """Numbers read from one file, by the file's own names of columns or tags.

    Attributes:
        file: The file; None for text from standard input.
        columns: Values by column or tag.
        stepped: True if values stand at logged steps, as in event files; False if they stand in rows.
        evaluated: True if the file holds evaluations, whose returns are the greedy policy's.
        form: Form of the file, for people: `CSV`, `event file`, `console text` and others.
        is_printed: True for a program's printed output, whose rows are blocks of lines that nobody can sort.
        settings: Settings found in the file.
        remarks: Notes for the reader of the run on what was left out of the file.
    """

    file: Path | None
    columns: Mapping[str, Points]
    stepped: bool = False
    evaluated: bool = False
    form: str = "CSV"
    is_printed: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Name of the file for messages, or `standard input`."""
        return str(self.file) if self.file else "standard input"


def select_points(values: Sequence[float] | Numbers, at: Numbers | None = None) -> Points:
    """Return a column's values, without missing ones (NaN), each with its row or step."""
    numbers = np.asarray(values, dtype=np.float64)
    places = np.arange(len(numbers), dtype=np.float64) if at is None else at
    known = ~np.isnan(numbers)
    return Points(places[known], numbers[known])


def gather_points(values: Sequence[float | None]) -> Points:
    """Return a column's values, without missing ones (None), each with its row; a NaN is a number that was logged."""
    known = [(float(row), value) for row, value in enumerate(values) if value is not None]
    at, numbers = zip(*known, strict=True) if known else ((), ())
    return Points(np.array(at, dtype=np.float64), np.array(numbers, dtype=np.float64))


def collect_columns(rows: Sequence[Mapping[str, float]]) -> dict[str, Points]:
    """Convert rows (each a mapping from names to numbers) to columns of values by name."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: gather_points([row.get(name) for row in rows]) for name in names}
