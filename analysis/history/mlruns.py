"""Read MLflow's records where they lie: a folder `mlruns/` of files, and a database in a file.

The file store holds a folder for each experiment and in it one for each run, with a file for each metric (lines of
time, value and step), parameter and tag: mlflow/store/tracking/file_store.py.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.assemble import Found, Reading, assemble_history
from unstuck.analysis.history.raw import Points, Raw
from unstuck.analysis.history.record import History
from unstuck.analysis.history.seeds_alike import join_seeds, tell_seeds
from unstuck.analysis.history.settings import parse_literal
from unstuck.analysis.history.several import refuse_several

_META = "meta.yaml"
_STORE = "mlruns"
_SQLITE = b"SQLite format 3\0"
_NAME = "mlflow.runName"
_SHORT = 8  # characters of a run id that tell runs of one name apart
_NO_RUNS = ("models", ".trash")  # folders of an experiment or store that hold models logged and runs deleted


def is_store(path: Path) -> bool:
    """True for an MLflow folder that stores runs as files: the store, an experiment, a run, or a parent folder."""
    return path.is_dir() and any(True for _ in _find_runs(path))


def read_store(path: Path, reading: Reading) -> History:
    """Read the only run in a folder where MLflow stores runs as files, or runs that differ in their seeds alone.

    Raises:
        AnalysisError: The folder holds several runs with metrics, which are listed, or none.
    """
    runs = {run.name: run for run in sorted(_find_runs(path)) if any(_list_files(run / "metrics"))}
    if not runs:
        raise AnalysisError(f"{path} must hold an MLflow run with metrics, and holds none")
    if len(runs) == 1:
        return _read_run(next(iter(runs.values())), reading)
    named = {run_id: _run_name(run) for run_id, run in runs.items()}
    params = [_read_params(run) for run in runs.values()]
    trial = _join_runs(path, named, params, lambda run_id: _read_run(runs[run_id], reading))
    if trial is None:
        refuse_several(path, list(runs.values()), names=list(named.values()))
    return trial


def _read_run(run: Path, reading: Reading) -> History:
    columns = {name: _read_points(file) for name, file in _list_files(run / "metrics")}
    tags = {name: file.read_text(encoding="utf-8") for name, file in _list_files(run / "tags")}
    raw = Raw(run, columns, stepped=True, form="MLflow run")
    ours = {name: value for name, value in tags.items() if not name.startswith("mlflow.")} | {"run_id": run.name}
    return assemble_history(
        tags.get(_NAME, run.name), f"MLflow run {run}", Found([raw], _read_params(run)), reading, ours
    )


def _read_params(run: Path) -> dict[str, Any]:
    return {name: parse_literal(file.read_text(encoding="utf-8")) for name, file in _list_files(run / "params")}


def _join_runs(
    path: Path, named: Mapping[str, str], params: Sequence[Mapping[str, Any]], read: Callable[[str], History]
) -> History | None:
    """Join a database's or folder's runs to one trial if they differ in seeds only; None if they do not.

    Args:
        path: The place.
        named: Names of the runs by run id.
        params: Parameters of each run.
        read: Function that reads a run by its id.
    """
    names = list(named.values())
    seeds = tell_seeds(names, params)
    if seeds is None:
        return None
    apart = {run: name if names.count(name) == 1 else f"{name} {run[:_SHORT]}" for run, name in named.items()}
    return join_seeds(path.name, path, {apart[run]: read(run) for run in named}, seeds)


def is_database(path: Path) -> bool:
    """True if a file is an SQLite database, as MLflow's are."""
    try:
        with path.open("rb") as opened:
            return opened.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False


def read_database(path: Path, reading: Reading) -> History:
    """Read the only run of an MLflow database in a file, or runs that differ in their seeds alone.

    Raises:
        AnalysisError: The database holds several runs with metrics, which are listed, or none.
    """
    from unstuck.analysis.history.tracked import TrackedRuns

    url = f"sqlite:///{path.absolute()}"
    tracked = TrackedRuns(url, reading)
    runs = _run_ids(path)
    if not runs:
        raise AnalysisError(f"{path} must hold an MLflow run with metrics, and holds none")
    if len(runs) == 1:
        return tracked.run(next(iter(runs)))
    trial = _join_runs(path, runs, _read_all_params(path, runs), tracked.run)
    if trial is None:
        refuse_several(path, list(runs), "--mlflow-url", url, names=list(runs.values()))
    return trial


def _run_name(run: Path) -> str:
    file = run / "tags" / _NAME
    return file.read_text(encoding="utf-8") if file.is_file() else run.name


def _run_ids(path: Path) -> dict[str, str]:
    """Return the ids and names of the database's runs that have metrics, in the order in which the runs started."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as database:
        query = (
            "SELECT DISTINCT runs.run_uuid, runs.name FROM runs JOIN latest_metrics USING (run_uuid) "
            "WHERE lifecycle_stage = 'active' ORDER BY start_time"
        )
        return {run: name or run for run, name in database.execute(query)}
    return {}


def _read_all_params(path: Path, runs: Iterable[str]) -> list[dict[str, Any]]:
    """Return the parameters of each of a database's runs."""
    found: dict[str, dict[str, Any]] = {run: {} for run in runs}
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as database:
        for run, name, value in database.execute("SELECT run_uuid, key, value FROM params"):
            if run in found:
                found[run][name] = parse_literal(value)
    return list(found.values())


def _find_runs(path: Path) -> Iterator[Path]:
    """Yield the folder of each run in or below a folder of MLflow's file store."""
    for depth in ("", "*/", "*/*/", f"{_STORE}/*/*/"):
        for meta in path.glob(f"{depth}{_META}"):
            if (meta.parent / "metrics").is_dir() and meta.parent.parent.name not in _NO_RUNS:
                yield meta.parent


def _list_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and file of each metric, parameter or tag in an MLflow run's folder; `/` means a subfolder."""
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            yield str(file.relative_to(folder)), file


def _read_points(file: Path) -> Points:
    try:
        lines = [line.split() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        points = {float(line[2]): float(line[1]) for line in lines}
    except (ValueError, IndexError):
        raise AnalysisError(f"{file} must be a metric of MLflow's, with lines of time, value and step") from None
    steps = sorted(points)
    return Points(np.array(steps, dtype=np.float64), np.array([points[step] for step in steps], dtype=np.float64))
