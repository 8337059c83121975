"""Decode the text of a log: UTF-8, UTF-16 as PowerShell writes, an older code page; and name what is no text."""

import codecs
import re
from itertools import pairwise
from pathlib import Path

from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.forms.console import has_counter

_CONTROL = rb"[\x00-\x06\x0e-\x1a\x1c-\x1f]"
"""Bytes that no text holds in any code page; backspaces and escapes are printed by terminals."""

_NO_TEXT: tuple[tuple[bytes, str], ...] = (
    (b"\x80[\x02-\x05]", "a pickle, which is not read: to load one can execute code; write its numbers as CSV or JSON"),
    (rb"\x93NUMPY", "one array without names; save arrays by name, with numpy.savez, or write a CSV"),
    (b"\x89HDF", "HDF5; write its tables as CSV"),
    (b"PAR1" + _CONTROL, "Parquet; write it as CSV: pandas.read_parquet(FILE).to_csv('run.csv')"),
    (b"(?:ARROW1|FEA1)" + _CONTROL, "Feather; write it as CSV: pandas.read_feather(FILE).to_csv('run.csv')"),
    (b"PK\x03\x04", "an archive of another kind, such as a saved model or a workbook; name the log, or a CSV of it"),
    (b"SQLite format 3", "a database that MLflow did not make; write its table as CSV"),
    (b"\x89PNG|\xff\xd8\xff|GIF8|%PDF", "a picture; name the file that the picture was drawn from"),
)
"""How files that hold no text begin, and what is said of each."""

_CONTROLS = re.compile(_CONTROL)

_CODE_PAGE = "cp1252"
"""Code page of Windows in the West: names and numbers, which are ASCII, are the same in all others."""

_COMMA = re.compile(r"(?<=[\s:=])(?<!\d:)(?P<whole>[-+]?\d+),(?P<part>\d+(?:[eE][-+]?\d+)?)(?!\d|,\d|[.:/]\d)")
"""Number in printed text whose comma is a decimal one, or parts thousands; milliseconds behind a time are none."""

_OF_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}")
"""What may stand before a comma that parts thousands."""

_POINT = re.compile(r"\d\.\d")

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|.\x08")
"""Colours and moves of the cursor, titles of a window, and characters that were overwritten."""

_BAR = re.compile(
    r"^(?P<about>.*?)\d+%\|[^|]*\|\s*(?P<done>\d+)(?P<unit>[kM]?)/\d[\d.]*[kM]?\s*\[[^\],]*(?:,[^\],]*)?(?:,\s*(?P<rest>.*?))?\]"
    r"(?P<after>.*)$"
)
"""Bar of tqdm, with what `set_postfix` shows."""


def read_text(file: Path) -> str:
    """Read a file's text.

    Raises:
        AnalysisError: The file holds no text, or cannot be read.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise AnalysisError(f"{file} must be a file that can be read: {error.strerror}") from None
    return decode_text(data, str(file))


def decode_text(data: bytes, place: str) -> str:
    """Decode the bytes of a log.

    Args:
        data: Bytes of a file, or of standard input.
        place: What holds the bytes, for messages.

    Raises:
        AnalysisError: The bytes are no text.
    """
    for beginning, words in _NO_TEXT:
        if re.match(beginning, data, re.DOTALL):
            raise AnalysisError(f"{place} must be a log, and is {words}")
    text = _decode(data)
    if text is None:
        raise AnalysisError(f"{place} must be a CSV in UTF-8, and holds other bytes")
    return text.rstrip("\0") or text  # zero bytes at the end: a machine went down while the file grew


def _decode(data: bytes) -> str | None:
    """Decode bytes by their mark, as UTF-8, or as a code page of Windows; None if they are no text."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return data[: len(data) // 2 * 2].decode("utf-16")  # a copy may be cut within a character
        except UnicodeDecodeError:
            return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None if _CONTROLS.search(data) else data.decode(_CODE_PAGE, errors="replace")


def strip_terminal(text: str) -> str:
    """Remove what a terminal shows and no log means: colours, moves of the cursor, bars of progress.

    What stands around a bar stays, and what `set_postfix` shows. So does the bar's count, unless the count goes back or
    something else counts, as where each epoch has a bar of its own: `40%|####    | 4/10 [00:01<00:02, 3it/s, loss=2]`
    becomes `step 4 | loss=2`, or `loss=2`.
    """
    if "\x1b" in text or "\x08" in text:
        text = _ANSI.sub("", text)
    if "%|" not in text:
        return text
    lines = text.splitlines()
    bars = [_BAR.match(line) for line in lines]
    plain = [line if bar is None else " | ".join(_list_parts(bar)) for line, bar in zip(lines, bars, strict=True)]
    done = [int(bar["done"]) for bar in bars if bar and not bar["unit"]]
    if any(later < earlier for earlier, later in pairwise(done)) or any(map(has_counter, plain)):
        return "\n".join(plain)
    steps = [f"step {bar['done']}" if bar and not bar["unit"] else "" for bar in bars]
    return "\n".join(" | ".join(filter(None, parts)) for parts in zip(steps, plain, strict=True))


def _list_parts(bar: re.Match[str]) -> list[str]:
    """List the texts of a line with a progress bar: before the bar, inside the bar and after the bar."""
    return [part for part in (bar["about"].strip(" :"), _strip_speed(bar["rest"] or ""), bar["after"].strip()) if part]


def _strip_speed(rest: str) -> str:
    """Return what stands behind a bar without the bar's own speed, such as `3.2it/s` or `1.5s/it`."""
    return ", ".join(part for part in rest.split(", ") if not re.fullmatch(r"\s*[\d.?]+\s?\w+/\w+\s*", part))


def rewrite_commas(text: str) -> str:
    """Write the decimal commas of printed text as points; leave a text as it is that has points, or thousands alone.

    No thousands begin with 0: where one number is 0,123 all commas are decimal ones.
    """
    if "," not in text or _POINT.search(text):
        return text
    if all(len(found["part"]) == 3 and _OF_THOUSANDS.fullmatch(found["whole"]) for found in _COMMA.finditer(text)):
        return text
    return _COMMA.sub(r"\g<whole>.\g<part>", text)
