"""A small sweep of Stable-Baselines3 as a user runs it, with real Ray; in the test's own process: test_sb3.py."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState
from unstuck.records.files import read_records
from unstuck.records.mlflow.names import to_mlflow
from unstuck.rl import metrics
from unstuck.sweeps.audit.audit import audit_sweep
from unstuck.sweeps.config.find import find_sweep

from tests.sweeps_tests.real import finish, open_study, runs_of, start

pytest.importorskip("stable_baselines3")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

WORDS = (
    *("trainer=sb3", "env.id=CartPole-v1", "env.eval_episodes=2", "sweep.name=theirs", "sweep.seeds=1"),
    *("resources.cpus=1", "scheduler=none", "health=none", "sampler=points", "sweep.num_trials=null"),
    *("ppo.num_envs=2", "ppo.num_steps=32", "ppo.minibatch_size=32", "ppo.num_iterations=4", "ppo.eval_every=2"),
    *("ppo.num_epochs=2", "ppo.lr=0.001", "sampler.points=[{}, {ppo: {lr: 0.01}}]"),
)


def test_ray_trains_their_models_and_all_records_agree(tmp_path: Path, mlflow_tables: Callable[[Path], None]) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    mlflow_tables(runs / "mlflow.db")
    printed = finish(start(tmp_path, *WORDS))
    assert "2 trials: 2 completed" in printed

    trials = open_study(tmp_path, "theirs").trials
    assert [(trial.state, trial.user_attrs["outcome"]) for trial in trials] == [(TrialState.COMPLETE, "completed")] * 2
    for trial, rate in zip(trials, (0.001, 0.01), strict=True):
        records = read_records(runs / "theirs", trial.number)
        assert [record.iteration for record in records] == [1, 2, 3, 4]
        returns = {one.step: one.metrics[metrics.EVAL_RETURN] for one in records if one.iteration in (2, 4)}
        assert returns == trial.intermediate_values
        assert trial.value == math.fsum(trial.intermediate_values.values()) / 2  # of evaluations at 2 and 4
        assert records[0].metrics["effective/lr"] == rate
        assert records[0].metrics[metrics.RATIO_DEVIATION] < 1e-5  # the probe has looked

    client, parent, children = runs_of(tmp_path, "theirs")
    assert (parent.info.status, sorted(children)) == ("FINISHED", [0, 1])
    assert [children[number].data.tags["outcome"] for number in (0, 1)] == ["completed"] * 2
    for trial in trials:
        history = client.get_metric_history(children[trial.number].info.run_id, to_mlflow(metrics.EVAL_RETURN))
        assert {point.step: point.value for point in history} == trial.intermediate_values

    assert audit_sweep(find_sweep("theirs", runs)).is_clean
    report = (runs / "theirs" / "report" / "report.html").read_text()
    assert "is the best of 2 trials" in report
