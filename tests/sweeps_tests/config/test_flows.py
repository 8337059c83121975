"""Whoever trains a sweep's configurations again gets the flows that the sweep was run on, or is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from unstuck.records.errors import SweepError
from unstuck.records.ledger import Ledger
from unstuck.rl.config import DataConfig
from unstuck.rl.data import compute_fingerprint, load_flows
from unstuck.sweeps.config.find import load_sweep
from unstuck.sweeps.config.flows import add_fingerprint, load_data, make_fingerprint_words
from unstuck.sweeps.config.saved import to_yaml
from unstuck.sweeps.config.settings import SweepConfig

from tests.sweeps_tests.flows_file import shuffle_labels

SMALL = SweepConfig(data=DataConfig(num_flows=500, num_features=4, eval_flows=20))


def test_a_champion_finds_flows_that_were_moved(command: Any, ended: Path) -> None:
    moved = ended.parents[1] / "moved.csv"
    (ended.parents[1] / "flows.csv").rename(moved)
    done = command.sweeps("champion", str(ended), "--seeds", "1", "--trial", "0", "--data-path", str(moved))
    assert (done.code, done.err) == (0, "")
    shuffle_labels(moved)
    done = command.sweeps("champion", str(ended), "--seeds", "1", "--trial", "0", "--data-path", str(moved))
    assert (done.code, done.err.partition(" must be those that")[0]) == (2, f"sweeps: error: the data ({moved})")


def test_a_new_sweep_is_refused_flows_that_it_was_not_meant_for(command: Any, tmp_path: Path) -> None:
    done = command("+experiment=quickstart", "data.num_flows=500", "data.fingerprint=0123456789abcdef")
    assert (done.code, done.out) == (2, "")
    assert (
        "the data (data.source=synthetic) must be those that data.fingerprint names, fingerprint 0123456789ab, got "
        in (done.err)
    )
    assert not (tmp_path / "runs").exists()


def test_arms_are_refused_other_flows_than_their_sweep_had(command: Any, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "config.yaml").write_text(to_yaml(add_fingerprint(SMALL, load_data(SMALL)[1])))
    quiet = ("hydra.run.dir=.", "hydra.output_subdir=null", "hydra/job_logging=none")
    points = ("sampler.name=points", "sampler.points=[{}]", "sweep.num_trials=null", "sweep.name=made-arms")
    done = command("--config-path", str(tmp_path / "made"), *quiet, *points, "data.seed=1")
    assert done.code == 2
    assert "the data (data.source=synthetic) must be those that data.fingerprint names, fingerprint " in done.err


def test_a_sweep_names_its_flows_so_that_others_can_ask_for_them() -> None:
    _, now = load_data(SMALL)
    assert now == compute_fingerprint(load_flows(SMALL.data))
    named = add_fingerprint(SMALL, now)
    (word,) = make_fingerprint_words(named)
    assert now.startswith(word.removeprefix("data.fingerprint="))
    assert load_data(named)[1] == now
    other = replace(named, data=replace(named.data, seed=1))
    with pytest.raises(SweepError, match=f"must be those that data.fingerprint names, fingerprint {now[:12]}, got "):
        load_data(other)


@pytest.mark.parametrize(
    ("digits", "word"),
    [
        ("abc" * 8, "abc" * 4),
        ("1" * 11 + "b" + "0" * 52, "1" * 11 + "b"),
        ("12345678901e456c789", "12345678901e456c"),  # 12345678901e456 would be read as infinity
    ],
)
def test_a_word_for_flows_is_no_number(digits: str, word: str) -> None:
    assert make_fingerprint_words(add_fingerprint(SMALL, digits)) == [f"data.fingerprint={word}"]


@pytest.mark.parametrize("forget", [lambda c: replace(c, format=1), lambda c: c])
def test_no_flows_or_flows_split_as_no_new_sweep_splits_them_have_no_name(
    forget: Callable[[SweepConfig], SweepConfig],
) -> None:
    config = forget(SMALL)
    assert make_fingerprint_words(add_fingerprint(config, "ab" * 32 if config.format == 1 else None)) == []


@pytest.mark.parametrize("name", ["ended", "stopped"])
def test_an_old_sweep_keeps_its_split(old_sweeps: Path, name: str) -> None:
    config = load_sweep(old_sweeps / "runs" / name)
    config = replace(config, data=replace(config.data, path=str(old_sweeps / "flows.csv")))
    recorded = Ledger.open(f"sqlite:///{old_sweeps}/runs/optuna.db", name).attributes["data"]
    assert config.format == 1
    assert load_data(config)[1] == recorded


def test_the_format_decides_whether_frequent_vectors_are_judged(tmp_path: Path) -> None:
    file, counts = tmp_path / "flows.csv", [*range(12)] * 100 + [*range(12, 812)]
    rows = [f"{k},{int(k < 12)},{'attack' if k % 3 == 0 else 'normal'}\n" for k in counts]
    file.write_text("x,often,label\n" + "".join(rows))
    source = DataConfig(source="csv", path=str(file), label="label", benign=("normal",), threat_share=None)
    shares = {}
    for number in (1, 2):
        data, _ = load_data(SweepConfig(data=replace(source, eval_flows=100), format=number))
        assert data is not None
        often = data.feature_names.index("often")
        shares[number] = [float((part.features[:, often] > 0).mean()) for part in (data.validation, data.test)]
    assert shares == {1: [0.0, 0.0], 2: [0.6, 0.6]}  # of 2,000 flows 1,200 are of 12 vectors
