"""Sweeps that commit 3fefaf5 has made go on, from wherever they lie now, by the rules that they were started with."""

import json
import shutil
import sqlite3
from pathlib import Path

import mlflow
import optuna
import pytest
from mlflow import MlflowClient
from unstuck.sweeps.config.find import load_sweep

SETTINGS = (
    "+experiment=quickstart",
    *("sweep.seeds=3", "ppo.num_envs=4", "ppo.num_steps=32", "ppo.minibatch_size=64", "ppo.hidden_sizes=[8]"),
    *("scheduler.reduction_factor=2", "resources.cpus=1"),
    *("data=csv", "data.label=label", "data.benign=[normal]", "data.threat_share=null"),
    *("sweep.num_trials=4", "ppo.num_iterations=160", "ppo.eval_every=20", "scheduler.grace_iterations=35"),
)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def tables(store: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(store) as database:
        return [row for table in ("runs", "tags", "params") for row in database.execute(f"select * from {table}")]


def uris(store: Path) -> set[str]:
    """Folders that MLflow looks for artifacts in."""
    with sqlite3.connect(store) as database:
        found = [*database.execute("select artifact_location from experiments where name = 'unstuck'")]
        found += [*database.execute("select artifact_uri from runs")]
    return {uri.removeprefix("file://").partition("/mlflow-artifacts")[0] for (uri,) in found}


def test_reading_an_old_sweep_gives_it_no_id_and_changes_nothing(command, old_sweeps):
    runs = old_sweeps / "runs"
    before, rows = contents(runs / "ended"), tables(runs / "mlflow.db")
    read = command.sweeps("audit", "ended", "--folder", str(runs))
    assert read.code == 0, read.out + read.err
    assert "ended: 4 trials (2 completed, 2 pruned): the ledger, MLflow and the checkpoints agree" in read.out
    assert command.analysis("diagnose", "ended/0", "--folder", str(runs)).code == 0
    assert contents(runs / "ended") == before
    assert tables(runs / "mlflow.db") == rows


@pytest.mark.slow
def test_a_repair_gives_an_old_sweep_its_id_and_finds_what_was_moved(command, old_sweeps):
    """Written by MLflow's own models: look at `records.mlflow.place` for another version."""
    assert mlflow.__version__.startswith("3.")
    runs = old_sweeps / "runs"
    assert command.sweeps("audit", "ended", "--folder", str(runs), "--repair").code == 0
    assert uris(runs / "mlflow.db") == {str(runs)}
    sweep_id = load_sweep(runs / "ended").id
    assert sweep_id
    client = MlflowClient(f"sqlite:///{runs / 'mlflow.db'}")
    tags = {run.info.run_id: run.data.tags for run in client.search_runs(["1"])}
    assert {its.get("sweep_id") for its in tags.values() if its["sweep"] == "ended"} == {sweep_id}
    assert {its.get("sweep_id") for its in tags.values() if its["sweep"] == "stopped"} == {None}
    moved = runs.rename(old_sweeps / "moved")
    assert command.sweeps("audit", "ended", "--folder", str(moved), "--repair").code == 0
    parent = next(run for run, its in tags.items() if its["sweep"] == "ended" and "trial" not in its)
    kept = MlflowClient(f"sqlite:///{moved / 'mlflow.db'}").list_artifacts(parent, "report")
    assert "report/report.html" in {file.path for file in kept}


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.usefixtures("without_ray", "undiagnosed")
def test_a_copy_of_an_old_sweep_goes_on_to_the_end_that_it_would_have_had(command, old_sweeps, tmp_path):
    copy = Path(shutil.copytree(old_sweeps / "runs", tmp_path / "copy"))
    original = contents(old_sweeps / "runs")
    resumed = command(*SETTINGS, "resume=stopped", f"sweep.folder={copy}", f"data.path={old_sweeps / 'flows.csv'}")
    assert resumed.code == 0, resumed.out + resumed.err
    assert uris(copy / "mlflow.db") == {str(copy)}
    assert contents(old_sweeps / "runs") == original  # artifacts land in the copy
    study = optuna.load_study(study_name="stopped", storage=f"sqlite:///{copy / 'optuna.db'}")
    assert (study.user_attrs["id"], study.user_attrs["format"]) == (load_sweep(copy / "stopped").id, 1)
    ends = json.loads((old_sweeps / "expected.json").read_text())["stopped"]
    for trial, expected in zip(study.trials, ends[:4], strict=True):  # the rest are no new kind
        attributes = trial.user_attrs
        assert (trial.number, attributes["outcome"]) == (expected["number"], expected["outcome"])
        assert attributes["summary"]["final/value"] == pytest.approx(expected["final"], abs=1e-6)
        curve = {int(step): value for step, value in expected["curve"].items()}
        assert trial.intermediate_values == pytest.approx(curve, abs=1e-6)
        rungs = [(rung["iteration"], rung["spared"]) for rung in attributes.get("rungs", ())]
        assert rungs == [(rung["iteration"], rung["spared"]) for rung in expected["rungs"]]
    audit = command.sweeps("audit", "stopped", "--folder", str(copy))
    assert audit.code == 0, audit.out + audit.err
    client = MlflowClient(f"sqlite:///{copy / 'mlflow.db'}")
    tags = {run.info.run_id: run.data.tags for run in client.search_runs(["1"], "tags.sweep = 'stopped'")}
    assert {its["sweep_id"] for its in tags.values()} == {study.user_attrs["id"]}
    assert len(tags) == 5
    for run in tags:
        assert (copy / "mlflow-artifacts" / run / "artifacts" / "report" / "report.html").is_file()
