"""Read tables: CSV, TSV and the like, downloads of TensorBoard's, histories and charts of W&B's."""

import csv
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.dialects.dialect import make_canonical
from unstuck.analysis.history.dialects.plain import PLAIN
from unstuck.analysis.history.raw import Points, Raw, select_points

_LISTED = 8  # names that a message lists at most
_DELIMITERS = ",\t;"
_SAMPLE = 20  # lines by which a text is told from a table
_HINT = "sep="
"""Beginning of the first line by which Excel is told the delimiter."""

_EXTREMES = ("__MIN", "__MAX")
_KEYS = ("key", "tag", "metric", "metric_name")
_CHART = re.compile(r"^.+? - (?=\S)")
_DOWNLOADED = ("Wall time", "Step", "Value")
_TAG = re.compile(r"(?:.*-)?tag-(.+)$")
TAG_UNKNOWN = "Value"
"""Column of a TensorBoard download whose file name does not tell the tag."""


def find_delimiter(text: str) -> str | None:
    """Return the delimiter (comma, tab ...) of a table's text, or None if the text is not a table."""
    lines = [line for line in text.splitlines()[:_SAMPLE] if line.strip() and not line.startswith(("#", _HINT))]
    if len(lines) < 2:
        return None
    for delimiter in _DELIMITERS if max(map(len, lines)) < csv.field_size_limit() else "":
        rows = list(csv.reader(lines, delimiter=delimiter))
        width = len(rows[0])
        if width > 1 and all(len(row) <= width for row in rows) and not any(map(_is_number, rows[0])):
            cells = [cell for row in rows[1:] for cell in row if cell.strip()]
            if sum(map(_is_number, cells)) >= len(cells) / 2:
                return delimiter
            if sum(map(_is_decimal, cells)) >= len(cells) / 2:
                return delimiter
    return None


def read_table(file: Path | None, text: str, delimiter: str = ",") -> Raw:
    """Read the metrics in the text of a table (CSV, TSV ...) with a header.

    Raises:
        AnalysisError: The text is no table, its first row names no columns, or two columns have one name.
    """
    place = file or "standard input"
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        raise AnalysisError(f"{place} must be a CSV in UTF-8, and holds zero bytes")
    try:
        text = _strip_comments(text, delimiter)
        header = [str(name) for name in _parse(text, delimiter, header=None, dtype=str, nrows=1).iloc[0]]
        body = _drop_cut_field(_strip_ends(text, delimiter), delimiter, len(header))
        quoted = delimiter == "," and '"' in body
        body = _rewrite_commas(body, delimiter) if quoted or (delimiter != "," and "," in body) else body
        frame = _parse(_NAN_CELL.sub(repr(_LOGGED_NAN), body) if "nan" in body.lower() else body, delimiter)
    except (ValueError, csv.Error) as error:
        raise AnalysisError(f"{place} must be a CSV with a header: {str(error).partition(chr(10))[0]}") from None
    if all(_is_number(name) for name in header):
        raise AnalysisError(f"the first row of {place} must name its columns, got {', '.join(header[:_LISTED])}")
    twice = sorted({name for name in header if header.count(name) > 1 and name != "nan"})
    if twice:
        raise AnalysisError(f"columns of {place} must have names of their own, got {', '.join(twice[:_LISTED])} twice")
    frame = _widen_table(frame)
    if set(frame.columns) == set(_DOWNLOADED):
        return _read_download(file, frame)
    columns = {name: _parse_numbers(frame[name]) for name in frame.columns}
    charted, columns = _strip_run(columns, place)
    form = "W&B chart export" if charted else "W&B history" if "_step" in columns or "_runtime" in columns else "CSV"
    evaluated = file is not None and "eval" in file.stem.lower()
    return Raw(file, columns, evaluated=evaluated, form=form)


_LOGGED_NAN = 3.141592653589793e300
"""Number that stands for a NaN that the program wrote, while the table is parsed: an empty cell is no NaN."""

_NAN_CELL = re.compile(r"(?<=[,\t;\n])[ ]*[-+]?nan[ ]*(?=[,\t;\r\n]|$)", re.IGNORECASE)


_DECIMAL = re.compile(r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?")
"""Number with a decimal comma, as spreadsheets write in many languages."""

_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")
"""Number whose thousands are parted by commas."""

_DIGITS = 300
"""Characters from which on a cell holds no number of a log."""

_COUNTERS = frozenset(map(make_canonical, (*PLAIN.iteration, *PLAIN.env_steps)))


def _rewrite_commas(text: str, delimiter: str) -> str:
    """Write the numbers of a table that no commas part without commas: of decimals, or between thousands.

    A column whose numbers with commas all have three digits behind each has thousands; unless another column's commas
    can only be of decimals, and the column is no counter. Commas are of decimals only where no number has a point.
    """
    header, *rows = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
    cells = [cell.strip() for row in rows for cell in row]
    pointed = any("." in cell and _is_decimal(cell) for cell in cells)
    decimal = not pointed and any(_DECIMAL.fullmatch(cell) and not _THOUSANDS.fullmatch(cell) for cell in cells)
    for place in range(max(map(len, rows), default=0)):
        column = [row for row in rows if place < len(row) and "," in row[place] and _is_decimal(row[place].strip())]
        counter = place < len(header) and make_canonical(header[place]) in _COUNTERS
        thousands = all(_THOUSANDS.fullmatch(row[place].strip()) for row in column) and (counter or not decimal)
        if thousands or not pointed:
            for row in column:
                row[place] = row[place].replace(",", "" if thousands else ".")
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, lineterminator="\n").writerows([header, *rows])
    return written.getvalue()


def _strip_comments(text: str, delimiter: str) -> str:
    """Remove Excel's hint and comments before a table, but keep a comment that names the columns (as numpy writes)."""
    comments: list[str] = []
    text = text.partition("\n")[2] if text.startswith(_HINT) else text
    while text.startswith("#"):
        line, _, text = text.partition("\n")
        comments.append(line.lstrip("# "))
    first = next(csv.reader([text.partition("\n")[0]], delimiter=delimiter), [])
    named = bool(comments) and bool(first) and all(map(_is_number, first))
    return "\n".join([comments[-1], text]) if named else text


def _parse(text: str, delimiter: str, **options: object) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text), sep=delimiter, skipinitialspace=True, **options)  # type: ignore[call-overload,no-any-return]


def _strip_ends(text: str, delimiter: str) -> str:
    """Remove the delimiter behind the last cell of each row, if every row has one and the header has none.

    The cells of such rows would be taken for those of the columns beside.
    """
    header, *rows = text.split("\n")
    ended = [row.endswith(delimiter) for row in rows if row]
    if not ended or not all(ended[:-1]) or not ended[0] or header.endswith(delimiter):
        return text
    if len(next(csv.reader([rows[0]], delimiter=delimiter))) <= len(next(csv.reader([header], delimiter=delimiter))):
        return text  # an empty last cell
    return "\n".join([header, *(row.removesuffix(delimiter) for row in rows)])


def _drop_cut_field(text: str, delimiter: str, width: int) -> str:
    """Remove an incomplete last field from a table's text, as of a file copied while a run writes it."""
    if text.endswith("\n"):
        return text
    kept, _, last = text.rpartition("\n")
    cells = next(csv.reader([last], delimiter=delimiter), [])
    return kept + "\n" + last.rpartition(delimiter)[0] + "\n" if kept and len(cells) < width else text


def _widen_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Convert a long table (metrics' names in one column) to a column for each name; return others unchanged."""
    lower = {str(name).lower(): name for name in frame.columns}
    key = next((lower[name] for name in _KEYS if name in lower), None)
    if key is None or not {"step", "value"} <= lower.keys():
        return frame
    long = frame.assign(value=pd.to_numeric(frame[lower["value"]], errors="coerce"))
    return long.pivot_table(index=lower["step"], columns=key, values="value", aggfunc="last").reset_index()


def _parse_numbers(column: "pd.Series[float]") -> Points:
    try:
        numbers = pd.to_numeric(column, errors="coerce")
    except OverflowError:  # digits without end
        numbers = pd.to_numeric(column.astype(str).where(column.astype(str).str.len() < _DIGITS), errors="coerce")
    points = select_points(numbers.to_numpy(dtype=np.float64))
    return Points(points.at, np.where(points.values == _LOGGED_NAN, np.nan, points.values))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_decimal(text: str) -> bool:
    return _is_number(text) or any(form.fullmatch(text.strip()) for form in (_DECIMAL, _THOUSANDS))


def _read_download(file: Path | None, frame: pd.DataFrame) -> Raw:
    """Read a CSV downloaded from TensorBoard; the tag is in the file's name only: `run-NAME-tag-TAG.csv`."""
    found = _TAG.match(file.stem) if file else None
    tag = found[1] if found else TAG_UNKNOWN
    steps, values = (pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=np.float64) for name in _DOWNLOADED[1:])
    return Raw(file, {tag: select_points(values, steps)}, stepped=True, form="TensorBoard's CSV download")


def _strip_run(columns: dict[str, Points], place: Path | str) -> tuple[bool, dict[str, Points]]:
    """Remove the run's name from W&B's columns (`run - train/value_loss`), and drop columns of minima and maxima.

    Returns:
        True if it was a chart export, and the columns.

    Raises:
        AnalysisError: The chart shows several runs.
    """
    runs = {found[0] for name in columns if (found := _CHART.match(name))}
    if not runs:
        return False, columns
    if len(runs) > 1:
        names = ", ".join(sorted(run.removesuffix(" - ") for run in runs)[:_LISTED])
        raise AnalysisError(f"{place} must hold one run, and holds {len(runs)}: {names}; export the chart of one run")
    kept = {name: points for name, points in columns.items() if not name.endswith(_EXTREMES)}
    return True, {_CHART.sub("", name): points for name, points in kept.items()}
