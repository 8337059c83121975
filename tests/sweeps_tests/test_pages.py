"""The two UIs, opened by the commands that a sweep prints, in a real browser."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from unstuck.records.measurement import Record
from unstuck.records.outcome import Outcome
from unstuck.sweeps.config.settings import StudyConfig, SweepConfig
from unstuck.sweeps.mirror import make_tracker
from unstuck.sweeps.run.driver import Driver
from unstuck.sweeps.screen.summary import make_ui_commands
from unstuck.sweeps.search.sampler import create_ledger
from unstuck.sweeps.search.space import parse_space

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


class _Silent:
    def show_start(self, *_):
        pass

    show_evaluation = show_end = warn = show_notes = recall = show_start


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have a browser; .ci/run installs it")
        pytest.skip("needs Chromium")
    return found


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Records of a small sweep, written by the driver itself; only the numbers are made up."""
    folder = tmp_path_factory.mktemp("pages")
    config = SweepConfig(
        sweep=StudyConfig(name="shown", folder=str(folder), seeds=1),
        space={"ppo": {"lr": {"log": [1e-5, 1e-2]}}},
    )
    ledger = create_ledger(config.reference.ledger_url, config.sweep, config.sampler, {})
    tracker = make_tracker(config.tracking, folder)
    tracker.start_sweep("shown", "shown", "", {})
    driver = Driver(config, 4, parse_space(config.space, config), ledger, tracker, _Silent())
    for trial in range(4):
        assignment = driver.propose()
        for iteration in range(20, 201, 20):
            value = iteration / 400 + trial / 10
            measured = {"eval/f1": value, "eval/f1/seed_0": value, "eval/episode_return": 0.0, "train/value_loss": 0.5}
            if driver.receive(assignment.number, [Record(iteration, 1_700_000_000_000 + iteration, measured)]):
                break
    tracker.end_sweep(Outcome.COMPLETED, {})
    return config


@contextmanager
def _served(command, watch):
    """The server that a printed command starts, on a port of its own; gives its address.

    Afterwards: it listened on loopback alone, and asked for no other machine.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**watch.environment, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PATH": path}
    environment.pop("MLFLOW_DISABLE_TELEMETRY", None)  # the command says so itself
    process = subprocess.Popen(
        ["env", *command, "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address, process)
        yield address
        assert set().union(*watch.listening(process.pid).values()) == {"127.0.0.1"}
        assert watch.talked_to() == set()
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_for(address, process):
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended"
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"nothing answers at {address}")


def _text(browser, url, folder):
    """What a person reads on the page once its scripts have run."""
    options = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    options += "--disable-component-update --disable-sync --virtual-time-budget=20000 --dump-dom"
    command = [browser, *shlex.split(options), f"--user-data-dir={folder}", url]
    page = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True).stdout
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.S)).split())


def test_mlflow_shows_the_sweep(browser, config, watch, tmp_path):
    with _served(make_ui_commands(config)[0], watch) as address:
        page = _text(browser, f"{address}/#/experiments/1/runs", tmp_path)
    assert re.search(r"\bshown\b", page)
    assert "5 matching runs" in page  # the sweep and its four trials


def test_optuna_dashboard_shows_the_study(browser, config, watch, tmp_path):
    with _served(make_ui_commands(config)[1], watch) as address:
        page = _text(browser, f"{address}/dashboard/studies/1", tmp_path)
    assert "shown (id=1)" in page
    assert "Hyperparameter Importance" in page
