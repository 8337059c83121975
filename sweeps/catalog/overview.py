"""List the sweeps of a folder: what each one has come to, when it began, and whether it runs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from unstuck.records.entry import Entry, find_best
from unstuck.records.errors import SweepError
from unstuck.records.files import config_file
from unstuck.records.ledger import Ledger
from unstuck.records.lock import is_running
from unstuck.records.outcome import Outcome
from unstuck.records.redact import redact_error, refuse_masked
from unstuck.rl.errors import ConfigError
from unstuck.sweeps.config.find import load_sweep
from unstuck.sweeps.config.settings import SweepConfig


class State(StrEnum):
    """States of a sweep on record, such as running, finished or interrupted.

    Attributes:
        RUNNING: A process runs the sweep.
        ENDED: All trials have ended.
        INTERRUPTED: Trials have not ended or not begun, and no process runs the sweep: `resume=NAME` goes on.
        UNREADABLE: The configuration or the ledger cannot be read.
    """

    RUNNING = "running"
    ENDED = "ended"
    INTERRUPTED = "interrupted"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Overview:
    """Overview of a recorded sweep: state, counts of trials by outcome, best trial.

    Attributes:
        name: Name of the sweep's folder, by which commands find the sweep.
        folder: The sweep's folder, absolute.
        state: State of the sweep.
        started: Local time of the first trial; of a sweep without trials, of the configuration's file.
        outcomes: Number of trials by outcome, the most frequent first; trials that run have the outcome `running`.
        metric: Name of the objective; empty for an unreadable sweep.
        best: Number of the best completed trial; None if no trial completed.
        value: Objective of the best completed trial.
        problem: Why the sweep cannot be read, in a sentence; empty otherwise.
    """

    name: str
    folder: Path
    state: State
    started: datetime
    outcomes: Mapping[str, int] = field(default_factory=dict)
    metric: str = ""
    best: int | None = None
    value: float | None = None
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return an overview of a sweep (state, counts, best trial) as a dict for JSON."""
        best = None if self.best is None else {"trial": self.best, "value": self.value}
        return {
            "name": self.name,
            "folder": str(self.folder),
            "state": str(self.state),
            "started": self.started.isoformat(timespec="seconds"),
            "outcomes": dict(self.outcomes),
            "metric": self.metric,
            "best": best,
            "problem": self.problem,
        }


def list_sweeps(folder: Path) -> list[Overview]:
    """List the recorded sweeps of a folder with state, trial counts and best trial, the newest first.

    Args:
        folder: Folder of all sweeps.

    Raises:
        SweepError: There is no such folder, or the folder is that of one sweep.
    """
    if not folder.is_dir():
        raise SweepError(f"--folder must be a folder that holds sweeps, got {folder}: there is none; --folder names it")
    if config_file(folder).is_file():
        raise SweepError(f"--folder must be the folder of all sweeps, got that of one; write --folder {folder.parent}")
    found = [_read_overview(file.parent) for file in folder.absolute().glob(f"*/{config_file(folder).name}")]
    return sorted(found, key=lambda one: one.started, reverse=True)


def _read_overview(folder: Path) -> Overview:
    written = datetime.fromtimestamp(config_file(folder).stat().st_mtime)
    try:
        config = load_sweep(folder)
        refuse_masked("tracking.optuna_url", config.tracking.optuna_url)
        entries = Ledger.open_sweep(config.reference).entries()
        return summarize_sweep(config, folder, entries)
    except (ConfigError, OSError, SweepError) as error:
        problem = " ".join(redact_error(str(error)).split())
        return Overview(folder.name, folder, State.UNREADABLE, written, problem=problem)


def summarize_sweep(config: SweepConfig, folder: Path, entries: Sequence[Entry]) -> Overview:
    """Summarize a sweep from the records of the trials: state, counts of trials by outcome, and best trial.

    Args:
        config: Settings of the sweep.
        folder: Folder of the sweep, absolute.
        entries: Trials in the ledger.
    """
    state = _find_state(config, folder, entries)
    words = [_find_word(entry, state) for entry in entries]
    best = find_best(entries, config.sweep.mode)
    started = min((entry.started for entry in entries if entry.started), default=None)
    return Overview(
        name=folder.name,
        folder=folder,
        state=state,
        started=started or datetime.fromtimestamp(config_file(folder).stat().st_mtime),
        outcomes=dict(Counter(words).most_common()),
        metric=config.sweep.metric,
        best=best.number if best else None,
        value=best.value if best else None,
    )


def _find_state(config: SweepConfig, folder: Path, entries: Sequence[Entry]) -> State:
    if is_running(folder):
        return State.RUNNING
    counted = sum(entry.outcome is not Outcome.INFEASIBLE for entry in entries)
    are_missing = config.run is None and counted < (config.sweep.num_trials or 1)  # an unstick may end before its last
    return State.INTERRUPTED if are_missing or any(entry.is_open for entry in entries) else State.ENDED


def _find_word(entry: Entry, state: State) -> str:
    """Return a trial's outcome as a word; of a trial without an outcome, `running` or `interrupted`."""
    if entry.outcome is not None:
        return str(entry.outcome)
    return str(State.RUNNING) if state is State.RUNNING else str(Outcome.INTERRUPTED)
