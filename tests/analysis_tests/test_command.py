"""The command line, as a user calls it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.__main__ import main
from analysis.diagnosis import diagnose
from analysis.experiment import Arm, arms_of, command
from analysis.history import History
from tests.analysis_tests.runs import healthy, untaught

ROOT = Path(__file__).parents[2]


def written(history: History, folder: Path) -> Path:
    """The run as a CSV in our own names."""
    file = folder / "run.csv"
    history.table.to_csv(file)
    return file


def test_diagnose_says_what_is_wrong_why_and_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(untaught(approx_kl=0.2, lr=0.03), tmp_path)
    assert main(["diagnose", str(file), "--set", "ppo.lr=0.03"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(
        "Diagnosis of run.csv\n====================\n\nStuck: updates are too large (sure); F1 0 over the last"
    )
    for heading in ("What is wrong", "1. Updates too large (fault, sure)", "What works", "What to do next"):
        assert f"\n{heading}\n" in text
    assert "- learning rate too high\n  - this run: supported: lr 0.03\n" in text
    assert all(len(line) <= 100 for line in text.splitlines() if not line.startswith("  python sweep.py"))


def test_diagnose_for_programs_has_the_same_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(untaught(approx_kl=0.2), tmp_path)
    assert main(["diagnose", str(file), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    first = said["findings"][0]
    assert (first["rule"], first["kind"], first["sureness"]) == ("updates_too_large", "fault", "sure")
    assert first["evidence"][0]["metrics"] == ["train/approx_kl"]
    assert first["causes"][0]["test"]
    assert said["standing"] == {"score": "eval/f1", "value": 0.0, "state": "flat", "trivial": True}


def test_a_healthy_run_is_called_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", str(written(healthy(), tmp_path))]) == 0
    assert "No fault found: F1 0.898 ± 0.005 over the last 3 evaluations and 5 seeds, above" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["diagnose", "nothing"],
            "a run must be a file or folder, a trial such as NAME/7, or an MLflow run id, got 'noth",
        ),
        (["diagnose", "FILE", "--set", "gamma"], "--set must be SETTING=VALUE, such as ppo.gamma=0.99, got 'gamma'"),
        (["diagnose", "FILE", "--names", "nowhere.yaml"], "--names must be a file that can be read, got nowhere.yaml"),
    ],
)
def test_a_refusal_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    file = str(written(healthy(), tmp_path))
    assert main([file if word == "FILE" else word for word in words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"analysis: error: {message}")
    assert said.err.count("\n") == 1


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["diagnose", "--help"])
    text = capsys.readouterr().out
    assert "python -m analysis diagnose horizon/7 --json" in text
    assert "Logs of Stable-Baselines3 (progress.csv), CleanRL and RL-Zoo are read as they are" in text


def test_arms_are_remedies_each_value_an_arm_the_present_one_left_out() -> None:
    arms = arms_of(diagnose(untaught(approx_kl=0.2, settings={"ppo.lr": 3e-2, "ppo.num_epochs": 40})))
    changes = [dict(arm.change) for arm in arms]
    assert changes[:5] == [
        {"ppo.num_epochs": 4},
        {"ppo.num_epochs": 10},
        {"ppo.lr": 0.01},
        {"ppo.lr": 0.003},
        {"ppo.target_kl": 0.02},
    ]
    assert {"ppo.gamma": 0.5} in changes  # the limit's remedy, after those of faults
    assert len(changes) == len({str(change) for change in changes}) <= 8


def composed(words: list[str]) -> str:
    """What Hydra makes of a command, without running it."""
    done = subprocess.run([sys.executable, *words[1:], "--cfg", "job"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


ARMS = [Arm({"ppo.gamma": 0.5}, "", "", ""), Arm({"ppo.target_kl": None, "ppo.hidden_sizes": (16, 16)}, "", "", "")]


@pytest.mark.timeout(30)
@pytest.mark.slow
def test_the_command_for_a_foreign_run_composes() -> None:
    text = composed(command(healthy(), ARMS, Path("runs")))
    assert "gamma: 0.99\n" in text
    assert (
        "  points:\n  - {}\n  - ppo:\n      gamma: 0.5\n  - ppo:\n      target_kl: null\n      hidden_sizes:\n" in text
    )
    assert "path: FLOWS.csv" in text


@pytest.mark.timeout(30)
@pytest.mark.slow
def test_the_command_for_a_trial_starts_from_its_sweeps_configuration(tmp_path: Path) -> None:
    (tmp_path / "horizon").mkdir()
    (tmp_path / "horizon" / "config.yaml").write_text(composed(["python", "sweep.py", "+experiment=horizon"]))
    run = healthy(settings={"ppo.lr": 0.0017, "ppo.gamma": 0.004})
    run = History(
        run.name,
        run.source,
        run.table,
        run.settings,
        {"sweep": "horizon", "trial": "7", "searched": "ppo.lr, ppo.gamma"},
    )
    words = command(run, ARMS, tmp_path)
    text = composed(words)
    assert "shared_trunk: true" in text  # the experiment's
    assert "  - ppo:\n      lr: 0.0017\n      gamma: 0.004\n  - ppo:\n      lr: 0.0017\n      gamma: 0.5\n" in text
    assert "name: horizon-7-arms" in text
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["config.yaml", "horizon"]


def test_a_run_of_an_unknown_task_has_no_command() -> None:
    run = healthy()
    unknown = History("x", "", run.table.filter(like="loss"), {"ppo.lr": 1e-3})
    assert command(unknown, ARMS, Path("runs")) == []
