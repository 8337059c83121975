"""The command itself, as a process of its own: what it refuses, it refuses before anything is written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(__file__).parents[1] / "sweep.py"


def sweep(folder: Path, *arguments: str, traceback: bool = False) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "HYDRA_FULL_ERROR"}
    if traceback:
        environment["HYDRA_FULL_ERROR"] = "1"
    return subprocess.run(
        [sys.executable, str(COMMAND), *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ppo.lrr=1"], "unknown setting ppo.lrr; did you mean ppo.lr?"),
        (["++ppo.zzz=1"], "unknown setting ppo.zzz; did you mean ppo.lr?"),
        (["data=nsl_kdd"], "data.path must name a file for data=nsl_kdd; add data.path=FILE"),
        (
            ["+experiment=quickstart", "ppo.minibatch_size=48"],
            "minibatch_size must divide num_envs * num_steps = 1024, got 48; try 32 or 64",
        ),
        (["sweep.name=${hydra:runtime.choices.ppo}/x"], "sweep.name must be 1 to 100 letters"),
        (["+space.ppo.gama.choice=[0.5]"], "unknown setting ppo.gama in space; did you mean ppo.gamma?"),
        (["--multirun", "ppo.lr=1e-3,1e-4"], "--multirun is not for sweeps"),
    ],
)
def test_a_mistake_is_one_line_and_status_2_and_leaves_nothing_behind(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = sweep(tmp_path, *arguments)
    assert done.stderr.startswith(f"sweep.py: error: {message}")
    assert done.stderr.count("\n") == 1
    assert (done.returncode, done.stdout) == (2, "")
    assert list(tmp_path.iterdir()) == []


def test_the_traceback_is_shown_to_who_asks_for_it(tmp_path: Path) -> None:
    done = sweep(tmp_path, "ppo.lrr=1", traceback=True)
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert "unknown setting ppo.lrr; did you mean ppo.lr?" in done.stderr


def test_an_experiment_of_ones_own_composes_from_anywhere(tmp_path: Path) -> None:
    file = tmp_path / "mine" / "experiment" / "wide.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("# @package _global_\nppo: {hidden_sizes: [128]}\n")
    done = sweep(tmp_path, "--config-dir", "mine", "+experiment=wide", "--cfg", "job", "--package", "ppo.hidden_sizes")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "- 128"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_help_lists_groups_and_examples(tmp_path: Path) -> None:
    done = sweep(tmp_path, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "experiment: cartpole, horizon, owner_options, ppo_coefficients, quickstart" in done.stdout
    assert done.stdout.count("\n  python sweep.py ") >= 4
    assert "Powered by Hydra" not in done.stdout


def test_completion_offers_settings(tmp_path: Path) -> None:
    environment = {**os.environ, "COMP_LINE": "python sweep.py ppo.val"}
    done = subprocess.run(
        [sys.executable, str(COMMAND), "-sc", "query=bash"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert "ppo.value_coef=" in done.stdout
