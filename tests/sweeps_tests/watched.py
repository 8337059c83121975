"""A real sweep that is watched from outside, killed, ended by Ctrl-C, and goes on to its end: see `Accident`.

Its databases have passwords in their URLs, and its environment asks for a Ray that lets everybody in, by mistake.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from optuna_dashboard import get_note
from unstuck.records.files import checkpoint_file, scratch_file

from benchmarks.in_process import no_ray
from tests.conftest import Command
from tests.sweeps_tests.real import ROOT, SMALL, Stopped, count_evaluations, open_study, start, stop, wait_for
from tests.sweeps_tests.watch import Watch, descendants

NAME = "killed"
NUM_TRIALS = 8
KILLED_IN, STOPPED_IN = 2, 4
"""Trials in which the sweep was killed, and ended by Ctrl-C."""

OPTUNA_PASSWORD, MLFLOW_PASSWORD = "s3cret-of-0ptuna", "s3cret-of-mlf1ow"
ROLES = {"sweep", "gcs_server", "raylet", "worker"}

INTRUDER = """
import sys
from ray._raylet import GcsClient
print("came in", GcsClient(address=sys.argv[1]).internal_kv_keys(b"", None, timeout=60))
"""


@dataclass
class Seen:
    """What was seen of the sweep's processes.

    Attributes:
        listening: Addresses by the name of the process.
        remotes: At the other end of sockets.
        environments: By the name of the process.
        told: What Ray said to somebody with the wrong token, none, and the right one.
        mode: Of the folder for temporary files.
        holding: What in it holds a password, or the token.
    """

    listening: dict[str, set[str]] = field(default_factory=dict)
    remotes: set[str] = field(default_factory=set)
    environments: dict[str, dict[str, str]] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    mode: int = 0
    holding: list[str] = field(default_factory=list)

    @property
    def token(self) -> str:
        return self.environments["gcs_server"]["RAY_AUTH_TOKEN"]


@dataclass
class Accident:
    """The sweep `killed`: seen and killed in its third trial, ended by Ctrl-C in its fifth, and then at its end.

    Ray's workers train it until Ctrl-C, and the test's process trains the rest.

    Attributes:
        folder: Where it ran; its databases are in `runs` below, and its home in `home`.
        environment: Of its processes.
        watch: Of its processes.
        seen: What was seen of it before it was killed.
        printed: By the calls `killed`, `stopped` and `ended`.
        note: On the dashboard, once it was killed.
        scratch: The folder for temporary files of the process that was killed.
        stopped: How Ctrl-C ended it.
    """

    folder: Path
    environment: dict[str, str]
    watch: Watch
    seen: Seen = field(default_factory=Seen)
    printed: dict[str, str] = field(default_factory=dict)
    note: str = ""
    scratch: Path = Path()
    stopped: Stopped | None = None

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def own_folder(self) -> Path:
        return self.runs / NAME

    @property
    def runs_then(self) -> Path:
        """A copy of `runs` as Ctrl-C left it."""
        return self.folder / "stopped"


def url(runs: Path, store: str, password: str) -> str:
    """Of a file of sqlite, with a password that nobody asks for."""
    return f"sqlite:///file:{runs}/{store}.db?uri=true&password={password}"


def resume_words(runs: Path) -> tuple[str, ...]:
    """Of a resume that goes on to the sweep's end."""
    return (*_words(runs), f"sweep.num_trials={NUM_TRIALS}", f"resume={NAME}")


def _words(runs: Path) -> tuple[str, ...]:
    urls = {"optuna": url(runs, "optuna", OPTUNA_PASSWORD), "mlflow": url(runs, "mlflow", "${oc.env:MLFLOW_PASSWORD}")}
    return (*SMALL, *(f"tracking.{store}_url='{value}'" for store, value in urls.items()))


def bring_about(folder: Path) -> Accident:
    """Run the sweep in a fresh folder."""
    (folder / "home").mkdir()
    watch = Watch(folder)
    environment = {
        **watch.environment,
        "PYTHONPATH": os.pathsep.join([watch.environment["PYTHONPATH"], str(ROOT)]),
        "HOME": str(folder / "home"),
        "MLFLOW_PASSWORD": MLFLOW_PASSWORD,
        "PYTHONUNBUFFERED": "1",
        "RAY_AUTH_MODE": "disabled",
    }
    accident = Accident(folder, environment, watch)
    _look_and_kill(accident)
    _go_on_and_stop(accident)
    shutil.copytree(accident.runs, accident.runs_then)
    with pytest.MonkeyPatch.context() as patch, no_ray():
        patch.setenv("MLFLOW_PASSWORD", MLFLOW_PASSWORD)
        done = Command(folder)(*resume_words(accident.runs))
    assert (done.code, done.err) == (0, "")
    accident.printed["ended"] = done.out
    return accident


def _look_and_kill(accident: Accident) -> None:
    words = (*_words(accident.runs), "sweep.num_trials=4", f"sweep.name={NAME}")
    process = start(accident.folder, *words, environment=accident.environment)
    try:
        _wait(process, lambda: checkpoint_file(accident.own_folder, KILLED_IN).exists())
        process.send_signal(signal.SIGSTOP)  # or it might go on while it is looked at
        _look(accident, process)
        process.send_signal(signal.SIGKILL)
        accident.printed["killed"], _ = process.communicate()
    finally:
        process.kill()
    study = open_study(accident.folder, NAME)
    assert [trial.number for trial in study.trials if trial.state.name == "RUNNING"] == [KILLED_IN]
    accident.note = get_note(study)
    assert accident.scratch.is_dir()


def _go_on_and_stop(accident: Accident) -> None:
    """By Ctrl-C, as at a terminal: Ray's own processes get it too."""
    process = start(accident.folder, *resume_words(accident.runs), environment=accident.environment)
    try:
        _wait(process, lambda: count_evaluations(accident.folder, NAME, STOPPED_IN))
        stopped = stop(process, accident.own_folder, lambda: os.killpg(process.pid, signal.SIGINT))
    finally:
        process.kill()
    accident.stopped, accident.printed["stopped"] = stopped, stopped.printed


def _wait(process: "subprocess.Popen[str]", condition: Callable[[], object]) -> None:
    """While the process runs."""
    wait_for(lambda: condition() or process.poll() is not None)
    assert process.poll() is None, process.communicate()[0]


def _look(accident: Accident, process: "subprocess.Popen[str]") -> None:
    """Once all parts of it are there: what they listen on, and what they were started with."""
    seen, root = accident.seen, process.pid
    _wait(process, lambda: {_name(pid) for pid in Watch.listening(root)} >= ROLES)
    for pid, local, remote, state in Watch.sockets(root):
        if state == Watch.LISTENS:
            seen.listening.setdefault(_name(pid), set()).add(local)
        else:
            seen.remotes.add(remote)
    for pid in descendants(root):
        seen.environments[_name(pid)] = dict(word.split("=", 1) for word in _read_words(pid, "environ") if "=" in word)
        if _name(pid) == "gcs_server":
            seen.told = _intrude(Watch.ports(pid), seen.token)
    accident.scratch = Path(json.loads(scratch_file(accident.own_folder).read_text())["path"])
    seen.mode = accident.scratch.stat().st_mode & 0o777
    seen.holding = list_holding(accident.scratch, seen.token)


def _read_words(pid: int, of: str) -> list[str]:
    """Of its command line or its environment; none of a process that is gone."""
    try:
        return Path(f"/proc/{pid}/{of}").read_text().split("\0")
    except OSError:
        return []


def _name(pid: int) -> str:
    """What it runs: the program, or the script that Python was given."""
    program, *words = _read_words(pid, "cmdline") or [""]
    if Path(program).name.startswith("python"):
        program = next((word for word in words if word.endswith(".py")), program)
    name = Path(program).name.partition(".")[0]
    return "worker" if name.endswith("Trainable") else name  # Ray shows now one class of it, now another


def _intrude(ports: set[int], token: str) -> dict[str, str]:
    """What Ray's head says to who has the wrong token, none, or the right one."""
    (port,) = ports
    without = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    command = [sys.executable, "-c", INTRUDER, f"127.0.0.1:{port}"]
    told = {}
    for kind, own in {"wrong": _token("0" * 64), "none": {}, "right": _token(token)}.items():
        done = subprocess.run(command, env={**without, **own}, capture_output=True, text=True, timeout=100, check=False)
        told[kind] = done.stdout + done.stderr
    return told


def _token(token: str) -> dict[str, str]:
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}


def list_holding(folder: Path, token: str) -> list[str]:
    """Files below a folder that hold a password, or the token."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            found += [str(path) for word in (OPTUNA_PASSWORD, MLFLOW_PASSWORD, token) if word.encode() in content]
    return found
