"""Read TensorBoard's event files: scalars, and texts like CleanRL's table of settings.

An event file is a row of records, each framed by its length and two checksums, and each a protocol buffer of the kind
`tensorflow.Event`. The few fields needed are read by number, so no library of TensorBoard's is needed (tensorboardX
would load torch). Formats: tensorflow/core/lib/io/record_writer.h, util/event.proto, framework/{summary,tensor}.proto.
Checksums are not verified; a last record that is cut off, as in a running run, is left out.

Records of one tag differ in time, step and value alone, so those of one length are read together: the first of them
tells where these stand, and all with the same other bytes are decoded at once.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.raw import Points

_TIME, _STEP, _SUMMARY = 1, 2, 5  # of Event
_VALUE = 1  # of Summary
_TAG, _SIMPLE, _TENSOR = 1, 2, 8  # of Summary.Value
_METADATA, _PLUGIN = 9, 1  # of Summary.Value; of SummaryMetadata, whose plugin data have their content in field 2
_HPARAMS, _SESSION, _STARTED = "_hparams_/session_start_info", 3, 1  # tag; of HParamsPluginData; of SessionStartInfo
_NUMBER, _TEXT, _TRUTH = 2, 3, 4  # of google.protobuf.Value
_CONTENT, _FLOATS, _DOUBLES, _STRINGS = 4, 5, 6, 8  # of TensorProto

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5  # wire types

_FRAME = 12  # bytes of length and checksum before a record
_CHECKSUM = 4  # bytes behind it
_EVENTS = "tfevents"
_NOTES = (".meta",)  # which Unity writes beside each file

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
Scalars = dict[str, Points]


def is_events(file: Path) -> bool:
    """True if a file has the name of a TensorBoard event file."""
    return _EVENTS in file.name and file.suffix not in _NOTES


def read_events(file: Path, most: int = -1) -> tuple[Scalars, dict[str, str]]:
    """Read all scalars and texts, by tag, from a TensorBoard event file.

    Args:
        file: The event file.
        most: Bytes to read from its beginning; all of them if negative.

    Returns:
        By tag: scalars at their steps, in the order written; and the last text.

    Raises:
        AnalysisError: The file is no event file.
    """
    found = _Found()
    with file.open("rb") as opened:
        data = opened.read(most)
    try:
        starts, lengths = _find_records(data)
        found.read(data, starts, lengths)
    except (struct.error, IndexError, KeyError, ValueError):
        starts = np.empty(0, dtype=np.int64)
    if not len(starts):
        raise AnalysisError(f"{file} must be an event file of TensorBoard's, and does not read as one")
    return found.scalars(), found.texts


@dataclass(frozen=True)
class _Layout:
    """Byte positions of step and value in a TensorBoard file's records of one tag, which are otherwise equal."""

    tag: str
    step: tuple[int, int]
    value: tuple[int, int]
    fixed: npt.NDArray[np.bool_]


@dataclass
class _Found:
    """Scalars and texts read so far from a TensorBoard event file, each scalar with its record's position."""

    pieces: dict[str, list[tuple[Places, npt.NDArray[np.float64], npt.NDArray[np.float64]]]] = field(
        default_factory=dict
    )
    texts: dict[str, str] = field(default_factory=dict)

    def read(self, data: bytes, starts: Places, lengths: Places) -> None:
        """Read records of a TensorBoard event file, in groups of records of equal length."""
        buffer = np.frombuffer(data, dtype=np.uint8)
        order = np.argsort(lengths, kind="stable")
        bounds = np.flatnonzero(np.diff(lengths[order])) + 1
        for places in np.split(order, bounds):
            if len(places):
                self._read_alike(data, buffer, np.sort(starts[places]), int(lengths[places[0]]))

    def _read_alike(self, data: bytes, buffer: Bytes, starts: Places, length: int) -> None:
        """Read records of equal length: first all that look like the first record, then the others one by one."""
        rows = np.lib.stride_tricks.sliding_window_view(buffer, length)[starts] if length else buffer[:0]
        while len(starts):
            first = data[starts[0] : starts[0] + length]
            layout = _find_layout(first)
            if layout is None:
                self._store_event(first, int(starts[0]))
                starts, rows = starts[1:], rows[1:]
                continue
            alike = np.all(rows[:, layout.fixed] == rows[0, layout.fixed], axis=1)
            continued = rows[:, layout.step[0] : layout.step[1]] & 0x80
            alike &= np.all(continued == continued[0], axis=1)
            self._store(layout, starts[alike], rows[alike])
            starts, rows = starts[~alike], rows[~alike]

    def _store(self, layout: _Layout, starts: Places, rows: Bytes) -> None:
        digits = (rows[:, slice(*layout.step)] & 0x7F).astype(np.uint64)
        shifts = np.arange(digits.shape[1], dtype=np.uint64) * np.uint64(7)
        steps = np.bitwise_or.reduce(digits << shifts, axis=1).astype(np.int64)
        raw = np.ascontiguousarray(rows[:, slice(*layout.value)])
        values = raw.view("<f4" if raw.shape[1] == 4 else "<f8")[:, 0].astype(np.float64)
        self.pieces.setdefault(layout.tag, []).append((starts, steps.astype(np.float64), values))

    def _store_event(self, record: bytes, place: int) -> None:
        """Store the values of an event record that does not hold exactly one scalar, such as a text."""
        event = dict(_read_fields(record))
        step = int.from_bytes(event.get(_STEP, b""), "little", signed=True)
        for number, summary in _read_fields(event.get(_SUMMARY, b"")):
            if number == _VALUE:
                self._store_value(dict(_read_fields(summary)), step, place)

    def _store_value(self, value: dict[int, bytes], step: int, place: int) -> None:
        """Store one value under its tag; skip values that are neither number nor text, such as histograms."""
        tag = value[_TAG].decode()
        if tag == _HPARAMS:
            self.texts[tag] = _tabulate_settings(value)
            return
        tensor = dict(_read_fields(value.get(_TENSOR, b"")))
        number = _pick_number(value, tensor)
        if len(number) in (4, 8):
            decoded = struct.unpack("<f" if len(number) == 4 else "<d", number)
            piece = np.array([place]), np.array([float(step)]), np.array(decoded, dtype=np.float64)
            self.pieces.setdefault(tag, []).append(piece)
        elif _STRINGS in tensor:
            self.texts[tag] = tensor[_STRINGS].decode(errors="replace")

    def scalars(self) -> Scalars:
        """Return the scalars by tag, in the order of writing."""
        joined = {
            tag: [np.concatenate(parts) for parts in zip(*pieces, strict=True)] for tag, pieces in self.pieces.items()
        }
        ordered: Scalars = {}
        for tag, (places, steps, values) in sorted(joined.items(), key=lambda item: int(item[1][0].min())):
            order = np.argsort(places, kind="stable")
            ordered[tag] = Points(steps[order], values[order])
        return ordered


def _tabulate_settings(value: dict[int, bytes]) -> str:
    """Return the settings of TensorBoard's HParams plugin (tensorboard/plugins/hparams) as a Markdown table."""
    plugin = dict(_read_fields(dict(_read_fields(value.get(_METADATA, b""))).get(_PLUGIN, b"")))
    session = dict(_read_fields(plugin.get(2, b""))).get(_SESSION, b"")
    rows = []
    for number, entry in _read_fields(session):
        named = dict(_read_fields(entry)) if number == _STARTED else {}
        given = dict(_read_fields(named.get(2, b"")))
        if _NUMBER in given:
            (decoded,) = struct.unpack("<d", given[_NUMBER])
            rows.append((named[1].decode(), repr(int(decoded) if decoded.is_integer() else decoded)))
        elif _TEXT in given:
            rows.append((named[1].decode(), given[_TEXT].decode(errors="replace")))
        elif _TRUTH in given:
            rows.append((named[1].decode(), repr(any(given[_TRUTH]))))
    return "\n".join(f"|{name}|{text}|" for name, text in rows)


def _pick_number(value: dict[int, bytes], tensor: dict[int, bytes]) -> bytes:
    return value.get(_SIMPLE) or tensor.get(_FLOATS) or tensor.get(_DOUBLES) or tensor.get(_CONTENT) or b""


def _find_layout(record: bytes) -> _Layout | None:
    """Return the byte positions within a record that holds one scalar and a step; None for any other record."""
    event = {number: (start, end) for number, _, start, end in _find_spans(record, 0, len(record))}
    if _STEP not in event or _SUMMARY not in event:
        return None
    values = list(_find_spans(record, *event[_SUMMARY]))
    if len(values) != 1 or values[0][0] != _VALUE:
        return None
    _, _, *summary = values[0]
    spans = {number: (start, end) for number, _, start, end in _find_spans(record, *summary)}
    place = spans.get(_SIMPLE)
    if place is None and _TENSOR in spans:
        inner = {number: (start, end) for number, _, start, end in _find_spans(record, *spans[_TENSOR])}
        place = inner.get(_FLOATS) or inner.get(_DOUBLES) or inner.get(_CONTENT)
    if place is None or place[1] - place[0] not in (4, 8):
        return None
    fixed = np.ones(len(record), dtype=bool)
    for start, end in (event.get(_TIME, (0, 0)), event[_STEP], place):
        fixed[start:end] = False
    return _Layout(record[slice(*spans[_TAG])].decode(), event[_STEP], place, fixed)


def _find_records(data: bytes) -> tuple[Places, Places]:
    """Return the start and the length of each complete record in a TensorBoard event file."""
    starts: list[int] = []
    lengths: list[int] = []
    unpack, position, end = struct.Struct("<Q").unpack_from, 0, len(data)
    while position + _FRAME <= end:
        (length,) = unpack(data, position)
        start = position + _FRAME
        if start + length > end:
            break
        starts.append(start)
        lengths.append(length)
        position = start + length + _CHECKSUM
    return np.array(starts, dtype=np.int64), np.array(lengths, dtype=np.int64)


def _read_fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and value of each field of a protocol buffer; varints as 8 bytes, the lowest byte first."""
    for number, kind, start, end in _find_spans(message, 0, len(message)):
        yield number, message[start:end] if kind != _VARINT else _decode_varint(message, start)[0].to_bytes(8, "little")


def _find_spans(message: bytes, position: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield number, wire type, start and end of each protocol-buffer field between two positions of a message."""
    while position < end:
        key, position = _decode_varint(message, position)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            _, after = _decode_varint(message, position)
        elif kind == _BYTES:
            length, position = _decode_varint(message, position)
            after = position + length
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            after = position + (8 if kind == _EIGHT_BYTES else 4)
        else:
            raise ValueError(f"field {number} has the unknown wire type {kind}")
        yield number, kind, position, after
        position = after


def _decode_varint(message: bytes, position: int) -> tuple[int, int]:
    """Decode a varint (7 bits in each byte, lowest first); return the number and the position after it."""
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
