"""Write trials as offline runs of W&B (Weights & Biases): files that its own commands read, and upload when asked to.

Nothing is sent, and no account is needed: `wandb sync` uploads the files whenever somebody wants to. W&B itself writes
such a file by a process of its own, which may lose the end when the driver is killed; here the driver writes it, in the
same form. A file begins with 7 bytes. It is cut into blocks of 32 KiB; a record is one or several chunks, each in one
block, with checksum, length and kind (first, middle, last, or all of a record) before the chunk, as in LevelDB's log.
The content is a `Record` of W&B's (`pip install 'unstuck[wandb]'`). Form: as wandb 0.31 writes it.
"""

import json
import struct
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unstuck.records.files import trial_name
from unstuck.records.measurement import Record
from unstuck.records.names import OUTCOME_TAG, REASON_TAG, choose_status
from unstuck.records.reference import SweepReference
from unstuck.records.run_files import RunEnd, RunFiles, RunStart
from unstuck.records.tracker import SweepHeader, Tracker

if TYPE_CHECKING:
    from wandb.proto.wandb_internal_pb2 import Record as WandbRecord

_HEAD = b":W&B\xe1\xbe\x00"
_BLOCK = 32 * 1024
_CHUNK = struct.Struct("<IHB")  # checksum of kind and content, length of the content, kind
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_NUMBER_OF_ID = 12
"""Characters of the sweep's id in the id of a run, which W&B shows."""


def make_wandb_files(reference: SweepReference) -> Tracker:
    """Make the tracker that writes offline runs of W&B, to `runs/NAME/wandb/offline-run-.../`.

    Raises:
        ModuleNotFoundError: The package wandb is missing.
    """
    import wandb.proto.wandb_internal_pb2  # noqa: F401  # now, instead of at the first trial

    return RunFiles(reference.folder, WandbForm(reference.mlflow_experiment))


class WandbForm:
    """File format of W&B's offline runs: converts a trial's data to bytes and back.

    Args:
        project: Name of the W&B project that holds the runs.
    """

    folder = "wandb"

    def __init__(self, project: str) -> None:
        self._project = project

    def find_file(self, folder: Path, sweep: SweepHeader, number: int, started_ms: int) -> Path:
        """Return the path of a trial's W&B file, or a new path by time and run id for a trial without one."""
        run = _make_id(sweep, number)
        found = sorted(folder.glob(f"offline-run-*-{run}/run-{run}.wandb"))
        started = time.strftime("%Y%m%d_%H%M%S", time.localtime(started_ms / 1000))
        return found[0] if found else folder / f"offline-run-{started}-{run}" / f"run-{run}.wandb"

    def split(self, data: bytes) -> list[bytes]:
        """Split the bytes of a W&B file into serialised records; leave out everything from the first damaged one on."""
        records, parts = [], []
        for kind, content in _read_chunks(data):
            parts.append(content)
            if kind in (_WHOLE, _LAST):
                records.append(b"".join(parts))
                parts = []
        return records

    def frame(self, records: Sequence[bytes], position: int) -> bytes:
        """Convert serialised records to the bytes to write at a position of a W&B file; position 0 adds the header."""
        written = bytearray() if position else bytearray(_HEAD)
        for record in records:
            left, is_first = record, True
            while is_first or left:
                room = _BLOCK - (position + len(written)) % _BLOCK
                if room < _CHUNK.size:  # too little for a chunk's head: the rest of the block is empty
                    written += bytes(room)
                    continue
                content, left = left[: room - _CHUNK.size], left[room - _CHUNK.size :]
                kind = (_WHOLE if not left else _FIRST) if is_first else (_LAST if not left else _MIDDLE)
                written += _CHUNK.pack(zlib.crc32(bytes([kind]) + content), len(content), kind) + content
                is_first = False
        return bytes(written)

    def read_start(self, records: Sequence[bytes]) -> int:
        """Return the time of the run's start from the records, in ms since 1970; the present time if they have none."""
        runs = [one.run for one in map(_parse, records) if one.HasField("run")]
        return round(runs[0].start_time.ToNanoseconds() / 1e6) if runs else time.time_ns() // 1_000_000

    def read_step(self, record: bytes) -> int | None:
        """Return the step of a record that holds metrics; None for other records."""
        parsed = _parse(record)
        return int(parsed.history.step.num) if parsed.HasField("history") else None

    def read_outcome(self, records: Sequence[bytes]) -> str:
        """Return the outcome, such as `completed`, from the records before the run's exit; empty without an exit."""
        parsed = [_parse(record) for record in records[-2:]]
        if len(parsed) < 2 or not parsed[1].HasField("exit"):
            return ""
        said = [json.loads(one.value_json) for one in parsed[0].summary.update if one.key == OUTCOME_TAG]
        return str(said[0]) if said else ""

    def is_end(self, record: bytes) -> bool:
        """Return True for a record of the run's exit, and for a summary that holds the outcome."""
        parsed = _parse(record)
        return parsed.HasField("exit") or any(one.key == OUTCOME_TAG for one in parsed.summary.update)

    def start(self, facts: RunStart) -> list[bytes]:
        """Make the first records of a trial's W&B file: version, and run with name, group and settings."""
        from wandb import __version__
        from wandb.proto.wandb_internal_pb2 import Record as WandbRecord

        head = WandbRecord(num=1)
        head.header.version_info.producer, head.header.version_info.min_consumer = __version__, _LEAST_READER
        record = WandbRecord(num=2)
        run = record.run
        run.run_id, run.display_name = _make_id(facts.sweep, facts.number), facts.name
        run.project, run.run_group, run.job_type = self._project, facts.sweep.name, "trial"
        run.start_time.FromMilliseconds(facts.started_ms)
        for name, value in {**_nest(facts.settings), "about": dict(facts.tags)}.items():
            run.config.update.add(key=name, value_json=json.dumps(value, default=str))
        return [head.SerializeToString(), record.SerializeToString()]

    def measure(self, facts: RunStart, record: Record) -> list[bytes]:
        """Make the records of a trial's W&B file with one step's metrics, and with the latest values."""
        from wandb.proto.wandb_internal_pb2 import Record as WandbRecord

        seconds = record.timestamp_ms / 1000
        own = {"_step": record.step, "_timestamp": seconds, "_runtime": seconds - facts.started_ms / 1000}
        history, summary = WandbRecord(), WandbRecord()
        history.history.step.num = record.step
        for name, value in {**record.metrics, **own}.items():
            history.history.item.add(nested_key=[name], value_json=json.dumps(value))
            summary.summary.update.add(nested_key=[name], value_json=json.dumps(value))
        return [history.SerializeToString(), summary.SerializeToString()]

    def end(self, facts: RunStart, end: RunEnd) -> list[bytes]:
        """Make the last records of a trial's W&B file: outcome, reason, notes, final metrics, and the run's exit."""
        from wandb.proto.wandb_internal_pb2 import Record as WandbRecord

        said = {OUTCOME_TAG: str(end.verdict.outcome), REASON_TAG: end.verdict.reason, **end.tags, **end.summary}
        summary, exited = WandbRecord(), WandbRecord()
        for name, value in said.items():
            summary.summary.update.add(key=name, value_json=json.dumps(value))
        exited.exit.exit_code = 0 if choose_status(end.verdict.outcome, facts.sweep.format) == "FINISHED" else 1
        return [summary.SerializeToString(), exited.SerializeToString()]


_LEAST_READER = "0.70.0"
"""Oldest version of the form's readers that understand such files, as W&B writes it."""


def _make_id(sweep: SweepHeader, number: int) -> str:
    return f"{sweep.id[:_NUMBER_OF_ID]}-{trial_name(number)}"


def _read_chunks(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield kind and content of each chunk of a W&B file, up to the first incomplete or damaged one."""
    place = len(_HEAD)
    while data.startswith(_HEAD) and place < len(data):
        room = _BLOCK - place % _BLOCK
        if room < _CHUNK.size:
            place += room
            continue
        if place + _CHUNK.size > len(data):
            return
        checksum, length, kind = _CHUNK.unpack_from(data, place)
        content = data[place + _CHUNK.size : place + _CHUNK.size + length]
        if len(content) < length or checksum != zlib.crc32(bytes([kind]) + content):
            return
        yield kind, content
        place += _CHUNK.size + length


def _parse(record: bytes) -> "WandbRecord":
    from wandb.proto.wandb_internal_pb2 import Record as WandbRecord

    return WandbRecord.FromString(record)


def _nest(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Nest settings by dotted path one level deep: `{"ppo.lr": 1}` becomes `{"ppo": {"lr": 1}}`."""
    nested: dict[str, Any] = {}
    for path, value in settings.items():
        group, dot, name = path.partition(".")
        if dot:
            nested.setdefault(group, {})[name] = value
        else:
            nested[path] = value
    return nested
