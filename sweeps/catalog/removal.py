"""Delete the MLflow runs, the study and the folder of one sweep, and nothing of other sweeps."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from unstuck.analysis.words import pluralize
from unstuck.records.errors import MissingLedgerError, MissingStudyError, SweepError
from unstuck.records.ledger import Ledger
from unstuck.records.lock import hold_lock
from unstuck.records.mlflow.runs import delete_runs, list_run_ids
from unstuck.records.names import ID
from unstuck.records.redact import redact_value
from unstuck.sweeps.config.settings import SweepConfig


@dataclass(frozen=True)
class Removal:
    """Plan to delete a sweep: the records that will be removed, with the sweep's lock held so that nobody resumes it.

    Attributes:
        config: Settings of the sweep.
        ledger: Ledger of the sweep; None if the database has no study of the sweep.
        trials: Number of trials in the ledger.
        runs: Ids of the sweep's runs in MLflow, its own and its trials'.
        files: Number of files in the sweep's folder.
        size: Bytes that the files take.
    """

    config: SweepConfig
    ledger: Ledger | None
    trials: int
    runs: Sequence[str]
    files: int
    size: int

    def describe(self) -> list[str]:
        """Describe in lines of text which records of a sweep will be deleted."""
        places = self.config.reference
        lines = [f"  folder  {self.config.own_folder}: {pluralize(self.files, 'file')}, {self.size / 1e6:,.1f} MB"]
        if self.ledger is not None:
            where = redact_value(places.ledger_url)
            lines.append(f"  study   {self.ledger.name!r} in {where}: {pluralize(self.trials, 'trial')}")
        if self.runs:
            where = redact_value(places.mlflow_url)
            lines.append(f"  MLflow  {pluralize(len(self.runs), 'run')} in {where}, put into its trash")
        return lines

    def delete(self) -> None:
        """Delete a sweep's MLflow runs, Optuna study and, last, the folder, so that a failed call can be repeated.

        Raises:
            LedgerError, SweepError, TrackingError: Records or files cannot be deleted.
        """
        delete_runs(self.config.reference, self.runs)
        if self.ledger is not None:
            self.ledger.discard()
        try:
            shutil.rmtree(self.config.own_folder)
        except OSError as error:
            raise SweepError(
                f"the folder must be one that can be deleted, got {self.config.own_folder}: {error.strerror}; "
                "delete what is left of it, its records are gone"
            ) from error


@contextmanager
def plan_removal(config: SweepConfig) -> Iterator[Removal]:
    """List the records that deleting a sweep would remove, as a `Removal`, with the sweep's lock held inside the block.

    Raises:
        SweepError: A process runs the sweep, or the ledger cannot be opened.
        TrackingError: MLflow cannot be read.
    """
    if config.own_folder.is_symlink():
        raise SweepError(f"the folder must be no link to be deleted, got {config.own_folder}; name the folder itself")
    with hold_lock(config.own_folder):
        try:
            ledger: Ledger | None = Ledger.open_sweep(config.reference)
        except (MissingLedgerError, MissingStudyError):
            ledger = None
        if ledger is not None and config.id is not None and ledger.attributes.get(ID) != config.id:
            ledger = None  # a copy's study names the original as well
        entries = ledger.entries() if ledger else []
        tracked = [entry.run_id for entry in entries if entry.run_id]
        runs = list_run_ids(config.reference, tracked) if config.reference.is_tracked else []
        files = [file for file in config.own_folder.rglob("*") if file.is_file()]
        size = sum(file.stat().st_size for file in files)
        yield Removal(config, ledger, len(entries), runs, len(files), size)
