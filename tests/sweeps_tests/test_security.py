"""A real sweep, watched from outside while it runs: who gets in, and what gets out. See docs/security.md."""

import ipaddress
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import optuna
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from unstuck.records.files import checkpoint_file, scratch_file

from tests.sweeps_tests.conftest import descendants
from tests.sweeps_tests.real import Stopped, check_stopped, runs_in, stop

ROOT = Path(__file__).parents[2]
NAME = "watched"
OPTUNA_PASSWORD, MLFLOW_PASSWORD = "s3cret-of-0ptuna", "s3cret-of-mlf1ow"
SMALL = [
    "+experiment=quickstart",
    "data.num_flows=2000",
    "ppo.num_iterations=150",
    "ppo.eval_every=1",
    "ppo.num_steps=8",
    "ppo.minibatch_size=64",
    "ppo.num_epochs=1",
    "health=none",
    "scheduler=none",
    "sweep.num_trials=2",
    "sweep.seeds=1",
    "resources.cpus=2",
]


INTRUDER = """
import sys
from ray._raylet import GcsClient
print("came in", GcsClient(address=sys.argv[1]).internal_kv_keys(b"", None, timeout=60))
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@dataclass
class Seen:
    """What was seen of a sweep.

    Attributes:
        folder: Where it ran; its runs, databases and home are below.
        environment: Of all its commands.
        printed: By the sweep, and by each command on its records.
        listening: Addresses by the name of the process.
        remotes: At the other end of sockets.
        environments: By the name of the process.
        told: What Ray said to somebody with the wrong token, none, and the right one.
        scratch: Mode of the folder for temporary files, and what in it holds a password, or the token.
        stopped: How it ended, by Ctrl-C.
        study: What the ledger had on record then.
        runs: What MLflow had.
    """

    folder: Path
    environment: dict[str, str]
    printed: dict[str, str] = field(default_factory=dict)
    listening: dict[str, set[str]] = field(default_factory=dict)
    remotes: set[str] = field(default_factory=set)
    environments: dict[str, dict[str, str]] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    scratch: tuple[int, list[str]] = (0, [])
    stopped: Stopped | None = None
    study: optuna.Study | None = None
    runs: tuple[MlflowClient, Run, dict[int, Run]] | None = None

    @property
    def sweep(self) -> Path:
        return self.folder / "runs" / NAME

    @property
    def token(self) -> str:
        return self.environments["gcs_server"]["RAY_AUTH_TOKEN"]

    def url(self, of: str, password: str) -> str:
        return f"sqlite:///file:{self.folder}/{of}.db?uri=true&password={password}"

    def command(self, which: str) -> list[str]:
        """Of the sweep, and of what is done with its records."""
        optuna = ("--optuna-url", self.url("optuna", OPTUNA_PASSWORD))
        urls = (*optuna, "--mlflow-url", self.url("mlflow", MLFLOW_PASSWORD))
        settings = (
            f"tracking.optuna_url='{self.url('optuna', OPTUNA_PASSWORD)}'",
            f"tracking.mlflow_url='{self.url('mlflow', '${oc.env:MLFLOW_PASSWORD}')}'",
        )
        judge = ("-m", "unstuck.sweeps", "champion", f"runs/{NAME}", "--seeds", "1")
        words = {
            "sweep": (str(ROOT / "sweep.py"), *SMALL, *settings, f"sweep.name={NAME}"),
            "audit": ("-m", "unstuck.sweeps", "audit", NAME, *urls),
            "champion without": judge,
            "resume": (str(ROOT / "sweep.py"), *SMALL, *settings, f"resume={NAME}"),
            "champion": (*judge, *urls),
            "repair": ("-m", "unstuck.sweeps", "audit", NAME, "--repair", *urls),
        }
        return [sys.executable, *words[which]]

    @contextmanager
    def process(self, which: str) -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(
            self.command(which),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
            if which not in self.printed:
                self.printed[which] = process.communicate(timeout=150)[0]
        finally:
            process.kill()

    def run(self, *which: str) -> None:
        """All at the same time."""
        with ExitStack() as running:
            for each in which:
                running.enter_context(self.process(each))


@pytest.fixture(scope="module")
def seen(tmp_path_factory, watch, mlflow_tables):
    """Two trials, stopped midway and looked at; then pickles planted, and what only reads run."""
    folder = tmp_path_factory.mktemp("security")
    (folder / "home").mkdir()
    mlflow_tables(folder / "mlflow.db")
    environment = {
        **watch.environment,
        "PYTHONPATH": os.pathsep.join([watch.environment["PYTHONPATH"], str(ROOT)]),
        "HOME": str(folder / "home"),
        "MLFLOW_PASSWORD": MLFLOW_PASSWORD,
        "PYTHONUNBUFFERED": "1",
        "RAY_AUTH_MODE": "disabled",  # by mistake
    }
    seen = Seen(folder, environment)
    with seen.process("sweep") as process:
        _wait_for(lambda: all(checkpoint_file(seen.sweep, number).exists() for number in (0, 1)), process)
        process.send_signal(signal.SIGSTOP)  # or it might end while it is looked at
        _look(seen, process, watch)
        seen.stopped = stop(process, seen.sweep, lambda: _end(process))
        seen.printed["sweep"] = seen.stopped.printed
        seen.study = optuna.load_study(study_name=NAME, storage=seen.url("optuna", OPTUNA_PASSWORD))
        seen.runs = runs_in(f"sqlite:///{seen.folder}/mlflow.db", NAME)
    _plant(seen)
    seen.run("audit", "champion without")
    return seen


@pytest.fixture(scope="module")
def gone_on(seen):
    """The same, gone on with over the planted pickles, judged and repaired."""
    seen.run("resume")
    seen.run("champion", "repair")
    return seen


def _wait_for(condition, process, seconds=240):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def _end(process):
    """By Ctrl-C, as at a terminal: Ray's own processes get it too."""
    process.send_signal(signal.SIGCONT)
    os.killpg(process.pid, signal.SIGINT)


ROLES = {"sweep", "gcs_server", "raylet", "worker"}


def _look(seen, process, watch):
    """Once all parts of it are there: what they listen on, and what they were started with."""
    root = process.pid
    _wait_for(lambda: {_name(pid) for pid in watch.listening(root)} >= ROLES, process)
    for pid, local, remote, state in watch.sockets(root):
        if state == watch.LISTENS:
            seen.listening.setdefault(_name(pid), set()).add(local)
        else:
            seen.remotes.add(remote)
    for pid in descendants(root):
        seen.environments[_name(pid)] = dict(word.split("=", 1) for word in _words(pid, "environ") if "=" in word)
        if _name(pid) == "gcs_server":
            seen.told = _intrude(watch.ports(pid), seen.token)
    scratch = Path(json.loads(scratch_file(seen.sweep).read_text())["path"])
    seen.scratch = scratch.stat().st_mode & 0o777, _holding(scratch, seen.token)


def _words(pid, of):
    """Of its command line or its environment; none of a process that is gone."""
    try:
        return Path(f"/proc/{pid}/{of}").read_text().split("\0")
    except OSError:
        return []


def _name(pid):
    """What it runs: the program, or the script that Python was given."""
    program, *words = _words(pid, "cmdline") or [""]
    if Path(program).name.startswith("python"):
        program = next((word for word in words if word.endswith(".py")), program)
    name = Path(program).name.partition(".")[0]
    return "worker" if name.endswith("Trainable") else name  # Ray shows now one class of it, now another


def _intrude(ports, token):
    """What Ray's head says to who has the wrong token, none, or the right one."""
    (port,) = ports
    without = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    command = [sys.executable, "-c", INTRUDER, f"127.0.0.1:{port}"]
    told = {}
    for kind, own in {"wrong": _token("0" * 64), "none": {}, "right": _token(token)}.items():
        done = subprocess.run(command, env={**without, **own}, capture_output=True, text=True, timeout=100, check=False)
        told[kind] = done.stdout + done.stderr
    return told


def _token(token):
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}


def _holding(folder, token):
    """Files below a folder that hold a password, or the token."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            found += [str(path) for word in (OPTUNA_PASSWORD, MLFLOW_PASSWORD, token) if word.encode() in content]
    return found


class _Tell:
    """Pickled, it makes a file where it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def _plant(seen):
    """Pickles wherever somebody might load one."""
    pickled = pickle.dumps(_Tell(seen.folder / "loaded"))
    checkpoint_file(seen.sweep, 0).write_bytes(pickled)
    with checkpoint_file(seen.sweep, 1).open("wb") as file:
        np.savez(file, header=np.array([_Tell(seen.folder / "loaded")], dtype=object))
    for name in ("tuner.pkl", "searcher.pkl", "checkpoint.pkl", ".tune_metadata", "trainable.pkl", "data.pkl"):
        for folder in (seen.sweep, seen.sweep / "trials" / "0000", seen.sweep.parent):
            (folder / name).write_bytes(pickled)


def test_everything_listens_on_loopback(seen):
    assert seen.listening.keys() >= ROLES
    assert set().union(*seen.listening.values()) == {"127.0.0.1"}


def test_ray_wants_a_token_whatever_the_environment_says(seen):
    assert seen.environments["gcs_server"]["RAY_AUTH_MODE"] == "token"
    assert len(seen.token) == 64
    assert "came in" in seen.told["right"]
    for kind in ("wrong", "none"):
        assert "came in" not in seen.told[kind]
        assert "InvalidAuthToken" in seen.told[kind]


def test_ctrl_c_ends_in_seconds_with_everything_recorded(seen):
    check_stopped(seen.stopped, seen.study, *seen.runs)


def test_nobody_beyond_the_machine_is_told_anything(seen, watch):
    assert all(ipaddress.ip_address(remote).is_loopback for remote in seen.remotes)
    assert watch.talked_to() == set()
    assert "dashboard" not in seen.environments  # it would report, and ask the machine which cloud it is in
    for name in ("gcs_server", "raylet"):
        assert seen.environments[name]["RAY_USAGE_STATS_ENABLED"] == "0"


def test_nobody_else_on_the_machine_gets_at_the_temporary_files(seen):
    mode, _ = seen.scratch
    assert mode == 0o700


def _holds_no_password(seen):
    for printed in seen.printed.values():
        assert "s3cret" not in printed
        assert "Traceback" not in printed
    assert _holding(seen.folder, seen.token) == []


def test_no_password_is_printed_or_written_down_nor_the_token(seen):
    assert seen.printed.keys() >= {"sweep", "audit", "champion without"}
    _holds_no_password(seen)
    _, in_scratch = seen.scratch
    assert in_scratch == []
    assert "password=***" in seen.printed["sweep"]  # the commands for the two pages
    assert "--optuna-url must be given" in seen.printed["champion without"]
    assert "password=***" in (seen.sweep / "config.yaml").read_text()


def test_no_pickle_is_loaded_by_who_reads(seen):
    assert not (seen.folder / "loaded").exists()
    assert seen.printed["audit"].count("its checkpoint cannot be read") == 2


@pytest.mark.chaos
def test_nor_by_who_goes_on(gone_on):
    assert not (gone_on.folder / "loaded").exists()
    assert "2 trials: 2 completed" in gone_on.printed["resume"]  # trained from their start
    assert "training trial 1 on 1 fresh seed" in gone_on.printed["champion"]
    assert gone_on.printed["repair"]
    _holds_no_password(gone_on)


def test_a_planted_pickle_that_is_loaded_tells(tmp_path):
    pickle.loads(pickle.dumps(_Tell(tmp_path / "loaded")))
    assert (tmp_path / "loaded").exists()


def test_nothing_is_left_in_the_home_folder(seen):
    assert not [path for path in (seen.folder / "home").rglob("*") if path.is_file() and path.name == "auth_token"]


def test_the_eavesdropper_hears(watch):
    code = "import contextlib, socket\nwith contextlib.suppress(OSError): socket.getaddrinfo('heard.invalid', 80)"
    subprocess.run([sys.executable, "-c", code], env=watch.environment, check=True)
    assert "'heard.invalid' socket.getaddrinfo -c" in watch.talked_to()
