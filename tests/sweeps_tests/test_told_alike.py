"""One small sweep as a user runs it: who is stopped, what that cost, and whether all places give the same numbers."""

import re

import optuna
import pytest
from mlflow import MlflowClient
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna_dashboard._note import get_note_from_system_attrs
from unstuck.records.ledger import Ledger

SWEEP = [
    "+experiment=quickstart",
    "sweep.name=told",
    "data.num_flows=2000",
    "ppo.num_iterations=10",
    "ppo.eval_every=2",
    "ppo.num_steps=32",
    "ppo.minibatch_size=64",
    "ppo.lr=1e-6",
    "scheduler.grace_iterations=4",
    "scheduler.reduction_factor=2",
    "scheduler.spared_share=0",
    "sweep.seeds=2",
    "resources.cpus=1",
    "sampler.name=points",
    "sweep.num_trials=null",
    "sampler.points=[{ppo: {lr: 1e-2}}, {ppo: {lr: 5e-3}}, {ppo: {lr: 1e-5}}, {ppo: {lr: 2e-6}}, {}]",
]


def rows_of(table: str) -> dict[int, list[str]]:
    """Cells of a table's rows, by the trial in the first."""
    cells = [[cell.strip() for cell in re.split("[│|]", line)[1:-1]] for line in table.splitlines()]
    return {int(row[0]): row[1:] for row in cells if len(row) > 4 and row[0].isdigit()}


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.usefixtures("without_ray", "undiagnosed")
def test_the_control_runs_to_its_end_and_all_places_give_the_same_numbers(command):
    done = command(*SWEEP)
    assert done.code == 0, done.err
    study = optuna.load_study(study_name="told", storage=f"sqlite:///{command.folder}/runs/optuna.db")
    trials = study.trials
    assert [trial.user_attrs["outcome"] for trial in trials] == ["completed"] * 2 + ["pruned"] * 2 + ["completed"]
    control = trials[4]
    assert control.user_attrs["control"]
    (rung,) = control.user_attrs["rungs"]  # at iteration 4; evaluations 6, 8 and 10 make the value
    assert (rung["iteration"], rung["would_stop"], rung["spared"]) == (4, True, True)
    report = (command.folder / "runs/told/report/report.md").read_text()
    assert (
        "Of 1 spared trial (the control among them) that completed, 1 would have been stopped: trial 4 ended" in report
    )
    assert "too few to say what pruning cost" in report
    assert "The control, trial 4, is never stopped early, unless a number is not finite." in report
    values = {trial.number: trial.user_attrs["summary"]["final/value"] for trial in trials}
    for number in (2, 3):  # stopped at iteration 4: the mean of evaluations 2 and 4, not the last of them
        curve = trials[number].intermediate_values
        assert values[number] == pytest.approx(sum(curve.values()) / 2)
        assert f"asha rung 1: {curve[4]:.4g} < " in trials[number].user_attrs["reason"]
    printed = done.out.partition("Writing the report")
    lines = re.findall(r"trial (\d) (?:completed|pruned) (\S+) ±", printed[0])
    assert {int(number): value for number, value in lines} == {n: f"{value:.3f}" for n, value in values.items()}
    assert {n: row[0] for n, row in rows_of(printed[2]).items()} == {n: f"{value:.4f}" for n, value in values.items()}
    assert "value: mean of a trial's last 3 evaluations; asha compared the evaluation at the rung alone" in printed[2]
    entries = Ledger.open(f"sqlite:///{command.folder}/runs/optuna.db", "told").entries()
    assert {entry.number: entry.value for entry in entries} == pytest.approx(values)
    everything = report.partition("## All trials")[2]
    for number, row in rows_of(everything).items():
        shown, _, spread = row[1].partition(" ± ")
        assert float(shown) == pytest.approx(values[number], abs=float(spread))
    note = get_note_from_system_attrs(study._storage.get_study_system_attrs(study._study_id), None)["body"]
    shown = get_param_importances(  # as the dashboard asks for it
        study, target=lambda trial: -trial.value, evaluator=PedAnovaImportanceEvaluator()
    )
    told = f"Optuna's dashboard shows other importances: lr {shown['ppo.lr']:.2f}. It takes PED-ANOVA as well, but of"
    assert f"{told} the best 1 of 3 completed trials" in note
    assert f"{told} the best 1 of 3 completed trials" in report
    assert note.startswith("**Trial 1 is the best of 5 trials")
    client = MlflowClient(f"sqlite:///{command.folder}/runs/mlflow.db")
    for trial in trials:
        assert client.get_run(trial.user_attrs["mlflow_run"]).data.metrics["objective/value"] == values[trial.number]


def test_an_old_sweeps_report_tells_no_figure_that_agrees_by_construction(command, old_sweeps):
    """Its last rung, at 8 of 12, is one of the evaluations 8, 10 and 12 that make the value."""
    done = command.analysis("report", "ended", "--folder", str(old_sweeps / "runs"), "--out", str(command.folder))
    assert done.code == 0, done.err
    report = (command.folder / "report.md").read_text()
    section = report.partition("## What pruning saved")[2].partition("\n## ")[0]
    ranks = {row[0]: row[3:] for row in rows_of(section).values()}
    assert set(ranks) == {"2", "4", "8"}
    assert all(text.startswith("not told (") for text in ranks["8"])
    assert all(text.startswith("too few (") for iteration in ("2", "4") for text in ranks[iteration])
    assert "Not told: at a rung whose evaluation the final value averages" in section
    assert "That is too few to say what pruning cost: 5 tell something" in section
