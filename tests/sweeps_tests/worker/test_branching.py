"""Arms of an unstick in the worker: what they start from, how their iterations count, and how they go on."""

import dataclasses
import math
from pathlib import Path

import pytest
from unstuck.records.files import branch_file, checkpoint_file, read_records, trials_folder
from unstuck.records.measurement import Record
from unstuck.records.outcome import Outcome
from unstuck.rl import checkpoint, metrics
from unstuck.rl.budget import Budget
from unstuck.rl.config import DataConfig, EnvConfig, PPOConfig
from unstuck.rl.data import FlowData, load_flows
from unstuck.rl.errors import CheckpointError
from unstuck.rl.learner import Learner
from unstuck.sweeps.config.settings import ANEW, CHECKPOINT, BranchConfig, StudyConfig, SweepConfig
from unstuck.sweeps.run.settings_in_force import SettingsInForce
from unstuck.sweeps.stopping.live_trial import LiveTrial
from unstuck.sweeps.trainers.learner_trainer import LearnerTrainer, make_trial_learner
from unstuck.sweeps.worker.assignment import Assignment
from unstuck.sweeps.worker.branching import find_budget, find_start
from unstuck.sweeps.worker.training import Training, make_trial_trainer, train_period

from tests.sweeps_tests.trained import KEEP_STATE, train_by

DONE, MORE, BATCH = 4, 6, 32
RUN = SweepConfig(
    sweep=StudyConfig(name="mine", seeds=2),
    env=EnvConfig(flows_per_episode=20),
    data=DataConfig(num_flows=500, num_features=4, eval_flows=100),
    ppo=PPOConfig(
        num_iterations=DONE,
        eval_every=2,
        num_envs=2,
        num_steps=16,
        minibatch_size=32,
        num_epochs=1,
        hidden_sizes=(8,),
        lr=1e-2,
        lr_schedule="linear",
    ),
)


@dataclasses.dataclass(frozen=True)
class Run:
    """A run whose schedule was made for longer, and which was stopped: how it was trained, on what, and its state."""

    config: SweepConfig
    data: FlowData | None
    file: Path


@pytest.fixture(scope="module", params=KEEP_STATE)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = train_by(request.param, RUN)
    data = load_flows(config.data) if request.param == "ppo" else None
    trainer = make_trial_trainer(longer(config), data)
    for _ in range(DONE):
        trainer.iterate()
    file = tmp_path_factory.mktemp("run") / "checkpoint.npz"
    checkpoint.write_snapshot(file, trainer.take_snapshot())
    return Run(config, data, file)


ours = pytest.mark.parametrize("run", ["ppo"], indirect=True)


@pytest.fixture
def folder(tmp_path: Path, run: Run) -> Path:
    """The folder of an unstick of that run."""
    folder = tmp_path / "mine"
    trials_folder(folder).mkdir(parents=True)
    branch_file(folder).parent.mkdir()
    branch_file(folder).write_bytes(run.file.read_bytes())
    return folder


def learner_of(training: Training) -> Learner:
    assert isinstance(training.trainer, LearnerTrainer)
    return training.trainer.learner


def longer(config: SweepConfig) -> SweepConfig:
    return dataclasses.replace(config, ppo=dataclasses.replace(config.ppo, num_iterations=DONE + MORE))


def arm(folder: Path, run: Run, branch: BranchConfig | None = None, **ppo: object) -> SweepConfig:
    return dataclasses.replace(
        run.config,
        sweep=dataclasses.replace(run.config.sweep, folder=str(folder.parent)),
        run="mine/7",
        branch=branch or BranchConfig(start=CHECKPOINT),
        ppo=dataclasses.replace(run.config.ppo, **{"num_iterations": MORE, **ppo}),
    )


def training_of(folder: Path, run: Run, config: SweepConfig, number: int = 0) -> Training:
    return Training(Assignment(number, config, folder), run.data)


def train(folder: Path, run: Run, config: SweepConfig, number: int = 0) -> list[Record]:
    """All records of an arm that nothing happens to."""
    training, records = training_of(folder, run, config, number), list[Record]()
    while len(records) < config.ppo.num_iterations:
        records += training.next_period()
    return records


def measured(records: list[Record]) -> list[dict[str, float]]:
    return [
        {name: value for name, value in record.metrics.items() if not name.startswith(metrics.EFFECTIVE_PREFIX)}
        for record in records
    ]


def train_undisturbed(config: SweepConfig, run: Run) -> list[dict[str, float]]:
    """What a trial measures that never stops."""
    trainer, records = make_trial_trainer(config, run.data), list[Record]()
    while len(records) < config.ppo.num_iterations:
        records += train_period(trainer, config.sweep.metric)
    return measured(records)


def whole_run(run: Run) -> list[dict[str, float]]:
    """What the run measures from the branch on, had nobody stopped it."""
    return train_undisturbed(longer(run.config), run)[DONE:]


def test_the_control_is_the_run_going_on_counted_from_the_branch(folder: Path, run: Run) -> None:
    records = train(folder, run, arm(folder, run))
    assert [record.iteration for record in records] == [1, 2, 3, 4, 5, 6]
    assert measured(records) == whole_run(run)  # bit for bit, the schedule included
    assert read_records(folder, 0) == records


def test_its_own_checkpoint_wins_on_a_resume(folder: Path, run: Run) -> None:
    expected = measured(train(folder, run, arm(folder, run), number=1))
    first = training_of(folder, run, arm(folder, run)).next_period()
    second = training_of(folder, run, arm(folder, run))
    assert second.trainer.iteration == 2
    assert second.next_period() == first
    assert measured([*first, *second.next_period(), *second.next_period()]) == expected
    assert second.take_notes() == {"resumed_from": "2"}


def test_a_damaged_checkpoint_of_its_own_starts_from_the_branch_again(folder: Path, run: Run) -> None:
    first = training_of(folder, run, arm(folder, run)).next_period()
    file = checkpoint_file(folder, 0)
    file.write_bytes(file.read_bytes()[:-100])
    again = training_of(folder, run, arm(folder, run))
    assert again.take_notes()["checkpoint"].startswith("started anew: ")
    assert measured(again.next_period()) == measured(first)


def test_an_arm_of_a_later_stage_goes_on_where_its_parent_ended(folder: Path, run: Run) -> None:
    half = MORE // 2 + 1
    first = train(folder, run, arm(folder, run, num_iterations=half), number=3)
    config = arm(folder, run, BranchConfig(start=CHECKPOINT, parent=3), num_iterations=MORE - half)
    second = train(folder, run, config, number=5)
    assert [record.iteration for record in second] == [1, 2]
    assert measured([*first, *second]) == whole_run(run)
    assert find_budget(config, folder) == Budget(2 * BATCH, 2 * BATCH, done=8 * BATCH, planned=10 * BATCH)


def test_an_arm_that_starts_anew_reads_nothing_of_the_run(folder: Path, run: Run) -> None:
    config = arm(folder, run, BranchConfig(start=ANEW))
    assert find_start(config, folder) is None
    assert find_budget(config, folder) == Budget.from_config(config.ppo)
    branch_file(folder).unlink()
    assert measured(train(folder, run, config)) == train_undisturbed(dataclasses.replace(config, run=None), run)


@ours
def test_a_reset_part_is_untrained(folder: Path, run: Run) -> None:
    config = arm(folder, run, BranchConfig(start=CHECKPOINT, reset=("value_head", "adam")))
    learner, untrained = learner_of(training_of(folder, run, config)), make_trial_learner(config, run.data)
    assert [view.tolist() for view in learner.networks.value_head()] == [
        view.tolist() for view in untrained.networks.value_head()
    ]
    assert learner.adam.steps.tolist() == [[0.0], [0.0]]
    kept = learner_of(training_of(folder, run, arm(folder, run), number=1))
    assert [view.tolist() for view in learner.networks.policy_head()] == [
        view.tolist() for view in kept.networks.policy_head()
    ]
    assert kept.adam.steps.tolist() != [[0.0], [0.0]]


def test_an_arm_without_the_runs_state_is_refused(folder: Path, run: Run) -> None:
    branch_file(folder).unlink()
    with pytest.raises(CheckpointError, match=r"branch/checkpoint\.npz must be a checkpoint, got no file to read"):
        training_of(folder, run, arm(folder, run))
    with pytest.raises(CheckpointError, match=r"trials/0004/checkpoint\.npz must be a checkpoint, got no file"):
        training_of(folder, run, arm(folder, run, BranchConfig(start=CHECKPOINT, parent=4)))


@ours
def test_a_shared_budget_counts_environment_steps_from_the_branch(folder: Path, run: Run) -> None:
    shared = Budget(3 * BATCH, 2 * BATCH)
    training = Training(Assignment(0, arm(folder, run), folder, budget=shared), run.data)
    assert [record.step for record in training.next_period()] == [BATCH, 2 * BATCH]
    assert learner_of(training).budget == Budget(3 * BATCH, 2 * BATCH, done=4 * BATCH, planned=10 * BATCH)


def test_settings_in_force_follow_the_schedule_across_the_branch(folder: Path, run: Run) -> None:
    """Planned for 10 iterations, 4 are done: the first rate of the branch is 0.6 of 0.01."""
    config = arm(folder, run)
    records = training_of(folder, run, config).next_period()
    assert records[0].metrics["effective/lr"] == pytest.approx(0.006)
    trial = LiveTrial(0, config, {})
    assert SettingsInForce().judge(trial, records) is None
    started_again = dataclasses.replace(records[0], metrics={**records[0].metrics, "effective/lr": 0.01})
    verdict = SettingsInForce().judge(trial, [started_again])
    assert verdict is not None
    assert verdict.outcome is Outcome.CRASHED
    assert verdict.reason.startswith("ppo.lr in force must be 0.006, as recorded, got 0.01 at iteration 1")
    changed = arm(folder, run, lr=0.02)
    assert "must be 0.012, as recorded, got 0.006" in (
        getattr(SettingsInForce().judge(LiveTrial(0, changed, {}), records), "reason", "")
    )


def test_settings_that_cannot_be_compared_crash_the_arm(folder, run: Path) -> None:
    branch_file(folder).unlink()
    trial = LiveTrial(0, arm(folder, run), {})
    assert SettingsInForce().judge(trial, [Record(2, 0, {metrics.VALUE_LOSS: math.inf})]) is None
    verdict = SettingsInForce().judge(trial, [Record(1, 0, {"effective/lr": 0.006})])
    assert verdict is not None
    assert "must be a checkpoint, got no file to read" in verdict.reason
