"""Name the files that a sweep keeps. In the sweep's folder, `runs/NAME`:

```
config.yaml                  the composed configuration, with the sweep's id and the format of its records
lock                         held by the process that runs the sweep (records/lock.py)
scratch                      names that process's folder of temporary files, and goes with it
                             (sweeps/ray_tune/scratch.py)
stop                         asks that process to end the sweep, while there is such a file (records/lock.py)
trials/0007/checkpoint.npz   trial 7 at its last evaluation: training state, and the records of all its iterations
trials/0007/report.html      diagnosis of trial 7, with report.md and figures; written when the sweep has ended
branch/checkpoint.npz        of an unstick: copy of the checkpoint of the run that is branched
report/                      report of the whole sweep: report.html, report.md, champions.json, verdicts.json
```

A worker writes a trial's checkpoint before the evaluation is reported, so a checkpoint is never behind the ledger, nor
the ledger behind MLflow. After a crash, the record that is behind can be written again from the one that is ahead.
"""

import shutil
from pathlib import Path
from typing import Any

from unstuck.records.measurement import Record
from unstuck.rl.archive import read_archive, read_history
from unstuck.rl.errors import CheckpointError
from unstuck.rl.whole_files import replace_file


def config_file(folder: Path) -> Path:
    """Return the path of a sweep's `config.yaml`, which holds the full configuration."""
    return folder / "config.yaml"


def lock_file(folder: Path) -> Path:
    """Return the path of a sweep's lock file, which the process that runs the sweep keeps locked."""
    return folder / "lock"


def scratch_file(folder: Path) -> Path:
    """Return the path of a sweep's file `scratch`, which names the folder of temporary files while the sweep runs."""
    return folder / "scratch"


def stop_file(folder: Path) -> Path:
    """Return the path of a sweep's file `stop`, which another process writes to ask for the sweep's end."""
    return folder / "stop"


def trials_folder(folder: Path) -> Path:
    """Return the path of a sweep's folder `trials`, which holds a folder for each trial.

    The driver makes the folder: a worker that does not find the folder shares no folder with the driver.
    """
    return folder / "trials"


def trial_name(number: int) -> str:
    """Return the name of a trial's folder, also used in the name of the trial's MLflow run.

    Example:
        >>> trial_name(7)
        '0007'
    """
    return f"{number:04d}"


def trial_folder(folder: Path, number: int) -> Path:
    """Return the path of one trial's folder in the sweep's folder."""
    return trials_folder(folder) / trial_name(number)


def checkpoint_file(folder: Path, number: int) -> Path:
    """Return the path of a trial's checkpoint file, which exists from the trial's first evaluation on."""
    return trial_folder(folder, number) / "checkpoint.npz"


def branch_file(folder: Path) -> Path:
    """Return the path, in a sweep's folder, of the copied checkpoint of the stuck run whose fixes are tried."""
    return folder / "branch" / "checkpoint.npz"


def read_records(folder: Path, number: int) -> list[Record]:
    """Read a trial's metrics of all iterations from the checkpoint, oldest first; empty before the first evaluation.

    Raises:
        CheckpointError: If there is a checkpoint that cannot be read.
    """
    file = checkpoint_file(folder, number)
    return read_checkpoint_records(file) if file.exists() else []


def read_checkpoint_records(file: Path) -> list[Record]:
    """Read the metrics of all iterations from a checkpoint file that a sweep wrote, oldest first.

    Raises:
        CheckpointError: There is no checkpoint, or one that cannot be read.
    """
    try:
        return [Record.from_json(kept) for kept in read_history(file)]
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{file} must hold a sweep's records, got others ({error!r}); check the file") from error


def read_values(folder: Path, number: int) -> dict[int, dict[str, float]]:
    """Read a trial's metrics, also each seed's own, from the checkpoint: values by name, by iteration.

    Empty where there is no checkpoint that can be read, or where the checkpoint holds means alone: of a single seed,
    or of before each seed's values were kept.
    """
    try:
        records = read_records(folder, number)
    except CheckpointError:
        return {}
    return {record.iteration: record.list_values() for record in records if record.seeds}


def read_branched_run(folder: Path) -> tuple[list[Record], dict[str, Any]] | None:
    """Read metrics and settings of a sweep's stuck run from the copied checkpoint; None if that is unreadable.

    Returns:
        Records of all iterations, oldest first, and the PPO settings of the first member by dotted path.
    """
    file = branch_file(folder)
    try:
        config = read_archive(file)[1]["configs"][0]
        settings = {f"ppo.{name}": tuple(value) if isinstance(value, list) else value for name, value in config.items()}
        return read_checkpoint_records(file), settings
    except (CheckpointError, KeyError, IndexError, TypeError, AttributeError):
        return None


def replace_text(file: Path, text: str) -> None:
    """Write a text to a file in one step, so that readers see the old or the new text, never a part."""
    with replace_file(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def copy_checkpoint(source: Path, target: Path) -> None:
    """Copy a checkpoint file in one step, so that readers see the whole copy or none; create the copy's folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(target) as temporary:
        shutil.copyfile(source, temporary)
