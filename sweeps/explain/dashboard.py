"""Show a sweep on Optuna's dashboard: a note when it starts and when it ends, notes on trials, and pictures.

All of it is derived from the ledger and written anew at each end, so nothing depends on it: what fails is a warning.
"""

import shlex
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from unstuck.analysis.words import join_words, pluralize
from unstuck.records.dashboard import Shown
from unstuck.records.errors import TrackingError
from unstuck.records.ledger import Ledger
from unstuck.records.mlflow.links import find_server, make_comparison_link, make_run_link, make_sweep_link
from unstuck.records.mlflow.runs import find_experiment
from unstuck.records.outcome import Outcome
from unstuck.records.redact import redact_error
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.search.space import Space

if TYPE_CHECKING:  # imported where first needed, since the analysis loads pandas and Optuna's evaluators
    from unstuck.analysis.report.notes import Link
    from unstuck.analysis.report.sweep import Findings


def show_start(config: SweepConfig, num_trials: int, space: Space, ledger: Ledger, resume: Sequence[str]) -> str:
    """Write a note on a starting sweep to Optuna's dashboard; return a warning text if writing failed, else "".

    Args:
        config: Settings of the sweep.
        num_trials: Number of trials to run.
        space: Search space of the sweep.
        ledger: Ledger of the sweep.
        resume: Words of the command that resumes the sweep.
    """
    most = "highest" if config.sweep.mode == "max" else "lowest"
    asked = f"{pluralize(num_trials, 'trial')} of {pluralize(config.sweep.seeds, 'seed')}"
    if config.run:
        asked = f"which change fixes {config.run}? {asked}, beside an untouched control,"
    elif space.paths:
        asked += f", searching {join_words([f'`{path}`' for path in space.paths])}"
    state = f"Running since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    lines = [
        f"- **Asked:** {asked} for the {most} {config.sweep.metric} in {config.env.id}.",
        "- **So far:** " + _count_ended(ledger),
        f"- **Go on:** if the sweep runs no more, `{shlex.join(resume)}` goes on with it. This note is written anew at "
        "its end.",
    ]
    return _warn_on_failure(lambda: ledger.show(Shown("\n".join([f"**{state}**", "", *lines]))), config)


def show_stop(config: SweepConfig, ledger: Ledger, why: str, resume: Sequence[str]) -> str:
    """Write a note on a sweep that ended early to Optuna's dashboard; return a warning text if writing failed, else "".

    Args:
        config: Settings of the sweep.
        ledger: Ledger of the sweep.
        why: Reason of the end.
        resume: Words of the command that resumes the sweep.
    """
    lines = [
        f"**Ended early, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC: {why}**",
        "",
        "- **So far:** " + _count_ended(ledger),
        f"- **Go on:** `{shlex.join(resume)}`",
    ]
    return _warn_on_failure(lambda: ledger.show(Shown("\n".join(lines))), config)


def _count_ended(ledger: Ledger) -> str:
    ended = [str(entry.outcome) for entry in ledger.entries() if not entry.is_open]
    counts = [f"{ended.count(outcome)} {outcome}" for outcome in Outcome if outcome in ended]
    return f"{pluralize(len(ended), 'trial')} ended{f': {join_words(counts)}' if counts else ''}."


def show_end(config: SweepConfig, ledger: Ledger, found: "Findings", report: str) -> str:
    """Write notes and pictures on a finished sweep to Optuna's dashboard; return a warning if writing failed, else "".

    Args:
        config: Settings of the sweep.
        ledger: Ledger of the sweep.
        found: Data of the sweep's report.
        report: Path of the report.
    """

    def show() -> None:
        from unstuck.analysis.report.notes import format_study_note, format_trial_note
        from unstuck.analysis.report.pictures import draw_pictures

        of_sweep, of_run = _link_pages(config)
        trials = {
            trial.number: format_trial_note(found.sweep, trial, of_run(trial.run_id)) for trial in found.sweep.trials
        }
        ledger.show(Shown(format_study_note(found, report, of_sweep), trials, draw_pictures(found)))

    return _warn_on_failure(show, config)


def _link_pages(config: SweepConfig) -> "tuple[list[Link], Callable[[str], list[Link]]]":
    """Return links to the sweep's MLflow pages, and a function that links a trial; no links without MLflow."""
    from unstuck.analysis.report.notes import Link

    own = config.reference
    try:
        experiment = find_experiment(own) if own.is_tracked else None
    except TrackingError:
        experiment = None
    if experiment is None or own.id is None:
        return [], lambda run: []
    server = find_server(own.mlflow_url)
    of_sweep = [
        Link("all trials in MLflow", make_sweep_link(server, experiment, own.id)),
        Link("the best beside the control", make_comparison_link(server, experiment, own.id)),
    ]
    return of_sweep, lambda run: [Link("its run in MLflow", make_run_link(server, experiment, run))] if run else []


def _warn_on_failure(write: Callable[[], None], config: SweepConfig) -> str:
    """Call a function that writes to Optuna's dashboard; return an error's text as a warning, or "" for none."""
    try:
        write()
    except Exception as error:  # of a rule, a picture or the database: the sweep itself is on record
        urls = filter(None, (config.tracking.optuna_url, config.tracking.mlflow_url))
        return f"warning: the dashboard has no new notes: {redact_error(str(error) or repr(error), *urls)}"
    return ""
