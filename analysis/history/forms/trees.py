"""Read a run's numbers from one object of JSON: a list of records, lists by name, or one of these under a name."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from unstuck.analysis.history.dialects.plain import find_plain_name
from unstuck.analysis.history.forms.results import flatten_numbers, parse_json
from unstuck.analysis.history.raw import Raw, collect_columns, gather_points, select_points

_JOINED = "/"
_ROWS = 2
"""Records, or values of a list, from which on they may be a curve."""

_POINT = (2, 3)
"""Numbers of a point: step and value, as people write, or time, step and value, as TensorBoard's download has."""


def read_tree(file: Path | None, text: str) -> Raw | None:
    """Read the longest record of a run in an object of JSON; None if the text is no JSON, or holds no known metric.

    A record is a list of objects (a row each), an object of lists (a column each) or of objects that count their values
    (a column each, as pandas writes), an object of objects with numbers for names (a row each), or a list of points. Of
    several, in different parts of the object, the longest counts.
    """
    try:
        tree = parse_json(text)
        found = [raw for raw in _find_records(file, tree) if any(map(find_plain_name, raw.columns))]
    except (ValueError, RecursionError):  # no JSON, or nested too deep for any log
        return None
    return max(found, key=_count_rows, default=None)


def _count_rows(raw: Raw) -> int:
    return max(map(len, raw.columns.values()), default=0)


def _find_records(file: Path | None, tree: Any, path: str = "") -> Iterator[Raw]:
    """Yield each part of an object of JSON that may be the record of a run."""
    if isinstance(tree, Mapping):
        columns = dict(_list_columns(tree))
        if columns:
            yield Raw(file, {name: gather_points(values) for name, values in columns.items()}, form="JSON")
        numbered = [value for name, value in tree.items() if name.isdigit() and isinstance(value, Mapping)]
        if len(numbered) >= _ROWS and len(numbered) == len(tree):
            tree = [{"iteration": int(name), **value} for name, value in tree.items()]
        else:
            for name, value in tree.items():
                yield from _find_records(file, value, f"{path}{name}{_JOINED}")
    if isinstance(tree, Sequence) and not isinstance(tree, str):
        rows = [flatten_numbers(row) for row in tree if isinstance(row, Mapping)]
        if len(rows) >= _ROWS and len(rows) == len(tree):
            yield Raw(file, collect_columns(rows), form="JSON")
        name = path.rstrip(_JOINED) or (file.stem if file else "")
        if len(tree) >= _ROWS and all(_is_point(row) for row in tree) and name:
            steps, values = ([float(row[place]) for row in tree] for place in (-2, -1))
            yield Raw(file, {"step": select_points(steps), name: select_points(values)}, form="JSON")


def _list_columns(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, list[float | None]]]:
    """Yield name and numbers of each list, or counted object, of numbers in an object, nested names joined by `/`."""
    for name, value in tree.items():
        if isinstance(value, Mapping) and len(value) >= _ROWS and all(map(str.isdecimal, value)):
            value = [value[row] for row in sorted(value, key=int)]
        if isinstance(value, Mapping):
            yield from _list_columns(value, f"{prefix}{name}{_JOINED}")
        elif isinstance(value, list) and len(value) >= _ROWS and all(one is None or _is_number(one) for one in value):
            yield prefix + name, [None if one is None else float(one) for one in value]


def _is_point(row: Any) -> bool:
    return isinstance(row, list) and len(row) in _POINT and all(map(_is_number, row))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
