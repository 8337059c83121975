"""What MLflow holds of a sweep, read back whole: every run, and every point that was ever written to it.

For `sweeps.audit`, which must see what MLflow's own pages hide: a second run of the same trial, a step written twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sweeps.config import TrackingConfig
from sweeps.layout import sqlite_file
from sweeps.mlflow_store import connect, translated
from sweeps.tracking import PARENT_TAG, SWEEP_TAG, TRIAL_TAG, mlflow_url

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_PAGE = 1000
"""Runs asked for at once."""


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


def read_runs(config: TrackingConfig, folder: Path, sweep: str) -> list[TrackedRun]:
    """All runs of a sweep, the oldest first, deleted ones left out; empty where MLflow knows nothing of it.

    Args:
        config: The `tracking` settings.
        folder: `sweep.folder`.
        sweep: The sweep's name.

    Raises:
        TrackingError: The store cannot be read.
    """
    url = mlflow_url(config, folder)
    file = sqlite_file(url)
    if file is not None and not file.exists():  # sqlite would make it
        return []
    with translated(f"read sweep {sweep}", url):
        client = connect(url)
        experiment = client.get_experiment_by_name(config.mlflow_experiment)
        if experiment is None:
            return []
        return [_tracked(client, run) for run in _search(client, experiment.experiment_id, sweep)]


def delete_runs(config: TrackingConfig, folder: Path, ids: Sequence[str]) -> None:
    """Take runs out of sight; `mlflow runs restore` brings one back, `mlflow gc` removes them for good.

    Raises:
        TrackingError: The store cannot be written.
    """
    with translated("delete runs"):
        client = connect(mlflow_url(config, folder))
        for run in ids:
            client.delete_run(run)


def _search(client: "MlflowClient", experiment: str, sweep: str) -> list["Run"]:
    found: list[Run] = []
    token: str | None = None
    while token != "":
        page = client.search_runs(
            [experiment],
            f"tags.{SWEEP_TAG} = '{sweep}'",
            max_results=_PAGE,
            order_by=["attributes.start_time ASC"],
            page_token=token,
        )
        found += page
        token = page.token or ""
    return found


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
