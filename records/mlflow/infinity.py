"""Convert numbers to and from the form in which MLflow stores them: the largest float stands for infinity."""

import math
import sys

_LARGEST = sys.float_info.max

_FROM = 1.7e308
"""Size from which a stored number is read as infinity: a database may round the largest float."""


def to_stored(value: object) -> object:
    """Convert a metric's value to what MLflow stores: the largest float for infinity, "NaN" for NaN.

    NaN becomes text, which equals itself; other values stay as they are.

    Example:
        >>> to_stored(float("inf"))
        1.7976931348623157e+308
        >>> to_stored(float("nan")) == to_stored(float("nan"))
        True
    """
    if not isinstance(value, float):
        return value
    return "NaN" if math.isnan(value) else max(-_LARGEST, min(value, _LARGEST))


def from_stored(stored: float) -> float:
    """Convert a number from MLflow to the logged number: the largest float becomes infinity, NaN stays NaN.

    Example:
        >>> from_stored(1.7976931348623157e308), from_stored(0.5)
        (inf, 0.5)
    """
    return math.copysign(math.inf, stored) if abs(stored) >= _FROM else stored
