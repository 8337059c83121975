"""The commands of `unstuck` on sweeps on record, as a user types them from a folder of the user's own."""

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import ViewType
from unstuck.records.files import stop_file
from unstuck.records.ledger import Ledger
from unstuck.records.lock import Holder, hold_lock, is_running, read_holder
from unstuck.sweeps.config.find import load_sweep

from tests.conftest import Command
from unstuck.command import COMMANDS

ROOT = Path(__file__).parents[2]
NAMES = [name for group in COMMANDS.values() for name in group]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@pytest.fixture
def runs(command: Command, old_sweeps: Path) -> Path:
    """`runs/` of the user: the sweeps `ended`, of 4 trials, and `stopped`, of 2 out of 6."""
    return Path(shutil.move(old_sweeps / "runs", command.folder / "runs"))


def studies(runs: Path) -> dict[str, int]:
    """Number of trials by the study's name."""
    import optuna

    url = f"sqlite:///{runs / 'optuna.db'}"
    return {study.study_name: study.n_trials for study in optuna.get_all_study_summaries(url)}


def tracked(runs: Path, sweep: str, view: int = ViewType.ACTIVE_ONLY) -> int:
    """Number of a sweep's runs in MLflow."""
    client = MlflowClient(f"sqlite:///{runs / 'mlflow.db'}")
    experiments = [one.experiment_id for one in client.search_experiments()]
    return len(client.search_runs(experiments, f"tags.sweep = '{sweep}'", view))


def test_every_command_has_examples_in_its_help_and_each_begins_with_what_the_user_types(command: Command) -> None:
    for name in NAMES:
        done = command.unstuck(name, "--help")
        assert (done.code, done.err) == (0, ""), name
        examples = [line for line in done.out.lower().partition("examples")[2].splitlines() if line.startswith("  ")]
        typed = [line for line in examples if f" {name} " in f"{line} ".replace("/sweep.py", " sweep")]
        assert len(typed) >= 2, done.out
        words = shlex.split(typed[0])
        assert shutil.which(words[0])
        assert Path(words[1]) in (ROOT / "unstuck", ROOT / "sweep.py", ROOT / "sweeps", ROOT / "analysis")
    shown = command.unstuck("--help").out
    assert shown.startswith("usage: unstuck COMMAND")
    assert all(f"  {name} " in shown for name in NAMES)


def test_without_a_command_all_are_shown_and_a_wrong_one_is_refused(command: Command) -> None:
    bare = command.unstuck()
    assert (bare.code, bare.out) == (2, command.unstuck("--help").out)
    wrong = command.unstuck("sweeep")
    assert (wrong.code, wrong.out, wrong.err.count("\n")) == (2, "", 1)
    assert wrong.err.startswith(f"unstuck: error: a command must be one of {', '.join(NAMES)}, got 'sweeep'")


@pytest.mark.parametrize("words", [["--version"], ["-V"], ["sweep", "--version"]])
def test_the_version_is_ours(command: Command, words: list[str]) -> None:
    assert command.unstuck(*words).out == f"unstuck {VERSION}\n"
    assert command("--version").out == f"unstuck {VERSION}\n"


def test_the_version_of_an_installed_package_is_that_of_its_metadata(tmp_path: Path) -> None:
    from unstuck.records.provenance import find_own_version

    assert find_own_version(ROOT) == VERSION
    (tmp_path / "pyproject.toml").write_text("[project]\nversion = 'of somebody else'\n")
    assert find_own_version(tmp_path) in (VERSION, "unknown")


def test_help_and_errors_of_all_rooms_name_the_command(command: Command) -> None:
    for name in ("champion", "audit", "diagnose", "compare", "report"):
        assert command.unstuck(name, "--help").out.startswith(f"usage: unstuck {name} "), name
    assert command.unstuck("champion", "no-such").err.startswith("unstuck champion: error: no sweep in ")
    assert command.unstuck("diagnose", "no-such").err.startswith("unstuck diagnose: error: a run must be ")
    assert command.sweeps("champion", "no-such").err.startswith("sweeps: error: no sweep in ")
    assert command.unstuck("show").err.startswith("unstuck show: error: the following arguments are required: NAME;")


@pytest.mark.parametrize(
    "words", [(), ("sweep",), ("--config-dir", "mine")], ids=["sweep.py", "unstuck sweep", "own experiments"]
)
def test_nothing_chosen_shows_what_there_is_and_runs_nothing(command: Command, words: tuple[str, ...]) -> None:
    own = command.folder / "mine" / "experiment" / "mesh.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("# @package _global_\n# Does a mesh learn? Nobody\n# knows.\nsweep: {num_trials: 2}\n")
    done = command.unstuck(*words) if words[:1] == ("sweep",) else command(*words)
    for file in (ROOT / "conf" / "experiment").glob("*.yaml"):
        assert f"  {file.stem} " in done.out
    assert "quickstart        A look at everything in minutes: the stuck run's settings" in done.out
    assert ("mesh              Does a mesh learn?\n" in done.out) is ("mine" in words)
    assert done.code == 2
    assert done.err.endswith("error: choose what to run, such as +experiment=quickstart; got nothing\n")
    assert not (command.folder / "runs").exists()


@pytest.mark.parametrize("words", [["ppo.lr=1e-3"], ["sampler=random"], ["--cfg", "job"], ["--help"]])
def test_what_is_chosen_or_asked_is_done(command: Command, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    monkeypatch.setattr("unstuck.sweeps.run.sweep.run_sweep", lambda config, *others: started.append(config) or 0)
    done = command(*words)
    assert (done.code, done.err) == (0, "")
    assert bool(started) is not words[0].startswith("-")
    assert "Experiments:" not in done.out


def test_a_folder_without_sweeps_is_no_mistake_but_a_wrong_folder_is(command: Command) -> None:
    done = command.unstuck("list")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"No sweeps in {command.folder}/runs; the first one: ")
    assert done.out.endswith(" sweep +experiment=quickstart\n")
    assert json.loads(command.unstuck("list", "--json").out)["sweeps"] == []
    wrong = command.unstuck("list", "--folder", "rums")
    assert (wrong.code, wrong.err.startswith("unstuck list: error: --folder must be a folder that holds")) == (2, True)


def test_sweeps_are_listed_with_what_they_have_come_to(command: Command, runs: Path) -> None:
    (runs / "broken").mkdir()
    (runs / "broken" / "config.yaml").write_text("sweep: [")
    with hold_lock(runs / "stopped"):
        found = {one["name"]: one for one in json.loads(command.unstuck("list", "--json").out)["sweeps"]}
    assert found.keys() == {"ended", "stopped", "broken"}
    ended = found["ended"]
    assert (ended["state"], ended["outcomes"], ended["best"]["trial"]) == ("ended", {"completed": 2, "pruned": 2}, 1)
    assert ended["best"]["value"] == pytest.approx(0.3770, abs=1e-4)
    assert (found["stopped"]["state"], found["broken"]["state"]) == ("running", "unreadable")
    lines = {line.split()[0]: line for line in command.unstuck("list").out.splitlines()}
    assert "interrupted" in lines["stopped"]
    assert "eval/f1 0.3770, trial 1" in lines["ended"]
    assert "must be YAML" in lines["broken"]
    inside = command.unstuck("list", "--folder", "runs/ended")
    assert (inside.code, inside.err.endswith("write --folder runs\n")) == (2, True)


def test_a_sweep_is_shown_and_each_of_its_commands_is_typed_as_it_works(command: Command, runs: Path) -> None:
    done = command.unstuck("show", "stopped")
    assert (done.code, done.err) == (0, "")
    for text in ("state          interrupted", "1 completed, 1 interrupted", "best           trial 0, eval/f1 0.4472"):
        assert text in done.out
    assert f"  configuration  {runs}/stopped/config.yaml\n" in done.out
    (resume,) = [shlex.split(line) for line in done.out.splitlines() if line.endswith(" resume=stopped")]
    composed = command(*resume[2:], "--cfg", "job", "-p", "resume")
    assert (composed.out, composed.err) == ("stopped\n", "") if composed.out else composed
    assert command.unstuck("show", "runs/stopped").out == done.out


def test_a_trial_is_shown_with_its_settings_outcome_and_files(command: Command, runs: Path) -> None:
    done = command.unstuck("show", "ended/2")
    assert done.out.startswith("Trial 2 of ended\n  outcome    pruned: asha rung 1: 0.3622 < 0.367\n")
    assert "  ppo.value_coef    1.419 (the sweep's: 1.5)\n" in done.out
    assert f"  checkpoint  {runs}/ended/trials/0002/checkpoint.npz\n" in done.out
    assert command.unstuck("show", "runs/ended/trials/0002").out == done.out
    held = json.loads(command.unstuck("show", "ended/0002", "--json").out)
    assert (held["trial"]["number"], held["trial"]["outcome"]) == (2, "pruned")
    assert held["settings"]["ppo.value_coef"] == held["trial"]["values"]["ppo.value_coef"] != 1.5
    refused = command.unstuck("show", "ended/9")
    assert (refused.code, refused.err) == (
        2,
        "unstuck show: error: the trial must be one of ended, got 9; there are: 0, 1, 2, 3\n",
    )


def test_json_holds_no_password(command: Command, runs: Path) -> None:
    file = runs / "ended" / "config.yaml"
    settings: dict[str, Any] = yaml.safe_load(file.read_text())
    settings["tracking"]["mlflow_url"] = "http://me:secret@there:5000"
    file.write_text(yaml.safe_dump(settings))
    shown = command.unstuck("show", "ended", "--json").out
    assert "secret" not in shown
    assert json.loads(shown)["settings"]["tracking.mlflow_url"] == "http://***@there:5000"


def test_a_sweep_is_deleted_and_nothing_of_another(
    command: Command, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {"ended": 4, "stopped": 2}
    assert (studies(runs), tracked(runs, "ended"), tracked(runs, "stopped")) == (before, 5, 3)
    unasked = command.unstuck("delete", "ended")
    assert (unasked.code, unasked.err.count("add --yes")) == (2, 1)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda prompt: "n")
    assert command.unstuck("delete", "ended").out.endswith("Nothing was deleted\n")
    assert (studies(runs), tracked(runs, "ended"), (runs / "ended").is_dir()) == (before, 5, True)
    monkeypatch.setattr("builtins.input", lambda prompt: "y")
    done = command.unstuck("delete", "ended")
    assert (done.code, done.err) == (0, "")
    assert f"  study   'ended' in sqlite:///{runs}/optuna.db: 4 trials\n  MLflow  5 runs in " in done.out
    assert (studies(runs), tracked(runs, "ended"), (runs / "ended").exists()) == ({"stopped": 2}, 0, False)
    assert (tracked(runs, "stopped"), tracked(runs, "ended", ViewType.DELETED_ONLY)) == (3, 5)
    assert len(Ledger.open_sweep(load_sweep(runs / "stopped").reference).entries()) == 2
    told = command.unstuck("delete", "stopped", "--yes", "--json")
    held = json.loads(told.out)
    assert (held["sweep"], held["deleted"]["trials"], held["deleted"]["runs"]) == ("stopped", 2, 3)
    assert told.err.startswith("This deletes the sweep stopped:\n  folder ")


def test_a_sweep_that_runs_and_a_copy_beside_the_original_are_not_deleted(command: Command, runs: Path) -> None:
    with hold_lock(runs / "ended"):
        running = command.unstuck("delete", "ended", "--yes")
    assert (running.code, running.out) == (2, "")
    assert f"and process {os.getpid()} on " in running.err
    shutil.copytree(runs / "ended", runs / "copy")
    copied = command.unstuck("delete", "copy", "--yes")
    assert (copied.code, copied.err.count("a sweep's folder must keep the sweep's name, ended, got")) == (2, 1)
    shutil.move(runs / "ended", command.folder / "elsewhere")
    (runs / "ended").symlink_to(command.folder / "elsewhere")
    linked = command.unstuck("delete", "ended", "--yes")
    assert (linked.code, linked.err.count("must be no link")) == (2, 1)
    assert (studies(runs), tracked(runs, "ended")) == ({"ended": 4, "stopped": 2}, 5)
    assert (command.folder / "elsewhere" / "config.yaml").is_file()


HOLDER = """
import sys, time
from pathlib import Path
from unstuck.records.lock import hold_lock
from unstuck.sweeps.ray_tune.stop import StopRequest
with StopRequest() as stop, hold_lock(Path(sys.argv[1]), heeds_stop=True):
    stop.watch(Path(sys.argv[1]))
    print("holds", flush=True)
    while not stop.is_asked:
        time.sleep(0.05)
    time.sleep(0.5)  # records to close
print("closed", flush=True)
"""


@pytest.fixture
def runner(runs: Path) -> "Iterator[subprocess.Popen[str]]":
    """A process that runs the sweep `ended`, and closes its records when it is asked to end."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(runs / "ended")], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"
        yield process
        process.kill()


def test_a_running_sweep_is_stopped_and_waited_for(
    command: Command, runs: Path, runner: "subprocess.Popen[str]"
) -> None:
    holder = read_holder(runs / "ended")
    assert holder is not None
    assert holder == Holder(runner.pid, os.uname().nodename, holder.owner, heeds_stop=True)
    done = command.unstuck("stop", "ended")
    assert (done.code, done.err) == (0, "")
    assert not is_running(runs / "ended")
    assert runner.wait(4) == 0
    assert not stop_file(runs / "ended").exists()
    assert runner.stdout is not None
    assert runner.stdout.read() == "closed\n"
    assert command.unstuck("stop", "ended").out == "ended does not run\n"


def test_a_sweep_that_will_not_end_is_not_reported_as_stopped(
    command: Command, runs: Path, runner: "subprocess.Popen[str]"
) -> None:
    from unstuck.records.errors import SweepError
    from unstuck.sweeps.catalog import stop

    with hold_lock(runs / "stopped"):  # as a deletion does
        busy = command.unstuck("stop", "stopped")
    assert busy.code == 2
    assert f"process {os.getpid()} on {os.uname().nodename} only works on the records of stopped: wait" in busy.err
    with pytest.raises(SweepError, match=rf"must end within 0 s of the request.*kill -9 {runner.pid}"):
        stop.stop_sweep(runs / "ended", print, patience_s=0)


def test_unstick_is_short_for_the_experiment(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    monkeypatch.setattr("unstuck.sweep_command.main", lambda *words: called.append(words) or 0)
    assert command.unstuck("unstick", "kdd/7", "milestones=stuck_run", "--cfg", "job").code == 0
    assert called == [
        (
            "unstuck unstick",
            ["+experiment=unstick", "run=kdd/7", "milestones=stuck_run", "--cfg", "job"],
            command.folder,
        )
    ]
    refused = command.unstuck("unstick", "ppo.lr=1")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "must be the run to branch, such as NAME/7, got 'ppo.lr=1'" in refused.err


def test_the_page_on_commands_has_each_of_them_and_every_key_of_their_json(command: Command, runs: Path) -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    assert [name for name in NAMES if f"`unstuck {name}" not in page] == []
    log = str(ROOT / "docs" / "examples" / "progress.csv")
    ours = (["list"], ["show", "ended"], ["show", "ended/1"], ["doctor"], ["stop", "ended"], ["audit", "ended"])
    for words in (*ours, ["diagnose", log], ["compare", log, log]):
        held = json.loads(command.unstuck(*words, "--json").out)
        assert held.pop("schema") == 1
        of_sweeps = held.values() if words[0] in ("list", "show", "doctor") else ()
        listed = [one for value in of_sweeps if isinstance(value, list) for one in value]
        trial = held["trial"] if words[-1] == "ended/1" else {}
        keys = {*held, *trial, *(key for one in listed for key in one)}
        assert [key for key in keys if f"`{key}`" not in page] == []


def test_each_command_is_a_module_or_of_an_older_room() -> None:
    older = {"sweep", "champion", "audit", "diagnose", "compare", "report"}
    modules = {file.stem for file in (ROOT / "unstuck" / "commands").glob("*.py")} - {"__init__", "parsing"}
    assert modules == set(NAMES) - older
    assert all(callable(import_module(f"unstuck.commands.{name}").main) for name in modules)


def test_doctor_finds_nothing_lacking_here_and_says_so_to_programs(command: Command) -> None:
    done = command.unstuck("doctor", "--json")
    held = json.loads(done.out)
    assert (done.code, held["lacks"], held["version"], held["schema"]) == (0, 0, VERSION, 1)
    assert {"Python", "packages", "SQLite", "cores", "memory", "folder", "disk", "loopback"} <= {
        check["name"] for check in held["checks"]
    }
    assert list(command.folder.iterdir()) == []


def test_doctor_names_each_lack_with_a_remedy(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from unstuck.commands import doctor

    found = {one.name: one for one in doctor.check_packages(">=3.8,<3.9", ["numpy>=999", "no-such-thing>=1", "rich"])}
    assert {name: str(one.state) for name, one in found.items()} == {
        "Python": "lacks",
        "numpy": "lacks",
        "no-such-thing": "lacks",
        "packages": "ok",
    }
    assert found["no-such-thing"].remedy == "pip install 'no-such-thing>=1'"
    assert found["packages"].found.startswith("1 of 3")
    assert (doctor.check_sqlite("3.23.1").state, doctor.check_sqlite("3.24.0").state) == ("lacks", "ok")
    amounts = [doctor.check_amount("memory", amount, 3.0, 1.0, "").state for amount in (0.9, 1.0, 3.0)]
    assert amounts == ["lacks", "note", "ok"]
    monkeypatch.setattr(
        doctor, "check_folder", lambda folder: [doctor.Check("folder", doctor.State.LACKS, "full", "tidy")]
    )
    done = command.unstuck("doctor")
    assert done.code == 1
    assert "lacks  folder         full: tidy\n" in done.out
    assert done.out.endswith("1 lacking\n")


def test_doctor_sees_what_concerns_some_sweeps(tmp_path: Path) -> None:
    from unstuck.commands import doctor

    extras = doctor.check_extras({"sb3": "json", "wandb": "no_such_module", "box2d": "no_such_module"})
    assert (extras.state, extras.found) == ("note", "not installed: wandb, box2d")
    assert extras.remedy == "pip install 'unstuck[wandb,box2d]'"
    assert doctor.check_extras({"sb3": "json"}).state == "ok"
    assert doctor.check_temporary("/tmp").found == "/tmp"
    long = doctor.check_temporary(str(tmp_path / ("a" * 30)))
    assert (long.state, "too long for Ray's sockets" in long.found) == ("ok", True)
    assert doctor.check_temporary("/nowhere").state == "lacks"
    assert (doctor.check_home("").state, doctor.check_home(str(tmp_path)).state) == ("note", "ok")
    assert "HOME is not set" in doctor.check_home("").found
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert doctor.check_port(port, "MLflow's pages").state == "note"
    assert doctor.check_port(port, "MLflow's pages").state == "ok"
    assert list(doctor.check_shared_memory(tmp_path / "gone")) == []
    assert next(doctor.check_shared_memory(tmp_path)).found.endswith(f"GB free in {tmp_path}")


def test_doctor_sees_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from unstuck.commands import doctor

    def refuse(**options: object) -> None:
        raise PermissionError(13, "Permission denied")  # root may write anywhere

    assert next(doctor.check_folder(tmp_path / "a" / "b")).state == "ok"
    monkeypatch.setattr("tempfile.TemporaryDirectory", refuse)
    (check,) = doctor.check_folder(tmp_path / "a" / "b")
    assert (str(check.state), check.found) == ("lacks", f"{tmp_path} cannot be used: [Errno 13] Permission denied")


def test_a_compiler_that_is_missing_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    from unstuck.commands import doctor

    monkeypatch.setenv("CXX", "no-such-compiler")
    (check,) = [one for one in doctor.check_compiler_and_gpu() if one.name == "compiler"]
    assert (str(check.state), check.found.startswith("ppo.compile needs a C++ compiler, and there is no no-")) == (
        "note",
        True,
    )
