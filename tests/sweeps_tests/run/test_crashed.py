"""Trials that all crash, in a folder full of names that are ours; then their cause is mended, and they run again."""

import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

import sweep
from benchmarks.in_process import no_ray
from tests.conftest import Command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

ENVIRONMENT = """
import pathlib, sys
import gymnasium

DRIVER = "sweep.py"
BROKEN = pathlib.Path(__file__).with_name("broken")


class Bandit(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,))
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if BROKEN.exists() and sys.argv[0] != DRIVER:
            raise OSError("the licence is gone")
        self.steps = 0
        return self.observation_space.low, {}

    def step(self, action):
        self.steps += 1
        return self.observation_space.low, float(action), self.steps == 5, False, {}


gymnasium.register("Bandit-v0", entry_point="licensed_bandit:Bandit")
"""
SETTINGS = [
    *("+experiment=quickstart", "env=cartpole", "env.id=licensed_bandit:Bandit-v0", "env.eval_episodes=2"),
    *("sweep.metric=eval/episode_return", "sweep.seeds=2", "sweep.num_trials=3", "scheduler=none", "health=none"),
    *("ppo.num_iterations=2", "ppo.eval_every=1", "ppo.num_steps=8", "ppo.minibatch_size=16"),
    "resources.max_failures=0",
]
HOSTILE = ("rl/__init__.py", "unstuck.sweeps.py", "analysis/__init__.py", "conf/__init__.py", "torch.py", "random.py")


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
    done = command(*SETTINGS, *arguments)
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
    """The sweep that fails, and the call that goes on with it, without Ray, once the environment works."""
    modules = module_command.folder
    for name in HOSTILE:
        file = modules / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("raise ImportError('this one is not ours')\n")
    (modules / "licensed_bandit.py").write_text(ENVIRONMENT)
    (modules / "broken").touch()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SLURM_CPUS_PER_TASK", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            patch.setenv(name, "1")
        failed = call(module_command, "sweep.name=mine")
        (modules / "broken").unlink()
        with no_ray():
            mended = call(module_command, "resume=mine", "retry=crashed")
        yield failed, mended


def test_workers_import_what_the_driver_imports(calls: tuple[Call, Call]) -> None:
    """Not the caller's files of the same names; the caller's module of the environment all the same."""
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
    calls: tuple[Call, Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    def reach(*arguments: object) -> str:
        raise InterruptedError

    _, mended = calls
    lines = [line for line in mended.printed.splitlines() if line.startswith("  ") and "sweep.py" in line]
    assert len(lines) == 1
    words = shlex.split(lines[0])
    assert Path(words[1]) == Path(sweep.__file__)
    monkeypatch.setattr(sys, "argv", ["sweep.py", *words[2:]])
    monkeypatch.setattr("unstuck.sweeps.run.sweep._run_trials", reach)
    with pytest.raises(InterruptedError):
        sweep.main()
