"""Write trials as TensorBoard's event files: curves, settings for the page HParams, configuration and outcome as texts.

Records are framed as TensorFlow does: length and content, each with a checksum; the content is an `Event`. The library
of TensorBoard makes both, so its own pages read the files (`pip install 'unstuck[tensorboard]'`).
"""

import io
import socket
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unstuck.records.files import trial_name
from unstuck.records.measurement import Record
from unstuck.records.names import OUTCOME_TAG, REASON_TAG, choose_status
from unstuck.records.reference import SweepReference
from unstuck.records.run_files import RunEnd, RunFiles, RunStart
from unstuck.records.tracker import SweepHeader, Tracker

if TYPE_CHECKING:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

_FRAME, _CHECKSUM = struct.Struct("<QI"), 4
"""Length and its checksum before a record; bytes of the record's own checksum behind it."""

_OUTCOME = f"{OUTCOME_TAG}/text_summary"


def make_event_files(reference: SweepReference) -> Tracker:
    """Make the tracker that writes TensorBoard's event files, to `runs/NAME/tensorboard/0007/`.

    Raises:
        ModuleNotFoundError: The package tensorboard is missing.
    """
    import tensorboard.compat.proto.event_pb2  # noqa: F401  # now, instead of at the first trial

    return RunFiles(reference.folder, EventForm())


class EventForm:
    """File format of TensorBoard's event files: converts a trial's data to bytes and back."""

    folder = "tensorboard"

    def find_file(self, folder: Path, sweep: SweepHeader, number: int, started_ms: int) -> Path:
        """Return the path of a trial's event file, or a new path by time and host for a trial without one."""
        own = folder / trial_name(number)
        found = sorted(file for file in own.glob("events.out.tfevents.*") if file.suffix != ".tmp")
        return found[0] if found else own / f"events.out.tfevents.{started_ms // 1000}.{socket.gethostname()}"

    def split(self, data: bytes) -> list[bytes]:
        """Split the bytes of an event file into serialised events; leave out an incomplete last one."""
        records, place = [], 0
        while place + _FRAME.size <= len(data):
            length, _ = _FRAME.unpack_from(data, place)
            end = place + _FRAME.size + length
            if end + _CHECKSUM > len(data):
                break
            records.append(data[place + _FRAME.size : end])
            place = end + _CHECKSUM
        return records

    def frame(self, records: Sequence[bytes], position: int) -> bytes:
        """Convert serialised events to the bytes to append to an event file."""
        from tensorboard.summary.writer.record_writer import RecordWriter

        written = io.BytesIO()
        writer = RecordWriter(written)
        for record in records:
            writer.write(record)
        return written.getvalue()

    def read_start(self, records: Sequence[bytes]) -> int:
        """Return the time of the file's first event, in ms since 1970."""
        return int(_parse(records[0]).wall_time * 1000 + 0.5)

    def read_step(self, record: bytes) -> int | None:
        """Return the step of an event that holds scalars; None for other events."""
        event = _parse(record)
        return int(event.step) if any(one.HasField("simple_value") for one in event.summary.value) else None

    def read_outcome(self, records: Sequence[bytes]) -> str:
        """Return the trial's outcome, such as `completed`, from the last event; empty if there is none."""
        values = _parse(records[-1]).summary.value if records else ()
        texts = [one.tensor.string_val[0].decode() for one in values if one.tag == _OUTCOME]
        return texts[0].partition(":")[0] if texts else ""

    def is_end(self, record: bytes) -> bool:
        """Return True for the event that holds the trial's outcome, the last one of the file."""
        return self.read_outcome([record]) != ""

    def start(self, facts: RunStart) -> list[bytes]:
        """Make the events at the start of a trial's file: version, settings (for the HParams page), configuration."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo

        seconds = facts.started_ms / 1000
        session = SessionStartInfo(group_name=facts.name, start_time_secs=seconds)
        for path, value in facts.settings.items():
            kind = "bool" if isinstance(value, bool) else "number" if isinstance(value, int | float) else "string"
            setattr(session.hparams[path], f"{kind}_value", value if kind != "string" else str(value))
        about = [
            _of_session(SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=session)),
            _encode_text("config", f"```yaml\n{facts.config_yaml}```"),
            *(_encode_text(f"about/{name}", text) for name, text in facts.tags.items()),
        ]
        first = Event(wall_time=seconds, file_version="brain.Event:2")
        return [first.SerializeToString(), _encode_event(seconds, 0, about)]

    def measure(self, facts: RunStart, record: Record) -> list[bytes]:
        """Make the event of a trial's file that holds one step's metrics."""
        scalars = [_encode_scalar(name, value) for name, value in record.metrics.items()]
        return [_encode_event(record.timestamp_ms / 1000, record.step, scalars)]

    def end(self, facts: RunStart, end: RunEnd) -> list[bytes]:
        """Make the events at the end of a trial's file: outcome, reason, notes and final metrics."""
        from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS
        from tensorboard.plugins.hparams.metadata import SESSION_END_INFO_TAG
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

        seconds, outcome = end.timestamp_ms / 1000, end.verdict.outcome
        has_ended = choose_status(outcome, facts.sweep.format) == "FINISHED"
        session = SessionEndInfo(status=STATUS_SUCCESS if has_ended else STATUS_FAILURE, end_time_secs=seconds)
        values = [
            *(_encode_scalar(name, value) for name, value in end.summary.items()),
            *(_encode_text(f"notes/{name}", text) for name, text in end.tags.items() if name != REASON_TAG),
            _encode_text(OUTCOME_TAG, f"{outcome}: {end.verdict.reason}"),
            _of_session(SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=session)),
        ]
        return [_encode_event(seconds, end.step, values)]


def _parse(record: bytes) -> "Event":
    from tensorboard.compat.proto.event_pb2 import Event

    return Event.FromString(record)


def _encode_event(seconds: float, step: int, values: "Sequence[Summary.Value]") -> bytes:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    return bytes(Event(wall_time=seconds, step=step, summary=Summary(value=values)).SerializeToString())


def _encode_scalar(name: str, value: float) -> "Summary.Value":
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary.Value(tag=name, simple_value=value)


def _encode_text(name: str, text: str) -> "Summary.Value":
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING
    from tensorboard.plugins.text.metadata import create_summary_metadata

    tensor = TensorProto(dtype=DT_STRING, string_val=[text.encode()])
    return Summary.Value(tag=f"{name}/text_summary", metadata=create_summary_metadata(name, ""), tensor=tensor)


def _of_session(tag: str, data: Any) -> "Summary.Value":
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams.metadata import NULL_TENSOR, create_summary_metadata

    return Summary.Value(tag=tag, metadata=create_summary_metadata(data), tensor=NULL_TENSOR)
