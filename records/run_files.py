"""Keep a file a trial in the form of another program, such as TensorBoard: a tracker for whoever reads such files.

A file is a row of records, written by the driver alone, each at once and to its end: what was written survives a kill.
A trial that goes on keeps the whole records of its file but for the end, and continues behind them, so nothing stands
in the file twice. A file whose last records say an outcome is whole; any other is written again from ledger and
checkpoint (`sweeps.mirror`).
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from unstuck.records.files import trial_name
from unstuck.records.measurement import Record
from unstuck.records.names import CONTROL, flatten
from unstuck.records.outcome import Verdict
from unstuck.records.redact import redact_url
from unstuck.records.shown import ShownMetrics
from unstuck.records.tracker import NullTracker, SweepHeader, require_run, require_sweep
from unstuck.rl.whole_files import replace_file


@dataclass(frozen=True)
class RunStart:
    """Facts about a trial for the start of its file: name, settings, configuration and others.

    Attributes:
        name: Name of the run, such as `kdd/0007 control`.
        sweep: Facts on the sweep.
        number: Number of the trial.
        settings: All settings of the trial by dotted path.
        tags: Further facts, e.g. `seeds`.
        config_yaml: Configuration of the trial, secrets masked.
        started_ms: Time of the start in ms since 1970.
    """

    name: str
    sweep: SweepHeader
    number: int
    settings: Mapping[str, Any]
    tags: Mapping[str, str]
    config_yaml: str
    started_ms: int


@dataclass(frozen=True)
class RunEnd:
    """Facts about a trial's end for its file: outcome, reason, notes and final metrics.

    Attributes:
        verdict: Outcome and reason.
        step: Last step of the trial.
        timestamp_ms: Time of the last step in ms since 1970.
        summary: Metrics of the whole trial that are no ends of curves.
        tags: Notes on the trial.
    """

    verdict: Verdict
    step: int
    timestamp_ms: int
    summary: Mapping[str, float]
    tags: Mapping[str, str]


class Form(Protocol):
    """Protocol of a file format for trials, which converts facts to records and records to bytes, and back."""

    folder: str
    """Name of the folder that holds the files, in the sweep's folder."""

    def find_file(self, folder: Path, sweep: SweepHeader, number: int, started_ms: int) -> Path:
        """Return the path of a trial's file, or the path for a new one."""

    def split(self, data: bytes) -> list[bytes]:
        """Split the bytes of a file into whole records; leave out an incomplete last one."""

    def frame(self, records: Sequence[bytes], position: int) -> bytes:
        """Convert records to the bytes to write at a position of the file; position 0 adds the file's header."""

    def read_start(self, records: Sequence[bytes]) -> int:
        """Return the time at which the trial with the given records started, in ms since 1970."""

    def read_step(self, record: bytes) -> int | None:
        """Return the step whose metrics a record holds; None for other records."""

    def read_outcome(self, records: Sequence[bytes]) -> str:
        """Return the outcome, such as `completed`, that the last records of a file hold; empty without one."""

    def is_end(self, record: bytes) -> bool:
        """Return True for a record that only an ended trial's file has, and that a resume removes."""

    def start(self, facts: RunStart) -> list[bytes]:
        """Make the first records of a trial's file: settings and configuration."""

    def measure(self, facts: RunStart, record: Record) -> list[bytes]:
        """Make the records of a trial's file that hold one step's metrics."""

    def end(self, facts: RunStart, end: RunEnd) -> list[bytes]:
        """Make the last records of a trial's file, with outcome and final metrics; the outcome comes last."""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class _OpenRun:
    """Open file of a trial that is being written: descriptor, position, and which steps the file has."""

    facts: RunStart
    descriptor: int
    position: int
    steps: set[int]
    tags: dict[str, str] = field(default_factory=dict)
    last: tuple[int, int] = (0, 0)

    def write(self, form: Form, records: Sequence[bytes]) -> None:
        """Append records to the trial's file, repeating the system call until all bytes are written."""
        left = memoryview(form.frame(records, self.position))
        while left:
            done = os.write(self.descriptor, left)
            self.position += done
            left = left[done:]


class RunFiles(NullTracker):
    """Tracker that writes one file for each trial, into a folder inside the sweep's folder.

    Args:
        folder: Folder of all sweeps.
        form: Form of the files.
    """

    def __init__(self, folder: Path, form: Form) -> None:
        self._folder, self._form = folder, form
        self._sweep: SweepHeader | None = None
        self._runs: dict[int, _OpenRun] = {}
        self._outcomes: dict[int, str] = {}

    def start_sweep(self, sweep: SweepHeader, config_yaml: str, tags: Mapping[str, str]) -> None:
        """Start a sweep's tracker: forget files open before, which may have been replaced."""
        for number in list(self._runs):
            self._close(number)
        self._outcomes.clear()
        self._sweep, self._shown = sweep, ShownMetrics(sweep)

    def start_trial(
        self,
        number: int,
        searched: Mapping[str, Any],
        fixed: Mapping[str, Any],
        tags: Mapping[str, str],
        config_yaml: str,
    ) -> str:
        """Open a trial's file to append to; return an empty text, since there are no run ids."""
        sweep, form, now = self._require_open(), self._form, _now_ms()
        self._close(number)
        file = form.find_file(self._own_folder(sweep), sweep, number, now)
        kept = [record for record in form.split(file.read_bytes()) if not form.is_end(record)] if file.exists() else []
        name = f"{sweep.name}/{trial_name(number)}" + (" control" if tags.get(CONTROL) == "true" else "")
        settings = {**flatten(fixed), **flatten(searched)}
        started = form.read_start(kept) if kept else now
        facts = RunStart(name, sweep, number, settings, tags, redact_url(config_yaml), started)
        file.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(file) as temporary:  # else what follows would stand behind a record that is cut off
            temporary.write_bytes(form.frame(kept or form.start(facts), 0))
        position = file.stat().st_size
        steps = {step for record in kept if (step := form.read_step(record)) is not None}
        self._runs[number] = _OpenRun(facts, os.open(file, os.O_WRONLY | os.O_APPEND), position, steps)
        self._outcomes[number] = ""
        self._shown.start(number)
        return ""

    def find_incomplete(self, outcomes: Mapping[int, str]) -> list[int]:
        """List the numbers of trials whose file does not have the given outcome."""
        return [number for number, outcome in outcomes.items() if self._find_outcome(number) != outcome]

    def log(self, number: int, records: Sequence[Record]) -> None:
        """Append the metrics of a trial's iterations that the file does not have yet."""
        run = self._run_of(number)
        written, tags = self._shown.translate(number, records)
        run.tags |= tags
        fresh = [record for record in written if record.step not in run.steps]
        run.write(self._form, [part for record in fresh for part in self._form.measure(run.facts, record)])
        run.steps |= {record.step for record in fresh}
        run.last = max([run.last, *((record.step, record.timestamp_ms) for record in records)])

    def tag_trial(self, number: int, tags: Mapping[str, str]) -> None:
        """Remember tags of a trial, to be written at the end of the trial's file."""
        self._run_of(number).tags.update(tags)

    def end_trial(self, number: int, verdict: Verdict, summary: Mapping[str, float]) -> None:
        """Write a trial's outcome and final metrics to the trial's file, and close the file."""
        if number not in self._runs and self._outcomes.get(number) == verdict.outcome:
            return
        run = self._run_of(number)
        lacking, tags = self._shown.translate_summary(number, summary)
        step, timestamp_ms = run.last if run.last[1] else (0, run.facts.started_ms)
        end = RunEnd(verdict, step, timestamp_ms, lacking, {**run.tags, **tags})
        run.write(self._form, self._form.end(run.facts, end))
        self._outcomes[number] = str(verdict.outcome)
        self._close(number)

    def _find_outcome(self, number: int) -> str:
        """Return the outcome recorded in a trial's file; empty if the file is missing or incomplete."""
        if number not in self._outcomes:
            sweep, form = self._require_open(), self._form
            file = form.find_file(self._own_folder(sweep), sweep, number, _now_ms())
            records = form.split(file.read_bytes()) if file.exists() else []
            self._outcomes[number] = form.read_outcome(records)
        return self._outcomes[number]

    def _own_folder(self, sweep: SweepHeader) -> Path:
        return self._folder / sweep.name / self._form.folder

    def _close(self, number: int) -> None:
        run = self._runs.pop(number, None)
        if run:
            os.close(run.descriptor)

    def _require_open(self) -> SweepHeader:
        return require_sweep(self._sweep)

    def _run_of(self, number: int) -> _OpenRun:
        return require_run(self._runs.get(number), number)
