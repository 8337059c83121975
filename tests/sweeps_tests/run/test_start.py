"""A start is whole or nothing, and its name is its own."""

import datetime as real
import http.server
import sys
import threading

import mlflow
import optuna
import pytest
from unstuck.sweeps.config import compose
from unstuck.sweeps.run import sweep as run
from unstuck.sweeps.run.ending import End, Ended

FEW = ("+experiment=quickstart", "data.num_flows=600", "sweep.num_trials=1", "sweep.seeds=1", "resources.cpus=1")


@pytest.fixture
def no_trials(monkeypatch):
    """The sweep's records are made, and its trials are left to a resume."""
    monkeypatch.setattr(run, "_run_trials", lambda *_: Ended(End.BY_USER))


def test_what_no_one_foresaw_is_one_line_and_takes_no_name(tmp_path, command, no_trials):
    def fail(**_):
        raise RuntimeError("Could not determine home directory.")  # as MLflow does for a user without one

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlflow, "MlflowClient", fail)
        done = command(*FEW, "sweep.name=mine")
    assert done.err.count("\n") == 1, done.err
    assert done.err.startswith(
        "sweep.py: error: cannot start sweep mine in MLflow: RuntimeError: Could not determine home directory; check"
    )
    assert done.code == 2
    assert not (tmp_path / "runs" / "mine").exists()
    assert optuna.get_all_study_names(f"sqlite:///{tmp_path}/runs/optuna.db") == []
    refused = command(*FEW, "resume=mine")
    assert "there are: none" in refused.err
    assert command(*FEW, "sweep.name=mine", "tracking=none").code == 130
    assert optuna.get_all_study_names(f"sqlite:///{tmp_path}/runs/optuna.db") == ["mine"]


def test_two_sweeps_of_one_name_in_one_ledger_are_two_studies(tmp_path, command, no_trials):
    url = f"sqlite:///{tmp_path}/optuna.db"
    words = (*FEW, "sweep.name=same", "tracking=none", f"tracking.optuna_url={url}")
    assert command(*words, "sweep.folder=ann").code == 130
    second = command(*words, "sweep.folder=bob", "sweep.seed=3")
    assert second.code == 130, second.err
    first, other = sorted(optuna.get_all_study_names(url))
    ids = [optuna.load_study(study_name=name, storage=url).user_attrs["id"] for name in (first, other)]
    assert (first, other) == ("same", f"same ({ids[1][:8]})")
    assert f"there this one is {other!r}" in second.out
    for folder, sweep_id in zip(("ann", "bob"), ids, strict=True):
        assert f"id: {sweep_id}\n" in (tmp_path / folder / "same" / "config.yaml").read_text()
        assert command.sweeps("audit", "same", "--folder", folder).code == 0
    refused = command(*words[:-3], *words[-2:], "sweep.folder=bob", "resume=same", "sweep.seed=0")
    assert "sweep.seed must be what the sweep was started with, 3, got 0" in refused.err


SECRETS = ("uri=true", "sig=s3cret1", "key=s3cret2", "auth=s3cret3", "X-Amz-Signature=s3cret4", "se=s3cret5")


def test_no_secret_of_a_url_is_printed_or_written_down(tmp_path, command, no_trials):
    url = f"sqlite:///file:{tmp_path}/secret.db?{'&'.join(SECRETS)}"
    done = command(*FEW, "sweep.name=mine", "tracking=none", f"tracking.optuna_url='{url}'")
    assert done.code == 130, done.err
    assert "s3cret" not in done.out + done.err
    assert "uri=true&sig=***&key=***&auth=***&***" in done.out  # the command for the dashboard
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert tmp_path / "runs/mine/config.yaml" in files
    assert not [path for path in files if b"s3cret" in path.read_bytes()]


@pytest.mark.parametrize("url", ["nodb://s3cret@host/x", "nodb://a:s3cret@host/x", "nodb://host/x?sig=s3cret#s3cret"])
@pytest.mark.parametrize("setting", ["optuna_url", "mlflow_url"])
def test_no_secret_is_told_of_a_url_that_fails(command, setting, url):
    done = command(*FEW, "sweep.name=mine", f"tracking.{setting}='{url}'")
    assert (done.code, done.err.count("\n"), "s3cret" in done.err) == (2, 1, False)


@pytest.mark.parametrize("setting", ["optuna_url", "mlflow_url"])
@pytest.mark.parametrize(
    ("url", "driver", "remedy"),
    [
        ("postgresql://db/x", "psycopg", "pip install 'unstuck[postgres]'"),
        ("mysql+pymysql://db/x", "pymysql", "pip install pymysql"),
    ],
)
def test_a_driver_that_is_missing_is_named_with_what_brings_it(command, monkeypatch, setting, url, driver, remedy):
    monkeypatch.setitem(sys.modules, driver, None)
    done = command(*FEW, "sweep.name=mine", f"tracking.{setting}={url}")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert done.err.endswith(f": the database's driver {driver} is not installed; {remedy}\n")
    read = command.analysis("diagnose", "mine/0", "--mlflow-url", url)
    assert read.err.endswith(f": the database's driver {driver} is not installed; {remedy}\n")


def test_a_server_on_this_machine_is_not_asked_for_through_a_proxy(command, monkeypatch):
    asked = []

    class Answering(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(418)

        def log_message(self, *_):
            """Keeps quiet."""

    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "example.org")
    monkeypatch.setenv("no_proxy", "example.org")
    with http.server.HTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = command(*FEW, "sweep.name=mine", f"tracking.mlflow_url=http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert [path.partition("?")[0] for path in asked][:1] == ["/api/2.0/mlflow/experiments/get-by-name"]
    assert (done.code, "418" in done.err) == (2, True)
    names = ("NO_PROXY", "no_proxy")
    assert [done.environment[name] for name in names] == ["example.org,localhost,127.0.0.0/8,::1"] * 2


def test_two_unnamed_sweeps_in_one_second_have_two_names(tmp_path, command, no_trials, monkeypatch):
    class Stopped(real.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 1, 31, 17, 45, 5)

    monkeypatch.setattr(compose, "datetime", Stopped)
    for _ in range(2):
        started = command(*FEW, "tracking=none")
        assert started.code == 130, started.err
    names = sorted(path.parent.name for path in (tmp_path / "runs").glob("*/config.yaml"))
    assert len(names) == 2
    assert all(name.startswith("quickstart-20260131-174505-") for name in names)
    assert sorted(optuna.get_all_study_names(f"sqlite:///{tmp_path}/runs/optuna.db")) == names


def test_rungs_that_stop_nobody_are_told(command, no_trials):
    rungs = ("ppo.num_iterations=6", "ppo.eval_every=2", "scheduler.grace_iterations=2")
    said = command(*FEW, *rungs, "sweep.name=mine", "tracking=none").out
    assert "asha stops nobody: its first rung, iteration 2, does not lie before a trial's last three" in said
