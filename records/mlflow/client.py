"""Search MLflow's runs, and write to a run in batches within MLflow's limits, through a client."""

import time
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from unstuck.records.measurement import Record
from unstuck.records.mlflow.mlflow_internals import MetricRow, insert_metrics, read_metrics
from unstuck.records.mlflow.names import SUMMARY_TAGS, TRIALS
from unstuck.records.names import NOTE_TAG, OUTCOME_TAG, REASON_TAG, REPORT, RUNNING
from unstuck.records.redact import redact_url
from unstuck.rl import metrics

if TYPE_CHECKING:  # imported where first needed: it takes 1.4 s
    from mlflow import MlflowClient
    from mlflow.entities import Run as Run  # for those who read runs, too

_T = TypeVar("_T")

PARAM_LENGTH, TAG_LENGTH = 6000, 8000
"""Characters that MLflow allows in a parameter and in a tag."""

_METRICS_PER_BATCH, _PARAMS_PER_BATCH = 1000, 100
"""Rows that MLflow takes in one call."""

_METRICS_PER_INSERT = 10_000
"""Rows inserted at once, in a second or two: as long, nobody else can write to a file of sqlite."""

_PAGE = 1000
"""Runs in one page of an answer."""


def find_run(client: "MlflowClient", run_id: str) -> "Run | None":
    """Find the MLflow run with the given id; return None if there is no such run."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def search_runs(client: "MlflowClient", experiments: Sequence[str], tag: str, value: str) -> list["Run"]:
    """Find MLflow runs in experiments whose tag `tag` equals `value`; oldest first, without deleted runs."""
    found: list[Run] = []
    token: str | None = None
    while token != "":
        page = client.search_runs(
            list(experiments),
            f"tags.{tag} = '{value}'",
            max_results=_PAGE,
            order_by=["attributes.start_time ASC"],
            page_token=token,
        )
        found += page
        token = page.token or ""
    return found


def write_report(
    client: "MlflowClient", run: str, files: Sequence[Path], note: str, figures: Mapping[str, float]
) -> None:
    """Upload report files to an MLflow run, and set the run's note (Markdown text) and summary numbers."""
    for path in files:
        client.log_artifact(run, str(path), REPORT)
    set_tags(client, run, {NOTE_TAG: note})
    step = int(sum(value for name, value in figures.items() if name.startswith(TRIALS)))
    log_metrics(client, run, [Record(step, time.time_ns() // 1_000_000, figures)])


def reopen_run(
    client: "MlflowClient", run: str, tags: Mapping[str, str]
) -> tuple[Mapping[str, str], set[tuple[str, int]]]:
    """Set an ended MLflow run back to RUNNING; return its parameters and the (metric, step) pairs it has.

    Returns:
        Parameters of the run, and its (metric, step) pairs: a worker that starts anew repeats these points later, and
        MLflow would keep both. Metrics of the whole trial are left out, since MLflow's last point of them holds.
    """
    had = client.get_run(run).data
    for key in (OUTCOME_TAG, REASON_TAG, *SUMMARY_TAGS):
        if key in had.tags:
            client.delete_tag(run, key)
    client.update_run(run, status=RUNNING)
    set_tags(client, run, tags)
    curves = [name for name in had.metrics if not name.startswith(metrics.FINAL_PREFIX)]
    points = read_curves(client, run, curves)
    return had.params, {(name, row.step) for name in curves for row in points[name]}


def read_curves(client: "MlflowClient", run: str, names: Collection[str]) -> dict[str, list[MetricRow]]:
    """Read the values of a run's metrics, in the order of time, by the metrics' names in MLflow."""
    curves: dict[str, list[MetricRow]] = {name: [] for name in names}
    rows = read_metrics(client, run)
    if rows is None:
        for name, curve in curves.items():
            for one in client.get_metric_history(run, name):
                curve.append(MetricRow(name, one.value, one.timestamp, one.step))
        return curves
    for row in rows:
        if row.key in curves:
            curves[row.key].append(row)
    return curves


def log_params(client: "MlflowClient", run: str, params: Mapping[str, Any]) -> None:
    """Write parameters to an MLflow run, each value cut to the length that MLflow allows."""
    from mlflow.entities import Param

    rows = [Param(key, make_storable(value, PARAM_LENGTH)) for key, value in params.items()]
    for batch in _split(rows, _PARAMS_PER_BATCH):
        client.log_batch(run, params=batch)


def log_metrics(
    client: "MlflowClient", run: str, records: Sequence[Record], already_logged: Container[tuple[str, int]] = ()
) -> None:
    """Write the metrics of records to an MLflow run, except those (metric, step) pairs in `already_logged`."""
    from mlflow.entities import Metric

    rows = [
        MetricRow(name, float(value), record.timestamp_ms, record.step)
        for record in records
        for name, value in record.metrics.items()
        if (name, record.step) not in already_logged
    ]
    rows.sort(key=lambda row: (row.key, row.step))  # a run's page lists metrics in the order in which they came
    for at_once in _split(rows, _METRICS_PER_INSERT):
        if not insert_metrics(client, run, at_once):
            for batch in _split(at_once, _METRICS_PER_BATCH):
                client.log_batch(run, metrics=[Metric(*row) for row in batch])


def _split(rows: Sequence[_T], at_most: int) -> Iterator[Sequence[_T]]:
    """Yield rows in parts of at most that many."""
    for start in range(0, len(rows), at_most):
        yield rows[start : start + at_most]


def set_tags(client: "MlflowClient", run: str, tags: Mapping[str, str]) -> None:
    """Write tags to an MLflow run, with values converted to text that MLflow can store."""
    from mlflow.entities import RunTag

    client.log_batch(run, tags=[RunTag(key, value) for key, value in make_tag_texts(tags).items()])


def make_tag_texts(tags: Mapping[str, str]) -> dict[str, str]:
    """Convert tags' values to text that MLflow can store: secrets masked, and cut to MLflow's limit."""
    return {key: make_storable(value, TAG_LENGTH) for key, value in tags.items()}


def make_storable(value: object, limit: int) -> str:
    """Convert a value to text for MLflow, with secrets in URLs masked, cut to `limit` characters."""
    text = redact_url(str(value))
    return text if len(text) <= limit else text[: limit - 1] + "…"
