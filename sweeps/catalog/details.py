"""Describe one sweep, or one trial of a sweep, for a person and for a program."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unstuck.analysis.programs import sweep_program, sweep_words, unstuck_program
from unstuck.analysis.words import number, pluralize
from unstuck.records.entry import Entry
from unstuck.records.errors import SweepError
from unstuck.records.files import checkpoint_file, config_file, trial_folder
from unstuck.records.ledger import Ledger
from unstuck.records.names import flatten
from unstuck.records.redact import redact_value
from unstuck.rl import metrics
from unstuck.sweeps.catalog.overview import State, summarize_sweep
from unstuck.sweeps.config.find import find_sweep
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.search.parse import build_space

if TYPE_CHECKING:
    from rich.console import Group

_TRIAL = re.compile(r"(.+?)(?:/trials)?/(\d+)/?")
_URLS = ("optuna_url", "mlflow_url")


@dataclass(frozen=True)
class Found:
    """Sweep found on disk, with the records of all trials, and the number of the trial that was asked for, if any.

    Attributes:
        config: Settings of the sweep.
        folder: The sweep's folder, absolute.
        entries: Trials in the ledger.
        trial: Number of the trial that was asked for; None for the whole sweep.
    """

    config: SweepConfig
    folder: Path
    entries: Sequence[Entry]
    trial: int | None

    @property
    def state(self) -> State:
        """State of the sweep: running, finished or ended early."""
        return summarize_sweep(self.config, self.folder, self.entries).state

    @property
    def entry(self) -> Entry | None:
        """Record of the trial that was asked for; None if the whole sweep was."""
        return next((entry for entry in self.entries if entry.number == self.trial), None)


def find_recorded(name: str, folder: Path, optuna_url: str | None, mlflow_url: str | None) -> Found:
    """Find a recorded sweep, or one trial of a sweep, by a name such as `NAME` or `NAME/7`, or by folder.

    Args:
        name: `NAME`, `NAME/7`, or a folder such as `runs/NAME` or `runs/NAME/trials/0007`.
        folder: Folder of all sweeps, for a name.
        optuna_url: URL of the ledger, if it holds a password.
        mlflow_url: URL of MLflow, if it holds a password.

    Raises:
        ConfigError: No sweep can have the name.
        SweepError: There is no such sweep or trial, or the ledger cannot be read.
    """
    sweep, trial = _split_name(name, folder)
    config = find_sweep(sweep, folder, optuna_url, mlflow_url)
    entries = Ledger.open_sweep(config.reference).entries()
    if trial is not None and trial not in {entry.number for entry in entries}:
        numbers = ", ".join(str(entry.number) for entry in entries) or "none"
        raise SweepError(f"the trial must be one of {sweep}, got {trial}; there are: {numbers}")
    return Found(config, config.own_folder, entries, trial)


def _split_name(name: str, folder: Path) -> tuple[str, int | None]:
    """Split the text `NAME/7` into sweep name and trial number; the number is None for the name of a whole sweep."""
    named = _TRIAL.fullmatch(name)
    if named is None or config_file(Path(name)).is_file() or config_file(folder / name).is_file():
        return name, None
    return named[1], int(named[2])


def describe_sweep(found: Found) -> list[str]:
    """Describe a sweep in lines: state, budget, outcomes, best trial, what was searched, and where its files are."""
    config, overview = found.config, summarize_sweep(found.config, found.folder, found.entries)
    counts = ", ".join(f"{count} {word}" for word, count in overview.outcomes.items()) or "none yet"
    best = "none: no trial completed"
    if overview.best is not None and overview.value is not None:
        best = f"trial {overview.best}, {config.sweep.metric} {number(overview.value)}"
    asked = "all points" if config.sweep.num_trials is None else pluralize(config.sweep.num_trials, "trial")
    searched = flatten(config.space)
    rows = {
        "state": str(overview.state),
        "started": f"{overview.started:%Y-%m-%d %H:%M}",
        "budget": f"{asked} x {pluralize(config.sweep.seeds, 'seed')}, {config.ppo.num_iterations} iterations",
        "environment": config.env.id,
        "compared by": f"{config.sweep.metric}, {config.sweep.mode}",
        "trials": counts,
        "best": best,
        "searched": ", ".join(f"{path} {_format(value)}" for path, value in searched.items()) or "points alone",
        "branched from": config.run or "",
    }
    return [f"Sweep {overview.name}", *_align(rows), "Files", *_align(list_files(found))]


def make_best_table(found: Found, width: int) -> "Group":
    """Make a table of a sweep's best trials, for a terminal of the given width."""
    from unstuck.sweeps.screen.summary import make_leaderboard  # late: a trial alone needs none of what that loads

    return make_leaderboard(found.config, found.entries, width)


def list_next_commands(found: Found) -> list[list[str]]:
    """List the commands that a user may type next for a sweep, each as a list of words, e.g. to open web pages."""
    name, above = found.folder.name, found.folder.parent
    named, program = sweep_words(name, above), unstuck_program()
    commands = [[*program, "ui", *named], [*program, "report", *named]]
    if found.state is State.INTERRUPTED:
        from unstuck.analysis.report.arms import recorded_words  # late: it loads pandas

        commands.append(
            [*sweep_program(), *recorded_words(_list_settings(found.config), name, above), f"resume={name}"]
        )
    return commands


def describe_trial(found: Found) -> list[str]:
    """Describe a trial in lines of text: outcome with reason, value, settings, notes, and paths of files.

    Raises:
        SweepError: The whole sweep was asked for, no trial.
    """
    entry = _require_entry(found)
    spread = entry.summary.get(metrics.FINAL_SPREAD)
    value = "none yet" if entry.value is None else number(entry.value)
    over = f" ± {number(spread)} over {pluralize(found.config.sweep.seeds, 'seed')}" if spread is not None else ""
    rows = {
        "outcome": describe_outcome(entry, found.state),
        found.config.sweep.metric: value + over,
        "each seed": ", ".join(number(one) for one in entry.seeds),
        "length": build_space(found.config)[0].axis(found.config).describe_length(entry.iterations),
        "started": f"{entry.started:%Y-%m-%d %H:%M}" if entry.started else "",
        "took": f"{entry.seconds:,.0f} s" if entry.seconds else "",
        **{name.replace("_", " "): note for name, note in entry.tags.items()},
    }
    kind = " (control)" if entry.is_control else ""
    before = flatten(asdict(found.config))
    settings = {
        path: f"{_format(value)}{_describe_former(before.get(path), value)}" for path, value in entry.values.items()
    }
    lines = [f"Trial {entry.number}{kind} of {found.folder.name}", *_align(rows)]
    if settings:
        lines += ["Settings that this trial has of its own", *_align(settings)]
    return [*lines, "Files", *_align(list_files(found))]


def _describe_former(before: Any, value: Any) -> str:
    return "" if before == value else f" (the sweep's: {_format(before)})"


def describe_outcome(entry: Entry, state: State) -> str:
    """Describe in words how a trial ended and why, or that a trial is still running or interrupted."""
    if entry.outcome is None:
        return "running" if state is State.RUNNING else "interrupted: no process runs the sweep; a resume goes on"
    return f"{entry.outcome}: {entry.reason}" if entry.reason else str(entry.outcome)


def list_files(found: Found) -> dict[str, str]:
    """List the files and database records of a sweep, or of the trial asked for: paths or URLs by name."""
    files: dict[str, Path] = {"folder": found.folder, "configuration": config_file(found.folder)}
    report = found.folder / "report" / "report.html"
    records = {"ledger": redact_value(found.config.reference.ledger_url)}
    if found.config.reference.is_tracked:
        records["MLflow"] = redact_value(found.config.reference.mlflow_url)
    if (entry := found.entry) is not None:
        own = trial_folder(found.folder, entry.number)
        files = {"folder": own, "checkpoint": checkpoint_file(found.folder, entry.number)}
        report = own / "report.html"
        records |= {"MLflow run": entry.run_id} if entry.run_id else {}
    return {name: str(file) for name, file in {**files, "report": report}.items() if file.exists()} | records


def sweep_to_json(found: Found) -> dict[str, Any]:
    """Return a sweep's state, trial counts, settings by dotted path, trials and paths of files, as a dict for JSON."""
    overview = summarize_sweep(found.config, found.folder, found.entries)
    return {
        "sweep": overview.to_json(),
        "settings": _list_settings(found.config),
        "trials": [_trial_to_json(entry, found.state) for entry in found.entries],
        "files": list_files(found),
    }


def trial_to_json(found: Found) -> dict[str, Any]:
    """Return a trial's outcome, values, curve, settings and paths of files, as a dict for JSON.

    Raises:
        SweepError: The whole sweep was asked for, no trial.
    """
    entry = _require_entry(found)
    return {
        "sweep": found.folder.name,
        "trial": {
            **_trial_to_json(entry, found.state),
            "curve": {str(step): value for step, value in entry.curve.items()},
            "seeds": list(entry.seeds),
            "notes": dict(entry.tags),
        },
        "settings": {**_list_settings(found.config), **entry.values},
        "files": list_files(found),
    }


def _require_entry(found: Found) -> Entry:
    if found.entry is None:
        raise SweepError(f"a trial must be named, such as {found.folder.name}/0, got the whole sweep")
    return found.entry


def _trial_to_json(entry: Entry, state: State) -> dict[str, Any]:
    return {
        "number": entry.number,
        "control": entry.is_control,
        "outcome": None if entry.outcome is None else str(entry.outcome),
        "reason": describe_outcome(entry, state) if entry.outcome is None else entry.reason,
        "value": entry.value,
        "values": dict(entry.values),
        "iterations": entry.iterations,
        "started": entry.started.isoformat(timespec="seconds") if entry.started else None,
        "seconds": entry.seconds,
        "mlflow_run": entry.run_id,
    }


def _list_settings(config: SweepConfig) -> dict[str, Any]:
    settings = flatten(asdict(config))
    urls = {path: redact_value(str(value)) for path, value in settings.items() if value and path.endswith(_URLS)}
    return settings | urls


def _align(rows: Mapping[str, str]) -> list[str]:
    """Format pairs of name and text as lines in two aligned columns; leave out pairs with an empty text."""
    longest = max(map(len, rows), default=0)
    return [f"  {name:<{longest}}  {text}" for name, text in rows.items() if text]


def _format(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_format, value))}]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
