"""Write the reports of a sweep that has ended, into the sweep's folder and beside the runs in MLflow.

Reports are made from the ledger and the checkpoints, which the driver has at hand. So no tracker is needed, and the
reports say the same as `python -m unstuck.analysis report NAME`, which reads MLflow.
"""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unstuck.analysis.programs import module_program, sweep_words
from unstuck.records.entry import Entry
from unstuck.records.errors import TrackingError
from unstuck.records.files import read_records
from unstuck.records.ledger import Ledger
from unstuck.records.mlflow.runs import attach_report
from unstuck.records.names import OUTCOME_TAG, REASON_TAG, RUN_ID, SEARCHED_TAG
from unstuck.records.outcome import Outcome
from unstuck.records.redact import redact_error
from unstuck.records.tracker import NullTracker, Tracker
from unstuck.rl.errors import CheckpointError
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.explain.dashboard import show_end
from unstuck.sweeps.explain.diagnoses import make_history
from unstuck.sweeps.search.parse import build_space
from unstuck.sweeps.search.space import Space

if TYPE_CHECKING:  # imported where first needed, since the analysis loads pandas and Optuna's evaluators
    from unstuck.analysis.diagnosis import Diagnosis


def write_reports(
    config: SweepConfig,
    space: Space,
    ledger: Ledger,
    tracker: Tracker,
    is_over: Callable[[], bool],
) -> str:
    """Write report files on each trial and on the sweep, and attach the files in MLflow; return a text to print.

    Nothing depends on a report: an error in a report is no error of the sweep.

    Args:
        config: Settings of the sweep.
        space: Search space of the sweep.
        ledger: Ledger of the sweep, which gets the notes and pictures that Optuna's dashboard shows.
        tracker: Tracker whose parent run has ended.
        is_over: Function that returns True if the user does not wait any longer.

    Returns:
        Verdict and path of the report; or the reason why there is no report, and the command that writes one.
    """
    words = sweep_words(str(config.sweep.name), Path(config.sweep.folder))
    later = f"{shlex.join([*module_program('analysis'), 'report', *words])} writes it"
    try:
        written = _write_all(config, space, ledger, tracker, is_over)
    except KeyboardInterrupt:  # a second Ctrl-C
        written = None
    except Exception as error:  # a rule, a plot or the disk failed; the sweep itself is on record
        urls = filter(None, (config.tracking.optuna_url, config.tracking.mlflow_url))
        return f"warning: no report was written: {redact_error(str(error) or repr(error), *urls)}; {later}"
    return f"No report was written, since nobody waited for it; {later}" if written is None else "\n".join(written)


def rewrite_reports(config: SweepConfig) -> str:
    """Write an ended sweep's report files again, e.g. after new results on fresh seeds; return a text to print.

    In MLflow only the sweep's own report is attached again.

    Returns:
        Text of `write_reports`.
    """
    space, _ = build_space(config)
    ledger = Ledger.open_sweep(config.reference)
    return write_reports(config, space, ledger, _OwnRun(config, ledger), lambda: False)


class _OwnRun(NullTracker):
    """Tracker that attaches only the sweep's report to MLflow, because the trials' reports are attached already."""

    def __init__(self, config: SweepConfig, ledger: Ledger) -> None:
        self._config, self._ledger = config, ledger

    def attach(
        self, number: int | None, files: Sequence[Path], note: str, figures: Mapping[str, float] | None = None
    ) -> None:
        """Attach the sweep's report files to the sweep's MLflow run; ignore reports on trials."""
        if number is None:
            runs = {entry.run_id for entry in self._ledger.entries()}
            attach_report(self._config.reference, runs, files, note, figures)


def _write_all(
    config: SweepConfig,
    space: Space,
    ledger: Ledger,
    tracker: Tracker,
    is_over: Callable[[], bool],
) -> list[str] | None:
    """Write all reports; return the main result and the report's path as lines, or None if the user interrupts."""
    from unstuck.analysis.history import Stores
    from unstuck.analysis.report.key_figures import key_figures
    from unstuck.analysis.report.write import report_run, write_document
    from unstuck.analysis.report.write_sweep import gather_findings, make_sweep_document

    stores = Stores(Path(config.sweep.folder))
    attach = _Attaching(tracker)
    diagnoses: dict[int, Diagnosis] = {}
    for number, diagnosis in _diagnose_trials(config, space, ledger.entries()):
        if is_over():
            return None
        diagnoses[number] = diagnosis
        attach(number, report_run(diagnosis, stores), _format_note(diagnosis))
    found = gather_findings(str(config.sweep.name), stores, config.reference.ledger_url, diagnoses)
    document = make_sweep_document(found)
    markdown, page, *figures = write_document(document, stores.folder / str(config.sweep.name) / "report", "report")
    attach(None, [markdown, page, *figures], document.lead, key_figures(found.sweep))
    without_notes = show_end(config, ledger, found, str(page))
    return [*attach.failures, *filter(None, [without_notes]), document.lead, f"The report: {page}"]


class _Attaching:
    """Function object that attaches reports to MLflow runs, and does nothing more after the first failure.

    Attributes:
        failures: Warnings on what went wrong.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self.failures: list[str] = []

    def __call__(
        self, number: int | None, files: Sequence[Path], note: str, figures: Mapping[str, float] | None = None
    ) -> None:
        if self.failures:
            return
        try:
            self._tracker.attach(number, files, note, figures)
        except TrackingError as error:
            self.failures.append(f"warning: {error}; the reports are in the sweep's folder alone")


def _diagnose_trials(config: SweepConfig, space: Space, entries: Sequence[Entry]) -> "Iterator[tuple[int, Diagnosis]]":
    """Yield the number and the diagnosis of each evaluated trial; skip trials whose checkpoint cannot be read."""
    from unstuck.analysis.diagnosis import diagnose

    for entry in entries:
        if entry.outcome is Outcome.INFEASIBLE:
            continue
        try:
            records = read_records(config.own_folder, entry.number)
        except CheckpointError:  # the audit reports the checkpoint
            continue
        if records:
            own = space.apply(config, entry.values)
            history = make_history(entry.number, own, records, _make_tags(entry), space.budget(config))
            yield entry.number, diagnose(history)


def _make_tags(entry: Entry) -> Mapping[str, str]:
    ended = {OUTCOME_TAG: str(entry.outcome), REASON_TAG: entry.reason} if entry.outcome else {}
    searched = {SEARCHED_TAG: ", ".join(entry.values)}
    return {**ended, **searched, **({RUN_ID: entry.run_id} if entry.run_id else {})}


def _format_note(diagnosis: "Diagnosis") -> str:
    """Format a diagnosis as the Markdown text that MLflow shows on top of a trial's page."""
    from unstuck.analysis.diagnosis.finding import Kind
    from unstuck.analysis.report.verdict import state_verdict

    found = [ranked.finding for ranked in diagnosis.select_findings(Kind.FAULT, Kind.SUSPECT, Kind.LIMIT)]
    lines = [f"- {finding.kind}{finding.name_seeds()}: {finding.headline}" for finding in found]
    return "\n".join([f"**{state_verdict(diagnosis)}**", "", *lines, "", "The whole report is among the artifacts."])
