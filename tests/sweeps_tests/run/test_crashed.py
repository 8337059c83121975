"""Trials that all crash; then their cause is mended, and they run again. Crashes in Ray: test_sweep_joined.py."""

import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

import sweep
from benchmarks.in_process import no_ray, tune_trials
from tests.conftest import Command
from tests.sweeps_tests.bandit import (
    SETTINGS,
    break_environment,
    mend_environment,
    write_environment,
    write_hostile_files,
)
from tests.sweeps_tests.real import leave_out_diagnoses

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@dataclass
class Call:
    """One call of sweep.py: its exit code, what it printed, and what was on record afterwards."""

    code: int
    printed: str
    trials: list[optuna.trial.FrozenTrial]
    parent: Run
    runs: dict[int, Run]
    differences: list[dict[str, object]]


def call(command: Command, *arguments: str) -> Call:
    done = command(*SETTINGS, "sweep.num_trials=3", *arguments)
    audited = command.sweeps("audit", "mine", "--json")
    folder = command.folder
    study = optuna.load_study(study_name="mine", storage=f"sqlite:///{folder}/runs/optuna.db")
    client = MlflowClient(f"sqlite:///{folder}/runs/mlflow.db")
    experiment = client.get_experiment_by_name("unstuck")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    children = {int(run.data.tags["trial"]): run for run in runs if "trial" in run.data.tags}
    (parent,) = (run for run in runs if "trial" not in run.data.tags)
    assert len(children) == len(runs) - 1
    differences = json.loads(audited.out)["findings"]
    return Call(done.code, done.out, study.trials, parent, children, differences)


@pytest.fixture(scope="module")
def calls(module_command: Command) -> Iterator[tuple[Call, Call]]:
    """The sweep that fails, since its environment breaks when the trials start, and the call that goes on with it."""
    modules = module_command.folder
    write_hostile_files(modules)
    write_environment(modules)

    def break_and_tune(*arguments: Any) -> None:
        break_environment(modules, 0)
        tune_trials(*arguments)

    with no_ray(), pytest.MonkeyPatch.context() as patch:
        leave_out_diagnoses(patch)
        patch.setenv("SLURM_CPUS_PER_TASK", "1")
        patch.setattr("unstuck.sweeps.run.sweep.tune_trials", break_and_tune)
        failed = call(module_command, "sweep.name=mine")
        patch.setattr("unstuck.sweeps.run.sweep.tune_trials", tune_trials)
        mend_environment(modules)
        yield failed, call(module_command, "resume=mine", "retry=crashed")


def test_the_reason_is_the_errors_last_line_and_a_mended_cause_is_no_longer_in_the_way(
    calls: tuple[Call, Call],
) -> None:
    failed, mended = calls
    reasons = {trial.user_attrs["reason"] for trial in failed.trials if trial.state.name == "FAIL"}
    assert reasons == {"OSError: the licence is gone"}
    assert [trial.user_attrs["outcome"] for trial in mended.trials] == ["completed"] * 3


def test_without_a_completed_trial_a_sweep_has_failed_and_says_so_first(calls: tuple[Call, Call]) -> None:
    failed, _ = calls
    assert failed.code == 1
    assert failed.parent.info.status == "FAILED"
    after_the_run = failed.printed[failed.printed.index("Writing the report\n") :].splitlines()
    assert after_the_run[1] == (
        "error: the first 2 trials crashed alike, before a first result, so the sweep was stopped: "
        "OSError: the licence is gone"
    )


def test_a_start_up_error_does_not_spend_the_study(calls: tuple[Call, Call]) -> None:
    failed, _ = calls
    assert [trial.state.name for trial in failed.trials].count("FAIL") == 2
    assert failed.printed.splitlines()[-1].endswith("resume=mine retry=crashed")
    assert failed.differences == []


def test_what_crashed_runs_again_under_its_number_and_in_its_run(calls: tuple[Call, Call]) -> None:
    failed, mended = calls
    assert mended.code == 0
    assert mended.parent.info.status == "FINISHED"
    assert [trial.number for trial in mended.trials] == [0, 1, 2]
    for before, after in zip(failed.trials, mended.trials, strict=False):
        assert after.params == before.params
        assert mended.runs[after.number].info.run_id == failed.runs[before.number].info.run_id
        assert mended.runs[after.number].info.status == "FINISHED"
        if before.state.name == "FAIL":
            assert after.user_attrs["crashed_before"] == "OSError: the licence is gone"
            assert "traceback" not in after.user_attrs
    assert mended.differences == []


def test_no_more_trials_run_at_once_than_cores_were_granted(calls: tuple[Call, Call]) -> None:
    failed, _ = calls
    said = "Sweep mine: 3 trials x 2 seeds, 1 at a time on 1 core (SLURM_CPUS_PER_TASK)"
    assert said in failed.printed.splitlines()[:2]  # the data come first, if there are any
    assert failed.parent.data.tags["host.cpus"] == "1"


def test_the_best_trial_is_run_again_by_what_is_printed(
    calls: tuple[Call, Call], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def reach(*arguments: object) -> str:
        raise GeneratorExit  # which no program handles

    _, mended = calls
    lines = [line for line in mended.printed.splitlines() if line.startswith("  ") and "sweep.py" in line]
    assert len(lines) == 1
    words = shlex.split(lines[0])
    assert Path(words[1]) == Path(sweep.__file__)
    monkeypatch.setattr(sys, "argv", ["sweep.py", *words[2:]])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("unstuck.sweeps.run.sweep._run_trials", reach)
    with pytest.raises(GeneratorExit):
        sweep.main()
