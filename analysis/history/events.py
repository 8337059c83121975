"""Read TensorBoard's event files: scalars, and texts like CleanRL's table of settings.

An event file is a row of records, each framed by its length and two checksums, and each a protocol buffer of the kind
`tensorflow.Event`. The few fields needed are read by number, so no library of TensorBoard's is needed (tensorboardX
would load torch). Formats: tensorflow/core/lib/io/record_writer.h, util/event.proto, framework/{summary,tensor}.proto.
Checksums are not verified; a last record that is cut off, as in a running run, is left out.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

from unstuck.analysis.errors import AnalysisError

_STEP, _SUMMARY = 2, 5  # of Event
_VALUE = 1  # of Summary
_TAG, _SIMPLE, _TENSOR = 1, 2, 8  # of Summary.Value
_CONTENT, _FLOATS, _DOUBLES, _STRINGS = 4, 5, 6, 8  # of TensorProto

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5  # wire types

Scalars = dict[str, list[tuple[int, float]]]


def read_events(file: Path) -> tuple[Scalars, dict[str, str]]:
    """Read all scalars and texts, by tag, from a TensorBoard event file.

    Returns:
        By tag: scalars as (step, value) in the order written; and the last text.

    Raises:
        AnalysisError: The file is no event file.
    """
    scalars: Scalars = {}
    texts: dict[str, str] = {}
    try:
        records = list(_records(file.read_bytes()))
        for record in records:
            event = dict(_fields(record))
            step = int.from_bytes(event.get(_STEP, b""), "little", signed=True)
            for number, value in _fields(event.get(_SUMMARY, b"")):
                if number == _VALUE:
                    _store_value(dict(_fields(value)), step, scalars, texts)
    except (struct.error, IndexError, KeyError, ValueError):
        records = []
    if not records:
        raise AnalysisError(f"{file} must be an event file of TensorBoard's, and does not read as one")
    return scalars, texts


def _store_value(value: dict[int, bytes], step: int, scalars: Scalars, texts: dict[str, str]) -> None:
    """Store a summary value under the tag; leave out a value that is neither number nor text, as a histogram."""
    tag = value[_TAG].decode()
    tensor = dict(_fields(value.get(_TENSOR, b"")))
    number = value.get(_SIMPLE) or tensor.get(_FLOATS) or tensor.get(_DOUBLES) or tensor.get(_CONTENT) or b""
    if len(number) in (4, 8):
        scalars.setdefault(tag, []).append((step, struct.unpack("<f" if len(number) == 4 else "<d", number)[0]))
    elif _STRINGS in tensor:
        texts[tag] = tensor[_STRINGS].decode(errors="replace")


def _records(data: bytes) -> Iterator[bytes]:
    position = 0
    while position + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, position)
        start = position + 12  # behind the length and its checksum
        if start + length > len(data):
            return
        yield data[start : start + length]
        position = start + length + 4


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the fields of a protocol buffer by number; varints as 8 bytes, the lowest first."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, position = _varint(message, position)
            yield number, value.to_bytes(8, "little")
            continue
        if kind == _BYTES:
            length, position = _varint(message, position)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            length = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"field {number} has the unknown wire type {kind}")
        yield number, message[position : position + length]
        position += length


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """Decode the number at a position, 7 bits in each byte, the lowest first; return number and next position."""
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
