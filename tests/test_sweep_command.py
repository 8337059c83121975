"""The sweep command refuses what it refuses before anything is written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Command

COMMAND = Path(__file__).parents[1] / "sweep.py"


def sweep(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, with variables of its own."""
    environment = {key: value for key, value in os.environ.items() if key != "HYDRA_FULL_ERROR"} | variables
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
        (["hydra.mode=MULTIRUN", "ppo.lr=1e-3"], "--multirun is not for sweeps"),
        (["hydra.output_subdir=.hydra"], "hydra.output_subdir must stay as it is"),
        (["ppo=5"], "ppo is a group of settings, written ppo=NAME or ppo.SETTING=VALUE, got ppo=5; --help lists them"),
        (["sweep=null"], "sweep is a group of settings, written sweep.SETTING=VALUE, got sweep=null; --help"),
        (["+experiment=5"], "experiment is a group of settings, written experiment=NAME, got +experiment=5; --help"),
        (["~ppo"], "~ppo takes away what every sweep has; only ~space... can go: write ppo=VALUE"),
        (["~ppo.lr"], "~ppo.lr takes away what every sweep has; only ~space... can go: write ppo.lr=VALUE"),
        (["=5"], "cannot read '=5'; write key=value"),
        (
            ["--bogus"],
            "unrecognized arguments: --bogus; settings are written key=value, and --help lists what there is",
        ),
        (["--cfg"], "argument --cfg/-c: expected one argument; settings are written key=value"),
        (["--experimental-rerun", "x.pickle"], "--experimental-rerun reads a pickle, which may run anything"),
    ],
)
def test_a_mistake_is_one_line_and_status_2_and_leaves_nothing_behind(
    command: Command, tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = command(*arguments)
    assert done.err.startswith(f"sweep.py: error: {message}")
    assert done.err.count("\n") == 1
    assert (done.code, done.out) == (2, "")
    assert list(tmp_path.iterdir()) == []


CALLED = "{_target_: logging.FileHandler, filename: called}"
LOGGED = "{root: {handlers: [x]}, handlers: {x: {class: logging.FileHandler, filename: called}}}"


@pytest.mark.parametrize(
    "written",
    [
        f"hydra: {{callbacks: {{x: {CALLED}}}}}",
        f"hydra: {{callbacks: '${{space}}'}}\nspace: {{x: {CALLED}}}",
        f"hydra: {{job_logging: {LOGGED}}}",
        f"hydra: {{hydra_logging: {LOGGED}}}",
        f"hydra: {{mode: MULTIRUN, sweeper: {CALLED}}}",
        f"ppo: {CALLED}",
        f"space: {{ppo: {{lr: {CALLED}}}}}",
        "ppo: !!python/object/apply:logging.FileHandler [called]",
    ],
)
def test_nothing_that_an_experiment_names_is_called(command: Command, tmp_path: Path, written: str) -> None:
    file = tmp_path / "mine" / "experiment" / "x.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(f"# @package _global_\n{written}\n")
    done = command("--config-dir", "mine", "+experiment=x")
    assert done.code == 2, done.err
    assert done.err.startswith("sweep.py: error: ")
    assert done.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_hydra_itself_would_call_it(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(f"hydra: {{callbacks: {{x: {CALLED}}}}}\n")
    (tmp_path / "plain.py").write_text(
        "import hydra\n"
        "@hydra.main(version_base='1.3', config_path='.', config_name='config')\n"
        "def main(cfg):\n"
        "    pass\n"
        "main()\n"
    )
    subprocess.run([sys.executable, "plain.py"], cwd=tmp_path, capture_output=True, check=True)
    assert (tmp_path / "called").exists()


@pytest.mark.parametrize("traceback", [False, True])
@pytest.mark.parametrize("word", ["tracking.optuna_url=postgresql://me:s3 cret@[db", "ppo.lr=mysql://me:s3 cret@db"])
def test_a_refusal_tells_no_password(command: Command, word: str, traceback: bool) -> None:
    done = command(word, *(["--debug"] if traceback else []))
    assert (done.code, "Traceback (most recent call last)" in done.err) == (2, traceback)
    assert "sql://***@" in done.err
    assert "s3" not in done.err


def test_the_traceback_is_shown_to_who_asks_for_it(tmp_path: Path) -> None:
    done = sweep(tmp_path, "ppo.lrr=1", HYDRA_FULL_ERROR="1")
    assert done.returncode == 2
    assert "Traceback (most recent call last)" in done.stderr
    assert "unknown setting ppo.lrr; did you mean ppo.lr?" in done.stderr


def test_an_experiment_of_ones_own_composes_from_anywhere(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "mine" / "experiment" / "wide.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("# @package _global_\nppo: {hidden_sizes: [128]}\n")
    done = command("--config-dir", "mine", "+experiment=wide", "--cfg", "job", "--package", "ppo.hidden_sizes")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1] == "- 128"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_range_can_be_taken_out_of_the_space(command: Command) -> None:
    done = command("+experiment=quickstart", "~space.ppo.lr", "--cfg", "job", "--package", "space.ppo")
    assert (done.code, done.err) == (0, "")
    assert [line for line in done.out.splitlines() if line.endswith(":")] == [
        "value_coef:",
        "  log:",
        "entropy_coef:",
        "  log:",
    ]


def test_help_lists_groups_and_examples(tmp_path: Path) -> None:
    done = sweep(tmp_path, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "experiment: cartpole, horizon, owner_options, ppo_coefficients, quickstart" in done.stdout
    assert done.stdout.count(f" {COMMAND} ") >= 4
    assert "Powered by Hydra" not in done.stdout


def test_completion_offers_settings(tmp_path: Path) -> None:
    done = sweep(tmp_path, "-sc", "query=bash", COMP_LINE="python sweep.py ppo.val")
    assert "ppo.value_coef=" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (("retry=crashed",), "retry=crashed is for a sweep on record; say which by resume=NAME"),
        (("resume=mine", "retry=pruned"), "retry must be one of crashed, got 'pruned'"),
    ],
)
def test_only_crashed_trials_of_a_sweep_on_record_are_retried(
    command: Command, arguments: tuple[str, ...], refusal: str
) -> None:
    done = command("+experiment=quickstart", *arguments)
    assert (done.code, done.out, done.err) == (2, "", f"sweep.py: error: {refusal}\n")
