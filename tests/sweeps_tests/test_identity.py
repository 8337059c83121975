"""Whose records are whose: two sweeps of one name on one server, told apart by their ids in every command."""

import json
import sqlite3
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from unstuck.sweeps.config.find import load_sweep

TINY = (
    "+experiment=quickstart",
    "data.num_flows=600",
    "ppo.num_iterations=2",
    "ppo.eval_every=1",
    "ppo.num_envs=2",
    "ppo.num_steps=16",
    "ppo.minibatch_size=32",
    "ppo.hidden_sizes=[4]",
    "scheduler=none",
    "sweep.seeds=1",
    "sweep.num_trials=1",
    "resources.cpus=1",
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def runs_in(store: Path) -> list[Run]:
    client = MlflowClient(f"sqlite:///{store}")
    experiment = client.get_experiment_by_name("unstuck")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def dump(store: Path, ids: set[str]) -> list[tuple[object, ...]]:
    """All that MLflow's tables hold of some runs."""
    with sqlite3.connect(store) as database:
        return [
            row
            for table in ("runs", "tags", "params", "metrics")
            for row in database.execute(f"select * from {table}")
            if ids & set(map(str, row))
        ]


@pytest.mark.usefixtures("without_ray", "undiagnosed")
def test_two_sweeps_of_one_name_on_one_server_never_touch_each_other(command, tmp_path):
    mlflow = tmp_path / "mlflow.db"
    stores = (f"tracking.mlflow_url=sqlite:///{mlflow}",)
    first = command(*TINY, *stores, "sweep.name=same", "sweep.folder=ann")
    assert first.code == 0, first.err
    (theirs,) = {run.data.tags.get("sweep_id") for run in runs_in(mlflow)}
    before = dump(mlflow, {run.info.run_id for run in runs_in(mlflow)})

    second = command(*TINY, *stores, "sweep.name=same", "sweep.folder=bob", "ppo.lr=0.002", "sweep.seed=3")
    assert second.code == 0, second.err
    runs = {run.info.run_id: run.data.tags for run in runs_in(mlflow)}
    assert len([its for its in runs.values() if "trial" not in its]) == 2  # a parent each
    own = {its["sweep_id"] for its in runs.values()} - {theirs}
    assert own == {load_sweep(tmp_path / "bob" / "same").id}
    assert theirs == load_sweep(tmp_path / "ann" / "same").id
    assert {its["sweep_format"] for its in runs.values()} == {"3"}
    (lost,) = [run for run, its in runs.items() if its["sweep_id"] in own and "trial" in its]
    MlflowClient(f"sqlite:///{mlflow}").delete_run(lost)
    found = command.sweeps("audit", "same", "--folder", "bob")
    assert (found.code, found.out.splitlines()[-1].endswith("1 difference")) == (1, True)
    repaired = command.sweeps("audit", "same", "--folder", "bob", "--repair")
    assert (repaired.code, "deleted" in repaired.out) == (0, False)
    assert command.sweeps("audit", "same", "--folder", "ann").code == 0
    resumed = command(*TINY, *stores, "resume=same", "sweep.folder=bob", "ppo.lr=0.002", "sweep.seed=3")
    assert resumed.code == 0, resumed.err
    assert dump(mlflow, {run for run, its in runs.items() if its["sweep_id"] == theirs}) == before

    url = ("--mlflow-url", f"sqlite:///{mlflow}")
    trials = {run.data.tags["sweep_id"]: run.info.run_id for run in runs_in(mlflow) if "trial" in run.data.tags}
    for folder, sweep_id in (("ann", theirs), ("bob", min(own))):
        read = command.analysis("diagnose", "same/0", "--folder", folder, *url, "--json")
        assert json.loads(read.out)["source"] == f"MLflow run {trials[sweep_id]}"
    nobodys = command.analysis("diagnose", "same/0", "--folder", "nobody", *url)
    assert (nobodys.code, "2 sweeps" in nobodys.err, "--folder" in nobodys.err) == (2, True, True)
    report = command.analysis("report", "same", "--folder", "bob", *url)
    assert report.code == 0, report.err
    assert "0.002" in (tmp_path / "bob/same/report/report.md").read_text()
