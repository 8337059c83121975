"""Rewrite prints that look like tables, or like nothing, as lines of `name: value`, and tell a test from a training."""

import ast
import re
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, pairwise

_TUPLE = re.compile(r"^\s*\(\s*['\"].*\)\s*$")
_CELL = re.compile(r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf)", re.IGNORECASE)
_COLUMNS = 3
"""Columns of a bare table, at least."""

_OF_PPO1 = {"pol_surr": "policy_loss", "pol_entpen": "pol_entpen", "ent": "entropy"}
"""Columns of OpenAI Baselines' PPO1 whose names say too little by themselves (pposgd_simple.py)."""

_TEST = re.compile(r"^\W*(?:test|testing|tested|evaluat\w+|inference)\b", re.IGNORECASE)
_COUNT = re.compile(r"\b(?:episode|epoch|update|iteration|iter|step|game)s?\s*[#:=]*\s*(\d+)", re.IGNORECASE)
_TRAINED = 3
"""Counted lines of a training, at least, before lines that count anew are a test."""


def rewrite_prints(text: str) -> str:
    """Convert printed tuples and plain tables in a text to lines of `name: value`; leave other text unchanged.

    A tuple is what Python 2 prints for `print("Episode", 3, "reward", 1.0)`. A bare table has a line of names between
    bars and lines of numbers below: OpenAI Baselines' PPO1 prints one at each update, a line an epoch, of which the
    last one tells where the update ended.
    """
    lines = text.splitlines()
    tuples = [_TUPLE.match(line) is not None for line in lines]
    if sum(tuples) > 1:
        return "\n".join(_unpack(line) if is_one else line for line, is_one in zip(lines, tuples, strict=True))
    return "\n".join(_fold_tables(lines)) if any(map(_read_names, lines)) and not _has_rules(lines) else text


def _unpack(line: str) -> str:
    """Convert a printed tuple of alternating names and numbers to pairs; return other lines unchanged."""
    try:
        parts = ast.literal_eval(line.strip())
    except (ValueError, SyntaxError):
        return line
    pairs = []
    for name, value in pairwise(parts):
        if isinstance(name, str) and isinstance(value, int | float):
            pairs.append(f"{name.strip(' #:=' + chr(9))}: {value}")
    return " | ".join(pairs) or line


def _fold_tables(lines: Sequence[str]) -> list[str]:
    """Convert each plain table in printed lines to one line: the names with the last numbers below them."""
    kept: list[str] = []
    names: list[str] = []
    last: list[str] = []
    for line in [*lines, ""]:
        cells = [cell.strip() for cell in line.split("|")]
        header = _read_names(line)
        if names and len(cells) == len(names) and all(map(_CELL.fullmatch, cells)):
            last = cells
        elif header:
            kept += _pair(names, last)
            names, last = header, []
        else:
            if last and not _TEST.match(line):  # "Evaluating losses..." heads the update's last line
                kept += _pair(names, last)
                names, last = [], []
            kept.append(line)
    return kept


def _pair(names: Sequence[str], values: Sequence[str]) -> list[str]:
    pairs = [f"{_OF_PPO1.get(name, name)}: {value}" for name, value in zip(names, values, strict=False)]
    return [" | ".join(pairs)] if pairs else []


def _read_names(line: str) -> list[str]:
    """Return the column names in a plain table's header, words between bars; empty for other lines."""
    cells = [cell.strip() for cell in line.split("|")]
    words = len(cells) >= _COLUMNS and all(re.fullmatch(r"[A-Za-z][\w./]*", cell) for cell in cells)
    return cells if words else []


def _has_rules(lines: Sequence[str]) -> bool:
    """True if a line of dashes and bars shows that a table is in Markdown."""
    return any(re.fullmatch(r"[\s|:+-]*-{2,}[\s|:+-]*", line) and "|" in line for line in lines)


def find_test(lines: Sequence[str]) -> int | None:
    """Find the line where a test's output begins after a training's, by counts that restart; None if none does.

    Evaluations in the middle of a training are none: behind these the counts go on.
    """
    found = [(place, int(count[1])) for place, line in enumerate(lines) if (count := _COUNT.search(line))]
    places, counts = [place for place, _ in found], [count for _, count in found]
    most = list(accumulate(counts, max))  # up to each, and below from each on
    still = list(accumulate(reversed(counts), max))[::-1]
    for place, line in enumerate(lines):
        after = bisect_left(places, place)
        if not _TEST.match(line) or not _TRAINED <= after < len(counts):
            continue
        if counts[after] < counts[after - 1] and still[after] <= most[after - 1]:
            return place
    return None
