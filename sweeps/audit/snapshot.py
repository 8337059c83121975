"""Read all records of a sweep at one moment, for `sweeps.audit.audit` to compare."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from unstuck.records.axis import ITERATIONS, Axis
from unstuck.records.entry import Entry
from unstuck.records.files import read_records, trial_folder
from unstuck.records.ledger import Ledger
from unstuck.records.measurement import Record
from unstuck.records.mlflow.runs import TrackedRun, read_runs
from unstuck.rl.errors import CheckpointError, ConfigError
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.search.parse import build_space
from unstuck.sweeps.search.space import Space


@dataclass(frozen=True)
class SavedTrial:
    """Contents of one trial's checkpoint: metrics of all iterations, or the reason why reading failed.

    Attributes:
        records: The history in the checkpoint, oldest first; empty before the first evaluation.
        error: Reason why the checkpoint cannot be read; empty if it can.
    """

    records: Sequence[Record] = ()
    error: str = ""


@dataclass(frozen=True)
class Snapshot:
    """Records of a sweep, read into memory at one moment: Optuna trials, MLflow runs, checkpoints' metrics.

    Attributes:
        metric: Name of the objective.
        axis: Axis that the sweep counts trials by.
        strides: Length of one iteration on the axis, by the trial's number.
        entries: Trials in the ledger.
        runs: Runs of the sweep in MLflow, the sweep's own included; None if MLflow does not track the sweep.
        saved: Contents of the trials' folders by number; None if the sweep has no such folder at all.
    """

    metric: str
    entries: Sequence[Entry]
    runs: Sequence[TrackedRun] | None
    saved: Mapping[int, SavedTrial] | None
    axis: Axis = ITERATIONS
    strides: Mapping[int, int] = field(default_factory=dict)


def read_snapshot(config: SweepConfig) -> Snapshot:
    """Read all records of a sweep into a `Snapshot`: first MLflow runs, then Optuna trials, then checkpoints.

    A running sweep writes MLflow last, so no record that is read is ahead of the record that is read next.

    Args:
        config: Settings of the sweep, with the passwords of the databases.

    Raises:
        SweepError: The ledger cannot be read, or holds no such sweep.
        TrackingError: MLflow's store cannot be read.
    """
    ledger = Ledger.open_sweep(config.reference)
    runs = None
    if config.tracking.name == "mlflow":
        runs = read_runs(config.reference, {entry.run_id for entry in ledger.entries()})
    entries = ledger.entries()
    space, _ = build_space(config)
    saved, strides = _read_folders(config.own_folder), _compute_strides(config, space, entries)
    return Snapshot(config.sweep.metric, entries, runs, saved, space.axis(config), strides)


def _compute_strides(config: SweepConfig, space: Space, entries: Sequence[Entry]) -> dict[int, int]:
    """Compute how many steps one iteration of each trial counts: 1, or environment steps if the sweep counts these."""
    strides = {}
    for entry in entries:
        with suppress(ConfigError):
            own = space.apply(config, entry.values).ppo.batch_size
            strides[entry.number] = own if space.axis(config).in_env_steps else 1
    return strides


def _read_folders(folder: Path) -> dict[int, SavedTrial] | None:
    trials = trial_folder(folder, 0).parent
    if not trials.exists():
        return None
    numbers = [int(path.name) for path in trials.iterdir() if path.is_dir() and path.name.isdigit()]
    return {number: _read_folder(folder, number) for number in sorted(numbers)}


def _read_folder(folder: Path, number: int) -> SavedTrial:
    try:
        return SavedTrial(read_records(folder, number))
    except CheckpointError as error:
        return SavedTrial(error=str(error))
