"""What MLflow holds of a sweep, read back whole: every run, and every point that was ever written to it.

For `sweeps.audit`, which must see what MLflow's own pages hide: a second run of the same trial, a step written twice.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sweeps.config import SweepConfig
from sweeps.layout import sqlite_file
from sweeps.mlflow_place import settle_artifacts
from sweeps.mlflow_store import connect, translated
from sweeps.tracking import (
    FORMAT_TAG,
    ID_TAG,
    NOTE_TAG,
    PARENT_TAG,
    REPORT,
    SWEEP_TAG,
    TAG_LENGTH,
    TRIAL_TAG,
    artifacts_folder,
    mlflow_url,
    search,
    storable,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


class Point(NamedTuple):
    """One row of a metric: its step, its value, and when it was measured, in ms since 1970."""

    step: int
    value: float
    timestamp_ms: int


@dataclass(frozen=True)
class TrackedRun:
    """One run.

    Attributes:
        id: MLflow's own.
        trial: The number that it is tagged with; None for the sweep's own run.
        parent: Id of the run above it.
        status: MLflow's word, such as FINISHED.
        tags: All of them.
        params: As MLflow keeps them, in text.
        curves: Every point of every metric, in the order of steps. A step may be there twice.
    """

    id: str
    trial: int | None
    parent: str | None
    status: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    curves: Mapping[str, Sequence[Point]]


def read_runs(config: SweepConfig, run_ids: Collection[str]) -> list[TrackedRun]:
    """All runs of a sweep, the oldest first, deleted ones left out; empty where MLflow knows nothing of it.

    Args:
        config: The sweep's.
        run_ids: Those of its trials that the ledger knows.

    Raises:
        TrackingError: The store cannot be read.
    """
    with _store(config, f"read sweep {config.sweep.name}") as store:
        if store is None:
            return []
        client, experiment = store
        return [_tracked(client, run) for run in _own(client, experiment, config, run_ids)]


def adopt_runs(config: SweepConfig, run_ids: Collection[str]) -> None:
    """Tag the runs of a sweep that was started before sweeps had ids; does nothing where none lacks its tags.

    Args:
        config: The sweep's, its id included.
        run_ids: Those of its trials that the ledger knows.

    Raises:
        TrackingError: The store cannot be written.
    """
    with _store(config, f"adopt the runs of sweep {config.sweep.name}") as store:
        if store is None:
            return
        client, experiment = store
        for run in _own(client, experiment, config, run_ids):
            if ID_TAG not in run.data.tags:
                client.set_tag(run.info.run_id, FORMAT_TAG, str(config.format))
                client.set_tag(run.info.run_id, ID_TAG, str(config.id))


def attach_report(config: SweepConfig, run_ids: Collection[str], files: Sequence[Path], note: str) -> None:
    """Keep a report with a sweep's own run, which may have ended; does nothing where MLflow knows nothing of it.

    Args:
        config: The sweep's.
        run_ids: Those of its trials that the ledger knows.
        files: Files and folders; of the same names as before, they replace those.
        note: What to show on top of the run's page, in Markdown.

    Raises:
        TrackingError: The store cannot be written.
    """
    with _store(config, f"attach a report to sweep {config.sweep.name}") as store:
        if store is None:
            return
        client, experiment = store
        own = [run for run in _own(client, experiment, config, run_ids) if PARENT_TAG not in run.data.tags]
        for run in own[:1]:
            for path in files:
                client.log_artifact(run.info.run_id, str(path), REPORT)
            client.set_tag(run.info.run_id, NOTE_TAG, storable(note, TAG_LENGTH))


def settle_runs(config: SweepConfig) -> None:
    """Have the store in a sweep's folder name artifacts where they lie now, if it does not: see `settle_artifacts`.

    Raises:
        TrackingError: The store cannot be written.
    """
    folder = Path(config.sweep.folder)
    url = mlflow_url(config.tracking, folder)
    if config.tracking.name == "mlflow":
        with translated("settle artifacts", url):
            settle_artifacts(url, artifacts_folder(folder))


def delete_runs(config: SweepConfig, ids: Sequence[str]) -> None:
    """Take runs out of sight; `mlflow runs restore` brings one back, `mlflow gc` removes them for good.

    Raises:
        TrackingError: The store cannot be written.
    """
    with _store(config, "delete runs") as store:
        if store:
            for run in ids:
                store[0].delete_run(run)


@contextmanager
def _store(config: SweepConfig, action: str) -> "Iterator[tuple[MlflowClient, str] | None]":
    """A sweep's store and the id of its experiment there; None where it is not there, which asking does not change."""
    url = mlflow_url(config.tracking, Path(config.sweep.folder))
    file = sqlite_file(url)
    if file is not None and not file.exists():  # sqlite would make it
        yield None
        return
    with translated(action, url):
        client = connect(url)
        experiment = client.get_experiment_by_name(config.tracking.mlflow_experiment)
        yield (client, experiment.experiment_id) if experiment else None


def _own(client: "MlflowClient", experiment: str, config: SweepConfig, run_ids: Collection[str]) -> "list[Run]":
    """Runs of a sweep: those with its id; of one that was started before sweeps had ids, also what it wrote then."""
    if config.id is not None and config.format > 1:
        return search(client, experiment, ID_TAG, config.id)
    found = search(client, experiment, SWEEP_TAG, str(config.sweep.name))
    runs = [run for run in found if run.data.tags.get(ID_TAG) in (None, config.id)]
    if config.tracking.mlflow_url is None:  # the folder's own store: nobody else in it had the name
        return runs
    parents = {run.data.tags.get(PARENT_TAG) for run in runs if run.info.run_id in run_ids}
    return [run for run in runs if ID_TAG in run.data.tags or run.info.run_id in {*run_ids, *parents}]


def _tracked(client: "MlflowClient", run: "Run") -> TrackedRun:
    tags = run.data.tags
    curves = {
        name: sorted(
            (Point(row.step, row.value, row.timestamp) for row in client.get_metric_history(run.info.run_id, name)),
            key=lambda point: (point.step, point.timestamp_ms),
        )
        for name in run.data.metrics
    }
    return TrackedRun(
        id=run.info.run_id,
        trial=int(tags[TRIAL_TAG]) if TRIAL_TAG in tags else None,
        parent=tags.get(PARENT_TAG),
        status=run.info.status,
        tags=tags,
        params=run.data.params,
        curves=curves,
    )
