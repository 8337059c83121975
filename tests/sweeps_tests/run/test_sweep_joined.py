"""A sweep on a Ray cluster that somebody else has started: it is used, and left as it was."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.sweeps_tests.bandit import SETTINGS, break_environment, write_environment, write_hostile_files
from tests.sweeps_tests.real import finish, open_study, start

RESETS = 80
"""Of the environment in one trial of these settings."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Its address and its process; on loopback, and with a token."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    settings = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    folder = tempfile.mkdtemp(prefix="joined-", dir="/tmp")  # a socket's path must be short
    ray = Path(sys.executable).with_name("ray")
    head = ("--head", "--block", "--port", address.partition(":")[2], "--node-ip-address", "127.0.0.1")
    process = subprocess.Popen(
        (ray, "start", *head, "--include-dashboard", "false", "--num-cpus", "2", "--temp-dir", folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while not list(Path(folder).glob("session_latest/sockets/raylet*")):
            assert process.poll() is None, "Ray did not start"
            time.sleep(0.2)
        yield address, process
    finally:
        started = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        for child in psutil.wait_procs(started, timeout=10)[1]:
            child.kill()
        shutil.rmtree(folder, ignore_errors=True)


def test_an_existing_cluster_runs_the_trials_and_stays(
    cluster: tuple[str, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """Workers import what the driver imports: the environment in the folder that it is called in, and no file of ours.

    That environment breaks in the second trial, and the ledger has its words from Ray's.
    """
    address, ray = cluster
    write_environment(tmp_path)
    break_environment(tmp_path, RESETS * 3 // 2)
    write_hostile_files(tmp_path)
    overrides = ("sweep.num_trials=2", "sweep.name=joined", "tracking=none", f"resources.ray_address={address}")
    printed = finish(start(tmp_path, *SETTINGS, "resources.cpus=1", *overrides))
    completed, crashed = open_study(tmp_path, "joined").trials
    assert completed.user_attrs["outcome"] == "completed"
    assert (crashed.user_attrs["outcome"], crashed.user_attrs["reason"]) == ("crashed", "OSError: the licence is gone")
    assert "licensed_bandit.py" in crashed.user_attrs["traceback"]
    raylets = [child for child in psutil.Process(ray.pid).children(recursive=True) if child.name() == "raylet"]
    assert len(raylets) == 1
    assert os.environ["RAY_AUTH_TOKEN"] not in printed
