"""Insert and read metrics in one statement each, which MLflow's client cannot: no other module uses a private member.

MLflow's own way makes five objects of each number, which was half of what a sweep's driver takes while workers train.
Its way to read asks for each metric by itself, which was half of what a report on a sweep takes.
The members are those of MLflow 3.17, the minor version to which pyproject.toml is pinned; a test checks each of them.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from mlflow import MlflowClient


_READ_AT_ONCE = 200_000
"""Rows of a run that are read in one statement, some 100 MB in memory."""


class MetricRow(NamedTuple):
    """One number of a run: name of the metric, value, time in ms, and step."""

    key: str
    value: float
    timestamp_ms: int
    step: int


def insert_metrics(client: "MlflowClient", run: str, rows: Sequence[MetricRow]) -> bool:
    """Insert metrics of a run, all or none; return False, with nothing written, where only MLflow's client can.

    That is where MLflow writes by a server, and where the run holds one of the rows already.

    Args:
        client: Client for the store.
        run: Id of an active run.
        rows: Metrics, in the order in which the run's page is to list them; each row once.

    Raises:
        MlflowException: The database refused, the run is deleted, or a name is none that MLflow allows.
    """
    from mlflow.store.tracking.dbmodels.models import SqlMetric
    from mlflow.utils.validation import _validate_metric
    from sqlalchemy import insert
    from sqlalchemy.exc import IntegrityError

    store: Any = client._tracking_client.store
    if not hasattr(store, "ManagedSessionMaker"):  # no database, but a server
        return False
    for key in {row.key for row in rows}:
        _validate_metric(key, 0.0, 0, 0)  # type: ignore[no-untyped-call]
    table = [_make_columns(store, run, row) for row in rows]
    latest: dict[str, dict[str, Any]] = {}
    for columns in table:
        known = latest.setdefault(columns["key"], columns)
        if _order(columns) > _order(known):
            latest[columns["key"]] = columns
    with store.ManagedSessionMaker(read_only=False) as session:
        store._check_run_is_active(store._get_run(session, run))
        try:
            session.execute(insert(SqlMetric), table)
        except IntegrityError:
            session.rollback()
            return False
        store._update_latest_metrics_if_necessary([SqlMetric(**columns) for columns in latest.values()], session)
    return True


def read_metrics(client: "MlflowClient", run: str) -> list[MetricRow] | None:
    """Read all rows of a run's metrics, in the order of time; return None where the client has to read each metric.

    That is where MLflow is read by a server, and where the rows are too many to hold all at once.
    """
    from mlflow.store.tracking.dbmodels.models import SqlMetric
    from sqlalchemy import select

    store: Any = client._tracking_client.store
    if not hasattr(store, "ManagedSessionMaker"):
        return None
    kept = (SqlMetric.key, SqlMetric.value, SqlMetric.timestamp, SqlMetric.step, SqlMetric.is_nan)
    chosen: Any = select(*kept).where(SqlMetric.run_uuid == run)
    in_time = chosen.order_by(SqlMetric.timestamp, SqlMetric.step, SqlMetric.value)
    with store.ManagedSessionMaker() as session:
        rows = session.execute(in_time.limit(_READ_AT_ONCE + 1)).all()
    if len(rows) > _READ_AT_ONCE:
        return None
    return [MetricRow(key, math.nan if is_nan else value, *at) for key, value, *at, is_nan in rows]


def _make_columns(store: Any, run: str, row: MetricRow) -> dict[str, Any]:
    is_nan, value = store.sanitize_metric_value(row.value)
    names = {"run_uuid": run, "key": row.key, "timestamp": row.timestamp_ms, "step": row.step}
    return {**names, "value": value, "is_nan": is_nan}


def _order(columns: dict[str, Any]) -> tuple[int, int, float]:
    """Return what MLflow compares to find a metric's latest value."""
    return columns["step"], columns["timestamp"], columns["value"]
