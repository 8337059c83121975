"""Trackers beside MLflow: what TensorBoard's and W&B's own readers read, after resumes, kills and full disks too."""

import errno
import importlib.util
import json
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from unstuck.analysis.history import Stores, load
from unstuck.records.errors import SweepError
from unstuck.records.event_files import EventForm
from unstuck.records.measurement import Record
from unstuck.records.names import OUTCOME_TAG
from unstuck.records.outcome import Outcome, Verdict
from unstuck.records.run_files import Form, RunFiles
from unstuck.records.tracker import SweepHeader
from unstuck.records.wandb_files import WandbForm
from unstuck.sweeps.config.command import split_trackers

from benchmarks.in_process import no_ray
from tests.conftest import Command, Done
from tests.unstuck_tests.test_extensions import install, site

__all__ = ["site"]

SMALL = (
    *("+experiment=quickstart", "data.num_flows=2000", "ppo.num_iterations=4", "ppo.eval_every=2", "ppo.num_steps=32"),
    *("ppo.minibatch_size=64", "scheduler=none", "sweep.seeds=2", "sweep.num_trials=2", "sweep.name=both"),
)
ALL = "tracking=[mlflow,tensorboard,wandb]"
HEADER = SweepHeader("kdd", "c0ffee" * 5, 3, "eval/f1", "max")
FORMS = [EventForm(), WandbForm("unstuck")]
START_MS = 1_700_000_000_000
Curves = dict[str, list[tuple[int, float]]]


def read_tensorboard(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    return accumulator.Reload()


def read_wandb(file: Path) -> list[dict[str, Any]]:
    """What W&B's own program reads in a file, a dict for each record."""
    from wandb.util import get_core_path  # late: takes a second, and each process of pytest collects all tests

    words = [get_core_path(), "leet", "inspect", "--json", "-no-observability", "-run-file", str(file)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def curves_of(form: Form, file: Path) -> Curves:
    """The curves in a file, as the other program's reader reads them."""
    found: Curves = {}
    if isinstance(form, EventForm):
        accumulator = read_tensorboard(file.parent)
        for name in accumulator.Tags()["scalars"]:
            found[name] = [(one.step, one.value) for one in accumulator.Scalars(name)]
        return found
    for one in read_wandb(file):
        for name, value in one["history"]["item"].items() if one["type"] == "history" else ():
            if not name.startswith("_"):
                found.setdefault(name, []).append((one["history"]["item"]["_step"], float(value)))
    return found


def outcome_of(form: Form, file: Path) -> str:
    if isinstance(form, EventForm):
        texts = read_tensorboard(file.parent).Tensors("outcome/text_summary")
        return texts[-1].tensor_proto.string_val[0].decode()
    *_, said, exited = read_wandb(file)
    assert exited["type"] == "exit"
    return "{outcome}: {reason}".format(**said["summary"]["update"])


def file_of(form: Form, sweep: Path, number: int) -> Path:
    (file,) = (sweep / form.folder).glob(f"*{number:04d}/*")
    return file


# A sweep with all three


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Command, Done]:
    command = Command(tmp_path_factory.mktemp("both"))
    asked: list[Any] = []
    connect = socket.socket.connect

    def watch(one: socket.socket, address: Any) -> None:
        asked.append(address)
        connect(one, address)

    with no_ray(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", watch)
        done = command(*SMALL, ALL)
    assert done.code == 0, done.err
    assert asked == []
    return command, done


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS, ids=["tensorboard", "wandb"])
def test_curves_are_mlflows_under_the_same_names(both: tuple[Command, Done], form: Form) -> None:
    runs = both[0].folder / "runs"
    client = MlflowClient(f"sqlite:///{runs / 'mlflow.db'}")
    (experiment,) = [one for one in client.search_experiments() if one.name == "unstuck"]
    trials = [run for run in client.search_runs([experiment.experiment_id]) if "trial" in run.data.tags]
    assert len(trials) == 2
    for run in trials:
        history = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
        expected = {name: [(one.step, pytest.approx(one.value)) for one in points] for name, points in history.items()}
        file = file_of(form, runs / "both", int(run.data.tags["trial"]))
        assert len(expected) > 40
        assert curves_of(form, file) == expected
        assert outcome_of(form, file) == f"{run.data.tags['outcome']}: {run.data.tags['reason']}"


@pytest.mark.slow
def test_settings_are_on_both_programs_own_pages(both: tuple[Command, Done]) -> None:
    sweep = both[0].folder / "runs" / "both"
    metadata = read_tensorboard(file_of(FORMS[0], sweep, 0).parent).summary_metadata[SESSION_START_INFO_TAG]
    session = HParamsPluginData.FromString(metadata.plugin_data.content).session_start_info
    assert (session.group_name, session.hparams["ppo.lr"].number_value) == ("both/0000 control", 3e-4)
    assert session.hparams["ppo.hidden_sizes"].string_value == "(64, 64)"
    (run,) = [one["run"] for one in read_wandb(file_of(FORMS[1], sweep, 0)) if one["type"] == "run"]
    assert (run["project"], run["run_group"], run["display_name"]) == ("unstuck", "both", "both/0000 control")
    assert run["config"]["update"]["ppo"]["lr"] == 3e-4


@pytest.mark.slow
def test_commands_that_show_the_files_are_printed(both: tuple[Command, Done]) -> None:
    own = both[0].folder / "runs" / "both"
    assert f"tensorboard --logdir {own}/tensorboard\n" in both[1].out
    assert f"wandb leet {own}/wandb\n" in both[1].out
    assert [one.name() for one in psutil.Process().children(recursive=True) if "wandb" in one.name()] == []


@pytest.mark.slow
def test_a_resume_writes_nothing_twice_and_what_is_missing_again(both: tuple[Command, Done]) -> None:
    command, _ = both
    sweep = command.folder / "runs" / "both"
    files = [file_of(form, sweep, number) for form in FORMS for number in range(2)]
    before = {file: file.read_bytes() for file in files}
    curves = [curves_of(form, file_of(form, sweep, 1)) for form in FORMS]
    files[1].unlink()
    files[3].write_bytes(before[files[3]][:5000])
    with no_ray():
        assert command("+experiment=quickstart", "resume=both", *SMALL[1:-1], ALL).code == 0
    assert [file.read_bytes() for file in (files[0], files[2])] == [before[files[0]], before[files[2]]]
    assert [curves_of(form, file_of(form, sweep, 1)) for form in FORMS] == curves
    file_of(FORMS[0], sweep, 1).unlink()
    assert (
        "repaired: trial 1: tensorboard written from its checkpoint\n"
        in command.sweeps("audit", "both", "--repair").out
    )
    assert curves_of(FORMS[0], file_of(FORMS[0], sweep, 1)) == curves[0]


@pytest.mark.slow
def test_an_event_file_of_ours_is_diagnosed_as_a_run_of_ours(both: tuple[Command, Done]) -> None:
    command, _ = both
    ours = json.loads(command.unstuck("diagnose", "both/1", "--json").out)
    again = json.loads(command.unstuck("diagnose", "runs/both/tensorboard/0001", "--json").out)
    named = ("rule", "kind", "sureness", "remedies")  # headlines may differ in digits: the file holds single precision
    assert [[one[name] for name in named] for one in ours["findings"]] == [
        [one[name] for name in named] for one in again["findings"]
    ]
    assert ours["verdict"].replace(", in 2 of 2 seeds", "") == again["verdict"]  # the file holds means over the seeds
    trial, file = (
        load(run, Stores(command.folder / "runs"))
        for run in ("both/1", str(command.folder / "runs/both/tensorboard/0001"))
    )
    assert trial.settings == file.settings
    assert trial.tags[OUTCOME_TAG] == file.tags[OUTCOME_TAG] == "completed"
    assert "left out" not in command.unstuck("diagnose", "runs/both/tensorboard/0001").out


# One file, cut off anywhere


def write(tracker: RunFiles, records: Sequence[Record], outcome: Outcome = Outcome.COMPLETED) -> None:
    tracker.start_sweep(HEADER, "", {})
    assert tracker.start_trial(7, {"ppo.lr": 1e-3}, {"ppo.gamma": 0.9}, {"seeds": "2"}, "url: mysql://me:s3@db") == ""
    tracker.log(7, records)
    tracker.tag_trial(7, {"diagnosis": "a" * 40_000})  # longer than a block of W&B's
    tracker.end_trial(7, Verdict(outcome, "x"), {"final/value": 0.5})


RECORDS = [Record(step, START_MS + 1000 * step, {"train/lr": step / 4, "eval/f1": 0.5}) for step in range(1, 6)]
CURVE = [(step, step / 4) for step in range(1, 6)]


@pytest.mark.parametrize("form", FORMS, ids=["tensorboard", "wandb"])
@pytest.mark.parametrize("kept", [0, 3, 7, 100, 700, 0.5, 0.99, 1.0])
def test_a_file_cut_off_anywhere_is_completed_without_a_gap_or_a_repeat(
    form: Form, kept: float, tmp_path: Path
) -> None:
    write(RunFiles(tmp_path, form), RECORDS)
    file = file_of(form, tmp_path / "kdd", 7)
    data = file.read_bytes()
    assert b"s3@" not in data
    file.write_bytes(data[: int(kept if kept > 1 or not kept else kept * len(data))])
    tracker = RunFiles(tmp_path, form)
    tracker.start_sweep(HEADER, "", {})
    is_whole = kept == 1.0
    assert tracker.find_incomplete({7: "completed", 8: "pruned"}) == ([8] if is_whole else [7, 8])
    write(tracker, RECORDS)
    assert file_of(form, tmp_path / "kdd", 7) == file
    assert curves_of(form, file)["rules/train.lr"] == CURVE
    assert outcome_of(form, file) == "completed: x"


@pytest.mark.parametrize("form", FORMS, ids=["tensorboard", "wandb"])
def test_an_interrupted_trial_goes_on_in_its_file(form: Form, tmp_path: Path) -> None:
    write(RunFiles(tmp_path, form), RECORDS[:3], Outcome.INTERRUPTED)
    write(RunFiles(tmp_path, form), RECORDS)
    file = file_of(form, tmp_path / "kdd", 7)
    assert curves_of(form, file)["rules/train.lr"] == CURVE
    assert outcome_of(form, file) == "completed: x"
    if isinstance(form, WandbForm):
        assert [one["type"] for one in read_wandb(file)].count("exit") == 1


@pytest.mark.parametrize("form", FORMS, ids=["tensorboard", "wandb"])
def test_what_is_written_is_in_the_file_at_once(form: Form, tmp_path: Path) -> None:
    tracker = RunFiles(tmp_path, form)
    tracker.start_sweep(HEADER, "", {})
    tracker.start_trial(7, {}, {}, {}, "")
    tracker.log(7, RECORDS[:2])  # and the process is killed
    assert curves_of(form, file_of(form, tmp_path / "kdd", 7))["rules/train.lr"] == CURVE[:2]


@pytest.mark.parametrize("form", FORMS, ids=["tensorboard", "wandb"])
def test_numbers_that_are_not_finite_are_kept(form: Form, tmp_path: Path) -> None:
    write(RunFiles(tmp_path, form), [Record(1, START_MS, {"train/lr": float("inf"), "eval/f1": float("nan")})])
    curves = curves_of(form, file_of(form, tmp_path / "kdd", 7))
    assert curves["rules/train.lr"] == [(1, float("inf"))]
    assert str(curves["progress/f1"]) == "[(1, nan)]"


# Trackers that fail


@pytest.mark.slow
@pytest.mark.usefixtures("without_ray")
def test_a_full_disk_under_a_tracker_is_told_and_the_sweep_goes_on(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/full/run.wandb")

    monkeypatch.setattr(RunFiles, "log", fail)
    done = command(*SMALL, "sweep.num_trials=1", "tracking=wandb")
    assert done.code == 0, done.err
    said = "tracker wandb fails: /full/run.wandb: No space left on device; the sweep goes on, and writes it later"
    assert done.out.count(said) == 1
    assert "warning: wandb lacks trials 0, or has them in part; a resume, or the audit's --repair, adds it" in done.out


MODULE = """
from unstuck.records.tracker import NullTracker

class Loud(NullTracker):
    def log(self, number, records):
        raise RuntimeError("acme has no time")

def make_loud(reference):
    return Loud()

def make_nothing(reference):
    return None

def make_trouble(reference):
    raise RuntimeError("acme is closed")
"""


def bring(site: Path, name: str) -> None:
    install(site, "acme", {"unstuck.trackers": {"acme": f"acme_tracker:{name}"}})
    (site / "acme_tracker.py").write_text(MODULE)


@pytest.mark.slow
@pytest.mark.usefixtures("without_ray")
def test_a_tracker_of_another_package_fails_alone(command: Command, site: Path) -> None:
    bring(site, "make_loud")
    done = command(*SMALL, "sweep.num_trials=1", "tracking=acme")
    assert done.code == 0, done.err
    assert done.out.count("tracker acme fails: RuntimeError: acme has no time; the sweep goes on") == 1
    assert "also:\n  - acme\n" in (command.folder / "runs/both/config.yaml").read_text()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("make_nothing", "tracker acme of package acme must make a Tracker, got None"),
        ("make_trouble", "tracker acme of package acme cannot be made: RuntimeError: acme is closed"),
        ("gone", "acme in unstuck.trackers cannot be imported from acme_tracker:gone of package acme: AttributeError"),
    ],
)
def test_a_wrong_tracker_of_another_package_is_refused(command: Command, site: Path, name: str, message: str) -> None:
    bring(site, name)
    done = command(*SMALL, "tracking=acme")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert done.err.startswith(f"sweep.py: error: {message}")
    assert not (command.folder / "runs" / "both").exists()


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_missing_extra_is_named(command: Command, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr("unstuck.sweeps.trackers.find_spec", lambda one: None if one == name else find_spec(one))
    done = command(*SMALL, f"tracking=[mlflow,{name}]")
    assert done.err == (
        f"sweep.py: error: tracking={name} needs package {name}, which is not installed; "
        f"pip install 'unstuck[{name}]'\n"
    )
    assert (done.code, (command.folder / "runs").exists()) == (2, False)


# How they are chosen


@pytest.mark.parametrize(
    ("word", "chosen"),
    [
        ("tracking=[mlflow,tensorboard]", {"name": "mlflow", "also": ["tensorboard"]}),
        ("tracking=[wandb, mlflow]", {"name": "mlflow", "also": ["wandb"]}),
        ("tracking=[tensorboard,wandb]", {"name": "none", "also": ["tensorboard", "wandb"]}),
        ("tracking=tensorboard", {"name": "none", "also": ["tensorboard"]}),
        ("tracking=wandb", {"name": "none", "also": ["wandb"]}),
        ("tracking=[none]", {"name": "none", "also": []}),
        ("tracking=none", {"name": "none", "also": []}),
        ("tracking=mlflow", {"name": "mlflow", "also": []}),
    ],
)
def test_trackers_are_chosen_by_a_list(command: Command, word: str, chosen: Mapping[str, Any]) -> None:
    import yaml

    done = command("+experiment=quickstart", word, "--cfg", "job", "-p", "tracking")
    shown = yaml.safe_load(done.out.partition("\n")[2])
    assert {name: shown[name] for name in chosen} == chosen


def test_a_name_that_is_no_tracker_is_refused() -> None:
    with pytest.raises(SweepError, match=r"^tracking takes mlflow, none, tensorboard, wandb, or a .* mean tens"):
        split_trackers("tracking=[mlflow,tensorbord]")
    with pytest.raises(SweepError, match=r"^tracking=none must stand alone, got \[none,wandb\]"):
        split_trackers("tracking=[none,wandb]")
