"""Whole sweeps with a real study and a real MLflow database, as a user runs them; with Ray: test_sweep_resume.py."""

import os
import re
import shlex
import signal
from pathlib import Path

import pytest
from unstuck.records.files import read_records
from unstuck.records.mlflow.names import to_mlflow

from tests.sweeps_tests.real import (
    ROOT,
    SHORT,
    SMALL,
    check_stopped,
    count_evaluations,
    open_study,
    runs_of,
    start,
    stop,
    wait_for,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def test_whatever_trains_the_sweeps_trials_again_asks_for_its_flows(finished_sweep, command):
    folder, printed = finished_sweep.folder, finished_sweep.printed
    flows = open_study(folder, "finished").user_attrs["data"]
    assert f"fingerprint: {flows}\n" in (folder / "runs/finished/config.yaml").read_text()  # by which arms are run
    rerun = next(line for line in printed.splitlines() if "sweep.name=finished-trial" in line)
    assert f" data.fingerprint={flows[:12]}" in rerun
    done = command(*shlex.split(rerun)[2:], "data.seed=9")
    assert done.code == 2
    assert f"must be those that data.fingerprint names, fingerprint {flows[:12]}, got fingerprint " in done.err


def test_study_and_mlflow_tell_the_same_story(finished_sweep):
    folder = finished_sweep.folder
    study = open_study(folder, "finished")
    client, parent, children = runs_of(folder, "finished")
    assert parent.info.status == "FINISHED"
    assert sorted(children) == [trial.number for trial in study.trials] == list(range(finished_sweep.num_trials))
    status = {"completed": "FINISHED", "pruned": "FINISHED", "stuck": "FINISHED", "diverged": "FAILED"}
    for trial in study.trials:
        run = children[trial.number]
        assert run.data.tags["outcome"] == trial.user_attrs["outcome"]
        assert run.data.tags["reason"] == trial.user_attrs["reason"]
        assert run.data.tags["git.commit"] == parent.data.tags["git.commit"]
        assert run.data.tags["seeds"] == "2"
        assert run.info.status == status[trial.user_attrs["outcome"]]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert trial.user_attrs["mlflow_run"] == run.info.run_id
        for path, value in trial.user_attrs["values"].items():
            assert float(run.data.params[path]) == value
        curve = {point.step: point.value for point in client.get_metric_history(run.info.run_id, "progress/f1")}
        assert curve == trial.intermediate_values
        steps = [point.step for point in client.get_metric_history(run.info.run_id, "progress/value_loss")]
        assert steps == list(range(1, max(curve) + 1))  # no gap, no repeat, the last point included


def test_control_is_trial_zero(finished_sweep):
    control = open_study(finished_sweep.folder, "finished").trials[0]
    assert control.params == {
        "ppo.value_coef": 1.5,
        "ppo.lr": 3e-4,
        "ppo.entropy_coef": 0.05,
    }


def test_prints_leaderboard_counts_and_next_commands(finished_sweep):
    printed = finished_sweep.printed
    assert "finished: eval/f1, mean over 2 seeds" in printed
    assert re.search(r"^8 trials: .*completed", printed, re.M)
    assert "MLFLOW_DISABLE_TELEMETRY=true mlflow ui --backend-store-uri sqlite:////" in printed
    assert "optuna-dashboard sqlite:////" in printed
    assert "Traceback" not in printed


@pytest.mark.usefixtures("without_ray", "undiagnosed")
def test_printed_command_reruns_the_best_trial_to_the_same_curve(finished_sweep, command):
    folder, printed = finished_sweep.folder, finished_sweep.printed
    line = next(line for line in printed.splitlines() if line.startswith(f"  python {ROOT}/sweep.py"))
    rerun = command(*shlex.split(line)[2:])
    name = re.search(r"sweep\.name=(\S+)", line)[1]
    number = int(name.removeprefix("finished-trial"))
    assert "1 trial: 1 completed" in rerun.out
    client, _, children = runs_of(folder, "finished")
    again, _, reruns = runs_of(command.folder, name)
    for metric in ("train/value_loss", "train/policy_loss", "eval/f1", "eval/f1/seed_1", "eval/episode_return"):
        theirs = to_mlflow(metric)
        first = [(p.step, p.value) for p in client.get_metric_history(children[number].info.run_id, theirs)]
        second = [(p.step, p.value) for p in again.get_metric_history(reruns[0].info.run_id, theirs)]
        assert first == second


def test_same_name_twice_is_refused_before_anything_starts(finished_sweep, command):
    command.folder = finished_sweep.folder
    done = command(*SMALL, "sweep.name=finished")
    assert (done.code, done.out) == (2, "")
    assert re.fullmatch(r"sweep\.py: error: sweep\.name must be new, got 'finished'.*\n", done.err)


def test_the_report_is_in_the_folder_in_mlflow_and_on_the_screen(finished_sweep):
    folder, printed = finished_sweep.folder, finished_sweep.printed
    page = folder / "runs/finished/report/report.html"
    verdict = next(line for line in printed.splitlines() if line.startswith("Trial "))
    assert f"{verdict}\nThe report: {page}\n" in printed
    assert verdict in page.read_text()
    client, parent, children = runs_of(folder, "finished")
    assert parent.data.tags["mlflow.note.content"].startswith(f"{verdict}\n\n[")
    for number, run in {None: parent, **children}.items():
        kept = {Path(file.path).name for file in client.list_artifacts(run.info.run_id, "report")}
        assert kept == {"report.html", "report.md", "report-figures"}
        if number is not None:
            assert (folder / f"runs/finished/trials/{number:04d}/report.html").exists()
            assert run.data.tags["mlflow.note.content"].startswith("**")


def test_trials_are_diagnosed_while_they_run_and_both_databases_say_so(finished_sweep):
    folder = finished_sweep.folder
    _, _, children = runs_of(folder, "finished")
    for trial in open_study(folder, "finished").trials:
        tags = children[trial.number].data.tags
        assert trial.user_attrs["diagnosis"] == tags["diagnosis"]
        assert trial.user_attrs["findings"] == tags["findings"]
        if tags["outcome"] == "stuck":
            assert trial.user_attrs["reason"].startswith(tags["diagnosis"].partition(": ")[2])


def test_every_trial_has_a_checkpoint_with_all_that_is_on_record(finished_sweep):
    folder = finished_sweep.folder
    client, _, children = runs_of(folder, "finished")
    for number, run in children.items():
        records = read_records(folder / "runs/finished", number)
        assert float(run.data.tags["in_force.lr"]) == pytest.approx(records[0].metrics["effective/lr"], rel=1e-5)
        for metric in ("train/value_loss", "eval/f1"):
            kept = {r.iteration: (r.timestamp_ms, r.metrics[metric]) for r in records if metric in r.metrics}
            points = client.get_metric_history(run.info.run_id, to_mlflow(metric))
            assert {point.step: (point.timestamp, point.value) for point in points} == kept
            assert len(points) == len(kept) > 0


LONG = [
    *SHORT,
    "ppo.num_iterations=100000",
    "ppo.eval_every=1",
    "sweep.num_trials=50",
    "sweep.name=long",
    "health=none",
    "scheduler=none",
]


def _signal_driver(process, number):
    process.send_signal(number)


def _signal_group(process, number):
    """As a terminal does, and `timeout`: Ray's own processes get it too."""
    os.killpg(process.pid, number)


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("number", "send"),
    [(signal.SIGINT, _signal_driver), (signal.SIGTERM, _signal_driver), (signal.SIGTERM, _signal_group)],
    ids=["sigint", "sigterm", "sigterm to all"],
)
def test_interrupting_ends_in_seconds_with_everything_recorded(tmp_path, mlflow_tables, number, send):
    """SIGINT to all, as by Ctrl-C: test_sweep_resume.py."""
    mlflow_tables(tmp_path / "runs/mlflow.db")
    process = start(tmp_path, *LONG, "resources.cpus=2")
    try:
        for trial in (0, 1):
            wait_for(lambda trial=trial: count_evaluations(tmp_path, "long", trial))
        stopped = stop(process, tmp_path / "runs/long", lambda: send(process, number))
    finally:
        process.kill()
    study = open_study(tmp_path, "long")
    check_stopped(stopped, "health=none scheduler=none", study, *runs_of(tmp_path, "long"))
    assert {trial.user_attrs["outcome"] for trial in study.trials} == {"interrupted"}


@pytest.mark.chaos
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_interrupting_while_ray_starts_is_not_lost(tmp_path, mlflow_tables, number):
    mlflow_tables(tmp_path / "runs/mlflow.db")
    process = start(tmp_path, *LONG)
    try:
        for line in process.stdout:
            if line.startswith("Sweep long"):
                break
        os.killpg(process.pid, number)
        printed, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "stopped by the user" in printed
    assert "Traceback" not in printed
    _, parent, _ = runs_of(tmp_path, "long")
    assert parent.info.status == "KILLED"


@pytest.mark.usefixtures("without_ray", "undiagnosed")
def test_time_budget_ends_a_sweep_with_everything_recorded(command):
    long = ("ppo.num_iterations=100000", "sweep.num_trials=50", "scheduler=none", "health=none")
    done = command(*SHORT, *long, "sweep.name=budget", "sweep.max_hours=0.0003")
    assert done.code == 1
    assert "No trial completed, so this sweep is no success. " in done.out
    assert "interrupted: the time budget of 0.0003 h is used up" in done.out
    outcomes = {trial.user_attrs["outcome"] for trial in open_study(command.folder, "budget").trials}
    assert outcomes == {"interrupted"}


@pytest.mark.usefixtures("without_ray", "undiagnosed")
def test_cartpole_sweeps_by_episode_return(command):
    short = ("ppo.num_iterations=4", "ppo.eval_every=2", "ppo.num_steps=32", "scheduler.grace_iterations=2")
    few = ("sweep.num_trials=2", "sweep.seeds=2", "env.eval_episodes=3", "sweep.name=cartpole")
    done = command("+experiment=cartpole", *short, *few)
    assert done.code == 0, done.err
    assert "cartpole: eval/episode_return, mean over 2 seeds" in done.out
    values = [trial.value for trial in open_study(command.folder, "cartpole").trials]
    assert all(value > 5 for value in values)
