"""A whole sweep over `num_steps`, from the command line: everything is counted in environment steps, and stays so.

32 iterations of 8 * 8 steps, evaluated every 8: 2,048 steps, an evaluation due every 512. The trials' rollouts are of
64, 512 and 192 steps, so that they do 32, 4 and 11 updates.
"""

from pathlib import Path

import optuna
import pytest
from unstuck.analysis.history.tracked import TrackedRuns
from unstuck.records.mlflow.names import to_mlflow
from unstuck.rl import metrics
from unstuck.rl.learner import Learner
from unstuck.sweeps.__main__ import main

from benchmarks.in_process import no_ray
from tests.conftest import Command
from tests.sweeps_tests.real import leave_out_diagnoses, open_study, runs_of

WIDE = [
    "+experiment=quickstart",
    "data.num_flows=2000",
    "ppo.num_iterations=32",
    "ppo.eval_every=8",
    "ppo.num_steps=8",
    "ppo.minibatch_size=32",
    "ppo.num_epochs=1",
    "ppo.lr_schedule=linear",
    "scheduler.grace_iterations=8",
    "scheduler.spared_share=1",
    "health=none",
    "sweep.seeds=2",
    "sampler=random",
    "space=none",
    "+space.ppo.num_steps.choice=[8,24,64]",
    "+space.ppo.entropy_coef.choice=[0.01,0.05]",
]
POINTS = "{ppo: {num_steps: 64}}, {ppo: {num_steps: 24}}"
STEPS = {0: [512, 1024, 1536, 2048], 1: [512, 1024, 1536, 2048], 2: [576, 1152, 1536, 2112]}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def _sweep(command: Command, *overrides: str) -> str:
    with no_ray(), pytest.MonkeyPatch.context() as patch:
        leave_out_diagnoses(patch)
        done = command(*WIDE, *overrides)
    assert done.code == 0, done.out + done.err
    return done.out


@pytest.fixture(scope="module")
def wide(module_command: Command) -> tuple[Path, str, str]:
    """The sweep's folder, what it printed, and what a resume with one point more printed, which ran one trial more."""
    first = _sweep(module_command, "sweep.name=wide", "sweep.num_trials=3", f"sampler.points=[{POINTS}]")
    new = "{ppo: {num_steps: 64, entropy_coef: 0.01}}"
    resumed = _sweep(module_command, "resume=wide", "sweep.num_trials=4", f"sampler.points=[{new}, {POINTS}]")
    return module_command.folder, first, resumed


def test_trials_end_at_the_first_evaluation_past_the_budget_and_say_so(wide: tuple[Path, str, str]) -> None:
    _, printed, _ = wide
    for number, last in ((0, "2,048"), (1, "2,048"), (2, "2,112")):
        (line,) = [line for line in printed.splitlines() if f" trial {number} completed " in line]
        assert f": reached environment step {last}" in line


def test_mlflow_and_the_ledger_count_environment_steps(wide: tuple[Path, str, str]) -> None:
    folder, _, _ = wide
    client, _, children = runs_of(folder, "wide")
    study = open_study(folder, "wide")
    rates = {
        0: {64 * k: 3e-4 * (1 - (k - 1) / 32) for k in range(1, 33)},
        1: {512 * k: 3e-4 * (1 - (k - 1) / 4) for k in range(1, 5)},
        2: {192 * k: 3e-4 * (1 - 192 * (k - 1) / 2048) for k in range(1, 12)},
    }
    for number, steps in STEPS.items():
        run = children[number].info.run_id
        history = {
            name: {point.step: point.value for point in client.get_metric_history(run, to_mlflow(name))}
            for name in (metrics.F1, metrics.LR)
        }
        trial = study.trials[number]
        assert list(history[metrics.F1]) == steps == list(trial.intermediate_values)
        assert history[metrics.LR] == pytest.approx(rates[number], rel=1e-6)
        tags = children[number].data.tags
        assert (tags["env_steps"], tags["iterations"]) == (str(steps[-1]), str(len(rates[number])))
        params = children[number].data.params
        assert (params["ppo.num_iterations"], params["budget.env_steps"]) == (str(len(rates[number])), "2048")


def test_a_rung_is_judged_at_the_first_evaluation_at_or_past_it(wide: tuple[Path, str, str]) -> None:
    trials = open_study(wide[0], "wide").trials
    judged = [[(rung["rung"], rung["iteration"]) for rung in trial.user_attrs["rungs"]] for trial in trials[:3]]
    assert judged == [[(1, 512)], [(1, 512)], [(1, 576)]]


def test_the_records_agree_and_the_report_says_what_is_counted(
    wide: tuple[Path, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _, _ = wide
    assert main(["audit", "wide", "--folder", str(folder / "runs")]) == 0, capsys.readouterr().out
    report = (folder / "runs/wide/report/report.md").read_text()
    assert "2,048 environment steps each unless stopped" in report


def test_a_trial_read_from_mlflow_has_its_own_iterations(wide: tuple[Path, str, str]) -> None:
    history = TrackedRuns(f"sqlite:///{wide[0]}/runs/mlflow.db").trial("wide", 2)
    assert list(history.table.index) == list(range(1, 12))
    assert (history.length, list(history.curve(metrics.F1).index)) == (11, [3, 6, 8, 11])


def test_a_new_point_on_a_resume_is_tried_first_and_said(wide: tuple[Path, str, str]) -> None:
    folder, _, resumed = wide
    assert "  1 new point is tried first\n" in resumed
    assert "sampler.points was" not in resumed
    trial = open_study(folder, "wide").trials[3]
    assert trial.user_attrs["values"] == {"ppo.num_steps": 64, "ppo.entropy_coef": 0.01}
    assert trial.state == optuna.trial.TrialState.COMPLETE


def test_the_champion_trains_as_many_steps(
    wide: tuple[Path, str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _, _ = wide
    done, iterate = [], Learner.iterate
    monkeypatch.setattr(Learner, "iterate", lambda learner: done.append(learner.config.batch_size) or iterate(learner))
    monkeypatch.chdir(folder)
    assert main(["champion", str(folder / "runs/wide"), "--trial", "2", "--seeds", "3"]) == 0, capsys.readouterr().err
    assert (done.count(192), done.count(64)) == (11, 32)  # trial 2, and the control
