"""Read all runs of a sweep from MLflow, with every point of a metric that was ever written.

For the audit, which must see what MLflow's own pages hide: a second run of the same trial, a step written twice.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from unstuck.records.mlflow.client import read_curves, search_runs, write_report
from unstuck.records.mlflow.connection import connect, translate_errors
from unstuck.records.mlflow.links import add_links
from unstuck.records.mlflow.names import ALWAYS_ZERO, from_mlflow, read_tags
from unstuck.records.mlflow.place import settle_artifacts
from unstuck.records.names import FORMAT_TAG, ID_TAG, PARENT_TAG, SWEEP_TAG, TRIAL_TAG
from unstuck.records.reference import SweepReference
from unstuck.records.urls import sqlite_file
from unstuck.rl import metrics

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


class Point(NamedTuple):
    """One point of a metric's curve in MLflow: step, value, and time of the measurement in ms since 1970."""

    step: int
    value: float
    timestamp_ms: int


@dataclass(frozen=True)
class TrackedRun:
    """MLflow run of a sweep or one trial, as read: tags, parameters, and curves under the names in `rl.metrics`.

    Attributes:
        id: Id of the run in MLflow.
        trial: Number of the trial in the run's tags; None for the sweep's own run.
        parent: Id of the run above; None for the sweep's own run.
        status: MLflow's name for the status, such as FINISHED.
        tags: Tags of the run by name.
        params: Parameters by name, as text.
        curves: Points of every metric, in the order of steps. A step may occur twice. A number of the whole trial
            (`final/...`) ends its curve, or is one point at the last step.
    """

    id: str
    trial: int | None
    parent: str | None
    status: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    curves: Mapping[str, Sequence[Point]]


def read_runs(sweep: SweepReference, run_ids: Collection[str]) -> list[TrackedRun]:
    """Read all MLflow runs of a sweep, oldest first, without deleted ones; empty if there is no experiment.

    Args:
        sweep: Reference to the sweep.
        run_ids: Ids of the runs of those trials that the ledger knows.

    Raises:
        TrackingError: The store cannot be read.
    """
    with _store(sweep, f"read sweep {sweep.name}") as store:
        if store is None:
            return []
        client, experiment = store
        return [_read_run(client, run) for run in _search_own_runs(client, experiment, sweep, run_ids)]


def list_run_ids(sweep: SweepReference, run_ids: Collection[str]) -> list[str]:
    """List the ids of a sweep's MLflow runs, oldest first, without reading the runs.

    Raises:
        TrackingError: The store cannot be read.
    """
    with _store(sweep, f"read sweep {sweep.name}") as store:
        return [run.info.run_id for run in _search_own_runs(*store, sweep, run_ids)] if store else []


def read_run_tags(sweep: SweepReference, run_id: str) -> dict[str, str]:
    """Read the tags of one MLflow run, by id; empty if there is no such run.

    Args:
        sweep: Reference to a sweep in the same store.
        run_id: Id of the run.

    Raises:
        TrackingError: The store cannot be read.
    """
    from mlflow.exceptions import MlflowException

    with _store(sweep, f"read run {run_id}") as store:
        if store is None:
            return {}
        try:
            return dict(store[0].get_run(run_id).data.tags)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return {}


def find_experiment(sweep: SweepReference) -> str | None:
    """Return the id of the MLflow experiment that holds a sweep's runs; None if there is no experiment.

    Args:
        sweep: Reference to the sweep.

    Raises:
        TrackingError: The store cannot be read.
    """
    with _store(sweep, f"find the experiment of sweep {sweep.name}") as store:
        return store[1] if store else None


def adopt_runs(sweep: SweepReference, run_ids: Collection[str]) -> None:
    """Tag the MLflow runs of a sweep from before sweeps had ids with the sweep's id; skip runs with an id.

    Args:
        sweep: Reference to the sweep, with its id.
        run_ids: Ids of the runs of those trials that the ledger knows.

    Raises:
        TrackingError: The store cannot be written.
    """
    with _store(sweep, f"adopt the runs of sweep {sweep.name}") as store:
        if store is None:
            return
        client, experiment = store
        for run in _search_own_runs(client, experiment, sweep, run_ids):
            if ID_TAG not in run.data.tags:
                client.set_tag(run.info.run_id, FORMAT_TAG, str(sweep.format))
                client.set_tag(run.info.run_id, ID_TAG, str(sweep.id))


def attach_report(
    sweep: SweepReference,
    run_ids: Collection[str],
    files: Sequence[Path],
    note: str,
    figures: Mapping[str, float] | None = None,
) -> None:
    """Upload report files, note and summary numbers to a sweep's own MLflow run; do nothing if it has none.

    Args:
        sweep: Reference to the sweep.
        run_ids: Ids of the runs of those trials that the ledger knows.
        files: Files and folders, which replace files of the same names.
        note: Markdown to show on top of the run's page.
        figures: Figures to keep as metrics of the run, by name; None for none.

    Raises:
        TrackingError: The store cannot be written.
    """
    with _store(sweep, f"attach a report to sweep {sweep.name}") as store:
        if store is None:
            return
        client, experiment = store
        own = [run for run in _search_own_runs(client, experiment, sweep, run_ids) if PARENT_TAG not in run.data.tags]
        for run in own[:1]:
            linked = add_links(note, experiment, str(sweep.id)) if sweep.id else note
            write_report(client, run.info.run_id, files, linked, figures or {})


def settle_runs(sweep: SweepReference) -> None:
    """Correct the artifact paths in MLflow's database file if the sweeps' folder was moved.

    Raises:
        TrackingError: The store cannot be written.
    """
    if sweep.is_tracked:
        with translate_errors("settle artifacts", sweep.mlflow_url):
            settle_artifacts(sweep.mlflow_url, sweep.artifacts_folder)


def delete_runs(sweep: SweepReference, ids: Sequence[str]) -> None:
    """Mark MLflow runs as deleted (`mlflow runs restore` undoes that, `mlflow gc` removes the runs for good).

    Raises:
        TrackingError: The store cannot be written.
    """
    with _store(sweep, "delete runs") as store:
        if store:
            for run in ids:
                store[0].delete_run(run)


@contextmanager
def _store(sweep: SweepReference, action: str) -> "Iterator[tuple[MlflowClient, str] | None]":
    """Yield a client for a sweep's MLflow and the id of its experiment; None if one of the two is missing."""
    url = sweep.mlflow_url
    file = sqlite_file(url)
    if file is not None and not file.exists():  # sqlite would make the file
        yield None
        return
    with translate_errors(action, url):
        client = connect(url)
        experiment = client.get_experiment_by_name(sweep.mlflow_experiment)
        yield (client, experiment.experiment_id) if experiment else None


def _search_own_runs(
    client: "MlflowClient", experiment: str, sweep: SweepReference, run_ids: Collection[str]
) -> "list[Run]":
    """Return a sweep's MLflow runs: all with the sweep's id; for an old sweep also those without an id."""
    if sweep.id is not None and sweep.format > 1:
        return search_runs(client, [experiment], ID_TAG, sweep.id)
    found = search_runs(client, [experiment], SWEEP_TAG, sweep.name)
    runs = [run for run in found if run.data.tags.get(ID_TAG) in (None, sweep.id)]
    if sweep.owns_store:  # the folder's own store: nobody else in it had the name
        return runs
    parents = {run.data.tags.get(PARENT_TAG) for run in runs if run.info.run_id in run_ids}
    return [run for run in runs if ID_TAG in run.data.tags or run.info.run_id in {*run_ids, *parents}]


def _read_run(client: "MlflowClient", run: "Run") -> TrackedRun:
    tags = run.data.tags
    curves: dict[str, Sequence[Point]] = {
        from_mlflow(name): sorted(
            (Point(row.step, row.value, row.timestamp_ms) for row in rows),
            key=lambda point: (point.step, point.timestamp_ms),
        )
        for name, rows in read_curves(client, run.info.run_id, run.data.metrics).items()
    }
    last = max((points[-1].step for points in curves.values()), default=0)
    curves |= {name: [Point(last, value, 0)] for name, value in read_tags(tags).items()}
    if metrics.F1_RANDOM in curves:
        curves.setdefault(ALWAYS_ZERO, [point._replace(value=0.0) for point in curves[metrics.F1_RANDOM]])
    return TrackedRun(
        id=run.info.run_id,
        trial=int(tags[TRIAL_TAG]) if TRIAL_TAG in tags else None,
        parent=tags.get(PARENT_TAG),
        status=run.info.status,
        tags=tags,
        params=run.data.params,
        curves=curves,
    )
