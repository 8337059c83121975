"""A worker as Ray Tune calls it, without Ray around it; what it does is tested in test_training.py."""

from pathlib import Path
from typing import Any

import pytest
from unstuck.records.files import trials_folder
from unstuck.rl.config import EnvConfig, PPOConfig
from unstuck.sweeps.config.settings import StudyConfig, SweepConfig
from unstuck.sweeps.worker.assignment import ASSIGNMENT, DELIVERY, DISK_FULL, Assignment
from unstuck.sweeps.worker.trainable import TrialTrainable


def assigned(folder: Path, number: int) -> dict[str, Any]:
    trials_folder(folder).mkdir(parents=True, exist_ok=True)
    ppo = PPOConfig(
        num_iterations=4, eval_every=2, num_envs=2, num_steps=16, minibatch_size=16, num_epochs=2, hidden_sizes=(8,)
    )
    config = SweepConfig(
        sweep=StudyConfig(name="mine", seeds=2, seed=number, metric="eval/episode_return"),
        env=EnvConfig(id="CartPole-v1", eval_episodes=1),
        ppo=ppo,
    )
    return {ASSIGNMENT: Assignment(number, config, folder)}


def numbers(worker: TrialTrainable) -> list[dict[str, float]]:
    return [dict(record.metrics) for _ in range(2) for record in worker.step()[DELIVERY].records]


def test_a_worker_that_is_used_again_trains_as_a_fresh_one(tmp_path: Path) -> None:
    """Parameters, Adam's moments and step counts, normalisers, lanes and generators: nothing is left of a trial."""
    again, fresh = TrialTrainable(assigned(tmp_path / "again", 1)), TrialTrainable(assigned(tmp_path / "fresh", 2))
    first = numbers(again)
    again.reset_config(assigned(tmp_path / "again", 2))
    expected = numbers(fresh)
    assert numbers(again) == expected != first


def test_a_full_disk_is_told_and_kills_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = TrialTrainable(assigned(tmp_path, 1))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(worker._training, "_patience_s", 0.0)
        patch.setattr(worker._training, "_replace", full)
        told = worker.step()[DELIVERY]
    assert (told.records, list(told.notes)) == ([], [DISK_FULL])
    assert [record.iteration for record in worker.step()[DELIVERY].records] == [1, 2]
