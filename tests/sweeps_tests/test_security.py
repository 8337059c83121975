"""A real sweep, watched from outside while it runs: who gets in, and what gets out. See docs/security.md."""

import ipaddress
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from sweeps.layout import checkpoint_file, scratch_file

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
    "scheduler=none",
    "health=none",
    "sweep.num_trials=2",
    "sweep.seeds=1",
    "resources.cpus=2",
]
CLOUD = {"'169.254.169.254'", "'metadata.google.internal'"}
"""Ray's own processes ask the machine which cloud it is in."""

INTRUDER = """
import os, sys, ray
os.environ["RAY_NUM_REDIS_GET_RETRIES"] = "1"
ray.init(address=sys.argv[1], logging_level="ERROR", log_to_driver=False)
print("came in")
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass
class Seen:
    """What was seen of a sweep.

    Attributes:
        folder: Where it ran; its runs, databases and home are below.
        printed: By the sweep, its resume, and each command on its records.
        listening: Addresses by the name of the process.
        remotes: At the other end of sockets.
        environments: By the name of the process.
        intruder: What somebody without the token was told.
        scratch: Mode of the folder for temporary files, and what in it holds a password.
    """

    folder: Path
    printed: dict[str, str] = field(default_factory=dict)
    listening: dict[str, set[str]] = field(default_factory=dict)
    remotes: set[str] = field(default_factory=set)
    environments: dict[str, dict[str, str]] = field(default_factory=dict)
    intruder: str = ""
    scratch: tuple[int, list[str]] = (0, [])

    @property
    def sweep(self) -> Path:
        return self.folder / "runs" / NAME


@pytest.fixture(scope="module")
def seen(tmp_path_factory, watch):
    """Two trials: stopped midway, looked at, pickles planted; audited, resumed, judged, repaired."""
    seen = Seen(tmp_path_factory.mktemp("security"))
    (seen.folder / "home").mkdir()
    environment = {
        **watch.environment,
        "HOME": str(seen.folder / "home"),
        "MLFLOW_PASSWORD": MLFLOW_PASSWORD,
        "PYTHONUNBUFFERED": "1",
        "RAY_AUTH_MODE": "disabled",  # by mistake
    }
    urls = {name: f"sqlite:///file:{seen.folder}/{name}.db?uri=true&password=" for name in ("optuna", "mlflow")}
    optuna_url = urls["optuna"] + OPTUNA_PASSWORD
    command = [
        *(sys.executable, str(ROOT / "sweep.py"), *SMALL),
        f"tracking.optuna_url='{optuna_url}'",
        f"tracking.mlflow_url='{urls['mlflow']}${{oc.env:MLFLOW_PASSWORD}}'",
    ]
    how = {"cwd": seen.folder, "env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen([*command, f"sweep.name={NAME}"], **how)
    try:
        _wait_for(lambda: all(checkpoint_file(seen.sweep, number).exists() for number in (0, 1)), process)
        process.send_signal(signal.SIGSTOP)  # or it might end while it is looked at
        _look(seen, process.pid, watch)
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGINT)
        seen.printed["sweep"] = process.communicate(timeout=100)[0]
    finally:
        process.kill()
    _plant(seen)
    asked = [sys.executable, "-m", "sweeps"]
    both = ["--optuna-url", optuna_url, "--mlflow-url", urls["mlflow"] + MLFLOW_PASSWORD]
    for name, words in {
        "audit": [*asked, "audit", NAME, *both],
        "resume": [*command, f"resume={NAME}"],
        "champion": [*asked, "champion", f"runs/{NAME}", "--seeds", "1", "--optuna-url", optuna_url],
        "repair": [*asked, "audit", NAME, "--repair", *both],
        "champion without": [*asked, "champion", f"runs/{NAME}"],
    }.items():
        path = os.pathsep.join([environment["PYTHONPATH"], str(ROOT)])
        done = subprocess.run(words, **{**how, "env": {**environment, "PYTHONPATH": path}}, check=False, timeout=150)
        seen.printed[name] = done.stdout
    return seen


def _wait_for(condition, process, seconds=150):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def _look(seen, root, watch):
    names = {}
    for pid, local, remote, state in watch.sockets(root):
        names[pid] = names.get(pid) or _name(pid)
        if state == watch.LISTENS:
            seen.listening.setdefault(names[pid], set()).add(local)
        else:
            seen.remotes.add(remote)
    for pid, name in names.items():
        words = Path(f"/proc/{pid}/environ").read_text().split("\0")
        seen.environments[name] = dict(word.split("=", 1) for word in words if "=" in word)
    gcs = next(pid for pid, name in names.items() if name == "gcs_server")
    seen.intruder = _intrude(watch.ports(gcs))
    scratch = Path(json.loads(scratch_file(seen.sweep).read_text())["path"])
    seen.scratch = scratch.stat().st_mode & 0o777, _holding(scratch)


def _name(pid):
    first = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    program = next(word for word in first if word.endswith(".py") or "/" not in word or "python" not in word)
    return Path(program).name.partition(".")[0]


def _intrude(ports):
    (port,) = ports
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
    command = [sys.executable, "-c", INTRUDER, f"127.0.0.1:{port}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    return done.stdout + done.stderr


def _holding(folder):
    """Files below a folder that hold a password."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            found += [str(path) for word in (OPTUNA_PASSWORD, MLFLOW_PASSWORD) if word.encode() in content]
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
    assert {"gcs_server", "raylet", "ray::ResourceTrainable", "sweep"} <= seen.listening.keys()
    assert set().union(*seen.listening.values()) == {"127.0.0.1"}


def test_ray_wants_a_token_whatever_the_environment_says(seen):
    assert seen.environments["gcs_server"]["RAY_AUTH_MODE"] == "token"
    assert len(seen.environments["gcs_server"]["RAY_AUTH_TOKEN"]) == 64
    assert "came in" not in seen.intruder
    assert "InvalidAuthToken" in seen.intruder


def test_nobody_beyond_the_machine_is_told_anything(seen, watch):
    assert all(ipaddress.ip_address(remote).is_loopback for remote in seen.remotes)
    asked = {tuple(line.split(" ", 1)) for line in watch.talked_to()}
    assert {host for host, _ in asked} <= CLOUD
    assert all(who.endswith("dashboard.py") for _, who in asked)
    for name in ("gcs_server", "ray::ResourceTrainable"):
        assert seen.environments[name]["RAY_USAGE_STATS_ENABLED"] == "0"


def test_nobody_else_on_the_machine_gets_at_the_temporary_files(seen):
    mode, _ = seen.scratch
    assert mode == 0o700


def test_no_password_is_printed(seen):
    assert seen.printed.keys() == {"sweep", "audit", "resume", "champion", "repair", "champion without"}
    for printed in seen.printed.values():
        assert "s3cret" not in printed
        assert "Traceback" not in printed
    assert "password=***" in seen.printed["sweep"]  # the commands for the two pages
    assert "--optuna-url must be given" in seen.printed["champion without"]


def test_no_password_is_written_down(seen):
    _, in_scratch = seen.scratch
    assert in_scratch == _holding(seen.folder) == []
    assert "password=***" in (seen.sweep / "config.yaml").read_text()


def test_no_pickle_is_loaded(seen):
    assert not (seen.folder / "loaded").exists()
    assert "checkpoint" in seen.printed["audit"]  # it says that they cannot be read
    assert "2 trials: 2 completed" in seen.printed["resume"]  # trained from their start
    assert "on fresh seeds and unseen data" in seen.printed["champion"]
    pickle.loads((seen.sweep / "tuner.pkl").read_bytes())
    assert (seen.folder / "loaded").exists()  # had it been, it would have told


def test_nothing_is_left_in_the_home_folder(seen):
    assert not [path for path in (seen.folder / "home").rglob("*") if path.is_file() and path.name == "auth_token"]


def test_the_eavesdropper_hears(watch):
    code = "import contextlib, socket\nwith contextlib.suppress(OSError): socket.getaddrinfo('heard.invalid', 80)"
    subprocess.run([sys.executable, "-c", code], env=watch.environment, check=True)
    assert "'heard.invalid' socket.getaddrinfo -c" in watch.talked_to()
