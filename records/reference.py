"""Refer to one sweep's records by name, id and places."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class SweepReference:
    """Name and id of a sweep, and the folder and database URLs where the sweep is recorded.

    Attributes:
        name: Name of the sweep, which other sweeps may have as well.
        id: Id of the sweep; None before an old sweep has got one.
        format: Version of the sweep's records.
        folder: Folder of all sweeps, absolute.
        ledger_url: Database of the ledger.
        mlflow_url: MLflow's database or server.
        mlflow_experiment: MLflow experiment that holds the sweep's runs.
        is_tracked: True if MLflow tracks the sweep.
        owns_store: True if MLflow's store is the folder's own, so that it holds no other person's sweeps.
    """

    name: str
    id: str | None
    format: int
    folder: Path
    ledger_url: str
    mlflow_url: str
    mlflow_experiment: str
    is_tracked: bool
    owns_store: bool

    @property
    def artifacts_folder(self) -> Path:
        """Path of the folder for MLflow's artifacts (uploaded files) in the folder of all sweeps."""
        return artifacts_folder(self.folder)


def artifacts_folder(folder: Path) -> Path:
    """Return the path of the folder for MLflow's artifacts (uploaded files) in the folder of all sweeps."""
    return folder.absolute() / "mlflow-artifacts"
