"""What a worker does between Ray's calls; that it does so within Ray, test_run.py shows."""

import dataclasses
import math
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unstuck.records.errors import DiskFullError
from unstuck.records.files import checkpoint_file, read_records, trials_folder
from unstuck.records.measurement import Record
from unstuck.rl import checkpoint, metrics
from unstuck.rl.budget import Budget
from unstuck.rl.checkpoint import Snapshot
from unstuck.rl.config import DataConfig, EnvConfig, PPOConfig
from unstuck.rl.data import FlowData, load_flows
from unstuck.rl.errors import ConfigError
from unstuck.sweeps.config.settings import StudyConfig, SweepConfig
from unstuck.sweeps.trainers.learner_trainer import make_trial_learner
from unstuck.sweeps.worker import training
from unstuck.sweeps.worker.assignment import Assignment
from unstuck.sweeps.worker.training import Training, list_seeds, make_trial_trainer, summarise, train_period

from tests.sweeps_tests.trained import KEEP_STATE, train_by

TINY = PPOConfig(
    num_iterations=5, eval_every=2, num_envs=2, num_steps=16, minibatch_size=32, num_epochs=1, hidden_sizes=(8,)
)


def config_of(env: EnvConfig | None = None, seed: int = 0, seeds: int = 2, trainer: str = "ppo") -> SweepConfig:
    config = SweepConfig(
        sweep=StudyConfig(name="mine", seeds=seeds, seed=seed),
        env=env or EnvConfig(flows_per_episode=20),
        data=DataConfig(num_flows=500, num_features=4, eval_flows=100),
        ppo=TINY,
    )
    return train_by(trainer, config)


@pytest.fixture(scope="module")
def data() -> FlowData:
    return load_flows(config_of().data)


all_that_keep_state = pytest.mark.parametrize("trainer", KEEP_STATE)


def run(config: SweepConfig, data: FlowData | None) -> list[list[Record]]:
    """All periods of a trial."""
    trainer = make_trial_trainer(config, data)
    periods = []
    while trainer.iteration < config.ppo.num_iterations:
        periods.append(train_period(trainer, config.sweep.metric))
    return periods


def test_means_over_members_and_some_members_own() -> None:
    measured = {
        metrics.F1: np.array([0.25, 0.75]),
        metrics.VALUE_LOSS: np.array([1.0, 4.0]),
        metrics.ENTROPY: np.array([0.5, 1.5]),
    }
    assert summarise(measured, (metrics.F1, metrics.VALUE_LOSS, metrics.EVAL_RETURN)) == {
        "eval/f1": 0.5,
        "train/value_loss": 2.5,
        "train/entropy": 1.0,
        "eval/f1/seed_0": 0.25,
        "eval/f1/seed_1": 0.75,
        "train/value_loss/seed_0": 1.0,
        "train/value_loss/seed_1": 4.0,
    }


def test_each_members_own_value_is_kept_once() -> None:
    measured = {metrics.F1: np.array([0.25, 0.75]), metrics.ENTROPY: np.array([1 / 3, 2.0])}
    assert list_seeds(measured, summarise(measured, (metrics.F1,))) == {metrics.ENTROPY: (0.333333, 2.0)}
    assert list_seeds({metrics.ENTROPY: np.array([1.0])}, {metrics.ENTROPY: 1.0}) == {}


def test_a_checkpoint_keeps_what_each_member_measured(tmp_path: Path, data: FlowData) -> None:
    """Means and members' values are of the same numbers, and all that was measured is there of each member."""
    trials_folder(tmp_path).mkdir(parents=True)
    trial = Training(Assignment(0, config_of(), tmp_path), data)
    records = trial.next_period()
    assert read_records(tmp_path, 0) == records
    last = records[-1]
    for name, values in last.seeds.items():
        assert np.mean(values) == pytest.approx(last.metrics[name], rel=1e-5)
    own = {name for name in last.metrics if "/seed_" not in name and not name.startswith(metrics.EFFECTIVE_PREFIX)}
    assert own - {*metrics.PER_SEED} == set(last.seeds)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_one_member_that_is_not_finite_shows_in_the_mean(bad: float) -> None:
    result = summarise({metrics.VALUE_LOSS: np.array([1.0, bad, 3.0])}, (metrics.VALUE_LOSS,))
    assert repr(result[metrics.VALUE_LOSS]) == repr(bad)  # a nanmean would say 2
    assert result["train/value_loss/seed_0"] == 1.0
    assert repr(result["train/value_loss/seed_1"]) == repr(bad)


def test_a_period_ends_with_its_evaluation_and_the_last_one_with_the_trial(data: FlowData) -> None:
    before = time.time_ns() // 1_000_000
    periods = run(config_of(), data)
    assert [[record.iteration for record in period] for period in periods] == [[1, 2], [3, 4], [5]]
    for period in periods:
        assert [metrics.F1 in record.metrics for record in period] == [False] * (len(period) - 1) + [True]
    stamps = [record.timestamp_ms for period in periods for record in period]
    assert before <= stamps[0]
    assert stamps == sorted(stamps)
    assert stamps[-1] <= time.time_ns() // 1_000_000


def test_a_record_holds_every_metric_of_members_and_mean(data: FlowData) -> None:
    last = run(config_of(), data)[-1][-1].metrics
    always = {*metrics.TRAIN, *metrics.EVAL, *metrics.TRIVIAL, *metrics.CRITIC, *metrics.NETWORKS}
    always |= {metrics.F1_TRAIN, metrics.OBSERVATION_SHIFT, *metrics.PROGRESS}
    named = (metrics.action_metric, metrics.greedy_metric)
    shares = {name(action) for action in ("allow", "block", "quarantine", "alert") for name in named}
    own = {metrics.seed_metric(name, member) for name in metrics.PER_SEED for member in range(2)}
    assert last.keys() == always | shares | own
    assert last[metrics.F1] == pytest.approx((last["eval/f1/seed_0"] + last["eval/f1/seed_1"]) / 2)


def test_the_objective_is_recorded_for_each_member_whichever_it_is(data: FlowData) -> None:
    records = train_period(make_trial_learner(config_of(), data), metrics.RECALL)
    assert records[-1].metrics["eval/recall"] == pytest.approx(
        (records[-1].metrics["eval/recall/seed_0"] + records[-1].metrics["eval/recall/seed_1"]) / 2
    )


def test_a_period_ends_at_the_first_metric_that_is_not_finite(data: FlowData) -> None:
    # Rewards whose squares float32 cannot hold.
    env = EnvConfig(flows_per_episode=20, reward_benign=(1e30, -1e30, 1e30, -1e30))
    (record,) = train_period(make_trial_learner(config_of(env), data), metrics.F1)
    assert record.iteration == 1  # not 2, where it would have been evaluated
    assert record.metrics["train/value_loss"] == math.inf


@all_that_keep_state
def test_the_same_configuration_gives_the_same_numbers(data: FlowData, trainer: str) -> None:
    first, again, other = (
        [dict(record.metrics) for period in run(config, data) for record in period]
        for config in (config_of(seed=seed, trainer=trainer) for seed in (0, 0, 1))
    )
    assert first == again  # bit for bit, as a worker that starts anew must repeat them
    assert all(one["train/value_loss"] != two["train/value_loss"] for one, two in zip(first, other, strict=True))


@all_that_keep_state
def test_members_are_the_same_whoever_trains_beside_them(data: FlowData, trainer: str) -> None:
    two, three = (run(config_of(seeds=seeds, trainer=trainer), data)[-1][-1].metrics for seeds in (2, 3))
    measured_here = [name for name in metrics.PER_SEED if name in two]
    assert metrics.VALUE_LOSS in measured_here
    for name in measured_here:
        for member in range(2):
            assert two[metrics.seed_metric(name, member)] == three[metrics.seed_metric(name, member)]


TRIAL = 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    trials_folder(tmp_path).mkdir()
    return tmp_path


def training_of(folder: Path, data: FlowData | None, trainer: str = "ppo") -> Training:
    return Training(Assignment(TRIAL, config_of(trainer=trainer), folder), data)


def measured(records: list[Record]) -> list[tuple[int, dict[str, float]]]:
    """What was measured, without what is in force and when it was."""
    return [
        (record.iteration, {name: value for name, value in record.metrics.items() if not name.startswith("effective/")})
        for record in records
    ]


def whole(data: FlowData | None, trainer: str = "ppo") -> list[Record]:
    """All records of a trial that nothing happened to."""
    return [record for period in run(config_of(trainer=trainer), data) for record in period]


def test_starting_writes_nothing_and_what_is_delivered_is_saved_before(folder: Path, data: FlowData) -> None:
    trial = training_of(folder, data)
    assert list(folder.rglob("*")) == [trials_folder(folder)]
    delivered: list[Record] = []
    for _ in range(3):
        delivered += trial.next_period()
        assert read_records(folder, TRIAL) == delivered
    assert measured(delivered) == measured(whole(data))
    assert trial.take_notes() == {}


@all_that_keep_state
def test_another_worker_goes_on_bit_for_bit_after_delivering_what_is_saved(
    folder: Path, data: FlowData, trainer: str
) -> None:
    first = training_of(folder, data, trainer).next_period()
    second = training_of(folder, data, trainer)
    assert second.next_period() == first  # the driver may not have it
    later = second.next_period() + second.next_period()
    assert measured(first + later) == measured(whole(data, trainer))
    assert second.take_notes() == {"resumed_from": "2"}
    third = training_of(folder, data, trainer)
    assert third.next_period() == first + later  # the trial was over, and nobody may know
    assert third.trainer.iteration == TINY.num_iterations


@all_that_keep_state
def test_a_worker_counts_the_environment_steps_of_a_shared_budget_and_another_goes_on(
    folder: Path, data: FlowData, trainer: str
) -> None:
    """Rollouts of 2 * 16 steps, 144 of them to train for: five updates, evaluated when they pass 60, 120 and 144."""
    assignment = Assignment(TRIAL, config_of(trainer=trainer), folder, budget=Budget(144, 60))
    first = Training(assignment, data).next_period()
    assert [(record.iteration, record.step) for record in first] == [(1, 32), (2, 64)]
    second = Training(assignment, data)
    assert second.next_period() == first
    assert [record.step for record in second.next_period()] == [96, 128]
    assert [record.step for record in second.next_period()] == [160]
    with pytest.raises(ConfigError, match="must not train beyond its budget of 5 iterations"):
        second.next_period()


def test_what_a_worker_left_that_died_while_it_wrote_is_removed(folder: Path, data: FlowData) -> None:
    file = checkpoint_file(folder, TRIAL)
    file.parent.mkdir()
    file.with_name("checkpoint.npz.123.tmp").write_bytes(b"PK half of it")
    training_of(folder, data).next_period()
    assert list(file.parent.iterdir()) == [file]


def test_lanes_that_start_anew_are_noted(folder: Path) -> None:
    env = EnvConfig(id="Acrobot-v1", eval_episodes=1)
    config = dataclasses.replace(config_of(env), sweep=StudyConfig(name="mine", seeds=1, metric=metrics.EVAL_RETURN))
    Training(Assignment(TRIAL, config, folder), None).next_period()
    notes = Training(Assignment(TRIAL, config, folder), None).take_notes()
    assert notes == {"resumed_from": "2", "resumed_exactly": "false"}


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def _forget_records(file: Path) -> None:
    saved = checkpoint.read_snapshot(file)
    checkpoint.write_snapshot(file, Snapshot(saved.arrays, {**saved.header, "history": saved.header["history"][:1]}))


def _other_format(file: Path) -> None:
    file.write_text("nothing of ours")


def _nothing(file: Path) -> None:
    """It is as it was left."""


@pytest.mark.parametrize(
    ("trainer", "damage", "reason"),
    [
        *(
            pytest.param(*one.values, damage, reason, id=f"{one.values[0]}-{what}", marks=one.marks)
            for one in KEEP_STATE
            for damage, reason, what in (
                (_truncate, "must be a whole checkpoint|got a file of another kind", "truncated"),
                (_forget_records, "must hold the records of all iterations, got 1", "records missing"),
                (_other_format, "got a file of another kind", "foreign"),
            )
        ),
        pytest.param("command", _nothing, "trainer=command keeps no state to go on from", id="command"),
    ],
)
def test_a_checkpoint_that_nobody_can_go_on_from_starts_the_trial_anew_with_the_same_numbers(
    folder: Path, data: FlowData, trainer: str, damage: Callable[[Path], None], reason: str
) -> None:
    training_of(folder, data, trainer).next_period()
    damage(checkpoint_file(folder, TRIAL))
    trial = training_of(folder, data, trainer)
    (note,) = trial.take_notes().items()
    assert note[0] == "checkpoint"
    assert note[1].startswith("started anew: ")
    assert re.search(reason, note[1])
    records = trial.next_period()
    assert measured(records) == measured(whole(data, trainer))[:2]
    assert read_records(folder, TRIAL) == records  # whole again


def failing(error: OSError, times: int) -> Callable[..., None]:
    """Saves, but for the first so many calls."""
    left, save = times, checkpoint.write_snapshot

    def attempt(*args: Any) -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            raise error
        save(*args)

    return attempt


def test_training_goes_on_where_no_checkpoint_can_be_written(
    folder: Path, data: FlowData, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = training_of(folder, data)
    first = trial.next_period()
    monkeypatch.setattr(training.checkpoint, "write_snapshot", failing(OSError(30, "Read-only file system"), times=2))
    second = trial.next_period()
    assert trial.take_notes() == {"checkpoint": "not saved from iteration 4 on: [Errno 30] Read-only file system"}
    trial._save()
    assert trial.take_notes() == {}  # told once
    assert read_records(folder, TRIAL) == first
    third = trial.next_period()  # it can be written again
    assert read_records(folder, TRIAL) == first + second + third


def test_a_full_disk_is_waited_for(folder: Path, data: FlowData, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the records would get ahead of the checkpoint, and what a failing MLflow missed would be lost."""
    trial = training_of(folder, data)
    monkeypatch.setattr(training, "_PAUSE_S", 0.0)
    monkeypatch.setattr(training.checkpoint, "write_snapshot", failing(OSError(28, "No space left on device"), times=3))
    assert read_records(folder, TRIAL) == []
    first = trial.next_period()
    assert read_records(folder, TRIAL) == first
    assert trial.take_notes() == {}


def test_what_a_disk_that_stays_full_cannot_hold_is_not_delivered(
    folder: Path, data: FlowData, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = measured(whole(data))
    trial = training_of(folder, data)
    monkeypatch.setattr(training, "PATIENCE_S", 0.0)
    trial._patience_s = 0.0
    monkeypatch.setattr(training.checkpoint, "write_snapshot", failing(OSError(28, "No space left on device"), times=2))
    for _ in range(2):
        with pytest.raises(DiskFullError, match=r"^\S+ must have room for checkpoints, and had none for .*make room$"):
            trial.next_period()
    first = trial.next_period()  # the same iterations, none left out
    assert measured(first) == undisturbed[:2]
    assert read_records(folder, TRIAL) == first


def test_a_folder_that_is_not_shared_is_noted(tmp_path: Path, data: FlowData) -> None:
    trial = training_of(tmp_path / "elsewhere", data)
    trial.next_period()
    assert "not saved from iteration 2 on: [Errno 2]" in trial.take_notes()["checkpoint"]
    assert list(tmp_path.iterdir()) == []


@all_that_keep_state
def test_what_is_in_force_is_read_back_once_a_start(folder: Path, data: FlowData, trainer: str) -> None:
    trial = training_of(folder, data, trainer)
    records = [*trial.next_period(), *trial.next_period()]
    again = training_of(folder, data, trainer)
    again.next_period()
    records += again.next_period()
    read_back = {
        record.iteration: {name for name in record.metrics if name.startswith("effective/")} for record in records
    }
    settings = {"lr", "adam_eps", "gamma", "gae_lambda", "clip_range", "entropy_coef", "value_coef", "max_grad_norm"}
    expected = {f"effective/{name}" for name in settings}  # those that are off are left out
    assert read_back == {1: expected, 2: set(), 3: set(), 4: set(), 5: expected}
    in_use = np.float32(TINY.lr) if trainer == "ppo" else TINY.lr
    assert records[0].metrics["effective/lr"] == float(in_use)


def test_members_that_differ_are_not_averaged_away(data: FlowData) -> None:
    learner = make_trial_learner(config_of(), data)
    learner.hyper.gamma[1] = 0.5
    assert math.isnan(training.read_settings_in_force(learner)["effective/gamma"])
