"""Writes the reports of a sweep when it has ended: into its folder, and beside its runs in MLflow.

What they are made from is what the driver has at hand, the ledger and the checkpoints. So they need no tracker, and say
the same as `python -m unstuck.analysis report NAME`, which reads MLflow.
"""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unstuck.analysis.programs import module_program, sweep_words
from unstuck.records.errors import LedgerError, TrackingError
from unstuck.records.files import read_records
from unstuck.records.ledger import Entry, Ledger
from unstuck.records.mlflow.runs import attach_report
from unstuck.records.names import OUTCOME, REASON, SEARCHED_TAG
from unstuck.records.outcome import Outcome
from unstuck.records.redact import redact_error
from unstuck.records.tracker import NullTracker, Tracker
from unstuck.rl.errors import CheckpointError
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.explain.diagnoses import make_history
from unstuck.sweeps.search.space import Space, search_space

if TYPE_CHECKING:  # imported where first needed: it brings pandas and Optuna's evaluators
    from unstuck.analysis.diagnosis import Diagnosis


def write_reports(
    sweep: tuple[SweepConfig, Space],
    ledger: Ledger,
    tracker: Tracker,
    is_over: Callable[[], bool],
) -> str:
    """Diagnose the trials, and write a report of each and of the sweep.

    Nothing depends on a report: what goes wrong with it does not go wrong with the sweep.

    Args:
        sweep: Its configuration, and what it searches.
        ledger: Holds its trials, and gets a note that its dashboard shows.
        tracker: Its parent run has ended.
        is_over: Whether the user will not wait any longer.

    Returns:
        The verdict, and where the report lies; or why there is none, and how to write it.
    """
    config, _ = sweep
    words = sweep_words(str(config.sweep.name), Path(config.sweep.folder))
    later = f"{shlex.join([*module_program('analysis'), 'report', *words])} writes it"
    try:
        written = _write(sweep, ledger, tracker, is_over)
    except KeyboardInterrupt:  # a second Ctrl-C
        written = None
    except Exception as error:  # a rule, a plot, the disk: the sweep itself is on record
        urls = filter(None, (config.tracking.optuna_url, config.tracking.mlflow_url))
        return f"warning: no report was written: {redact_error(str(error) or repr(error), *urls)}; {later}"
    return f"No report was written, since nobody waited for it; {later}" if written is None else "\n".join(written)


def rewrite_reports(config: SweepConfig) -> str:
    """Write the reports in a sweep's folder again, such as after a champion was judged, and the sweep's in MLflow.

    Returns:
        As `write_reports`.
    """
    space, _ = search_space(config)
    ledger = Ledger.open_sweep(config.reference)
    return write_reports((config, space), ledger, _OwnRun(config, ledger), lambda: False)


class _OwnRun(NullTracker):
    """The run of a sweep that has ended, whose trials' reports are there already."""

    def __init__(self, config: SweepConfig, ledger: Ledger) -> None:
        self._config, self._ledger = config, ledger

    def attach(self, number: int | None, files: Sequence[Path], note: str) -> None:
        """See `Tracker`; of a trial it does nothing."""
        if number is None:
            runs = {entry.run_id for entry in self._ledger.entries()}
            attach_report(self._config.reference, runs, files, note)


def _write(
    sweep: tuple[SweepConfig, Space],
    ledger: Ledger,
    tracker: Tracker,
    is_over: Callable[[], bool],
) -> list[str] | None:
    """Write all reports; returns the verdict and where the report lies, or None if the user does not wait."""
    from unstuck.analysis.history import Stores
    from unstuck.analysis.report.sweep import elsewhere, sweep_document
    from unstuck.analysis.report.write import report_run, write_document
    from unstuck.analysis.report.write_sweep import findings_of

    config, _ = sweep
    stores = Stores(Path(config.sweep.folder))
    attach = _Attaching(tracker)
    diagnoses: dict[int, Diagnosis] = {}
    for number, diagnosis in _diagnose_trials(sweep, ledger.entries()):
        if is_over():
            return None
        diagnoses[number] = diagnosis
        attach(number, report_run(diagnosis, stores), _format_note(diagnosis))
    found = findings_of(str(config.sweep.name), stores, config.reference.ledger_url, diagnoses)
    document = sweep_document(found)
    markdown, page, *figures = write_document(document, stores.folder / str(config.sweep.name) / "report", "report")
    attach(None, [markdown, page, *figures], document.lead)
    place = f"The whole report is in the sweep's folder: {'/'.join(page.parts[-2:])}."
    try:
        ledger.write_note("\n\n".join(filter(None, [document.lead, elsewhere(found), place])))
    except LedgerError as error:
        attach.failures.append(f"warning: the study has no note: {error}")
    return [*attach.failures, document.lead, f"The report: {page}"]


class _Attaching:
    """Keeps reports with their runs; once the tracker has failed it is left alone.

    Attributes:
        failures: What went wrong, in words.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self.failures: list[str] = []

    def __call__(self, number: int | None, files: Sequence[Path], note: str) -> None:
        if self.failures:
            return
        try:
            self._tracker.attach(number, files, note)
        except TrackingError as error:
            self.failures.append(f"warning: {error}; the reports are in the sweep's folder alone")


def _diagnose_trials(sweep: tuple[SweepConfig, Space], entries: Sequence[Entry]) -> "Iterator[tuple[int, Diagnosis]]":
    """Of every trial that was evaluated; one whose checkpoint cannot be read has none."""
    from unstuck.analysis.diagnosis import diagnose

    config, space = sweep
    for entry in entries:
        if entry.outcome is Outcome.INFEASIBLE:
            continue
        try:
            records = read_records(config.own_folder, entry.number)
        except CheckpointError:  # the audit names it
            continue
        if records:
            own = space.apply(config, entry.values)
            history = make_history(entry.number, own, records, _make_tags(entry), space.budget(config))
            yield entry.number, diagnose(history)


def _make_tags(entry: Entry) -> Mapping[str, str]:
    ended = {OUTCOME: str(entry.outcome), REASON: entry.reason} if entry.outcome else {}
    searched = {SEARCHED_TAG: ", ".join(entry.values)}
    return {**ended, **searched, **({"run_id": entry.run_id} if entry.run_id else {})}


def _format_note(diagnosis: "Diagnosis") -> str:
    """What MLflow shows on top of a trial's page, in Markdown."""
    from unstuck.analysis.diagnosis.finding import Kind
    from unstuck.analysis.report.verdict import verdict

    found = [ranked.finding for ranked in diagnosis.findings_of(Kind.FAULT, Kind.SUSPECT, Kind.LIMIT)]
    lines = [f"- {finding.kind}: {finding.headline}" for finding in found]
    return "\n".join([f"**{verdict(diagnosis)}**", "", *lines, "", "The whole report is among the artifacts."])
