"""All that is on record of one sweep, read at one moment: what `sweeps.audit` compares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sweeps.config import SweepConfig
from sweeps.ledger import Entry, Ledger
from sweeps.mlflow_runs import TrackedRun, read_runs
from sweeps.record import Record
from sweeps.summary import sqlite_url


@dataclass(frozen=True)
class SavedTrial:
    """What a trial's folder holds.

    Attributes:
        iteration: Where the checkpoint stands.
        records: Its metric history, oldest first.
        error: Why it cannot be read; empty if it can.
    """

    iteration: int = 0
    records: Sequence[Record] = ()
    error: str = ""


@dataclass(frozen=True)
class Snapshot:
    """One sweep.

    Attributes:
        metric: The objective's name.
        entries: The ledger's trials.
        runs: MLflow's runs of the sweep, its own included; None where MLflow does not track it.
        saved: Checkpoints by trial.
    """

    metric: str
    entries: Sequence[Entry]
    runs: Sequence[TrackedRun] | None
    saved: Mapping[int, SavedTrial] = field(default_factory=dict)


def take(config: SweepConfig) -> Snapshot:
    """Read all records of a sweep.

    Args:
        config: The sweep's, its databases' passwords included.

    Raises:
        SweepError: The ledger cannot be read, or holds no such sweep.
        TrackingError: MLflow's store cannot be read.
    """
    name = str(config.sweep.name)
    ledger = Ledger.open(config.tracking.optuna_url or sqlite_url(config, "optuna"), name)
    runs = None
    if config.tracking.name == "mlflow":
        runs = read_runs(config.tracking, Path(config.sweep.folder), name)
    return Snapshot(config.sweep.metric, ledger.entries(), runs)
