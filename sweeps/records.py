"""Opens what a sweep is recorded in: its folder, its study, its parent run in MLflow; new ones, or its own."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeps.config import SweepConfig
from sweeps.data import DATA
from sweeps.errors import SweepError, TrackingError
from sweeps.layout import config_file, lock_file, scratch_file, sweep_folder, trials_folder
from sweeps.ledger import Ledger
from sweeps.lock import running
from sweeps.resume import CONFIG, PROVENANCE, differences
from sweeps.schema import from_yaml, to_yaml
from sweeps.summary import sqlite_url
from sweeps.tracking import Tracker, make_tracker


@dataclass(frozen=True)
class Records:
    """What is open while a sweep runs.

    Attributes:
        ledger: Its study.
        tracker: Its parent run is open.
        reopen: Opens it again, after the tracker has failed.
        differences: How the sweep goes on differs from how it was recorded, a line each.
    """

    ledger: Ledger
    tracker: Tracker
    reopen: Callable[[], None]
    differences: Sequence[str]


@contextmanager
def open_records(
    config: SweepConfig, fingerprint: str | None, versions: Mapping[str, str], resuming: bool
) -> Iterator[Records]:
    """Open a sweep's records for the time that this process runs it. Of new ones all are made, or none.

    Args:
        config: The sweep.
        fingerprint: Of its data; None for an environment without.
        versions: Which code runs where: `sweeps.provenance.provenance()`.
        resuming: Whether the sweep is to be on record already; else its name must be new.

    Raises:
        SweepError: The name is taken, or unknown; another process runs the sweep; it cannot be gone on with like this;
            a folder or a database cannot be written.
        TrackingError: MLflow cannot be written.
    """
    folder = _folder(config, resuming)
    about: dict[str, Any] = {CONFIG: to_yaml(config), DATA: fingerprint, PROVENANCE: dict(versions)}
    with running(folder):
        with _writable(config), _alone(folder.parent):
            if resuming:
                opened = _find(config, about)
            else:
                opened = _make(config, about, folder)
            trials_folder(folder).mkdir(exist_ok=True)
            _replace(config_file(folder), about[CONFIG])
        ledger, tracker, differing = opened
        yield Records(ledger, tracker, lambda: _reopen(tracker, config, about), differing)


def recorded_format(config: SweepConfig) -> int:
    """Read the version of a sweep's records; that of new ones where none are found."""
    file = config_file(sweep_folder(config))
    return from_yaml(file.read_text()).format if file.is_file() else config.format


def _folder(config: SweepConfig, resuming: bool) -> Path:
    """The sweep's folder, made if it has to be."""
    folder = sweep_folder(config)
    if resuming and not folder.is_dir():
        beside = sorted(file.parent.name for file in folder.parent.glob(f"*/{config_file(folder).name}"))
        there_are = ", ".join(beside) or "none"
        raise SweepError(f"resume must name a sweep in {folder.parent}, got {folder.name!r}; there are: {there_are}")
    with _writable(config):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _make(config: SweepConfig, about: Mapping[str, Any], folder: Path) -> tuple[Ledger, Tracker, list[str]]:
    # A process that died before it had recorded anything may have left the other two.
    if {file.name for file in folder.iterdir()} - {lock_file(folder).name, scratch_file(folder).name}:
        raise SweepError(
            f"sweep.name must be new, got {config.sweep.name!r}: {folder} exists; choose another name, or go on with "
            f"it by resume={config.sweep.name}"
        )
    try:
        ledger = Ledger.create(_ledger_url(config), config.sweep, config.sampler, about)
        try:
            return ledger, _track(config, about), []
        except TrackingError:
            ledger.discard()
            raise
    except (SweepError, TrackingError):
        shutil.rmtree(folder)  # or the name would be taken by a sweep that never was
        raise


def _find(config: SweepConfig, about: Mapping[str, Any]) -> tuple[Ledger, Tracker, list[str]]:
    ledger = Ledger.go_on(_ledger_url(config), config.sweep, config.sampler)
    differing = differences(ledger.attributes, config, about, ledger.entries())
    tracker = _track(config, about)
    ledger.describe(about)
    return ledger, tracker, differing


def _track(config: SweepConfig, about: Mapping[str, Any]) -> Tracker:
    tracker = make_tracker(config.tracking, Path(config.sweep.folder))
    tracker.start_sweep(str(config.sweep.name), about[CONFIG], about[PROVENANCE])
    return tracker


def _reopen(tracker: Tracker, config: SweepConfig, about: Mapping[str, Any]) -> None:
    try:
        with _alone(Path(config.sweep.folder)):
            tracker.start_sweep(str(config.sweep.name), about[CONFIG], about[PROVENANCE])
    except OSError as error:
        raise TrackingError(f"cannot write to {config.sweep.folder}: {error.strerror}") from error


def _ledger_url(config: SweepConfig) -> str:
    return config.tracking.optuna_url or sqlite_url(config, "optuna")


def _replace(file: Path, text: str) -> None:
    """Whoever reads it finds the old text or the new one, whole."""
    temporary = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    temporary.write_text(text)
    temporary.replace(file)


@contextmanager
def _writable(config: SweepConfig) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SweepError(
            f"sweep.folder must be a folder that can be written to, got {config.sweep.folder}: {error.strerror}"
        ) from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Sweeps that start at once make the databases' tables one after the other, since two at once fail."""
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
