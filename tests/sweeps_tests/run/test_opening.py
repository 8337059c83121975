"""Opening a sweep's records: new ones, its own, and none."""

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from unstuck.records.errors import SweepError, TrackingError
from unstuck.records.files import config_file, lock_file, trials_folder
from unstuck.records.ledger import Ledger
from unstuck.records.lock import hold_lock, read_owner
from unstuck.records.mlflow.runs import read_runs
from unstuck.sweeps.config.identity import adopt_recorded_id
from unstuck.sweeps.config.saved import from_yaml
from unstuck.sweeps.config.settings import FORMAT, StudyConfig, SweepConfig, TrackingConfig
from unstuck.sweeps.ray_tune.scratch import scratch_folder
from unstuck.sweeps.run import opening as module
from unstuck.sweeps.run.opening import open_records

VERSIONS = {"git.commit": "1" * 40}
SPACE = {"ppo": {"lr": {"log": [1e-5, 1e-2]}}}


def config_of(folder: Path, **values: object) -> SweepConfig:
    """A sweep that nothing tracks: making MLflow's tables takes seconds, and other tests do."""
    study = StudyConfig(name="mine", folder=str(folder), **values)  # type: ignore[arg-type]
    return SweepConfig(sweep=study, space=SPACE, tracking=TrackingConfig(name="none"))


def open_once(config: SweepConfig, resuming: bool = False) -> list[str]:
    with open_records(adopt_recorded_id(config) if resuming else config, "ab", VERSIONS, resuming) as records:
        return list(records.differences)


def names(folder: Path) -> list[str]:
    return optuna.get_all_study_names(f"sqlite:///{folder / 'optuna.db'}")


def test_new_records_are_a_folder_a_study_and_a_lock_for_as_long(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    folder = config.own_folder
    with open_records(config, "ab", VERSIONS, resuming=False) as records:
        assert from_yaml(config_file(folder).read_text()) == records.config == replace(config, id=records.config.id)
        assert trials_folder(folder).is_dir()
        attributes = records.ledger.attributes
        assert (attributes["data"], attributes["provenance"]) == ("ab", VERSIONS)
        assert from_yaml(attributes["config"]) == records.config
        assert (attributes["id"], attributes["format"]) == (records.config.id, FORMAT)
        with pytest.raises(SweepError, match=r"by one process at a time, and process .* runs mine"):
            open_once(config, resuming=True)
    assert open_once(config, resuming=True) == []


def test_what_goes_on_meanwhile_begins_with_a_new_sweep_that_has_its_name(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    begun: list[list[str]] = []

    def begin() -> None:
        begun.append(names(tmp_path))

    with open_records(config, "ab", VERSIONS, resuming=False, meanwhile=begin):
        assert begun == [["mine"]]
    with pytest.raises(SweepError, match="must be new"), open_records(config, "ab", VERSIONS, False, None, begin):
        pass
    with open_records(adopt_recorded_id(config), "ab", VERSIONS, True, None, begin):
        assert begun == [["mine"]]


def test_going_on_records_how(tmp_path: Path) -> None:
    config = config_of(tmp_path, num_trials=2)
    open_once(config)
    first = read_owner(config.own_folder)
    assert open_once(config_of(tmp_path, num_trials=9), resuming=True) == []
    assert read_owner(config.own_folder) != first
    recorded = Ledger.open(f"sqlite:///{tmp_path / 'optuna.db'}", "mine").attributes["config"]
    assert from_yaml(recorded).sweep.num_trials == 9
    assert from_yaml(config_file(config.own_folder).read_text()).sweep.num_trials == 9


def test_what_is_refused_changes_nothing(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    open_once(config)
    before = config_file(config.own_folder).read_text()
    with pytest.raises(SweepError, match=r"sweep\.seeds must be"):
        open_once(config_of(tmp_path, seeds=9), resuming=True)
    assert config_file(config.own_folder).read_text() == before
    assert open_once(config, resuming=True) == []


def test_a_name_is_new_or_known(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match=r"resume must name a sweep in .*, got 'mine'; there are: none"):
        open_once(config_of(tmp_path), resuming=True)
    assert list(tmp_path.iterdir()) == []  # asking makes nothing
    open_once(config_of(tmp_path))
    with pytest.raises(SweepError, match=r"sweep\.name must be new, got 'mine': .*, or go on with it by resume=mine"):
        open_once(config_of(tmp_path))
    other = config_of(tmp_path)
    other = replace(other, sweep=replace(other.sweep, name="other"))
    with pytest.raises(SweepError, match=r"got 'other'; there are: mine"):
        open_once(other, resuming=True)


def test_a_folder_without_its_study_says_so(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    open_once(config)
    (tmp_path / "optuna.db").unlink()
    with pytest.raises(SweepError, match="the ledger must be a database that exists"):
        open_once(config, resuming=True)
    with pytest.raises(SweepError, match=r"sweep\.name must be new"):
        open_once(config)  # its checkpoints may be all that is left of it


@pytest.mark.parametrize("left", ["folder", "lock", "study"])
def test_a_name_is_not_lost_to_a_process_that_died_at_once(tmp_path: Path, left: str) -> None:
    config = config_of(tmp_path)
    folder = config.own_folder
    folder.mkdir()
    if left == "lock":
        lock_file(folder).write_text("")
    if left == "study":
        optuna.create_study(storage=f"sqlite:///{tmp_path / 'optuna.db'}", study_name="mine", direction="maximize")
        assert open_once(config, resuming=True) == []
    else:
        assert open_once(config) == []
    known = from_yaml(config_file(folder).read_text())
    assert known.id
    assert known == replace(config, id=known.id)


@pytest.mark.parametrize("step", ["create", "_open_trackers", "mkdir", "enqueue"])
@pytest.mark.parametrize("error", [RuntimeError("no home"), KeyboardInterrupt(), SystemExit(3)], ids=repr)
def test_a_start_that_fails_at_any_step_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    config = config_of(tmp_path)
    with monkeypatch.context() as patch:
        if step == "create":
            patch.setattr(Ledger, "describe", fail)  # the study is there by then
        elif step == "_open_trackers":
            patch.setattr(module, "_open_trackers", fail)
        elif step == "mkdir":
            patch.setattr(module, "trials_folder", fail)
        told = SweepError if isinstance(error, RuntimeError) and step != "enqueue" else type(error)
        with pytest.raises(told), open_records(config, "ab", VERSIONS, resuming=False):
            raise error
    assert not config.own_folder.exists()
    assert names(tmp_path) == []
    assert open_once(config) == []


@pytest.mark.parametrize("step", ["create", "_open_trackers", "trials_folder"])
def test_a_start_that_was_killed_at_any_step_is_started_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """What kill -9 leaves: nothing is taken back."""
    config = config_of(tmp_path)

    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        setattr(Ledger if step == "create" else module, step, die)
        with open_records(config, "ab", VERSIONS, resuming=False):
            os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    left = from_yaml(config_file(config.own_folder).read_text()).id
    with open_records(config, "ab", VERSIONS, resuming=False) as records:
        assert records.config.id == left
        assert (records.ledger.name, records.differences) == ("mine", [])
        assert names(tmp_path) == ["mine"]


def test_a_sweep_whose_trials_folder_was_deleted_is_not_taken_for_one_that_never_began(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    with open_records(config, "ab", VERSIONS, resuming=False) as records:
        records.ledger.ask({})
    trials_folder(config.own_folder).rmdir()
    with pytest.raises(SweepError, match=r"sweep\.name must be new"):
        open_once(config)
    assert names(tmp_path) == ["mine"]


def test_a_copy_on_others_ledger_is_not_gone_on_with_beside_its_original(tmp_path: Path) -> None:
    config = config_of(tmp_path / "runs")
    config = replace(config, tracking=TrackingConfig(name="none", optuna_url=f"sqlite:///{tmp_path}/optuna.db"))
    open_once(config)
    copy = replace(config, sweep=replace(config.sweep, folder=str(tmp_path / "copy")))
    shutil.copytree(tmp_path / "runs", tmp_path / "copy")
    with pytest.raises(SweepError, match="must have one folder"):
        open_once(copy, resuming=True)
    shutil.rmtree(tmp_path / "runs")  # so it was moved
    assert open_once(copy, resuming=True) == []
    assert open_once(copy, resuming=True) == []


@pytest.mark.parametrize("form", ["sqlite:///{}", "sqlite:///file:{}?uri=true&password=abc"])
def test_a_copy_with_a_copied_ledger_is_gone_on_with_beside_its_original(tmp_path: Path, form: str) -> None:
    """Each ledger is named by a URL, which alone does not make it one of others."""
    config, runs = config_of(tmp_path / "runs"), tmp_path / "runs"
    config = replace(config, tracking=TrackingConfig(name="none", optuna_url=form.format(runs / "optuna.db")))
    runs.mkdir()
    open_once(config)
    shutil.copytree(runs, tmp_path / "copy")
    copy = replace(config, sweep=replace(config.sweep, folder=str(tmp_path / "copy")))
    with pytest.raises(SweepError, match="must have one folder"):
        open_once(copy, resuming=True)
    own = form.format(tmp_path / "copy" / "optuna.db")
    assert open_once(replace(copy, tracking=replace(copy.tracking, optuna_url=own)), resuming=True) == []


@pytest.mark.slow
def test_a_copy_gets_runs_of_its_own_on_a_server_and_a_moved_folder_keeps_its(tmp_path: Path) -> None:
    config = config_of(tmp_path / "runs")
    config = replace(config, tracking=TrackingConfig(mlflow_url=f"sqlite:///{tmp_path}/server.db"))
    open_once(config)
    copy = replace(config, sweep=replace(config.sweep, folder=str(tmp_path / "copy")))
    shutil.copytree(tmp_path / "runs", tmp_path / "copy")
    (difference,) = open_once(copy, resuming=True)
    assert difference == "its folder is a copy, and the original is there: MLflow gets runs of its own for it"
    assert open_once(copy, resuming=True) == []
    ids = [adopt_recorded_id(of).id for of in (config, copy)]
    assert ids[0] != ids[1]
    shutil.move(tmp_path / "runs", tmp_path / "moved")
    moved = replace(config, sweep=replace(config.sweep, folder=str(tmp_path / "moved")))
    assert open_once(moved, resuming=True) == []
    assert adopt_recorded_id(moved).id == ids[0]
    parents = [read_runs(adopt_recorded_id(of).reference, ()) for of in (moved, copy)]
    assert [len(runs) for runs in parents] == [1, 1]
    assert parents[0] != parents[1]


def test_a_copy_does_not_remove_the_temporary_files_of_its_original_that_runs(tmp_path: Path) -> None:
    original, copy = tmp_path / "runs" / "mine", tmp_path / "copy" / "mine"
    original.mkdir(parents=True)
    with hold_lock(original), scratch_folder(original) as scratch:
        shutil.copytree(original, copy)
        with hold_lock(copy), scratch_folder(copy):
            assert scratch.is_dir()
    assert not scratch.exists()


def test_without_a_tracker_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise TrackingError("no store")

    config = config_of(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_open_trackers", refuse)
        with pytest.raises(TrackingError):
            open_once(config)
    assert not config.own_folder.exists()
    assert names(tmp_path) == []
    assert open_once(config) == []
