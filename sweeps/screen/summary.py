"""Print the result of a sweep: the leaderboard, the outcomes of the trials, the commands to type next."""

import re
import shlex
import textwrap
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text
from unstuck.analysis.overrides import format_literal, format_point
from unstuck.analysis.programs import module_program, sweep_program, sweep_words, tool_program
from unstuck.analysis.report.go_on import describe_go_on, make_go_on_command
from unstuck.analysis.words import pluralize
from unstuck.records.axis import BATCH
from unstuck.records.entry import Entry, find_best
from unstuck.records.mlflow.connection import NO_TELEMETRY
from unstuck.records.mlflow.links import find_server, make_comparison_link, make_sweep_link
from unstuck.records.outcome import Outcome
from unstuck.records.redact import redact_value
from unstuck.rl import metrics
from unstuck.rl.config import TRIAGE
from unstuck.sweeps.config.effects import find_idle_settings
from unstuck.sweeps.config.flows import make_fingerprint_words
from unstuck.sweeps.config.keys import settings
from unstuck.sweeps.config.settings import ANEW, SweepConfig
from unstuck.sweeps.screen.progress import describe_settings
from unstuck.sweeps.search.parse import build_space

_TOP = 10
"""Number of rows in the leaderboard."""

_FRAME = 3
"""Columns of the terminal that a column of the leaderboard takes beside its text."""

_LEAST_ENDED = 24
"""Columns of the terminal for the reasons, below which the leaderboard takes its narrow form."""

_NAME_LENGTH = 88
"""Number of characters of the sweep's name in the name of a rerun; names have at most 100."""

NONE_COMPLETED = "no trial completed"
"""Reason of a sweep that ran to the end and failed."""

_NUMBER = re.compile(r"\d+")
"""Numbers, which are left out when reasons are compared: `0.31 < 0.44` equals `0.29 < 0.44`."""

_NOT_RERUN = (
    "resume",
    "retry",
    "sweep.name",
    "sweep.num_trials",
    "sweep.max_hours",
    "sweep.control",
    "data.fingerprint",
)
_NOT_RERUN_GROUPS = ("space", "sampler", "scheduler", "health")


def show_summary(
    config: SweepConfig,
    command: Sequence[str],
    entries: Sequence[Entry],
    report: str,
    experiment: str,
    console: Console,
) -> None:
    """Print the summary of a sweep: best trials, outcomes, report, next commands, and how to open the web pages.

    Args:
        config: Settings of the sweep.
        command: Words that the sweep was called with.
        entries: Trials in the ledger.
        report: Text of the report; empty if none was written.
        experiment: Id of the MLflow experiment that holds the sweep's runs; empty if nothing is tracked.
        console: Console to print on.
    """
    console.print(make_leaderboard(config, entries, console.width))
    if any(entry.outcome is Outcome.PRUNED for entry in entries):
        from unstuck.analysis.sweep.trials import VALUE_AND_RUNG  # late: it brings pandas

        print_prose(VALUE_AND_RUNG, console)
    counts = Counter(entry.outcome for entry in entries if entry.outcome)
    could_not_run = counts.pop(Outcome.INFEASIBLE, 0)
    ended = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
    console.print(
        f"{pluralize(sum(counts.values()), 'trial')}: {ended}"
        + (f"; {could_not_run} more could not run and do not count (infeasible)" if could_not_run else "")
    )
    if report:
        print_prose(f"\n{report}", console)
    winner = find_best(entries, config.sweep.mode)
    if winner is None:
        console.print("No trial completed, so there is no best one: the reasons are in the table.")
    elif config.run is not None:
        _show_go_on(config, console)
    else:
        console.print(f"\nRun the best configuration (trial {winner.number}) again, alone:")
        print_command(make_rerun_command(config, command, winner), console)
        unseen = "test flows" if config.env.id == TRIAGE else "episodes"
        console.print(f"Judge it on fresh seeds and on {unseen} that the search never saw:")
        print_command(make_champion_command(config), console)
    _show_pages(config, experiment, console)


def _show_go_on(config: SweepConfig, console: Console) -> None:
    """Print the command that trains a stuck run's winning branch further; nothing if no branch has won."""
    from unstuck.analysis.sweep.verdicts import Answer, read_verdicts

    readings = read_verdicts(config.own_folder / "report")
    last = readings.last
    if last is None or readings.judge(last, 1 if config.sweep.mode == "max" else -1).answer is not Answer.WINS:
        return
    console.print(f"\n{describe_go_on(config.branch.start == ANEW, f'the winner (trial {last.trial})')}:")
    folder, iterations = Path(config.sweep.folder), config.unstick.iterations
    print_command(make_go_on_command(str(config.sweep.name), last.trial, folder, iterations), console)


def _show_pages(config: SweepConfig, experiment: str, console: Console) -> None:
    """Print the commands that open MLflow and Optuna's dashboard, and the links that then work."""
    *mlflow, dashboard = make_ui_commands(config)
    if config.tracking.name == "mlflow":
        console.print("Open MLflow:" if mlflow else "MLflow shows what was recorded:", highlight=False)
    for words in mlflow:
        print_command(words, console)
    if experiment:
        server, sweep = find_server(config.reference.mlflow_url), str(config.id)
        print_text(f"    all trials, best first: {make_sweep_link(server, experiment, sweep)}", console)
        print_text(f"    best trials and control: {make_comparison_link(server, experiment, sweep)}", console)
    console.print("Open the Optuna dashboard, on port 8080:", highlight=False)
    print_command(dashboard, console)
    for title, words in make_viewer_commands(config).items():
        console.print(f"Open {title}:", highlight=False)
        print_command(words, console)


def explain_failure(entries: Sequence[Entry]) -> str:
    """Explain in a sentence why no trial completed: the most frequent outcome, and the most frequent reason."""
    text = f"{NONE_COMPLETED[0].upper()}{NONE_COMPLETED[1:]}, so this sweep is no success"
    if not entries:
        return f"{text}: none was started"
    outcome = _find_commonest([str(entry.outcome or "open") for entry in entries])
    reasons = [entry.reason for entry in entries if str(entry.outcome or "open") == outcome]
    alike = _find_commonest([_NUMBER.sub("", reason) for reason in reasons])
    often = [reason for reason in reasons if _NUMBER.sub("", reason) == alike]
    share = f", {len(often)} of them since" if len(often) < len(reasons) else ""
    return f"{text}. {len(reasons)} of {len(entries)} {outcome}{share}: {often[0] or 'no reason is on record'}"


def _find_commonest(words: Sequence[str]) -> str:
    return Counter(words).most_common(1)[0][0]


def make_leaderboard(config: SweepConfig, entries: Sequence[Entry], width: int) -> Group:
    """Make a table of the 10 best trials by value, with settings and outcome; completed trials come first.

    No number is cut. Where the columns do not fit, all settings of a trial share one column, and reasons stand below.

    Args:
        config: Settings of the sweep.
        entries: Trials in the ledger.
        width: Number of columns of the terminal.
    """
    ranked = sorted(entries, key=lambda entry: _make_sort_key(entry, config.sweep.mode))[:_TOP]
    paths = list(dict.fromkeys(path for entry in entries for path in entry.values))
    settings = {path.rpartition(".")[2]: [_format_number(one.values.get(path)) for one in ranked] for path in paths}
    numbers = _list_numbers(config, ranked)
    taken = sum(max(map(len, (name, *cells))) + _FRAME for name, cells in (numbers | settings).items()) + 1
    table = Table(
        title=f"{config.sweep.name}: {config.sweep.metric}, mean over {pluralize(config.sweep.seeds, 'seed')}"
    )
    is_wide = taken + _LEAST_ENDED + _FRAME <= width
    for name in numbers | settings if is_wide else numbers:
        table.add_column(name, justify="right", no_wrap=True)
    if not is_wide and paths:
        table.add_column("settings", overflow="fold")
    table.add_column("ended", max_width=60)
    below = []
    for place, entry in enumerate(ranked):
        cells = [column[place] for column in (numbers | settings if is_wide else numbers).values()]
        cells += [] if is_wide or not paths else [describe_settings(entry.values)]
        outcome = str(entry.outcome or "not ended")
        table.add_row(*map(Text, cells), Text(_describe_end(entry) if is_wide else outcome))
        if not is_wide and outcome != Outcome.COMPLETED:
            below.append(Text(f"trial {entry.number} {_describe_end(entry)}"))
    return Group(table, *below)


def _list_numbers(config: SweepConfig, entries: Sequence[Entry]) -> dict[str, list[str]]:
    """List the columns of numbers in the table of best trials: trial, value, spread over seeds, bounds passed."""
    columns = {
        "trial": [str(entry.number) for entry in entries],
        "value": [_format_value(entry.value) for entry in entries],
    }
    if config.sweep.seeds > 1:
        columns["± seeds"] = [_format_value(entry.summary.get(metrics.FINAL_SPREAD)) for entry in entries]
    if any(entry.milestones for entry in entries):
        columns["milestones"] = [_count_passed(entry) for entry in entries]
    return columns


def _describe_end(entry: Entry) -> str:
    if entry.outcome is None:
        return "not ended; a resume goes on"
    return "completed" if entry.outcome is Outcome.COMPLETED else f"{entry.outcome}: {entry.reason}"


def _format_value(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def make_rerun_command(config: SweepConfig, command: Sequence[str], entry: Entry) -> list[str]:
    """Return the command, as a list of words, that trains one trial's configuration again, on the same seeds.

    Args:
        config: Settings of the sweep.
        command: Words that the sweep was called with: overrides, and options such as `--config-dir X`.
        entry: Ledger entry of the trial.

    Returns:
        Words of the command, with `***` for passwords.
    """
    in_env_steps = build_space(config)[0].axis(config).in_env_steps
    # Settings of the budget in environment steps stay; the trial's values become a point in `sampler.points`.
    idle = {one.setting for one in find_idle_settings(config, settings())}
    left_out = idle | (entry.values.keys() - set(BATCH if in_env_steps else ()))
    kept = [
        redact_value(word)
        for before, word in zip(("", *command), command, strict=False)
        if _is_option(before) or _is_kept(word, left_out)
    ]
    values = [f"{path}={format_literal(value)}" for path, value in entry.values.items()]
    if in_env_steps:
        values = []
    return [
        *sweep_program(),
        *kept,
        # Values, not groups: a value set in an experiment would win over the choice of a group.
        "sampler.name=points",
        f"sampler.points=[{format_point(entry.values if in_env_steps else {})}]",
        "scheduler.name=none",
        "health.enabled=false",
        "sweep.num_trials=null",
        "sweep.max_hours=null",
        *make_fingerprint_words(config),
        f"sweep.name={str(config.sweep.name)[:_NAME_LENGTH]}-trial{entry.number}",
        *values,
    ]


def make_resume_command(config: SweepConfig, command: Sequence[str]) -> list[str]:
    """Return the command, as a list of words, that resumes a sweep; `***` stands for passwords."""
    kept = [
        redact_value(word)
        for before, word in zip(("", *command), command, strict=False)
        if _is_option(before) or word.partition("=")[0].lstrip("+~") not in ("sweep.name", "resume", "retry")
    ]
    return [*sweep_program(), *kept, f"resume={config.sweep.name}"]


def make_champion_command(config: SweepConfig) -> list[str]:
    """Return the command, as a list of words, that trains the best trial on fresh seeds; `***` hides a password."""
    command = [*module_program("sweeps"), "champion", *sweep_words(str(config.sweep.name), Path(config.sweep.folder))]
    tracking = config.tracking
    for option, url in (("--optuna-url", tracking.optuna_url or ""), ("--mlflow-url", tracking.mlflow_url or "")):
        if redact_value(url) != url:  # the sweep's folder keeps no password
            command += [option, redact_value(url)]
    return command


def make_ui_commands(config: SweepConfig) -> list[list[str]]:
    """Return the commands, as lists of words, that open MLflow and Optuna's dashboard; none for MLflow on a server."""
    commands = []
    is_served = config.reference.mlflow_url.startswith(("http://", "https://"))
    if config.tracking.name == "mlflow" and not is_served:
        runs_url = redact_value(config.reference.mlflow_url)
        quiet = [f"{name}={value}" for name, value in NO_TELEMETRY.items()]
        commands.append([*quiet, tool_program("mlflow"), "ui", "--backend-store-uri", runs_url])
    optuna_url = redact_value(config.reference.ledger_url)
    commands.append([tool_program("optuna-dashboard"), optuna_url])
    return commands


def make_viewer_commands(config: SweepConfig) -> dict[str, list[str]]:
    """Return the commands that open the files of trackers beside MLflow (TensorBoard, W&B), by name of the program."""
    viewers = {
        "tensorboard": ("TensorBoard", [tool_program("tensorboard"), "--logdir"]),
        "wandb": ("W&B's viewer in this terminal", [tool_program("wandb"), "leet"]),
    }
    chosen = [name for name in config.tracking.also if name in viewers]
    return {viewers[name][0]: [*viewers[name][1], str(config.own_folder / name)] for name in chosen}


def _make_sort_key(entry: Entry, mode: str) -> tuple[bool, bool, float, int]:
    value = 0.0 if entry.value is None else entry.value
    return (
        entry.outcome is not Outcome.COMPLETED,
        entry.value is None,
        -value if mode == "max" else value,
        entry.number,
    )


def _is_option(word: str) -> bool:
    """True if a command-line word is an option like `--config-dir`, whose value is the next word."""
    return word.startswith("-") and "=" not in word


def _is_kept(override: str, left_out: Collection[str]) -> bool:
    key = override.partition("=")[0].lstrip("+~")
    return key not in (*_NOT_RERUN, *left_out) and key.partition(".")[0] not in _NOT_RERUN_GROUPS


def _count_passed(entry: Entry) -> str:
    """Format how many milestones (bounds on a metric) a trial has passed, e.g. `5 of 7`; empty without any."""
    passed = sum(one.passed for one in entry.milestones)
    return f"{passed} of {len(entry.milestones)}" if entry.milestones else ""


def _format_number(value: Any) -> str:
    if isinstance(value, tuple) and all(isinstance(part, str) for part in value):
        return ", ".join(value)
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)


def print_text(text: str, console: Console) -> None:
    """Print a text on the console unchanged: no wrapping, no markup, no colours."""
    console.print(text, soft_wrap=True, markup=False, highlight=False)


def print_prose(text: str, console: Console) -> None:
    """Print sentences, wrapped between words on a terminal; a path is never broken, so that it can be copied."""
    wrapper = textwrap.TextWrapper(console.width, break_long_words=False, break_on_hyphens=False)
    for line in text.split("\n"):
        print_text(wrapper.fill(line) if console.is_terminal else line, console)


def print_command(words: Sequence[str], console: Console) -> None:
    """Print a command on one indented line, quoted for the shell and not wrapped, for the user to copy."""
    # Not wrapped, so that the command can be copied.
    console.print("  " + shlex.join(words), soft_wrap=True, highlight=False, markup=False)
