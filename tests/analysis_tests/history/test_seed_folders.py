"""Runs of one configuration in a folder are read as the seeds of one trial; others are listed."""

import json
from pathlib import Path

import pytest
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history import load, load_together
from unstuck.analysis.history.seeds_alike import name_seeds
from unstuck.rl import metrics

ROWS = 40


def write_run(folder: Path, seed: int, lr: float = 3e-4, settings: bool = False, entropy: bool = True) -> None:
    """Write a progress.csv of Stable-Baselines3's, with a return that grows by the seed's number an iteration."""
    folder.mkdir(parents=True)
    header = ["time/total_timesteps", "time/iterations", "rollout/ep_rew_mean", "train/learning_rate"]
    header += ["train/entropy_loss"] if entropy else []
    rows = [[2048 * (i + 1), i + 1, (seed + 1) * i, lr, *([-1.0 + 0.01 * i] if entropy else [])] for i in range(ROWS)]
    text = "\n".join(",".join(map(str, row)) for row in (header, *rows))
    (folder / "progress.csv").write_text(text, encoding="utf-8")
    if settings:
        (folder / "config.json").write_text(
            json.dumps({"seed": seed, "learning_rate": lr, "run_name": folder.name}, indent=1)
        )


@pytest.mark.parametrize(
    ("names", "seeds"),
    [
        (["run_seed1", "run_seed2", "run_seed3"], [1, 2, 3]),
        (["seed-7", "seed-0"], [7, 0]),
        (["cmd_ppo_s0", "cmd_ppo_s10"], [0, 10]),
        (["CartPole-v1__ppo__1__1700000000", "CartPole-v1__ppo__2__1700000999"], [1, 2]),
        (["ppo_s1_2024-01-05_10-00-00", "ppo_s2_2024-01-06_09-30-00"], [1, 2]),
        (["PPO_1", "PPO_2"], None),  # Stable-Baselines3 counts runs so, whatever was changed between them
        (["lr3_seed1", "lr4_seed2"], None),
        (["seed1", "seed1"], None),
        (["seed1_s2", "seed3_s4"], None),  # which of the two?
        (["results1", "results2"], None),
        (["CartPole-v1__ppo__1__1700000000", "CartPole-v1__ppo2__2__1700000999"], None),
    ],
)
def test_names_tell_seeds_where_nothing_else_differs(names: list[str], seeds: list[int] | None) -> None:
    assert name_seeds(names) == seeds


def test_runs_that_differ_in_a_seed_are_one_trial(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        write_run(tmp_path / "ppo" / f"run_seed{seed}", seed)
    trial = load(str(tmp_path))
    # The return grows by 2, 3 and 4: by 3 in the mean.
    assert trial.curve(metrics.TRAIN_RETURN).tolist() == pytest.approx([3.0 * i for i in range(ROWS)])
    assert {seed: curve.iloc[-1] for seed, curve in trial.seeds(metrics.TRAIN_RETURN).items()} == {
        seed: (seed + 1) * (ROWS - 1) for seed in (1, 2, 3)
    }
    assert trial.remarks[0].startswith("3 runs that differ in their seeds alone are read together (run_seed1, run_se")
    assert trial.dialect == "sb3"
    alone = load(str(tmp_path / "ppo" / "run_seed2"))
    assert trial.split_seeds()[2].curve(metrics.ENTROPY).equals(alone.curve(metrics.ENTROPY))
    assert all(one.finding.seeds is None or one.finding.seeds.judged == (1, 2, 3) for one in diagnose(trial).findings)


def test_settings_on_record_tell_seeds_where_names_do_not(tmp_path: Path) -> None:
    write_run(tmp_path / "PPO_1", 11, settings=True)
    write_run(tmp_path / "PPO_2", 12, settings=True)
    trial = load(str(tmp_path))
    assert list(trial.seeds(metrics.TRAIN_RETURN)) == [11, 12]
    assert (trial.settings["ppo.lr"], "run_name" in trial.settings) == (3e-4, False)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"settings": True}, {"settings": True, "lr": 1e-4}),
        ({}, {"lr": 1e-4}),  # the rate that was logged
        ({}, {"entropy": False}),
        ({"settings": True}, {}),  # which settings the second had is not on record
    ],
)
def test_runs_that_differ_in_more_are_listed(tmp_path: Path, first: dict[str, bool], second: dict[str, bool]) -> None:
    write_run(tmp_path / "run_seed1", 1, **first)
    write_run(tmp_path / "run_seed2", 2, **second)
    with pytest.raises(AnalysisError, match=r"holds 2 runs, (.|\n)* diagnose .*run_seed1\n.* diagnose .*run_seed2"):
        load(str(tmp_path))


def test_runs_of_names_that_tell_nothing_are_listed(tmp_path: Path) -> None:
    write_run(tmp_path / "PPO_1", 1)
    write_run(tmp_path / "PPO_2", 2)
    with pytest.raises(AnalysisError, match="holds 2 runs, "):
        load(str(tmp_path))


def test_tables_in_one_folder_may_be_seeds_too(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path / f"made{seed}", seed)
        (tmp_path / f"made{seed}" / "progress.csv").rename(tmp_path / f"seed_{seed}.csv")
        (tmp_path / f"made{seed}").rmdir()
    assert list(load(str(tmp_path)).seeds(metrics.TRAIN_RETURN)) == [0, 1]


def test_a_seed_that_ended_early_ends_the_mean_and_not_the_others(tmp_path: Path) -> None:
    write_run(tmp_path / "run_seed1", 1)
    write_run(tmp_path / "run_seed2", 2)
    short = tmp_path / "run_seed2" / "progress.csv"
    short.write_text("\n".join(short.read_text().splitlines()[:11]))
    trial = load(str(tmp_path))
    assert trial.curve(metrics.TRAIN_RETURN).index[-1] == 10
    seeds = trial.split_seeds()
    assert [seeds[seed].last_iteration for seed in (1, 2)] == [ROWS, 10]


def test_runs_that_are_named_together_are_one_trial_where_seeds_alone_differ(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        write_run(tmp_path / f"run_seed{seed}", seed)
    files = [str(tmp_path / f"run_seed{seed}" / "progress.csv") for seed in (1, 2)]
    trial = load_together(files)
    assert list(trial.seeds(metrics.TRAIN_RETURN)) == [1, 2]
    assert (trial.name, trial.source) == (f"{files[0]} and 1 more", ", ".join(files))
    write_run(tmp_path / "other_seed4", 4, lr=1e-4)
    with pytest.raises(AnalysisError, match=r"must differ in their seeds alone, .*; name one, or use compare$"):
        load_together([files[0], str(tmp_path / "other_seed4")])
