"""Write a sweep to MLflow, in batches, by the driver alone (docs/design.md, D5, D6, D10).

MLflow's records are derived from the ledger, and writing any of them again leaves no duplicate behind.
"""

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from unstuck.records.errors import TrackingError
from unstuck.records.files import trial_name
from unstuck.records.measurement import Record
from unstuck.records.mlflow.client import (
    log_metrics,
    log_params,
    make_tag_texts,
    reopen_run,
    search_runs,
    set_tags,
    write_report,
)
from unstuck.records.mlflow.connection import DATABASES, connect, renew, translate_errors
from unstuck.records.mlflow.links import COMPARISON, TABLE, add_links, make_view_key
from unstuck.records.mlflow.names import OBJECTIVE, RENAMED
from unstuck.records.mlflow.place import settle_artifacts
from unstuck.records.mlflow.views import VIEW_TAG, ShownSweep, choose_compared, make_comparison, make_table
from unstuck.records.names import (
    COMMON_TAGS,
    CONFIG_FILE,
    CONTROL,
    FORMAT_TAG,
    ID_TAG,
    OUTCOME_TAG,
    PARENT_TAG,
    REASON_TAG,
    SEARCHED_TAG,
    SWEEP_TAG,
    TRIAL_TAG,
    choose_status,
    flatten,
)
from unstuck.records.outcome import Outcome, Verdict
from unstuck.records.redact import redact_url, redact_value
from unstuck.records.shown import ShownMetrics
from unstuck.records.tracker import SweepHeader, require_run, require_sweep

if TYPE_CHECKING:  # imported where first needed: it takes 1.4 s
    from mlflow import MlflowClient
    from mlflow.entities import Run

_MAIN_METRIC = {"mlflow.experiment.primaryMetric.name": OBJECTIVE}
"""Tag of an experiment that names the metric of MLflow's own charts."""


@dataclass
class _OpenSweep:
    """State of a sweep that is written to MLflow: client, ids of runs, and what is already written.

    Attributes:
        client: Client for the store.
        experiment: Id of the MLflow experiment.
        header: Facts on the sweep.
        parent: Id of the sweep's own run.
        runs: Run ids by trial number.
        common: Tags that every trial's run gets too: the sweep's id and name, and the code that ran.
        last: Step and time in ms of the point logged last, by trial number.
        already_logged: (metric, step) pairs that a reopened run held before the resume, by trial number; not logged
            again.
        outcomes: Outcomes that the runs say, by trial number.
        names: Names of the runs of open trials, to which an outcome is added, by trial number.
        shown: Metrics of the trials under the names that MLflow shows.
    """

    client: "MlflowClient"
    experiment: str
    header: SweepHeader
    parent: str
    runs: dict[int, str]
    common: dict[str, str]
    last: dict[int, tuple[int, int]] = field(default_factory=dict)
    already_logged: dict[int, set[tuple[str, int]]] = field(default_factory=dict)
    outcomes: dict[int, str] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    shown: ShownMetrics = field(init=False)

    def __post_init__(self) -> None:
        self.shown = ShownMetrics(self.header)

    @property
    def name(self) -> str:
        """Name of the sweep."""
        return self.header.name

    @property
    def renames(self) -> bool:
        """True if metrics' names in MLflow differ from those in `rl.metrics`, as in newer sweep formats."""
        return self.header.format >= RENAMED

    def make_run_name(self, number: int, is_control: bool) -> str:
        """Make the name of a trial's MLflow run, which says `control` if the trial is the unchanged configuration."""
        return f"{self.name}/{trial_name(number)}" + (" control" if is_control and self.renames else "")


class MlflowTracker:
    """Tracker that writes to MLflow: a parent run for the sweep, and a child run for each trial.

    Args:
        url: URL of a database or of a tracking server.
        experiment: Name of the MLflow experiment that holds the sweeps; made if missing.
        artifacts: Absolute folder of a new experiment's artifacts; a tracking server chooses its own.
    """

    def __init__(self, url: str, experiment: str, artifacts: Path) -> None:
        self._url = url
        self._experiment = experiment
        self._artifacts = artifacts
        self._sweep: _OpenSweep | None = None

    def __reduce__(self) -> NoReturn:
        raise TypeError("a tracker must not be pickled, since its URL may hold a password; keep it in the driver")

    def start_sweep(self, sweep: SweepHeader, config_yaml: str, tags: Mapping[str, str]) -> None:
        """Open the sweep's MLflow run, or reopen an existing one; first create missing tables (takes 2 s).

        A second call connects anew, since MLflow would go on writing to a database that was deleted or replaced.
        """
        tags = {**tags, SWEEP_TAG: sweep.name, ID_TAG: sweep.id, FORMAT_TAG: str(sweep.format)}
        with translate_errors(f"start sweep {sweep.name}", self._url):
            if self._url.startswith(DATABASES):
                self._artifacts.mkdir(parents=True, exist_ok=True)
            if self._sweep is not None:
                renew(self._url)
            client = connect(self._url)
            settle_artifacts(self._url, self._artifacts)
            experiment = self._find_experiment(client)
            # One search finds all runs of earlier calls of this sweep, so that no trial needs to search.
            runs = search_runs(client, [experiment], ID_TAG, sweep.id)
            found = {run.info.run_id: run.data.tags for run in runs}
            parents = [run for run, its in found.items() if PARENT_TAG not in its]
            if parents:
                parent = parents[0]
                reopen_run(client, parent, tags)
            else:
                parent = client.create_run(experiment, tags=make_tag_texts(tags), run_name=sweep.name).info.run_id
            children = {run: its for run, its in found.items() if its.get(PARENT_TAG) == parent and TRIAL_TAG in its}
            numbers = {int(its[TRIAL_TAG]): run for run, its in children.items()}
            common = {key: value for key, value in tags.items() if key.startswith(COMMON_TAGS)}
            outcomes = {int(its[TRIAL_TAG]): its.get(OUTCOME_TAG, "") for its in children.values()}
            self._sweep = _OpenSweep(client, experiment, sweep, parent, numbers, common, outcomes=outcomes)
            client.log_text(parent, redact_url(config_yaml), CONFIG_FILE)
            _write_views(self._sweep, runs)

    def start_trial(
        self,
        number: int,
        searched: Mapping[str, Any],
        fixed: Mapping[str, Any],
        tags: Mapping[str, str],
        config_yaml: str,
    ) -> str:
        """Open a trial's MLflow run, or reopen an existing one, with settings and tags; return the run's id.

        A reopened run must have the same searched parameters as before, and keeps the other parameters.
        """
        sweep, chosen, others = self._require_open(), flatten(searched), flatten(fixed)
        tags = {**sweep.common, **tags}
        own = {PARENT_TAG: sweep.parent, TRIAL_TAG: str(number), SEARCHED_TAG: ", ".join(chosen)}
        sweep.names[number] = run_name = sweep.make_run_name(number, is_control=tags.get(CONTROL) == "true")
        with translate_errors(f"start trial {number}"):
            if number in sweep.runs:
                had, sweep.already_logged[number] = reopen_run(sweep.client, sweep.runs[number], {**tags, **own})
                sweep.client.update_run(sweep.runs[number], name=run_name)
                others = {name: value for name, value in others.items() if name not in had}
            else:
                run = sweep.client.create_run(sweep.experiment, tags=make_tag_texts({**tags, **own}), run_name=run_name)
                sweep.runs[number] = run.info.run_id
            log_params(sweep.client, sweep.runs[number], {**others, **chosen})
            sweep.outcomes[number] = ""
            sweep.shown.start(number)
            sweep.client.log_text(sweep.runs[number], redact_url(config_yaml), CONFIG_FILE)
        return sweep.runs[number]

    def find_incomplete(self, outcomes: Mapping[int, str]) -> list[int]:
        """List the numbers of trials whose MLflow run does not have the given outcome.

        The outcome is written last.
        """
        said = self._require_open().outcomes
        return [number for number, outcome in outcomes.items() if said.get(number) != outcome]

    def log(self, number: int, records: Sequence[Record]) -> None:
        """Write the metrics of a trial's new iterations to MLflow.

        MLflow shows NaN as NaN, and infinity as 1.8e308.
        """
        sweep, run = self._require_open(), self._run_of(number)
        written, tags = sweep.shown.translate(number, records)
        with translate_errors(f"log trial {number}"):
            log_metrics(sweep.client, run, written, sweep.already_logged.get(number, ()))
            if tags:
                set_tags(sweep.client, run, tags)
        for record in records:
            reached = record.step, record.timestamp_ms
            sweep.last[number] = max(sweep.last.get(number, reached), reached)

    def tag_trial(self, number: int, tags: Mapping[str, str]) -> None:
        """Set tags on a trial's MLflow run."""
        sweep, run = self._require_open(), self._run_of(number)
        with translate_errors(f"tag trial {number}"):
            set_tags(sweep.client, run, tags)

    def end_trial(self, number: int, verdict: Verdict, summary: Mapping[str, float]) -> None:
        """Write a trial's final metrics and outcome to MLflow, and close the trial's run."""
        sweep, run = self._require_open(), self._run_of(number)
        # The last step and its time, instead of now: ending a trial again then adds no second point.
        step, timestamp_ms = sweep.last.setdefault(number, (0, time.time_ns() // 1_000_000))
        with translate_errors(f"end trial {number}"):
            lacking, tags = sweep.shown.translate_summary(number, summary)
            written = [Record(step, timestamp_ms, lacking)]
            log_metrics(sweep.client, run, written, sweep.already_logged.get(number, ()))
            if sweep.renames and verdict.outcome is not Outcome.COMPLETED:
                sweep.client.update_run(run, name=f"{sweep.names[number]} {verdict.outcome}")
            sweep.client.set_terminated(run, choose_status(verdict.outcome, sweep.header.format))
            # Written last, so that a run with an outcome is whole.
            set_tags(sweep.client, run, {**tags, OUTCOME_TAG: verdict.outcome, REASON_TAG: verdict.reason})
        sweep.outcomes[number] = verdict.outcome

    def end_sweep(self, outcome: Outcome, tags: Mapping[str, str]) -> None:
        """Write the sweep's outcome to MLflow, and close the sweep's run."""
        sweep = self._require_open()
        with translate_errors(f"end sweep {sweep.name}"):
            set_tags(sweep.client, sweep.parent, {**tags, OUTCOME_TAG: outcome})
            sweep.client.set_terminated(sweep.parent, choose_status(outcome, sweep.header.format))
            _write_views(sweep, search_runs(sweep.client, [sweep.experiment], ID_TAG, sweep.header.id))

    def find_experiment(self) -> str:
        """Return the id of the MLflow experiment that holds the open sweep's runs."""
        return self._require_open().experiment

    def attach(
        self, number: int | None, files: Sequence[Path], note: str, figures: Mapping[str, float] | None = None
    ) -> None:
        """Upload report files, a note (Markdown text) and summary numbers to an MLflow run."""
        sweep = self._require_open()
        run = sweep.parent if number is None else self._run_of(number)
        if number is None:
            note = add_links(note, sweep.experiment, sweep.header.id)
        with translate_errors(f"attach a report to {sweep.name if number is None else f'trial {number}'}"):
            write_report(sweep.client, run, files, note, figures or {})

    def _find_experiment(self, client: "MlflowClient") -> str:
        """Return the id of the MLflow experiment with the configured name; create the experiment if missing."""
        experiment = client.get_experiment_by_name(self._experiment)
        if experiment is None:
            location = self._artifacts.as_uri() if self._url.startswith(DATABASES) else None
            return client.create_experiment(self._experiment, artifact_location=location, tags=_MAIN_METRIC)
        if experiment.lifecycle_stage == "deleted":
            raise TrackingError(
                f"tracking.mlflow_experiment must not be a deleted experiment, got {self._experiment!r}; "
                f"run `MLFLOW_TRACKING_URI={shlex.quote(redact_value(self._url))} mlflow experiments restore -x "
                f"{experiment.experiment_id}`, or choose another name"
            )
        for name in _MAIN_METRIC.keys() - experiment.tags.keys():  # a choice of somebody else's stays
            client.set_experiment_tag(experiment.experiment_id, name, _MAIN_METRIC[name])
        return str(experiment.experiment_id)

    def _require_open(self) -> _OpenSweep:
        return require_sweep(self._sweep)

    def _run_of(self, number: int) -> str:
        return require_run(self._require_open().runs.get(number), number)


def _write_views(sweep: _OpenSweep, runs: Sequence["Run"]) -> None:
    """Write the settings of the sweep's two prepared MLflow pages (table, comparison) to tags, again.

    Args:
        sweep: The open sweep.
        runs: Runs of the sweep.
    """
    trials = [run for run in runs if TRIAL_TAG in run.data.tags]
    names = {name for run in trials for name in run.data.metrics}
    shown = ShownSweep(sweep.header, sweep.parent, choose_compared(sweep.header, trials), names)
    for view, text in ((TABLE, make_table(shown)), (COMPARISON, make_comparison(shown))):
        key = VIEW_TAG + make_view_key(sweep.header.id, view)
        sweep.client.set_experiment_tag(sweep.experiment, key, text)
