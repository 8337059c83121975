"""Define the protocol of a tracker, which shows a sweep's records, and a tracker that writes nothing.

A tracker's records are derived from the ledger, and writing any of them again leaves no duplicate behind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from unstuck.records.errors import TrackingError
from unstuck.records.measurement import Record
from unstuck.records.outcome import Outcome, Verdict

_T = TypeVar("_T")


@dataclass(frozen=True)
class SweepHeader:
    """Facts about a sweep that a tracker (e.g. MLflow) needs: name, id, format, metric, searched settings.

    Attributes:
        name: Name of the sweep, which other sweeps in the store may have as well.
        id: Id of the sweep, which no other sweep has.
        format: Version of the sweep's records; MLflow's names and statuses depend on it.
        metric: Name of the objective.
        mode: `max` or `min`: what is better.
        searched: Dotted paths of the searched settings.
    """

    name: str
    id: str
    format: int
    metric: str
    mode: str
    searched: Sequence[str] = ()


class Tracker(Protocol):
    """Protocol of a tracker, which shows a sweep's trials to people, e.g. in MLflow.

    Every method can be called again.
    """

    def start_sweep(self, sweep: SweepHeader, config_yaml: str, tags: Mapping[str, str]) -> None:
        """Open the sweep's own run in the tracker (e.g. MLflow), or reopen the one with the sweep's id.

        Args:
            sweep: Facts on the sweep.
            config_yaml: Composed configuration.
            tags: Further facts on the sweep, e.g. `records.provenance.collect_provenance()`.
        """

    def start_trial(
        self,
        number: int,
        searched: Mapping[str, Any],
        fixed: Mapping[str, Any],
        tags: Mapping[str, str],
        config_yaml: str,
    ) -> str:
        """Open or reopen a trial's run in the tracker (e.g. MLflow), with settings and tags; return the run's id.

        Args:
            number: Number of the trial in the ledger.
            searched: Settings that the sampler chose, by dotted path or nested.
            fixed: Other settings of the trial, by dotted path or nested; where both name a setting, `searched` holds.
            tags: Further facts on the trial, e.g. `seeds`.
            config_yaml: Configuration of the trial.

        Returns:
            Id of the run; empty if nothing is tracked.
        """

    def find_incomplete(self, outcomes: Mapping[int, str]) -> list[int]:
        """List the numbers of trials whose run does not have the given outcome, without reading the database.

        Args:
            outcomes: Outcomes by trial number; empty for a trial that runs.
        """

    def log(self, number: int, records: Sequence[Record]) -> None:
        """Write all metrics of a trial's new iterations; skip points that were written before."""

    def tag_trial(self, number: int, tags: Mapping[str, str]) -> None:
        """Set tags on a trial's run in the tracker (e.g. MLflow)."""

    def end_trial(self, number: int, verdict: Verdict, summary: Mapping[str, float]) -> None:
        """Write a trial's outcome and final metrics to the tracker (e.g. MLflow), and close the trial's run.

        Args:
            number: Number of the trial.
            verdict: Outcome and reason.
            summary: Metrics of the whole trial, under names that the trial's records do not use; they stand at its last
                iteration.
        """

    def end_sweep(self, outcome: Outcome, tags: Mapping[str, str]) -> None:
        """Write the sweep's outcome to the tracker (e.g. MLflow), and close the sweep's own run.

        Args:
            outcome: Outcome of the sweep.
            tags: Further facts on the end, e.g. the reason.
        """

    def find_experiment(self) -> str:
        """Return the id of the MLflow experiment with the open sweep's runs; empty for trackers other than MLflow."""

    def attach(
        self, number: int | None, files: Sequence[Path], note: str, figures: Mapping[str, float] | None = None
    ) -> None:
        """Attach report files, a note (Markdown text) and summary numbers to a run, which may have ended.

        Args:
            number: Number of the trial; None for the sweep's own run.
            files: Files and folders, which replace files of the same names.
            note: Markdown to show on top of the run's page.
            figures: Figures to keep as metrics of the run, by name; None for none.
        """


class NullTracker:
    """Tracker that writes nothing, for `tracking=none`."""

    def start_sweep(self, sweep: SweepHeader, config_yaml: str, tags: Mapping[str, str]) -> None:
        """Do nothing, for a sweep without tracker: no run is opened."""

    def start_trial(
        self,
        number: int,
        searched: Mapping[str, Any],
        fixed: Mapping[str, Any],
        tags: Mapping[str, str],
        config_yaml: str,
    ) -> str:
        """Return an empty run id, for a sweep without tracker: no run is opened."""
        return ""

    def find_incomplete(self, outcomes: Mapping[int, str]) -> list[int]:
        """Return an empty list, for a sweep without tracker: no trial's run can lack an outcome."""
        return []

    def log(self, number: int, records: Sequence[Record]) -> None:
        """Do nothing, for a sweep without tracker: no metrics are written."""

    def tag_trial(self, number: int, tags: Mapping[str, str]) -> None:
        """Do nothing, for a sweep without tracker: no tags are written."""

    def end_trial(self, number: int, verdict: Verdict, summary: Mapping[str, float]) -> None:
        """Do nothing, for a sweep without tracker: no outcome is written."""

    def end_sweep(self, outcome: Outcome, tags: Mapping[str, str]) -> None:
        """Do nothing, for a sweep without tracker: no run is closed."""

    def find_experiment(self) -> str:
        """Return an empty id, for a sweep without tracker: there is no MLflow experiment."""
        return ""

    def attach(
        self, number: int | None, files: Sequence[Path], note: str, figures: Mapping[str, float] | None = None
    ) -> None:
        """Do nothing, for a sweep without tracker: no files are attached."""


def require_sweep(sweep: _T | None) -> _T:
    """Return what a tracker holds of its open sweep; raise `TrackingError` before a sweep was started."""
    if sweep is None:
        raise TrackingError("a tracker needs a started sweep; call start_sweep, again if it failed")
    return sweep


def require_run(run: _T | None, number: int) -> _T:
    """Return what a tracker holds of a trial's open run; raise `TrackingError` before the trial was started."""
    if run is None:
        raise TrackingError(
            f"trial {number} must be started before it is written; call start_trial, again if it failed"
        )
    return run
