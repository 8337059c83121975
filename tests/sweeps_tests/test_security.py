"""A real sweep, watched from outside while it runs: who gets in, and what gets out. See docs/security.md."""

import ipaddress
import pickle
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from unstuck.records.files import checkpoint_file

from tests.conftest import Command
from tests.sweeps_tests.real import ROOT, start
from tests.sweeps_tests.watch import Watch
from tests.sweeps_tests.watched import (
    MLFLOW_PASSWORD,
    NAME,
    NUM_TRIALS,
    OPTUNA_PASSWORD,
    ROLES,
    STOPPED_IN,
    Accident,
    list_holding,
    resume_words,
    url,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@dataclass
class Planted:
    """The sweep as Ctrl-C left it, in a folder of its own, with pickles wherever somebody might load one.

    Attributes:
        folder: Where its `runs` are; each pickle makes the file `loaded` here.
        accident: The sweep that it is a copy of.
        printed: By each command on its records.
    """

    folder: Path
    accident: Accident
    printed: dict[str, str] = field(default_factory=dict)

    @property
    def loaded(self) -> Path:
        return self.folder / "loaded"

    @property
    def words(self) -> dict[str, tuple[str, ...]]:
        """Of what is done with its records."""
        runs = self.folder / "runs"
        optuna = ("--optuna-url", url(runs, "optuna", OPTUNA_PASSWORD))
        urls = (*optuna, "--mlflow-url", url(runs, "mlflow", MLFLOW_PASSWORD))
        judge = ("-m", "unstuck.sweeps", "champion", NAME, "--seeds", "1")
        return {
            "audit": ("-m", "unstuck.sweeps", "audit", NAME, *urls),
            "resume": (str(ROOT / "sweep.py"), *resume_words(runs)),
            "champion": (*judge, *urls),
            "repair": ("-m", "unstuck.sweeps", "audit", NAME, "--repair", *urls),
        }

    def run(self, *which: str) -> None:
        """All at the same time."""
        with ExitStack() as running:
            program = (sys.executable,)
            started = {
                one: start(self.folder, *self.words[one], program=program, environment=self.accident.environment)
                for one in which
            }
            for process in started.values():
                running.callback(process.kill)
            for one, process in started.items():
                self.printed[one] = process.communicate(timeout=150)[0]


@pytest.fixture(scope="module")
def planted(accident: Accident, tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """With pickles planted, and what only reads run."""
    planted = Planted(tmp_path_factory.mktemp("planted"), accident)
    shutil.copytree(accident.runs_then, planted.folder / "runs")
    _plant(planted)
    planted.run("audit")
    done = Command(planted.folder).sweeps("champion", NAME, "--seeds", "1")
    planted.printed["champion without"] = done.out + done.err
    return planted


@pytest.fixture(scope="module")
def gone_on(planted: Planted) -> Planted:
    """The same, gone on with over the planted pickles, judged and repaired."""
    planted.run("resume")
    planted.run("champion", "repair")
    return planted


class _Tell:
    """Pickled, it makes a file where it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return Path.touch, (self.path,)


def _plant(planted: Planted) -> None:
    sweep, pickled = planted.folder / "runs" / NAME, pickle.dumps(_Tell(planted.loaded))
    checkpoint_file(sweep, 0).write_bytes(pickled)
    with checkpoint_file(sweep, STOPPED_IN).open("wb") as file:
        np.savez(file, header=np.array([_Tell(planted.loaded)], dtype=object))
    for name in ("tuner.pkl", "searcher.pkl", "checkpoint.pkl", ".tune_metadata", "trainable.pkl", "data.pkl"):
        for folder in (sweep, sweep / "trials" / "0000", sweep.parent):
            (folder / name).write_bytes(pickled)


def test_everything_listens_on_loopback(accident: Accident) -> None:
    assert accident.seen.listening.keys() >= ROLES
    assert set().union(*accident.seen.listening.values()) == {"127.0.0.1"}


def test_ray_wants_a_token_whatever_the_environment_says(accident: Accident) -> None:
    seen = accident.seen
    assert accident.environment["RAY_AUTH_MODE"] == "disabled"
    assert seen.environments["gcs_server"]["RAY_AUTH_MODE"] == "token"
    assert len(seen.token) == 64
    assert "came in" in seen.told["right"]
    for kind in ("wrong", "none"):
        assert "came in" not in seen.told[kind]
        assert "InvalidAuthToken" in seen.told[kind]


def test_nobody_beyond_the_machine_is_told_anything(accident: Accident, planted: Planted) -> None:
    environments = accident.seen.environments
    assert all(ipaddress.ip_address(remote).is_loopback for remote in accident.seen.remotes)
    assert planted.printed["audit"]
    assert accident.watch.talked_to() == set()
    assert "dashboard" not in environments  # it would report, and ask the machine which cloud it is in
    for name in ("gcs_server", "raylet"):
        assert environments[name]["RAY_USAGE_STATS_ENABLED"] == "0"


def test_nobody_else_on_the_machine_gets_at_the_temporary_files(accident: Accident) -> None:
    assert accident.seen.mode == 0o700


def _holds_no_password(accident: Accident, *folders: Path, printed: dict[str, str]) -> None:
    for text in printed.values():
        assert "s3cret" not in text
        assert "Traceback" not in text
    assert [found for folder in folders for found in list_holding(folder, accident.seen.token)] == []


def test_no_password_is_printed_or_written_down_nor_the_token(accident: Accident, planted: Planted) -> None:
    printed = {**accident.printed, **planted.printed}
    assert printed.keys() == {"killed", "stopped", "ended", "audit", "champion without"}
    _holds_no_password(accident, accident.folder, planted.folder, printed=printed)
    assert accident.seen.holding == []  # of the folder for temporary files
    for call in ("stopped", "ended"):
        assert "password=***" in printed[call]  # the commands for the two pages
    assert "--optuna-url must be given" in printed["champion without"]
    assert "password=***" in (accident.own_folder / "config.yaml").read_text()


def test_no_pickle_is_loaded_by_who_reads(planted: Planted) -> None:
    assert not planted.loaded.exists()
    assert planted.printed["audit"].count("its checkpoint cannot be read") == 2


@pytest.mark.chaos
def test_nor_by_who_goes_on(gone_on: Planted) -> None:
    assert not gone_on.loaded.exists()
    assert f"{NUM_TRIALS} trials: " in gone_on.printed["resume"]
    assert re.search(r"training trial \d on 1 fresh seed", gone_on.printed["champion"])
    assert gone_on.printed["repair"]
    _holds_no_password(gone_on.accident, gone_on.folder, printed=gone_on.printed)


def test_a_planted_pickle_that_is_loaded_tells(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(_Tell(tmp_path / "loaded")))
    assert (tmp_path / "loaded").exists()


def test_nothing_is_left_in_the_home_folder(accident: Accident) -> None:
    assert not [path for path in (accident.folder / "home").rglob("*") if path.is_file() and path.name == "auth_token"]


def test_the_eavesdropper_hears(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    code = "import contextlib, socket\nwith contextlib.suppress(OSError): socket.getaddrinfo('heard.invalid', 80)"
    subprocess.run([sys.executable, "-c", code], env=watch.environment, check=True)
    assert "'heard.invalid' socket.getaddrinfo -c" in watch.talked_to()
