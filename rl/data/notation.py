"""Notation of numbers: the sign before decimals, and the sign between thousands."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

SPACES = " \u00a0\u202f"  # written alike, and meant alike, between thousands
ENOUGH = 0.9  # share of a column's values that a way of writing numbers must explain


@dataclass(frozen=True)
class Notation:
    """Way in which numbers are written in text: the sign before decimals, and the sign between thousands.

    Attributes:
        decimal: Sign before decimals, `.` or `,`.
        thousands: Sign allowed between groups of three digits; None: nothing.

    Example:
        >>> european = Notation(decimal=",", thousands=".")
        >>> european.read("1.234,5"), european.reads("1,234.5")
        (1234.5, False)
        >>> european.settings(Notation())
        'data.decimal=, data.thousands=.'
    """

    decimal: str = "."
    thousands: str | None = None

    def read(self, cell: str) -> float:
        """Convert a cell's text to a float; raise `ValueError` if it is not written in the notation.

        The plain notation reads by Python's own rules.

        Raises:
            ValueError: The cell is no number, or is written in another way.
        """
        if self == Notation() or not any(character.isdigit() for character in cell):  # inf, nan
            return float(cell)
        if not self._pattern.fullmatch(cell):
            raise ValueError(f"{cell!r} is not a number with {self.decimal!r} before decimals")
        for sign in self._between:
            cell = cell.replace(sign, "")
        return float(cell.replace(self.decimal, "."))

    def reads(self, cell: str) -> bool:
        """True if `read` can convert a cell's text to a number in the notation."""
        try:
            self.read(cell)
        except ValueError:
            return False
        return True

    def settings(self, present: "Notation") -> str:
        """Return the command-line settings that switch from the notation `present` to this one."""
        quoted = {None: "null", " ": "' '", "'": '"\'"'}.get(self.thousands, self.thousands)
        words = []
        if self.decimal != present.decimal:
            words.append(f"data.decimal={self.decimal}")
        if self.thousands != present.thousands:
            words.append(f"data.thousands={quoted}")
        return shlex.join(words)

    @property
    def _between(self) -> str:
        return SPACES if self.thousands == " " else self.thousands or ""

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        groups = rf"\d{{1,3}}(?:[{re.escape(self._between)}]\d{{3}})+|" if self.thousands else ""
        decimals = rf"(?:{re.escape(self.decimal)}\d*)?"
        return re.compile(rf"\s*[+-]?(?:{groups}\d*){decimals}(?:[eE][+-]?\d+)?\s*")


NOTATIONS = (
    Notation(".", None),
    Notation(".", ","),
    Notation(",", None),
    Notation(",", "."),
    Notation(".", " "),
    Notation(",", " "),
    Notation(".", "'"),
    Notation(",", "'"),
)
"""Ways to write numbers that are told from names, the likeliest first."""


def guess_notations(cells: Sequence[str], present: Notation) -> list[Notation]:
    """Find notations that read 90 % of a column's cells, and 90 % of those that `present` cannot read.

    Args:
        cells: Different values of a column, none missing.
        present: Notation in which the column was read.
    """
    odd = [cell for cell in cells if not present.reads(cell)]
    others = [notation for notation in NOTATIONS if notation != present and odd]
    return [
        notation
        for notation in others
        if all(sum(map(notation.reads, values)) >= ENOUGH * len(values) for values in (odd, cells))
    ]
