"""Warn of doubtful columns in a table before a result is trusted: each hint names the columns and the remedy.

Columns of numbers that were read as names, identifiers, columns that give the label away, names that are too rare.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from unstuck.rl.data.columns import MISSING_NAME
from unstuck.rl.data.encode import MAX_CATEGORIES, MIN_ROWS
from unstuck.rl.data.notation import ENOUGH, NOTATIONS, Notation, guess_notations
from unstuck.rl.data.raw import Categorical, RawFlows

LEAK = 0.98
"""Balanced accuracy of one column alone from which the column is named. The strongest columns of NSL-KDD (`src_bytes`,
`service`) have 0.92, of the phishing set 0.88; the label under another name has 1."""

FEW_VALUES = 64  # numbers of at most so many different values are judged value by value too
FEWEST = 100  # rows, below which nothing is said of identifiers and leaks
FEWEST_OF_CLASS = 20  # flows of a class that a judgement needs in each half
ID_SHARE = 0.95  # share of known values that differ, from which names are identifiers
ID_RANGE = 1.5  # whole numbers that all differ are row numbers if they span at most this many times their count
RARE_SHARE = 0.5  # share of flows with names too rare for a feature, from which a column is named
MOST_VALUES = 10_000  # different values of a column that are looked at
LISTED = 5  # columns that a hint names at most

LOOKS = {
    "percentages": r"[-+]?\d+(?:[.,]\d+)?\s*%",
    "hexadecimal numbers": r"0[xX][0-9a-fA-F]+",
    "dates or times": r"(?:\d{4}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?[-/.](?:\d{4}|\d\d)|\d\d?:\d\d)(?:[T :].*)?",
    "numbers with a unit": r"[-+]?\d+(?:[.,]\d+)?\s*[A-Za-zµ]{1,4}(?:/s)?",
}
"""Ways to write a quantity that are read as names."""

_SEPARATING = re.compile(r"""[,'"\\\[\]{}]""")  # what a name must not hold in a list of names without quotes
_PATTERNS = {looks: re.compile(pattern) for looks, pattern in LOOKS.items()}


class Named(NamedTuple):
    """Name of a table's column, and an example value, for the text of a warning."""

    column: str
    example: str = ""

    def __str__(self) -> str:
        return f"{self.column} (such as {self.example!r})" if self.example else self.column


def list_hints(raw: RawFlows, notation: Notation, rng: np.random.Generator) -> tuple[str, ...]:
    """List warnings about a table's columns: numbers read as names, columns that give away the label, and others.

    Args:
        raw: The table.
        notation: Notation in which the numbers were read.
        rng: Generator that halves the flows, to judge columns on others than they were fitted to.
    """
    leaks = _leaks(raw, rng)
    names = {name: column for name, column in raw.categories.items() if name not in leaks}
    quantities = {**_numbers(names, notation)}
    quantities |= {
        name: found for name, column in names.items() if name not in quantities and (found := _quantity(_known(column)))
    }
    names = {name: column for name, column in names.items() if name not in quantities}
    ids = [Named(name) for name, values in raw.numbers.items() if _counts_up(values)]
    ids += [Named(name, _known(column)[0]) for name, column in names.items() if _is_identifier(column)]
    rare = [name for name, column in names.items() if name not in [id_.column for id_ in ids] and _is_rare(column)]
    lines = [*_quantities(quantities)]
    if leaks:
        lines.append(
            f"columns that nearly give the label away, each by itself: {_list(leaks)}; if they are not known when a "
            f"flow is to be judged, set {_drop(leaks)}"
        )
    if ids:
        lines.append(
            "columns that look like an identifier, a row number or a time, which says nothing of other flows: "
            f"{_list(ids)}; set {_drop(each.column for each in ids)}"
        )
    if rare:
        lines.append(
            f"columns in which most flows have a name that is too rare for a feature: {_list(rare)}; put like names "
            f"together, or set {_drop(rare)}"
        )
    return tuple(lines)


class _Quantity(NamedTuple):
    """Quantity, such as a date, found in a column that was read as names: kind, remedy and example value."""

    what: str
    remedy: str
    example: str


def _quantities(columns: Mapping[str, _Quantity]) -> Iterator[str]:
    """Yield a warning for each kind of quantity (e.g. dates) that was read as names instead of numbers."""
    for what, remedy in dict.fromkeys((found.what, found.remedy) for found in columns.values()):
        named = [Named(name, found.example) for name, found in columns.items() if found[:2] == (what, remedy)]
        otherwise = f"write plain numbers, or set {_drop(each.column for each in named)}"
        yield f"columns of {what} that were read as names: {_list(named)}; {remedy or otherwise}"


def _numbers(columns: Mapping[str, Categorical], present: Notation) -> dict[str, _Quantity]:
    """Find columns read as names that are numbers with other decimal or thousands signs; return remedies by column."""
    found = {name: others for name, column in columns.items() if (others := guess_notations(_known(column), present))}
    shared = [notation for notation in NOTATIONS if all(notation in others for others in found.values())]
    quantities = {}
    for name, others in found.items():
        first, *more = shared or others
        odd = [value for value in _known(columns[name]) if not present.reads(value) and first.reads(value)]
        other = next((notation for notation in more if notation.decimal != first.decimal), None)
        either = f" (or {other.settings(present)})" if other and all(map(other.reads, odd)) else ""
        quantities[name] = _Quantity("numbers", f"set {first.settings(present)}{either}", odd[0])
    return quantities


def _quantity(values: list[str]) -> _Quantity | None:
    """Return the kind of quantity (e.g. dates) that at least 90 % of a column's values look like; None if none."""
    for what, pattern in _PATTERNS.items():
        fitting = [value for value in values if pattern.fullmatch(value)]
        if values and len(fitting) >= ENOUGH * len(values):
            return _Quantity(what, "", fitting[0])
    return None


def _leaks(raw: RawFlows, rng: np.random.Generator) -> list[str]:
    """Find columns that alone predict the label of held-out data with a balanced accuracy of at least `LEAK`.

    A column is fitted on one half of the flows and judged on the other half.
    """
    fit = rng.random(len(raw.threat)) < 0.5
    least = min(np.bincount(raw.threat[half], minlength=2).min() for half in (fit, ~fit))
    if least < FEWEST_OF_CLASS:
        return []
    scores = {name: _by_threshold(values, raw.threat, fit) for name, values in raw.numbers.items()}
    for name, values in raw.numbers.items():
        kinds = np.unique(values)
        if len(kinds) <= FEW_VALUES:
            scores[name] = max(scores[name], _by_value(np.searchsorted(kinds, values), raw.threat, fit))
    scores |= {name: _by_value(column.codes, raw.threat, fit) for name, column in raw.categories.items()}
    return [name for name, score in scores.items() if score >= LEAK]


def _by_threshold(values: npt.NDArray[np.float64], threat: npt.NDArray[np.bool_], fit: npt.NDArray[np.bool_]) -> float:
    """Compute the balanced accuracy with which one threshold on a column separates threats from benign rows."""
    values = np.where(np.isnan(values), -np.inf, values)
    order = np.argsort(values[fit], kind="stable")
    ordered, labels = values[fit][order], threat[fit][order]
    below = np.cumsum(labels) / labels.sum() - np.cumsum(~labels) / (~labels).sum()  # threats less benign flows
    ends = np.append(ordered[1:] > ordered[:-1], True)
    best = int(np.argmax(np.where(ends, np.abs(below), -1.0)))
    return _balanced((values <= ordered[best]) == (below[best] > 0), threat, ~fit)


def _by_value(codes: npt.NDArray[np.intp], threat: npt.NDArray[np.bool_], fit: npt.NDArray[np.bool_]) -> float:
    """Compute the balanced accuracy with which a column's names, each by majority, tell threats from benign rows."""
    most = int(codes.max()) + 1
    shares = [np.bincount(codes[fit & label], minlength=most) / (fit & label).sum() for label in (threat, ~threat)]
    return _balanced((shares[0] > shares[1])[codes], threat, ~fit)


def _balanced(said: npt.NDArray[np.bool_], threat: npt.NDArray[np.bool_], judged: npt.NDArray[np.bool_]) -> float:
    return float((said[judged & threat].mean() + (~said[judged & ~threat]).mean()) / 2)


def _counts_up(values: npt.NDArray[np.float64]) -> bool:
    """True if numbers look like row numbers: always rising or falling, or distinct and close together."""
    if len(values) < FEWEST or np.isnan(values).any():
        return False
    steps = np.diff(values)
    if (steps > 0).all() or (steps < 0).all():
        return True
    is_dense = np.ptp(values) + 1 <= ID_RANGE * len(values)
    return bool(is_dense and (values % 1 == 0).all() and len(np.unique(values)) == len(values))


def _is_identifier(column: Categorical) -> bool:
    known = np.array([value != MISSING_NAME for value in column.values])
    count = int(known[column.codes].sum())
    return count >= FEWEST and int(known.sum()) >= ID_SHARE * count


def _is_rare(column: Categorical) -> bool:
    counts = np.sort(np.bincount(column.codes))[::-1][:MAX_CATEGORIES]
    return bool(counts[counts >= MIN_ROWS].sum() < (1 - RARE_SHARE) * len(column.codes))


def _known(column: Categorical) -> list[str]:
    return [value for value in column.values[:MOST_VALUES] if value != MISSING_NAME]


def _list(named: Sequence[Named | str]) -> str:
    more = f" and {len(named) - LISTED} more" if len(named) > LISTED else ""
    return ", ".join(map(str, named[:LISTED])) + more


def _drop(names: Iterable[str]) -> str:
    """Return the setting `data.drop=[...]` that leaves out the named columns, quoted for a shell."""
    listed = list(names)
    if any(_SEPARATING.search(name) for name in listed):
        listed = ["'" + re.sub(r"(['\\])", r"\\\1", name) + "'" for name in listed]
    return shlex.quote(f"data.drop=[{','.join(listed)}]")
