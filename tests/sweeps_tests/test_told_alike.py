"""One small sweep as a user runs it: who is stopped, what that cost, and whether all places give the same numbers."""

import optuna
import pytest

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


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_control_runs_to_its_end_and_says_what_pruning_cost(command):
    done = command(*SWEEP)
    assert done.code == 0, done.err
    trials = optuna.load_study(study_name="told", storage=f"sqlite:///{command.folder}/runs/optuna.db").trials
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
