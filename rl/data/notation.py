"""How numbers are written: which sign stands before decimals, and which between thousands."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

SPACES = " \u00a0\u202f"  # written alike, and meant alike, between thousands
ENOUGH = 0.9  # share of a column's values that a way of writing numbers must explain


@dataclass(frozen=True)
class Notation:
    """A way to write numbers.

    Attributes:
        decimal: `.` or `,`.
        thousands: What may stand between groups of three digits; None: nothing.
    """

    decimal: str = "."
    thousands: str | None = None

    def read(self, cell: str) -> float:
        """The number that is written in a cell, as Python reads numbers where nothing else is set.

        Raises:
            ValueError: It is none, or is written in another way.
        """
        if self == Notation() or not any(character.isdigit() for character in cell):  # inf, nan
            return float(cell)
        if not self._pattern.fullmatch(cell):
            raise ValueError(f"{cell!r} is not a number with {self.decimal!r} before decimals")
        for sign in self._between:
            cell = cell.replace(sign, "")
        return float(cell.replace(self.decimal, "."))

    def reads(self, cell: str) -> bool:
        """Whether a cell is a number by this way of writing."""
        try:
            self.read(cell)
        except ValueError:
            return False
        return True

    def settings(self, present: "Notation") -> str:
        """The words of a command that turn a notation into this one, as a shell takes them."""
        quoted = {None: "null", " ": "' '", "'": '"\'"'}.get(self.thousands, self.thousands)
        words = [f"data.decimal={self.decimal}"] * (self.decimal != present.decimal)
        words += [f"data.thousands={quoted}"] * (self.thousands != present.thousands)
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


def guess(cells: Sequence[str], present: Notation) -> list[Notation]:
    """Notations by which cells are numbers that are none by the present one; empty where most are names.

    Args:
        cells: Different values of a column, none missing.
        present: How the column was read.
    """
    odd = [cell for cell in cells if not present.reads(cell)]
    others = [notation for notation in NOTATIONS if notation != present and odd]
    return [
        notation
        for notation in others
        if all(sum(map(notation.reads, values)) >= ENOUGH * len(values) for values in (odd, cells))
    ]
