"""Event files, put together byte by byte as their formats say."""

import struct
import time
from dataclasses import astuple
from pathlib import Path

import pytest
from tensorboardX import SummaryWriter
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history import load
from unstuck.analysis.history.events import read_events as read_points
from unstuck.analysis.history.settings import parse_table


def read_events(file: Path) -> tuple[dict[str, list[tuple[int, float]]], dict[str, str]]:
    """Scalars as (step, value), and texts."""
    scalars, texts = read_points(file)
    return {
        tag: [(int(at), value) for at, value in zip(*astuple(each), strict=True)] for tag, each in scalars.items()
    }, texts


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def field(number: int, value: bytes | int) -> bytes:
    """A field of bytes, or a varint."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def fixed(number: int, value: bytes) -> bytes:
    return varint(number << 3 | {4: 5, 8: 1}[len(value)]) + value


def event(step: int, *values: bytes) -> bytes:
    """A record: a time, a step and a summary of values."""
    summary = b"".join(field(1, value) for value in values)
    body = fixed(1, struct.pack("<d", 1.7e9)) + field(2, step) + field(5, summary)
    return struct.pack("<Q", len(body)) + b"crc." + body + b"crc."


def written(folder: Path, *records: bytes) -> Path:
    file = folder / "events.out.tfevents.1"
    file.write_bytes(b"".join(records))
    return file


SIMPLE = field(1, b"a") + fixed(2, struct.pack("<f", 0.5))


@pytest.mark.parametrize(
    "tensor",
    [
        fixed(2, struct.pack("<f", 0.5)),
        field(8, field(5, struct.pack("<f", 0.5))),
        field(8, field(6, struct.pack("<d", 0.5))),
        field(8, field(4, struct.pack("<f", 0.5))),
        field(8, field(4, struct.pack("<d", 0.5))),
    ],
    ids=["simple", "floats", "doubles", "content of 4", "content of 8"],
)
def test_a_scalar_in_every_form_that_writers_use(tmp_path: Path, tensor: bytes) -> None:
    scalars, texts = read_events(written(tmp_path, event(7, field(1, b"a") + tensor)))
    assert scalars == {"a": [(7, 0.5)]}
    assert texts == {}


def test_values_keep_the_order_in_which_they_were_written(tmp_path: Path) -> None:
    other = field(1, b"b") + fixed(2, struct.pack("<f", 2.0))
    file = written(tmp_path, event(300, SIMPLE, other), event(2**40, SIMPLE), event(0, SIMPLE))
    assert read_events(file)[0] == {"a": [(300, 0.5), (2**40, 0.5), (0, 0.5)], "b": [(300, 2.0)]}


def test_zero_and_what_is_no_number_are_values(tmp_path: Path) -> None:
    zero = field(1, b"a") + fixed(2, struct.pack("<f", 0.0))
    infinite = field(1, b"a") + fixed(2, struct.pack("<f", float("inf")))
    assert read_events(written(tmp_path, event(1, zero), event(2, infinite)))[0] == {"a": [(1, 0.0), (2, float("inf"))]}


def test_texts_are_kept_by_tag_and_histograms_left_out(tmp_path: Path) -> None:
    text = field(1, b"note") + field(8, field(1, 7) + field(8, "é".encode()))
    histogram = field(1, b"weights") + field(5, b"0123456789")
    assert read_events(written(tmp_path, event(0, text, histogram))) == ({}, {"note": "é"})


def test_a_step_before_the_first_is_negative(tmp_path: Path) -> None:
    assert read_events(written(tmp_path, event(-1, SIMPLE)))[0] == {"a": [(-1, 0.5)]}


@pytest.mark.parametrize("cut", [1, 4, 5, 20])
def test_a_last_record_that_is_cut_off_is_left_out(tmp_path: Path, cut: int) -> None:
    whole = event(1, SIMPLE) + event(2, SIMPLE)
    steps = [step for step, _ in read_events(written(tmp_path, whole[:-cut]))[0]["a"]]
    assert steps == ([1, 2] if cut <= 4 else [1])  # only its checksum is missing


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"short",
        b"this is a text, and long enough to look like a record of something",
        struct.pack("<Q", 3) + b"crc." + b"\xff\xff\xff" + b"crc.",
        struct.pack("<Q", 2) + b"crc." + b"\x0f\x00" + b"crc.",
        event(1, fixed(2, struct.pack("<f", 0.5))),
        event(1, field(1, b"\xff\xfe") + fixed(2, struct.pack("<f", 0.5))),
    ],
    ids=["empty", "short", "text", "varint without end", "unknown wire type", "value without a tag", "tag of no text"],
)
def test_what_is_no_event_file_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(AnalysisError, match="must be an event file of TensorBoard's, and does not read as one"):
        read_events(written(tmp_path, data))


def test_it_reads_what_a_writer_of_others_writes(tmp_path: Path) -> None:
    writer = SummaryWriter(str(tmp_path))
    for step in range(3):
        writer.add_scalar("a/b", step / 4, step)
    writer.add_text("note", "hello")
    writer.add_histogram("weights", [1.0, 2.0], 0)
    writer.close()
    (file,) = tmp_path.glob("events*")
    scalars, texts = read_events(file)
    assert scalars == {"a/b": [(0, 0.0), (1, 0.25), (2, 0.5)]}
    assert list(texts.values()) == ["hello"]


def test_a_run_that_has_logged_nothing_yet_is_an_event_file_all_the_same(tmp_path: Path) -> None:
    body = fixed(1, struct.pack("<d", 1.7e9)) + field(3, b"brain.Event:2")
    record = struct.pack("<Q", len(body)) + b"crc." + body + b"crc."
    assert read_events(written(tmp_path, record)) == ({}, {})


def test_a_long_file_is_read_in_a_moment(tmp_path: Path) -> None:
    steps = range(0, 20_000 * 2048, 2048)
    tags = [field(1, tag) + fixed(2, struct.pack("<f", 0.5)) for tag in (b"a", b"another/tag")]
    file = written(tmp_path, b"".join(event(step, tag) for step in steps for tag in tags))
    started = time.process_time()
    scalars, _ = read_points(file)
    assert time.process_time() - started < 1.0  # 0.05 s of one core; record by record it took 1.5 s
    assert {tag: len(points) for tag, points in scalars.items()} == {"a": 20_000, "another/tag": 20_000}
    assert scalars["a"].at.tolist() == list(steps)


def test_hyperparameters_of_the_plugin_are_read_as_settings(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalar("charts/episodic_return", 1.0, 10)
        given = {"gamma": 0.5, "n_steps": 64, "normalize_advantage": True, "algo": "PPO"}
        writer.add_hparams(given, {"score": 1.0}, name="settings", global_step=10)
    texts = [read_points(file)[1] for file in tmp_path.glob("**/events*")]
    assert parse_table("\n".join(text for each in texts for text in each.values())) == given
    history = load(str(tmp_path))
    assert (history.setting("ppo.gamma"), history.curve("train/episode_return").to_dict()) == (0.5, {10: 1.0})


def test_a_file_without_scalars_is_refused_in_a_whole_sentence(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match=r"must hold metrics, got none; name the file that the numbers were logged"):
        load(str(written(tmp_path, event(7))))
