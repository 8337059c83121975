"""Format numbers for readers: enough digits to tell values apart, and no more."""

import math
from collections.abc import Sequence

from unstuck.rl.wording import pluralize as pluralize

_ROUNDING = 1e-12
"""Share of a number below which an uncertainty is only float64's rounding."""


_MOST_DIGITS = 4
"""Significant digits of a number with an uncertainty: more say nothing to a reader."""


def number(value: float, digits: int = 4) -> str:
    """Format a number to a few significant digits.

    >>> number(0.99953), number(-1757.4), number(3e-4), number(48_000.0)
    ('0.9995', '-1,757', '0.0003', '48,000')
    """
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def format_uncertain(value: float, spread: float | None) -> str:
    """Format a number with its uncertainty, e.g. `0.94 ± 0.02`; the number alone if there is none.

    The uncertainty sets the digits, but never more than four significant digits of the number.

    >>> format_uncertain(0.9412, 0.0183), format_uncertain(-1757.0, 230.0), format_uncertain(0.5, 0.0)
    ('0.94 ± 0.02', '-1,757 ± 230', '0.5')
    >>> format_uncertain(0.99592076, 0.00000002)
    '0.9959 ± < 0.0001'
    """
    rounding = _ROUNDING * abs(value)
    if spread is None or not (spread > rounding and math.isfinite(spread) and math.isfinite(value)):
        return number(value)
    leading = math.floor(math.log10(spread))
    places = max(0, -leading + (1 if spread / 10**leading < 1.5 else 0))
    if value:
        places = min(places, max(0, _MOST_DIGITS - 1 - math.floor(math.log10(abs(value)))))
    smallest = 10.0**-places
    uncertainty = f"< {smallest:,.{places}f}" if spread < smallest else f"{spread:,.{places}f}"
    return f"{value:,.{places}f} ± {uncertainty}"


def percent(share: float, places: int = 0) -> str:
    """Format a share in percent.

    >>> percent(0.109, 1)
    '10.9 %'
    """
    return f"{100 * share:.{places}f} %"


def format_range(values: Sequence[float]) -> str:
    """Format the range of numbers as text, such as `0.1 to 0.4`; one number if both ends look equal.

    >>> format_range([1.0, 0.9989]), format_range([0.5])
    ('0.9989 to 1.0000', '0.5')
    """
    low, high = number(min(values)), number(max(values))
    if low == high:
        return low
    if not any(mark in text for text in (low, high) for mark in "e,n"):  # exponents, thousands, nan and inf
        places = max(len(text.partition(".")[2]) for text in (low, high))
        low, high = f"{min(values):.{places}f}", f"{max(values):.{places}f}"
    return f"{low} to {high}"


def join_words(items: Sequence[str], last: str = "and") -> str:
    """Join words to one text by commas and, before the last word, an "and".

    >>> join_words(["lr"]), join_words(["lr", "gamma"]), join_words(["a", "b", "c"])
    ('lr', 'lr and gamma', 'a, b and c')
    """
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}" if items else ""
