"""What shows a sweep: the protocol that MLflow's tracker follows, and a tracker that shows nothing.

A tracker's records are derived: the ledger is the truth, and writing anything again leaves no duplicate behind.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from unstuck.records.measurement import Record
from unstuck.records.outcome import Outcome, Verdict


class Tracker(Protocol):
    """Shows a sweep. Every method raises `TrackingError` where the store fails, and can be called again."""

    def start_sweep(self, name: str, sweep_id: str, config_yaml: str, tags: Mapping[str, str]) -> None:
        """Opens the sweep's parent run, or reopens the one that has its id.

        Args:
            name: The sweep's name, which other sweeps in the store may have as well.
            sweep_id: What tells it from every other sweep.
            config_yaml: The composed configuration.
            tags: What else to know about it, e.g. `records.provenance.provenance()`.
        """

    def start_trial(
        self,
        number: int,
        searched: Mapping[str, Any],
        fixed: Mapping[str, Any],
        tags: Mapping[str, str],
        config_yaml: str,
    ) -> str:
        """Opens a trial's run, or reopens the one that has its number in this sweep.

        Args:
            number: The trial's number in the ledger.
            searched: What the sampler chose, by dotted path or nested.
            fixed: The rest of the trial's configuration, likewise; where both name a setting, `searched` holds.
            tags: What else to know about it, e.g. `seeds`.
            config_yaml: The trial's own configuration.

        Returns:
            The run's id; empty where nothing is tracked.
        """

    def find_incomplete(self, outcomes: Mapping[int, str]) -> list[int]:
        """Which trials, given with their outcomes, have no run that says so too; nothing is read for it.

        Args:
            outcomes: By number; an empty outcome is that of a trial that runs.
        """

    def log(self, number: int, records: Sequence[Record]) -> None:
        """Writes all metrics of a started trial's iterations; what is there already is not written twice."""

    def tag_trial(self, number: int, tags: Mapping[str, str]) -> None:
        """Sets tags of a started trial."""

    def end_trial(self, number: int, verdict: Verdict, summary: Mapping[str, float]) -> None:
        """Closes a started trial's run.

        Args:
            number: The trial's number.
            verdict: How it ended and why.
            summary: Metrics of the whole trial, under names that its records do not use; they stand at its last
                iteration.
        """

    def end_sweep(self, outcome: Outcome, tags: Mapping[str, str]) -> None:
        """Closes the parent run.

        Args:
            outcome: How the sweep ended.
            tags: What else to say of that, e.g. why.
        """

    def attach(self, number: int | None, files: Sequence[Path], note: str) -> None:
        """Keeps a report with a run, whether it has ended or not.

        Args:
            number: The trial's; None: the sweep's own run.
            files: Files and folders; of the same names as before, they replace those.
            note: What to show on top of the run's page, in Markdown.
        """


class NullTracker:
    """Shows nothing (`tracking=none`)."""

    def start_sweep(self, name: str, sweep_id: str, config_yaml: str, tags: Mapping[str, str]) -> None:
        """Does nothing."""

    def start_trial(
        self,
        number: int,
        searched: Mapping[str, Any],
        fixed: Mapping[str, Any],
        tags: Mapping[str, str],
        config_yaml: str,
    ) -> str:
        """Returns an empty run id."""
        return ""

    def find_incomplete(self, outcomes: Mapping[int, str]) -> list[int]:
        """None."""
        return []

    def log(self, number: int, records: Sequence[Record]) -> None:
        """Does nothing."""

    def tag_trial(self, number: int, tags: Mapping[str, str]) -> None:
        """Does nothing."""

    def end_trial(self, number: int, verdict: Verdict, summary: Mapping[str, float]) -> None:
        """Does nothing."""

    def end_sweep(self, outcome: Outcome, tags: Mapping[str, str]) -> None:
        """Does nothing."""

    def attach(self, number: int | None, files: Sequence[Path], note: str) -> None:
        """Does nothing."""
