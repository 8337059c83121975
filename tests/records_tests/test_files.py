"""Where files lie, and what is read from them without a learner."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
from unstuck.records.files import checkpoint_file, config_file, read_records, read_values
from unstuck.records.measurement import Record
from unstuck.records.urls import sqlite_file
from unstuck.rl import checkpoint
from unstuck.rl.config import EnvConfig, PPOConfig
from unstuck.rl.errors import CheckpointError
from unstuck.rl.learner import Learner
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds
from unstuck.sweeps.config.settings import StudyConfig, SweepConfig


@pytest.fixture(scope="module")
def learner() -> Learner:
    config = PPOConfig(num_envs=1, num_steps=16, minibatch_size=16, hidden_sizes=(4,))
    return make_learner(config, EnvConfig(id="CartPole-v1"), make_member_seeds(0, 1), make_evaluation_seed(0))


def test_where_files_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = SweepConfig(sweep=StudyConfig(name="mine", folder="runs")).own_folder
    assert folder == tmp_path / "runs/mine"
    assert config_file(folder) == folder / "config.yaml"
    assert checkpoint_file(folder, 7) == folder / "trials/0007/checkpoint.npz"
    assert checkpoint_file(folder, 12345) == folder / "trials/12345/checkpoint.npz"


def test_records_come_back_from_a_checkpoint_bit_for_bit(tmp_path: Path, learner: Learner) -> None:
    assert read_records(tmp_path, 3) == []  # before the first evaluation
    kept = [Record(1, 1_700_000_000_123, {"a": 0.1 + 0.2, "b": math.inf}), Record(2, 1_700_000_000_456, {"a": 1.0})]
    file = checkpoint_file(tmp_path, 3)
    file.parent.mkdir(parents=True)
    checkpoint.save(file, learner, [record.to_json() for record in kept])
    assert read_records(tmp_path, 3) == kept
    (broken,) = (dataclasses.replace(record, metrics={"a": math.nan}) for record in kept[:1])
    checkpoint.save(file, learner, [broken.to_json()])
    assert math.isnan(read_records(tmp_path, 3)[0].metrics["a"])


@pytest.mark.parametrize("history", [[{"iteration": 1}], [3], [{"iteration": "x", "timestamp_ms": 1, "metrics": {}}]])
def test_what_is_no_record_is_refused(tmp_path: Path, learner: Learner, history: list[object]) -> None:
    file = checkpoint_file(tmp_path, 0)
    file.parent.mkdir(parents=True)
    checkpoint.save(file, learner, history)
    with pytest.raises(CheckpointError, match="must hold a sweep's records"):
        read_records(tmp_path, 0)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    file = checkpoint_file(tmp_path, 0)
    file.parent.mkdir(parents=True)
    file.write_bytes(b"PK")
    with pytest.raises(CheckpointError, match="must be a whole checkpoint"):
        read_records(tmp_path, 0)


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:////runs/optuna.db", "/runs/optuna.db"),
        ("sqlite:///optuna.db", "optuna.db"),
        ("sqlite:///file:/runs/optuna.db?uri=true&password=secret", None),
        ("sqlite:///", None),  # in memory
        ("postgresql://me@db/runs", None),
    ],
)
def test_the_file_of_a_plain_sqlite_url(url: str, file: str | None) -> None:
    assert sqlite_file(url) == (file and Path(file))


def test_each_seeds_own_values_are_read_where_they_were_kept(tmp_path: Path, learner: Learner) -> None:
    """A record of one seed, and one of before seeds were kept, hold means alone."""
    one = Record(1, 0, {"a": 1.0, "b/seed_0": 3.0, "b/seed_1": 5.0}, seeds={"a": (0.5, 1.5)})
    assert Record.from_json(json.loads(json.dumps(one.to_json()))) == one
    assert one.list_values() == {"a": 1.0, "b/seed_0": 3.0, "b/seed_1": 5.0, "a/seed_0": 0.5, "a/seed_1": 1.5}
    assert "seeds" not in Record(1, 0, {"a": 1.0}).to_json()
    assert Record.from_json({"iteration": 1, "timestamp_ms": 0, "metrics": {}}).seeds == {}
    assert read_values(tmp_path, 0) == {}
    file = checkpoint_file(tmp_path, 0)
    file.parent.mkdir(parents=True)
    checkpoint.save(
        file, learner, [Record(1, 0, {"a": 1.0}).to_json(), dataclasses.replace(one, iteration=2).to_json()]
    )
    assert read_values(tmp_path, 0) == {2: one.list_values()}
    file.write_bytes(b"PK")
    assert read_values(tmp_path, 0) == {}
