"""Read text files into rows of cells, and raise a one-line `DataError` for each fault of a file."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from unstuck.rl.errors import DataError
from unstuck.rl.wording import find_near

DELIMITERS = (",", ";", "\t", "|")
GZIP_MAGIC = b"\x1f\x8b"
LISTED = 8  # names that a message lists at most


@dataclass(frozen=True)
class Sheet:
    """Rows of a delimited text file such as CSV, with equally many cells in each; without blank rows.

    Attributes:
        path: File that the rows were read from.
        cells: Text of the cells, `[rows][columns]`.
        row_numbers: Place of each row in the file; the first line is 1.
    """

    path: Path
    cells: list[list[str]]
    row_numbers: list[int]


def read_sheet(name: str, delimiter: str | None = None) -> Sheet:
    """Read a delimited text file, gzipped or not, in UTF-8 or Latin-1; return the rows of cells.

    Args:
        name: Path of the file. The file is held in memory as text: about 60 bytes a cell.
        delimiter: Character between cells; by default the most frequent of `,` `;` tab and `|` in the first line.

    Raises:
        DataError: There is no such file, it is not text, it is empty, or its rows are not equally long.
    """
    path = Path(name).expanduser()
    text = _decode(_read_bytes(path), path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter or _sniff(text))
    cells: list[list[str]] = []
    row_numbers: list[int] = []
    try:
        for row in reader:
            if any(row):  # some public files end in thousands of rows of nothing but commas
                cells.append(row)
                row_numbers.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{path} must be a delimited text file, row {reader.line_num}: {error}; correct it") from error
    if not cells:
        raise DataError(f"data.path must name a file with rows, got an empty one: {path}; name another file")
    _check_equally_long(cells, row_numbers, path)
    return Sheet(path, cells, row_numbers)


def suggest_name(wanted: str, names: Iterable[str]) -> str:
    """Suggest, as text, a known name for an unknown one: the most similar, if any, and the first 8 known names.

    Example:
        >>> suggest_name("lable", ["duration", "label"])
        "did you mean 'label'? there are 'duration', 'label'"
    """
    listed = list(names)
    meant = find_near(wanted, listed, 0.6)
    question = "" if meant is None else f"did you mean {meant!r}? "
    more = ", ..." if len(listed) > LISTED else ""
    return f"{question}there are {', '.join(repr(name) for name in listed[:LISTED])}{more}"


def _read_bytes(path: Path) -> bytes:
    if path.is_dir():
        inside = sorted(entry.name for entry in path.iterdir() if entry.is_file())[:LISTED]
        raise DataError(f"data.path must name a file, got the folder {path}; it holds {', '.join(inside) or 'no file'}")
    if not path.exists():
        raise DataError(f"data.path must name a file that exists, got {path}; {_remedy_for_path(path)}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"data.path must name a file that can be read, got {path}: {error.strerror}") from error
    if not content.startswith(GZIP_MAGIC):
        if path.suffix == ".gz" and content:
            raise DataError(f"a .gz file must be gzipped, got {path} which is not; rename it or compress it")
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"a gzipped file must be whole, got {path}: {error}; fetch it again") from error


def _remedy_for_path(path: Path) -> str:
    if not path.parent.is_dir():
        return f"its folder {path.parent} does not exist either; correct data.path"
    names = sorted(entry.name for entry in path.parent.iterdir() if entry.is_file())
    return suggest_name(path.name, names) if names else "its folder holds no file; correct data.path"


def _decode(content: bytes, path: Path) -> str:
    if b"\0" in content:
        raise DataError(f"data.path must name a text file, got {path} which holds zero bytes; save it as UTF-8 text")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")  # every byte is a letter there: names may look odd, numbers never do


def _sniff(text: str) -> str:
    first = next((line for line in text.splitlines() if line.strip()), "")
    return max(DELIMITERS, key=first.count)


def _check_equally_long(cells: list[list[str]], row_numbers: list[int], path: Path) -> None:
    width = len(cells[0])
    for row, number in zip(cells, row_numbers, strict=True):
        if len(row) != width:
            raise DataError(
                f"every row must have as many cells as the first, {width}, got {len(row)} in row {number} of {path}; "
                "correct or remove that row"
            )
