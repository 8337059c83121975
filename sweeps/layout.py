"""Where a sweep keeps its files. Below the sweep's folder, `runs/NAME`:

```
config.yaml                  the composed configuration, with the sweep's id and the format of its records
lock                         held by the process that runs the sweep (sweeps/lock.py)
scratch                      where that process keeps its temporary files (sweeps/scratch.py); gone with them
trials/0007/checkpoint.npz   trial 7 at its last evaluation: training state, and the records of all its iterations
trials/0007/report.html      the trial's diagnosis, as report.md and its figures too; written when the sweep has ended
report/                      likewise of the sweep as a whole: report.html, report.md, champions.json
```

A worker writes a trial's checkpoint before it reports the evaluation, so a checkpoint is never behind the ledger, nor
the ledger behind MLflow: whatever dies, what is behind can be written again from what is ahead.
"""

from pathlib import Path

from rl.errors import CheckpointError
from sweeps.config import SweepConfig
from sweeps.record import Record


def sweep_folder(config: SweepConfig) -> Path:
    """The folder of a sweep whose name is set."""
    return Path(config.sweep.folder).absolute() / str(config.sweep.name)


def config_file(folder: Path) -> Path:
    """The composed configuration, in the sweep's folder."""
    return folder / "config.yaml"


def lock_file(folder: Path) -> Path:
    """Held by the process that runs the sweep."""
    return folder / "lock"


def scratch_file(folder: Path) -> Path:
    """Names the folder for temporary files while there is one."""
    return folder / "scratch"


def trials_folder(folder: Path) -> Path:
    """Holds the trials' own folders. The driver makes it: a worker that does not find it shares no folder with it."""
    return folder / "trials"


def trial_folder(folder: Path, number: int) -> Path:
    """A trial's own folder, in the sweep's."""
    return trials_folder(folder) / f"{number:04d}"


def checkpoint_file(folder: Path, number: int) -> Path:
    """The checkpoint of a trial; absent before its first evaluation."""
    return trial_folder(folder, number) / "checkpoint.npz"


def read_records(folder: Path, number: int) -> list[Record]:
    """All records of a trial up to its checkpoint, oldest first; none before its first evaluation.

    Raises:
        CheckpointError: If there is a checkpoint that cannot be read.
    """
    from rl import checkpoint  # late: it brings torch, and most callers only want to know where files lie

    file = checkpoint_file(folder, number)
    if not file.exists():
        return []
    try:
        return [Record.from_json(kept) for kept in checkpoint.read_history(file)]
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{file} must hold a sweep's records, got others ({error!r}); check the file") from error


def ledger_url(config: SweepConfig) -> str:
    """The ledger's database: `tracking.optuna_url`, else `optuna.db` in `sweep.folder`."""
    return config.tracking.optuna_url or f"sqlite:///{Path(config.sweep.folder).absolute() / 'optuna.db'}"


def sqlite_file(url: str) -> Path | None:
    """The file that a plain sqlite URL names; None for any other URL, one with options included."""
    file = url.removeprefix("sqlite:///")
    return None if file == url or not file or "?" in file else Path(file)
