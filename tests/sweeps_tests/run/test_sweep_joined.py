"""A sweep of Stable-Baselines3 on a Ray cluster that somebody else has started: it is used, and left as it was.

Started by the installed wheel, beside another package's rule and judge. Without Ray: trainers/test_sb3.py.
"""

import json
import math
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import optuna
import psutil
import pytest
from optuna.trial import TrialState
from unstuck.records.files import read_records
from unstuck.records.mlflow.names import to_mlflow
from unstuck.rl import metrics

from tests.conftest import Command
from tests.sweeps_tests.bandit import break_environment, write_environment, write_hostile_files
from tests.sweeps_tests.real import finish, open_study, runs_of, start
from tests.unstuck_tests.test_extensions import install
from tests.wheel import ROOMS, ROOT, Built

pytest.importorskip("stable_baselines3")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

WORDS = (
    *("trainer=sb3", "env.id=licensed_bandit:Bandit-v0", "env.eval_episodes=2", "sweep.name=theirs", "sweep.seeds=1"),
    *("resources.cpus=1", "resources.max_failures=0", "scheduler=none", "health=none", "sampler=points"),
    *("ppo.num_envs=2", "ppo.num_steps=32", "ppo.minibatch_size=32", "ppo.num_iterations=4", "ppo.eval_every=2"),
    *("ppo.num_epochs=2", "ppo.lr=0.001", "sweep.num_trials=null"),
    "sampler.points=[{}, {ppo: {lr: 0.01}}, {ppo: {lr: 0.05}}, {ppo: {lr: 0.02}}]",
)
RESETS = 60
"""Of the environment in one trial of these settings."""

ACME = {
    "unstuck.rules": {"acme_rule": "acme_plugin:RULE"},
    "unstuck.judges": {"acme_judge": "acme_plugin:make_lenient"},
}
"""What another package brings: its judge stops trials of learning rates above 0.03."""


@dataclass(frozen=True)
class Cluster:
    """Where it listens, who may come in, and its process."""

    address: str
    token: str
    process: subprocess.Popen[bytes]


@dataclass(frozen=True)
class Joined:
    """The sweep `theirs`, and its audit in the test's process.

    Attributes:
        folder: Where both were called.
        printed: By the sweep.
        audited: What the audit printed.
        raylets: Of the cluster at the end.
    """

    folder: Path
    printed: str
    audited: str
    raylets: int

    @property
    def trials(self) -> list[optuna.trial.FrozenTrial]:
        """On record in the ledger."""
        return open_study(self.folder, "theirs").trials


def list_modules(room: Path) -> set[str]:
    """Files of Python and of settings below a room's folder."""
    return {str(file.relative_to(room)) for file in room.rglob("*") if file.suffix in (".py", ".yaml")}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """On loopback, and with a token, which is in the environment of whoever asks for the cluster."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    settings = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    folder = tempfile.mkdtemp(prefix="joined-", dir="/tmp")  # a socket's path must be short
    ray = Path(sys.executable).with_name("ray")
    head = ("--head", "--block", "--port", address.partition(":")[2], "--node-ip-address", "127.0.0.1")
    left_out = ("--include-dashboard", "false", "--include-log-monitor", "false", "--no-monitor")  # no sweep asks them
    process = subprocess.Popen(
        (ray, "start", *head, *left_out, "--num-cpus", "1", "--temp-dir", folder),
        env={**os.environ, **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while not list(Path(folder).glob("session_latest/sockets/raylet*")):
            assert process.poll() is None, "Ray did not start"
            time.sleep(0.2)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(name, value)
            yield Cluster(address, settings["RAY_AUTH_TOKEN"], process)
    finally:
        started = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        for child in psutil.wait_procs(started, timeout=10)[1]:
            child.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def joined(
    cluster: Cluster,
    built: Built,
    tmp_path_factory: pytest.TempPathFactory,
    mlflow_tables: Callable[[Path], None],
) -> Joined:
    """Four trials in one worker; the environment, in the folder that the sweep is called in, breaks in the last."""
    folder, site = tmp_path_factory.mktemp("joined"), tmp_path_factory.mktemp("site")
    install(site, "acme", ACME)
    mlflow_tables(folder / "runs" / "mlflow.db")
    write_environment(folder)
    break_environment(folder, RESETS * 3)
    write_hostile_files(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{built.installed}{os.pathsep}{site}")
        printed = finish(
            start(folder, *WORDS, f"resources.ray_address={cluster.address}", program=(str(built.program), "sweep"))
        )
    audited = Command(folder).sweeps("audit", "theirs")
    started = psutil.Process(cluster.process.pid).children(recursive=True)
    return Joined(folder, printed, audited.out, sum(child.name() == "raylet" for child in started))


def test_an_existing_cluster_runs_the_trials_and_stays(cluster: Cluster, joined: Joined) -> None:
    assert joined.raylets == 1
    assert cluster.token not in joined.printed


def test_workers_import_what_the_driver_imports_and_no_file_of_ours(joined: Joined) -> None:
    """The environment's own words on why it breaks are in the ledger, from Ray's."""
    *_, crashed = joined.trials
    assert (crashed.user_attrs["outcome"], crashed.user_attrs["reason"]) == ("crashed", "OSError: the licence is gone")
    assert "licensed_bandit.py" in crashed.user_attrs["traceback"]


def test_what_another_package_brings_takes_part(joined: Joined) -> None:
    control, _, stopped, _ = joined.trials
    assert "acme_rule" in json.dumps(control.user_attrs)
    assert stopped.user_attrs["outcome"] == "pruned"
    assert stopped.user_attrs["reason"].startswith("acme: enough")
    assert [record.iteration for record in read_records(joined.folder / "runs" / "theirs", 2)] == [1, 2]


def test_the_installed_program_prints_what_works_next_and_lacks_no_module(joined: Joined, built: Built) -> None:
    champion = next(line for line in joined.printed.splitlines() if " champion theirs" in line)
    assert champion.split() == [str(built.program), "champion", "theirs"]
    for room in ROOMS:
        ours, installed = (list_modules(folder / room) for folder in (ROOT, built.installed / "unstuck"))
        assert ours == installed != set()


def test_ray_trains_stable_baselines_models_and_all_records_agree(joined: Joined) -> None:
    own_folder = joined.folder / "runs" / "theirs"
    assert "4 trials: 2 completed, 1 pruned, 1 crashed" in joined.printed
    assert "theirs: 4 trials" in joined.audited
    assert " agree" in joined.audited
    trials = joined.trials
    for trial, rate in zip(trials[:2], (0.001, 0.01), strict=True):
        assert (trial.state, trial.user_attrs["outcome"]) == (TrialState.COMPLETE, "completed")
        records = read_records(own_folder, trial.number)
        assert [record.iteration for record in records] == [1, 2, 3, 4]
        returns = {one.step: one.metrics[metrics.EVAL_RETURN] for one in records if one.iteration in (2, 4)}
        assert returns == trial.intermediate_values
        assert trial.value == math.fsum(trial.intermediate_values.values()) / 2  # of evaluations at 2 and 4
        assert records[0].metrics["effective/lr"] == rate
        assert records[0].metrics[metrics.RATIO_DEVIATION] < 1e-5  # the probe has looked

    client, parent, children = runs_of(joined.folder, "theirs")
    assert (parent.info.status, sorted(children)) == ("FINISHED", [0, 1, 2, 3])
    outcomes = ["completed", "completed", "pruned", "crashed"]
    assert [children[number].data.tags["outcome"] for number in range(4)] == outcomes
    for trial in trials:
        history = client.get_metric_history(children[trial.number].info.run_id, to_mlflow(metrics.EVAL_RETURN))
        assert {point.step: point.value for point in history} == trial.intermediate_values

    assert "is the best of 4 trials" in (own_folder / "report" / "report.html").read_text()
