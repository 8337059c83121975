"""Settings in force against the configuration: alike passes, planted differences do not."""

from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from unstuck.records.measurement import Record
from unstuck.rl import checkpoint, metrics
from unstuck.rl.config import EnvConfig, PPOConfig
from unstuck.rl.make_learner import make_learner
from unstuck.rl.ppo import Hyperparameters
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds
from unstuck.sweeps.run.settings_in_force import describe_mismatch
from unstuck.sweeps.worker.training import read_settings_in_force

PPO = PPOConfig(
    num_iterations=10, eval_every=5, num_envs=1, num_steps=16, minibatch_size=16, hidden_sizes=(4,), lr=1e-3
)
OTHER = {
    "lr": 3e-4,
    "adam_eps": 1e-8,
    "gamma": 0.9,
    "gae_lambda": 0.9,
    "clip_range": 0.1,
    "clip_range_vf": 0.2,
    "entropy_coef": 0.02,
    "value_coef": 1.5,
    "max_grad_norm": 0.7,
    "target_kl": 0.02,
}


def first_record(config: PPOConfig, done: int = 0) -> Record:
    """Of a worker that goes on with this configuration after so many iterations."""
    learner = make_learner(config, EnvConfig(id="CartPole-v1"), make_member_seeds(0, 2), make_evaluation_seed(0))
    learner.iteration = done
    return Record(done + 1, 0, {metrics.VALUE_LOSS: 1.0, **read_settings_in_force(learner)})


@pytest.mark.parametrize("schedule", ["constant", "linear"])
@pytest.mark.parametrize("done", [0, 3, 9])
def test_what_trains_with_its_own_configuration_passes(schedule: str, done: int) -> None:
    config = replace(PPO, lr_schedule=schedule, clip_range_schedule=schedule, target_kl=0.01)
    assert describe_mismatch(first_record(config, done), config) == ""


def test_a_record_without_settings_says_nothing() -> None:
    assert describe_mismatch(Record(2, 0, {metrics.VALUE_LOSS: 1.0}), PPO) == ""


@pytest.mark.parametrize("name", [field.name for field in fields(Hyperparameters)])
def test_every_setting_that_differs_is_found_either_way(name: str) -> None:
    changed = replace(PPO, **{name: OTHER[name]})
    assert f"ppo.{name} in force must be" in describe_mismatch(first_record(changed), PPO)
    assert f"ppo.{name} in force must be" in describe_mismatch(first_record(PPO), changed)


def test_a_schedule_that_did_not_move_on_is_found() -> None:
    config = replace(PPO, lr_schedule="linear")
    started_again = Record(4, 0, first_record(config).metrics)
    assert describe_mismatch(started_again, config) == (
        "ppo.lr in force must be 0.0007, as recorded, got 0.001 at iteration 4: what was trained is another "
        "configuration"
    )


def test_members_that_differ_are_found() -> None:
    record = first_record(PPO)
    differing = replace(record, metrics={**record.metrics, "effective/lr": np.nan})
    assert "got nan" in describe_mismatch(differing, PPO)


def test_a_restore_that_brings_back_the_old_learning_rate_is_found(tmp_path: Path) -> None:
    """As in Ray's and Stable-Baselines3's issues: the checkpoint's lr wins over the branch's."""
    make = partial(
        make_learner,
        env=EnvConfig(id="CartPole-v1"),
        seeds=make_member_seeds(0, 2),
        evaluation_seed=make_evaluation_seed(0),
    )
    saved, branch = make(PPO), make(replace(PPO, lr=5e-3))
    saved.iterate()
    checkpoint.save(tmp_path / "c", saved)
    checkpoint.load(tmp_path / "c", branch)
    record = Record(2, 0, read_settings_in_force(branch))
    assert describe_mismatch(record, branch.config) == ""
    branch.hyper.lr.copy_(saved.hyper.lr)  # the bug
    assert "ppo.lr in force must be 0.005, as recorded, got 0.001 at iteration 2" in describe_mismatch(
        Record(2, 0, read_settings_in_force(branch)), branch.config
    )
