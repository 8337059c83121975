"""Load any run as one table: an MLflow run, a sweep's trial, tables, event files, printed text, a folder of files.

`load` detects the form. No other package of the analysis may read MLflow.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.assemble import Reading
from unstuck.analysis.history.files import STANDARD_INPUT, read_files, read_names, read_text
from unstuck.analysis.history.forms.packed import is_packed, unpack
from unstuck.analysis.history.mlruns import is_database, is_store, read_database, read_store
from unstuck.analysis.history.own_seeds import add_seeds
from unstuck.analysis.history.record import ENV_STEPS, History
from unstuck.analysis.history.seed_folders import read_seeds
from unstuck.analysis.history.seeds_alike import MOST, join_seeds, tell_seeds
from unstuck.analysis.history.several import SeveralRunsError
from unstuck.records.identity import read_identity
from unstuck.records.names import OUTCOME_TAG
from unstuck.records.urls import find_mlflow_url

__all__ = ["ENV_STEPS", "History", "Stores", "is_file", "load", "load_together"]

_RUN_ID = re.compile(r"[0-9a-f]{32}")
_SHOWN = 200  # characters of a name, in a message
_TRIAL = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)/(\d+)")


@dataclass(frozen=True)
class Stores:
    """Places to look for runs (folder of sweeps, MLflow's URL), and the user's file of names and extra settings.

    Attributes:
        folder: Folder of the sweeps; holds `mlflow.db` unless a URL is given.
        mlflow_url: MLflow's database or server; None for the folder's own.
        names: A mapping file for CSVs and event files with unknown names.
        settings: Settings that the run's files do not hold, by our paths.
    """

    folder: Path = Path("runs")
    mlflow_url: str | None = None
    names: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def mlflow(self) -> str:
        """URL of the MLflow store: the user's, or else the database `mlflow.db` in the folder of sweeps."""
        return find_mlflow_url(self.mlflow_url, self.folder)


def load(run: str, stores: Stores | None = None) -> History:
    """Load a run's metrics and settings: from a file or folder, from MLflow, or of one trial of a sweep.

    Args:
        run: A file or folder, `-` for standard input, a sweep's trial (`horizon/7`), or an MLflow run id.
        stores: Places to look.

    Raises:
        AnalysisError: There is no such run, or the run cannot be read.
    """
    stores = stores or Stores()
    history = _load(run, stores)
    if not history.table.notna().any(axis=None):
        ended = f" before it ended ({history.tags[OUTCOME_TAG]})" if OUTCOME_TAG in history.tags else ""
        raise AnalysisError(f"{run} must hold at least one number under a known name, and recorded none{ended}")
    return replace(history, settings={**history.settings, **stores.settings}) if stores.settings else history


def load_together(runs: Sequence[str], stores: Stores | None = None) -> History:
    """Load runs that differ in their seeds only, as one trial of several seeds.

    Args:
        runs: Runs, each as `load` takes them.
        stores: Places to look.

    Raises:
        AnalysisError: A run cannot be read, or the runs are not plainly seeds of one configuration.
    """
    named = {run: load(run, stores) for run in runs}
    seeds = tell_seeds(list(named), [run.settings for run in named.values()])
    first, *others = named
    trial = join_seeds(f"{first} and {len(others)} more", None, named, seeds) if seeds else None
    if trial is None:
        raise AnalysisError(
            "runs that are diagnosed together must differ in their seeds alone, by names such as run_seed1 or by "
            f"settings on record, and be at most {MOST}, got {', '.join(named)}; name one, or use compare"
        )
    return trial


def is_file(run: str) -> bool:
    """True if the text names a file, a folder or standard input, rather than a run in MLflow."""
    try:
        return run == STANDARD_INPUT or (run != "" and Path(run).expanduser().exists())
    except (OSError, RuntimeError, ValueError):  # a name too long, a user who is not known, a zero byte
        return False


def _load_file(run: str, stores: Stores) -> History:
    reading = read_names(stores.names, stores.settings)
    path = Path(run).expanduser()
    if run == STANDARD_INPUT:
        return read_text(reading)
    return _read_packed(path, reading) if is_packed(path) else _read_path(path, reading)


def _read_path(path: Path, reading: Reading) -> History:
    """Read the run in a file or folder that is not packed."""
    if is_store(path):
        return read_store(path, reading)
    if is_database(path):
        return read_database(path, reading)
    return read_seeds(path, reading) or read_files(path, reading)


def _read_packed(path: Path, reading: Reading) -> History:
    """Read the run in an archive, or in a compressed file, by the archive's own name.

    Raises:
        AnalysisError: The archive cannot be unpacked, or what is in it cannot be read as one run.
    """
    with unpack(path) as inside:
        try:
            history = _read_path(inside, reading)
        except SeveralRunsError as error:
            raise AnalysisError(
                f"{path} must hold one run, or seeds of one configuration, and holds {len(error.runs)} runs: "
                f"{error.list_runs(inside)}; unpack the archive to name one"
            ) from None
        except AnalysisError as error:
            told = str(error).replace(str(inside), f"{path}/{inside.name}")
            raise AnalysisError(f"{path}, unpacked: {told}; unpack the archive to name a part of it") from None
    return replace(history, name=path.name, source=f"{history.source.replace(str(inside), inside.name)} in {path}")


def _load(run: str, stores: Stores) -> History:
    if is_file(run):
        return _load_file(run, stores)
    from unstuck.analysis.history.tracked import TrackedRuns

    sweeps = sorted(file.parent.name for file in stores.folder.glob("*/config.yaml"))
    trial = _TRIAL.fullmatch(run.removeprefix(f"{stores.folder}/"))
    if trial:
        sweep, number = stores.folder / trial[1], int(trial[2])
        history = TrackedRuns(stores.mlflow).trial(trial[1], number, read_identity(sweep), sweeps)
        return add_seeds(history, sweep, number)
    if _RUN_ID.fullmatch(run):
        return TrackedRuns(stores.mlflow, Reading(settings=stores.settings)).run(run)
    if is_file(str(stores.folder / run / "config.yaml")):
        raise AnalysisError(f"{run} is a sweep, not a run; name one of its trials: {run}/0")
    raise AnalysisError(
        f"a run must be a file or folder, a trial such as NAME/7, or an MLflow run id, got {run[:_SHOWN]!r}; "
        f"sweeps in {stores.folder}: {', '.join(sweeps) or 'none'}"
    )
