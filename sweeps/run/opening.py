"""Open the records of a sweep: folder, study and MLflow's parent run; make new ones, or reopen recorded ones."""

import secrets
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unstuck.analysis.programs import sweep_program
from unstuck.records.errors import LedgerError, SweepError, TrackingError
from unstuck.records.files import (
    branch_file,
    config_file,
    copy_checkpoint,
    lock_file,
    replace_text,
    scratch_file,
    stop_file,
    trials_folder,
)
from unstuck.records.ledger import Ledger
from unstuck.records.lock import hold_lock, lock_databases
from unstuck.records.mlflow.runs import adopt_runs, delete_runs, read_runs
from unstuck.records.names import (
    BRANCHED_FROM,
    BRANCHED_FROM_RUN,
    CONFIG,
    DATA,
    FORMAT,
    ID,
    PARAMETERS,
    PARENT_RUN,
    PROVENANCE,
)
from unstuck.records.provenance import make_user_tags
from unstuck.records.redact import redact_error
from unstuck.records.tracker import Tracker
from unstuck.rl.errors import ConfigError
from unstuck.sweeps.config.identity import adopt_recorded_id, identify
from unstuck.sweeps.config.saved import to_yaml
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.mirror import describe_sweep, make_tracker
from unstuck.sweeps.run.resume import find_differences
from unstuck.sweeps.search.parse import build_space
from unstuck.sweeps.search.sampler import create_ledger, reopen_ledger
from unstuck.sweeps.trackers import make_trackers

if TYPE_CHECKING:
    from unstuck.sweeps.unstick.prepare import PreparedUnstick


@dataclass(frozen=True)
class Records:
    """Open records of a running sweep: Optuna study and tracker (MLflow), with the sweep's settings.

    Attributes:
        config: Settings of the sweep, with the sweep's id.
        ledger: Study of the sweep.
        tracker: MLflow's tracker, whose parent run is open.
        beside: Open trackers beside MLflow, by name.
        reopen: Function that opens the sweep in one of the trackers again after that tracker has failed.
        differences: Notes for the user on what differs from the sweep as it was recorded, a line each.
    """

    config: SweepConfig
    ledger: Ledger
    tracker: Tracker
    beside: Mapping[str, Tracker]
    reopen: Callable[[Tracker], None]
    differences: Sequence[str]


@contextmanager
def open_records(
    config: SweepConfig,
    fingerprint: str | None,
    versions: Mapping[str, str],
    resuming: bool,
    unstick: "PreparedUnstick | None" = None,
    meanwhile: Callable[[], object] = lambda: None,
) -> Iterator[Records]:
    """Open or create a sweep's folder, Optuna study and MLflow run; yield all as `Records`, with the folder locked.

    All of a new sweep's records are made, or none.

    Args:
        config: Settings of the sweep; for a sweep on record as `adopt_recorded_id` returns them.
        fingerprint: Fingerprint of the sweep's data; None for an environment without data.
        versions: Versions of code and machine, as `records.provenance.collect_provenance()` returns them.
        resuming: True for a sweep that must be on record; False for a name that must be new in the folder.
        unstick: Run and arms of a new unstick; the run's checkpoint is copied, so that the sweep stands alone.
        meanwhile: Function that is called once the name is taken and the ledger made, before MLflow opens, which takes
            seconds: begins what can go on beside that. Not called in a resume, of which nothing may be left to run.

    Raises:
        SweepError: The name is taken, or unknown; another process runs the sweep; the settings do not allow a resume; a
            folder or a database cannot be written.
        TrackingError: MLflow cannot be written.
    """
    folder = _make_folder(config, resuming)
    about: dict[str, Any] = {DATA: fingerprint, PROVENANCE: dict(versions), **(unstick.attributes if unstick else {})}
    with hold_lock(folder, heeds_stop=True):
        with _shorten_errors(config), lock_databases(folder.parent):
            records = _reopen_records(config, about) if resuming else _make_records(config, about, unstick, meanwhile)
        if resuming:
            yield records
            return
        with _undo_on_failure(records.config, lambda: _has_begun(records)):
            yield records


def _make_folder(config: SweepConfig, resuming: bool) -> Path:
    """Create the folder of a new sweep, and return the path; raise `SweepError` if a sweep to resume has no folder."""
    folder = config.own_folder
    if resuming and not folder.is_dir():
        beside = sorted(file.parent.name for file in folder.parent.glob(f"*/{config_file(folder).name}"))
        there_are = ", ".join(beside) or "none"
        raise SweepError(f"resume must name a sweep in {folder.parent}, got {folder.name!r}; there are: {there_are}")
    with _shorten_errors(config):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _make_records(
    config: SweepConfig,
    about: Mapping[str, Any],
    unstick: "PreparedUnstick | None",
    meanwhile: Callable[[], object],
) -> Records:
    """Create a new sweep's records in order: id and checkpoint, Optuna study, MLflow run, folder `trials/`."""
    folder = config.own_folder
    config = replace(config, id=_recover_id(config, folder) or secrets.token_hex(16))
    about = {**about, ID: config.id, FORMAT: config.format, CONFIG: to_yaml(config)}
    with _undo_on_failure(config, lambda: False):
        replace_text(config_file(folder), about[CONFIG])
        if unstick:
            copy_checkpoint(unstick.run.checkpoint, branch_file(folder))
            unstick.run.require_unchanged(branch_file(folder))
        names = build_space(config)[0].name_parameters()
        described = {**about, PARAMETERS: names} if names else about
        ledger = create_ledger(config.reference.ledger_url, config.sweep, config.sampler, described)
        meanwhile()
        tracker, beside = _open_trackers(config, about)
        trials_folder(folder).mkdir()
    notes = []
    if ledger.name != config.sweep.name:
        notes = [f"the ledger holds another sweep named {config.sweep.name}; there this one is {ledger.name!r}"]
    return Records(config, ledger, tracker, beside, lambda one: _reopen_tracker(one, config, about), notes)


def _recover_id(config: SweepConfig, folder: Path) -> str | None:
    """Find the id of a sweep whose process was killed before the first trial, in the folder; None if there is no id.

    Raises:
        SweepError: The folder holds a sweep, or other files.
    """
    config_name = config_file(folder).name
    harmless = {file(folder).name for file in (lock_file, scratch_file, stop_file)}
    harmless |= {config_name, branch_file(folder).parent.name}
    found = {file.name for file in folder.iterdir() if not file.name.startswith(f"{config_name}.")} - harmless
    dead = adopt_recorded_id(config)
    if found or (dead.id is None and config_file(folder).exists()) or not _delete_empty_study(dead):
        raise SweepError(
            f"sweep.name must be new, got {config.sweep.name!r}: {folder} exists; choose another name, or go on with "
            f"it by resume={config.sweep.name}"
        )
    return dead.id


def _delete_empty_study(config: SweepConfig) -> bool:
    """Delete the Optuna study of a new sweep if the study is empty; return True if no study exists afterwards."""
    try:
        ledger = Ledger.open_sweep(config.reference) if config.id else None
    except SweepError:  # no study has the id
        return True
    if ledger and ledger.entries():
        return False
    if ledger:
        ledger.discard()
    return True


def _has_begun(records: Records) -> bool:
    """Return True if the sweep may have trials: the Optuna study has some, or cannot be read."""
    try:
        return bool(records.ledger.entries())
    except LedgerError:
        return True


@contextmanager
def _undo_on_failure(config: SweepConfig, has_begun: Callable[[], bool]) -> Iterator[None]:
    """Remove all records of a new sweep if the block raises an error before any trial has started."""
    try:
        yield
    except BaseException:
        if not has_begun():
            with suppress(SweepError):
                _delete_empty_study(config)
            if config.tracking.name == "mlflow":
                with suppress(TrackingError):
                    delete_runs(config.reference, [run.id for run in read_runs(config.reference, ())])
            shutil.rmtree(config.own_folder, ignore_errors=True)  # else a sweep that never began would take the name
        raise


def _reopen_records(config: SweepConfig, about: Mapping[str, Any]) -> Records:
    ledger, folder = reopen_ledger(config), config.own_folder
    entries = ledger.entries()
    about = {**about, CONFIG: to_yaml(config)}
    if PARENT_RUN in ledger.attributes:
        about = {**about, PARENT_RUN: ledger.attributes[PARENT_RUN]}
    differing = find_differences(ledger.attributes, config, about, entries)
    former, config = config.id, identify(config, ledger)
    if former not in (None, config.id):
        differing.append("its folder is a copy, and the original is there: MLflow gets runs of its own for it")
    about = {**about, ID: config.id, FORMAT: config.format, CONFIG: to_yaml(config)}
    if config.format == 1 and config.tracking.name == "mlflow":
        adopt_runs(config.reference, {entry.run_id for entry in entries})
    tracker, beside = _open_trackers(config, about)
    ledger.describe(about)
    trials_folder(folder).mkdir(exist_ok=True)
    replace_text(config_file(folder), about[CONFIG])
    return Records(config, ledger, tracker, beside, lambda one: _reopen_tracker(one, config, about), differing)


def _open_trackers(config: SweepConfig, about: Mapping[str, Any]) -> tuple[Tracker, Mapping[str, Tracker]]:
    tracker = make_tracker(config.tracking, Path(config.sweep.folder))
    beside = make_trackers(config.tracking.also, config.reference)
    for one in (tracker, *beside.values()):
        _start_run(one, config, about)
    return tracker, beside


def _start_run(tracker: Tracker, config: SweepConfig, about: Mapping[str, Any]) -> None:
    tags = {**about[PROVENANCE], **make_user_tags(shlex.join(sweep_program()), about[PROVENANCE])}
    if (run := about.get(PARENT_RUN)) is not None:
        tags |= {BRANCHED_FROM: f"{run['name']} at iteration {run['iteration']}", BRANCHED_FROM_RUN: run["mlflow_run"]}
    tracker.start_sweep(describe_sweep(config), about[CONFIG], tags)


def _reopen_tracker(tracker: Tracker, config: SweepConfig, about: Mapping[str, Any]) -> None:
    try:
        with lock_databases(Path(config.sweep.folder)):
            _start_run(tracker, config, about)
    except OSError as error:
        raise TrackingError(f"cannot write to {config.sweep.folder}: {error.strerror}") from error


@contextmanager
def _shorten_errors(config: SweepConfig) -> Iterator[None]:
    """Convert any error from opening records, inside the block, to an error with a message of one line."""
    try:
        yield
    except (ConfigError, SweepError, TrackingError):
        raise
    except OSError as error:
        raise SweepError(
            f"sweep.folder must be a folder that can be written to, got {config.sweep.folder}: {error.strerror}"
        ) from error
    except Exception as error:
        urls = filter(None, (config.tracking.optuna_url, config.tracking.mlflow_url))
        reason = redact_error(str(error), *urls).partition("\n")[0]
        raise SweepError(
            f"the records of sweep {config.sweep.name} cannot be opened: {type(error).__name__}: {reason}; "
            "check tracking.optuna_url and tracking.mlflow_url, or run with tracking=none"
        ) from error
