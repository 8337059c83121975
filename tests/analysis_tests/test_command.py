"""The command line, as a user calls it."""

import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from unstuck.analysis.__main__ import main
from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.arms import Arm, list_arms
from unstuck.analysis.history import History
from unstuck.analysis.report.arms import make_arms_command, make_own_sweep_command
from unstuck.rl.config import DataConfig, EnvConfig, PPOConfig

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
        "Diagnosis of run.csv\n====================\n\nStuck: updates are too large (likely); F1 0 over the last"
    )
    for heading in ("What is wrong", "1. Updates too large (fault, likely)", "What works", "What to do next"):
        assert f"\n{heading}\n" in text
    assert "- learning rate too high\n  - this run: supported: lr 0.03\n" in text
    assert all(len(line) <= 100 for line in text.splitlines() if not line.startswith("  python sweep.py"))


def test_diagnose_for_programs_has_the_same_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(untaught(approx_kl=0.2), tmp_path)
    assert main(["diagnose", str(file), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    first = said["findings"][0]
    assert (first["rule"], first["kind"], first["sureness"]) == ("updates_too_large", "fault", "likely")
    assert first["evidence"][0]["metrics"] == ["train/approx_kl"]
    assert first["causes"][0]["test"]
    assert said["standing"] == {
        "score": "eval/f1",
        "value": 0.0,
        "state": "flat",
        "trivial": True,
        "learned": False,
        "frozen": 0,
    }


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


OK = "iteration,train/value_loss,eval/f1\n1,1.0,0.1\n2,0.9,0.2\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "iteration,eval/f1\n1,foo\n2,bar\n",
            "run.csv must hold at least one number under a known name, and recorded none",
        ),
        ("iteration,eval/f1\n", "run.csv must hold at least one number under a known name, and recorded none"),
        ("", "run.csv must be a CSV with a header: No columns to parse from file"),
        ("1,0.5\n2,0.6\n", "the first row of run.csv must name its columns, got 1, 0.5"),
        (
            "iteration,eval/f1,eval/f1\n1,0.5,0.6\n",
            "columns of run.csv must have names of their own, got eval/f1 twice",
        ),
        (
            "iteration,eval/f1\n1,0.5\n3,0.6\n2,0.7\n",
            "iteration in run.csv must not go back, got 2 after 3 in row 4; sort",
        ),
        ("iteration,eval/f1\n1.5,0.5\n", "iteration in run.csv must hold whole numbers from 0 on, got 1.5"),
        ("iteration,eval/f1\ninf,0.5\n", "iteration in run.csv must hold whole numbers from 0 on, got inf"),
        ("\0" * 3000, "run.csv must be a CSV in UTF-8, and holds zero bytes"),
        ("\udcfe\udcfd\0", "run.csv must be a CSV in UTF-8, and holds other bytes"),
        ("\udcff\udcfe\0", "run.csv must be a CSV with a header: No columns to parse from file"),  # UTF-16, of no text
    ],
)
def test_a_log_that_says_nothing_is_refused_in_one_line(command: Any, text: str, message: str) -> None:
    (command.folder / "run.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    done = command.analysis("diagnose", "run.csv")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith(f"analysis: error: {message}")


STORES = (
    "--mlflow-url must be sqlite:///FILE, a database such as postgresql://HOST/NAME, or a server such as http://HOST"
)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("x/7 --mlflow-url foo", f"{STORES}:5000, got 'foo'"),
        ("ok.csv --mlflow-url foo", f"{STORES}:5000, got 'foo'"),
        ("x/7 --mlflow-url file:///tmp", f"{STORES}:5000, got 'file:///tmp'"),
        ("x/7 --mlflow-url sqlite://", f"{STORES}:5000, got 'sqlite://'"),
        ("x/7 --mlflow-url sqlite:///ok.csv", "MLflow's records must be a database that MLflow made, got ok.csv"),
        ("x/7 --mlflow-url sqlite:///other.db", "MLflow's records must be a database that MLflow made, got other.db"),
        ("x/7 --mlflow-url http://[bad", "MLflow's records in http://[bad cannot be read: Invalid IPv6 URL"),
        (
            "x/7 --mlflow-url mysql://u:secret@h/x",
            "MLflow's records in mysql://***@h/x cannot be read: the database's driver MySQLdb is not installed",
        ),
        (
            "ok.csv --mlflow-url http://h",
            "--mlflow-url must go with a run in MLflow, got the file ok.csv; leave it out",
        ),
        ("x/7 --names nofile.yaml", "--names must be a file that can be read, got nofile.yaml: No such file"),
        ("x/7 --names names.yaml", "--names must go with a run in files, got x/7, which is none; leave it out"),
        ("ok.csv --names binary", "--names: binary must be a text file, in UTF-8"),
        ("ok.csv --names wrong.yaml", "wrong.yaml: ppo.gamma must be a number from 0 to 1, got 'abc'"),
        ("ok.csv --names flat.yaml", "flat.yaml: metrics must hold values by name, got 'loss'"),
        ("ok.csv --set ppo.gamma=abc", "--set: ppo.gamma must be a number from 0 to 1, got 'abc'"),
        (
            "ok.csv --set ppo.gama=0.9",
            "--set: no setting that a diagnosis reads is called 'ppo.gama'; did you mean ppo.gamma",
        ),
        ("ok.csv --set ppo.lr=-1", "--set: ppo.lr must be a positive number, got -1"),
        ("ok.csv --set ppo.shared_trunk=yes", "--set: ppo.shared_trunk must be true or false, got 'yes'"),
        ("~nouser/x", "a run must be a file or folder, a trial such as NAME/7, or an MLflow run id, got '~nouser/x'"),
        (f"{'x' * 5000}", "a run must be a file or folder, a trial such as NAME/7, or an MLflow run id, got 'xxx"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line(command: Any, words: str, message: str) -> None:
    (command.folder / "ok.csv").write_text(OK)
    (command.folder / "binary").write_bytes(b"\xff\xfe\x00")
    (command.folder / "names.yaml").write_text("iteration: iteration\n")
    (command.folder / "wrong.yaml").write_text("settings: {ppo.gamma: abc}\n")
    (command.folder / "flat.yaml").write_text("metrics: loss\n")
    sqlite3.connect(command.folder / "other.db").execute("CREATE TABLE studies (id)").connection.close()
    before = (command.folder / "other.db").read_bytes()
    done = command.analysis("diagnose", *words.split(" "))
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith(f"analysis: error: {message}")
    assert "secret" not in done.err
    assert (command.folder / "other.db").read_bytes() == before


def test_options_that_a_report_does_not_read_are_refused(command: Any) -> None:
    (command.folder / "ok.csv").write_text(OK)
    done = command.analysis("report", "ok.csv", "--optuna-url", "foo")
    assert done.code == 2
    assert "--optuna-url must go with the report of a sweep, not of a run, got ok.csv" in done.err
    (command.folder / "runs" / "s").mkdir(parents=True)
    (command.folder / "runs" / "s" / "config.yaml").write_text("{}")
    done = command.analysis("report", "s", "--set", "ppo.gamma=0.9")
    assert done.code == 2
    assert "--set must go with the report of a run, not of a sweep, got s; leave it out" in done.err


def test_columns_that_a_mapping_names_in_vain_are_said(command: Any) -> None:
    (command.folder / "ok.csv").write_text(OK)
    (command.folder / "names.yaml").write_text("iteration: iteration\nmetrics: {train/value_loss: critic}\n")
    done = command.analysis("diagnose", "ok.csv", "--names", "names.yaml")
    assert done.code == 0
    assert "columns named by --names and not found: critic" in " ".join(done.out.split())


def test_settings_that_can_be_said_by_hand_are_those_that_exist_and_are_read() -> None:
    from unstuck.analysis.history.known import KNOWN

    defaults = {"ppo": PPOConfig(), "env": EnvConfig(), "data": DataConfig()}
    for path, kind in KNOWN.items():
        group, _, name = path.partition(".")
        others = (
            "env.actions",
            "eval.deterministic",
            "eval.normalize_observations",
            "ppo.optimizer",
            "ppo.weight_decay",
        )  # of other programs
        if path not in (*others, "finished"):
            assert kind.holds(getattr(defaults[group], name)), path
    source = "".join(file.read_text() for file in (ROOT / "analysis").rglob("*.py"))
    read = set(re.findall(r'setting\("((?:ppo|env|data)\.\w+)"', source))
    assert read <= KNOWN.keys()
    assert {f"ppo.{name}" for name in vars(PPOConfig())} - KNOWN.keys() == {"ppo.device", "ppo.compile"}


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["diagnose", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "python -m unstuck.analysis diagnose horizon/7 --json" in text
    assert "Logs of the usual trainers are read as they are (docs/reading.md)" in text


def test_arms_are_remedies_each_value_an_arm_the_present_one_left_out() -> None:
    arms = list_arms(diagnose(untaught(approx_kl=0.2, settings={"ppo.lr": 3e-2, "ppo.num_epochs": 40})))
    changes = [dict(arm.change) for arm in arms]
    assert changes[:5] == [
        {"ppo.num_epochs": 4},
        {"ppo.num_epochs": 10},
        {"ppo.lr": 0.001},  # a hundred times too large: no small factor cures it
        {"ppo.lr": 0.0003},
        {"ppo.lr": 0.01},
    ]
    assert {"ppo.gamma": 0.5} in changes  # the limit's remedy, after those of faults
    assert len(changes) == len({str(change) for change in changes}) <= 8


def composed(words: list[str]) -> str:
    """What Hydra makes of a command, without running it."""
    done = subprocess.run([sys.executable, *words[1:], "--cfg", "job"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


ARMS = [Arm({"ppo.gamma": 0.5}, "", "", ""), Arm({"ppo.target_kl": None, "ppo.hidden_sizes": (16, 16)}, "", "", "")]


def test_an_arm_that_changes_the_rewards_runs_as_a_sweep_of_its_own() -> None:
    """As a point it would be refused: what trials are compared by is the same for all of them."""
    rewards = Arm({"env.reward_threat": (-10.0, 8.0, 5.0, 2.0)}, "", "", "")
    beside, apart = (
        make_arms_command(healthy(), [*ARMS, rewards], Path("runs")),
        make_own_sweep_command(healthy(), rewards, Path("runs")),
    )
    assert beside == make_arms_command(healthy(), ARMS, Path("runs"))
    assert make_arms_command(healthy(), [rewards], Path("runs")) == []
    assert apart[-7:-5] == ["env.reward_threat=[-10.0,8.0,5.0,2.0]", "sampler.name=points"]
    assert apart[-2:] == ["sampler.points=[{}]", "sweep.name=made-apart"]


@pytest.mark.slow
def test_the_command_for_a_foreign_run_composes() -> None:
    text = composed(make_arms_command(healthy(), ARMS, Path("runs")))
    assert "gamma: 0.99\n" in text
    assert (
        "  points:\n  - {}\n  - ppo:\n      gamma: 0.5\n  - ppo:\n      target_kl: null\n      hidden_sizes:\n" in text
    )
    assert "path: FLOWS.csv" in text


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
    words = make_arms_command(run, ARMS, tmp_path)
    text = composed(words)
    assert "shared_trunk: true" in text  # the experiment's
    assert "  lr: 0.0017\n" in text  # the trial's, in all points
    assert "  gamma: 0.004\n" in text
    assert "  points:\n  - {}\n  - ppo:\n      gamma: 0.5\n" in text  # the control is the first
    assert "name: horizon-7-arms" in text
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["config.yaml", "horizon"]


def test_a_run_of_an_unknown_task_has_no_command() -> None:
    run = healthy()
    unknown = History("x", "", run.table.filter(like="loss"), {"ppo.lr": 1e-3})
    assert make_arms_command(unknown, ARMS, Path("runs")) == []


def test_runs_are_reported_side_by_side_and_figures_are_files_for_papers(command: Any) -> None:
    for name in ("before", "after"):
        (command.folder / f"{name}.csv").write_text(OK)
    done = command.analysis("report", "before.csv", "after.csv", "--out", "here", "--plots", "png,svg", "--json")
    assert done.code == 0
    written = [command.folder / path for path in json.loads(done.out)["written"]]
    assert [path.name for path in written[:2]] == [
        "comparison-before-csv-after-csv.md",
        "comparison-before-csv-after-csv.html",
    ]
    drawn = {path.suffix: path for path in written[3:]}
    assert drawn[".png"].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert "var(--" not in drawn[".svg"].read_text()
    assert drawn[".svg"].parent.name == "comparison-before-csv-after-csv-plots"


def test_formats_of_plots_are_png_and_svg(command: Any) -> None:
    (command.folder / "ok.csv").write_text(OK)
    done = command.analysis("report", "ok.csv", "--plots", "gif")
    assert done.code == 2
    assert "--plots must be png, svg or png,svg, got 'gif'" in done.err
