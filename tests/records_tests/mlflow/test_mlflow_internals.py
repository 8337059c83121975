"""Rows inserted and read at once, beside rows that MLflow's client writes and reads: all are the same."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from unstuck.records.measurement import Record
from unstuck.records.mlflow import client as client_module
from unstuck.records.mlflow import mlflow_internals
from unstuck.records.mlflow.client import log_metrics, read_curves
from unstuck.records.mlflow.connection import connect
from unstuck.records.mlflow.mlflow_internals import MetricRow, insert_metrics, read_metrics

ODD = [
    *(MetricRow("rules/loss", 0.5, 1_000, 1), MetricRow("rules/loss", math.nan, 2_000, 2)),
    *(MetricRow("up", math.inf, 1_000, 1), MetricRow("down", -math.inf, 1_000, 1)),
    *(MetricRow("late", 3.0, 3_000, 3), MetricRow("late", 1.0, 4_000, 1), MetricRow("late", 2.0, 2_000, 3)),
]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> MlflowClient:
    return connect(f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}")


@pytest.fixture
def runs(client: MlflowClient) -> tuple[str, str]:
    return client.create_run("0").info.run_id, client.create_run("0").info.run_id


def told(client: MlflowClient, run: str) -> Any:
    """All that MLflow says of a run's metrics, as text, since NaN differs from NaN."""
    latest = client.get_run(run).data.metrics
    points = {name: [(p.value, p.timestamp, p.step) for p in client.get_metric_history(run, name)] for name in latest}
    return repr((latest, points))


def test_rows_read_alike_whoever_wrote_them(client: MlflowClient, runs: tuple[str, str]) -> None:
    ours, theirs = runs
    for rows in (ODD, [MetricRow("late", 9.0, 5_000, 2), MetricRow("up", 0.0, 5_000, 2)]):  # one older, one newer
        assert insert_metrics(client, ours, rows)
        client.log_batch(theirs, [Metric(*row) for row in rows])
        assert told(client, ours) == told(client, theirs)
    assert client.get_run(ours).data.metrics["late"] == 3.0
    assert client.get_run(ours).data.metrics["up"] == 0.0


def test_nothing_is_written_of_rows_that_the_run_holds_in_part(client: MlflowClient, runs: tuple[str, str]) -> None:
    run, _ = runs
    assert insert_metrics(client, run, ODD[:1])
    before = told(client, run)
    assert not insert_metrics(client, run, ODD)
    assert told(client, run) == before


def test_what_mlflow_refuses_is_refused(client: MlflowClient, runs: tuple[str, str]) -> None:
    run, deleted = runs
    client.delete_run(deleted)
    for refused, key in ((run, "a;b"), (run, "../a"), (run, "a" * 251), (deleted, "loss")):
        row = MetricRow(key, 0.5, 1_000, 1)
        for write in (lambda: insert_metrics(client, refused, [row]), lambda: client.log_metric(refused, key, 0.5)):  # noqa: B023
            with pytest.raises(MlflowException):
                write()
    assert told(client, run) == repr(({}, {}))


def test_a_tracking_server_is_left_to_the_client(tmp_path: Path) -> None:
    assert not insert_metrics(MlflowClient("http://127.0.0.1:9"), "run", ODD)
    assert read_metrics(MlflowClient("http://127.0.0.1:9"), "run") is None


def test_curves_read_at_once_are_those_that_the_client_reads(
    client: MlflowClient, runs: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, other = runs
    client.log_metric(other, "late", 7.0, 1_000, 1)
    client.log_batch(run, [Metric(*row) for row in ODD])
    names = ("late", "rules/loss", "up", "down", "none")
    expected = {
        name: [MetricRow(name, p.value, p.timestamp, p.step) for p in client.get_metric_history(run, name)]
        for name in names
    }
    assert [row.value for row in expected["late"]] == [2.0, 3.0, 1.0]
    asked: list[str] = []
    ask = client.get_metric_history
    monkeypatch.setattr(client, "get_metric_history", lambda run, name: asked.append(name) or ask(run, name))
    assert repr(read_curves(client, run, names)) == repr(expected)
    assert asked == []
    monkeypatch.setattr(mlflow_internals, "_READ_AT_ONCE", len(ODD) - 1)  # one row too many
    assert repr(read_curves(client, run, names)) == repr(expected)
    assert asked == list(names)
    assert list(read_curves(client, run, ["late"])) == ["late"]


def test_many_rows_are_inserted_in_parts_that_each_fall_back_alone(
    client: MlflowClient, runs: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole trial at once would keep all others from writing to the file for a minute."""
    run, _ = runs
    inserted: list[tuple[int, bool]] = []

    def insert(client: MlflowClient, run: str, rows: Sequence[MetricRow]) -> bool:
        inserted.append((len(rows), insert_metrics(client, run, rows)))
        return inserted[-1][1]

    monkeypatch.setattr(client_module, "insert_metrics", insert)
    monkeypatch.setattr(client_module, "_METRICS_PER_INSERT", 4)
    records = [Record(step, 1_000 + step, {"a": float(step), "b": 0.0}) for step in range(1, 6)]
    client.log_metric(run, "b", 0.0, 1_005, 5)  # the last of ten rows
    log_metrics(client, run, records)
    assert inserted == [(4, True), (4, True), (2, False)]
    for name in ("a", "b"):
        assert sorted(point.step for point in client.get_metric_history(run, name)) == [1, 2, 3, 4, 5]
