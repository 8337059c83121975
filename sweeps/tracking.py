"""Where runs are shown: MLflow, written in batches by the driver alone (DESIGN D5, D6, D10).

What is here is derived: the ledger is the truth, and writing anything again leaves no duplicate behind.
"""

import shlex
import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from rl import metrics
from sweeps.config import TrackingConfig
from sweeps.errors import TrackingError
from sweeps.mlflow_place import settle_artifacts
from sweeps.mlflow_store import DATABASES, connect, renew, translated
from sweeps.outcome import Outcome, Verdict
from sweeps.record import Record
from sweeps.redact import redact_url, redact_value

if TYPE_CHECKING:  # imported where first needed: it takes 1.4 s
    from mlflow import MlflowClient
    from mlflow.entities import Run

SWEEP_TAG, TRIAL_TAG, SEARCHED_TAG, OUTCOME_TAG, REASON_TAG = "sweep", "trial", "searched", "outcome", "reason"
PARENT_TAG, NOTE_TAG = "mlflow.parentRunId", "mlflow.note.content"
ID_TAG, FORMAT_TAG = "sweep_id", "sweep_format"
COMMON_TAGS = ("git.", SWEEP_TAG)
"""How the names of tags begin that a sweep's run and all its trials' runs have alike."""
CONFIG_FILE, REPORT = "config.yaml", "report"
STATUS = {
    Outcome.COMPLETED: "FINISHED",
    Outcome.PRUNED: "KILLED",
    Outcome.STUCK: "KILLED",
    Outcome.DIVERGED: "KILLED",
    Outcome.INTERRUPTED: "KILLED",
    Outcome.INFEASIBLE: "FAILED",
    Outcome.CRASHED: "FAILED",
}

METRICS_PER_BATCH, PARAMS_PER_BATCH = 1000, 100  # MLflow's own limits, as are the two below
PARAM_LENGTH, TAG_LENGTH = 6000, 8000

_PAGE = 1000
"""Runs asked for at once."""


class Tracker(Protocol):
    """Shows a sweep. Every method raises `TrackingError` where the store fails, and can be called again."""

    def start_sweep(self, name: str, sweep_id: str, config_yaml: str, tags: Mapping[str, str]) -> None:
        """Opens the sweep's parent run, or reopens the one that has its id.

        Args:
            name: The sweep's name, which other sweeps in the store may have as well.
            sweep_id: What tells it from every other sweep.
            config_yaml: The composed configuration.
            tags: What else to know about it, e.g. `sweeps.provenance.provenance()`.
        """

    def start_trial(
        self,
        number: int,
        searched: Mapping[str, Any],
        fixed: Mapping[str, Any],
        tags: Mapping[str, str],
        config_yaml: str,
    ) -> str:
        """Opens a trial's run, or reopens the one that has its number in this sweep.

        Args:
            number: The trial's number in the ledger.
            searched: What the sampler chose, by dotted path or nested.
            fixed: The rest of the trial's configuration, likewise; where both name a setting, `searched` holds.
            tags: What else to know about it, e.g. `seeds`.
            config_yaml: The trial's own configuration.

        Returns:
            The run's id; empty where nothing is tracked.
        """

    def incomplete(self, outcomes: Mapping[int, str]) -> list[int]:
        """Which trials, given with their outcomes, have no run that says so too; nothing is read for it.

        Args:
            outcomes: By number; an empty outcome is that of a trial that runs.
        """

    def log(self, number: int, records: Sequence[Record]) -> None:
        """Writes all metrics of a started trial's iterations; what is there already is not written twice."""

    def tag_trial(self, number: int, tags: Mapping[str, str]) -> None:
        """Sets tags of a started trial."""

    def end_trial(self, number: int, verdict: Verdict, summary: Mapping[str, float]) -> None:
        """Closes a started trial's run.

        Args:
            number: The trial's number.
            verdict: How it ended and why.
            summary: Metrics of the whole trial, under names that its records do not use; they stand at its last
                iteration.
        """

    def end_sweep(self, outcome: Outcome, tags: Mapping[str, str]) -> None:
        """Closes the parent run.

        Args:
            outcome: How the sweep ended.
            tags: What else to say of that, e.g. why.
        """

    def attach(self, number: int | None, files: Sequence[Path], note: str) -> None:
        """Keeps a report with a run, whether it has ended or not.

        Args:
            number: The trial's; None: the sweep's own run.
            files: Files and folders; of the same names as before, they replace those.
            note: What to show on top of the run's page, in Markdown.
        """


def make_tracker(config: TrackingConfig, folder: Path) -> Tracker:
    """The tracker that `config` names; it opens nothing before `start_sweep`.

    Args:
        config: The `tracking` settings.
        folder: Where everything is written (`sweep.folder`); without `tracking.mlflow_url` it gets `mlflow.db`.
    """
    if config.name == "none":
        return NullTracker()
    return MlflowTracker(mlflow_url(config, folder), config.mlflow_experiment, artifacts_folder(folder))


def artifacts_folder(folder: Path) -> Path:
    """Where a store in `sweep.folder` keeps artifacts."""
    return folder.absolute() / "mlflow-artifacts"


def mlflow_url(config: TrackingConfig, folder: Path) -> str:
    """Where runs are kept: `tracking.mlflow_url`, else `mlflow.db` in `sweep.folder`."""
    return config.mlflow_url or f"sqlite:///{folder.absolute() / 'mlflow.db'}"


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted path: `{"ppo": {"lr": 1}}` becomes `{"ppo.lr": 1}`. Lists stay values."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


class NullTracker:
    """Shows nothing (`tracking=none`)."""

    def start_sweep(self, name: str, sweep_id: str, config_yaml: str, tags: Mapping[str, str]) -> None:
        """Does nothing."""

    def start_trial(
        self,
        number: int,
        searched: Mapping[str, Any],
        fixed: Mapping[str, Any],
        tags: Mapping[str, str],
        config_yaml: str,
    ) -> str:
        """Returns an empty run id."""
        return ""

    def incomplete(self, outcomes: Mapping[int, str]) -> list[int]:
        """None."""
        return []

    def log(self, number: int, records: Sequence[Record]) -> None:
        """Does nothing."""

    def tag_trial(self, number: int, tags: Mapping[str, str]) -> None:
        """Does nothing."""

    def end_trial(self, number: int, verdict: Verdict, summary: Mapping[str, float]) -> None:
        """Does nothing."""

    def end_sweep(self, outcome: Outcome, tags: Mapping[str, str]) -> None:
        """Does nothing."""

    def attach(self, number: int | None, files: Sequence[Path], note: str) -> None:
        """Does nothing."""


@dataclass
class _OpenSweep:
    """Where an open sweep's runs are: `runs` by trial number, `last` the (step, ms) logged last of each.

    `common` are the tags that every trial gets too: whose it is, and which code ran. `there` are the metrics and
    steps that a reopened run had already, `outcomes` those that the runs say.
    """

    client: "MlflowClient"
    experiment: str
    name: str
    parent: str
    runs: dict[int, str]
    common: dict[str, str]
    last: dict[int, tuple[int, int]] = field(default_factory=dict)
    there: dict[int, set[tuple[str, int]]] = field(default_factory=dict)
    outcomes: dict[int, str] = field(default_factory=dict)


class MlflowTracker:
    """One parent run a sweep, one child run a trial; see `Tracker` for the methods.

    Args:
        url: A database or a tracking server.
        experiment: The MLflow experiment that holds the sweeps; made where missing.
        artifacts: Absolute folder of a new experiment's artifacts; a tracking server chooses its own.
    """

    def __init__(self, url: str, experiment: str, artifacts: Path) -> None:
        self._url = url
        self._experiment = experiment
        self._artifacts = artifacts
        self._sweep: _OpenSweep | None = None

    def __reduce__(self) -> NoReturn:
        raise TypeError("a tracker must not be pickled, since its URL may hold a password; keep it in the driver")

    def start_sweep(self, name: str, sweep_id: str, config_yaml: str, tags: Mapping[str, str]) -> None:
        """See `Tracker`. Makes the database's tables where missing, before anybody else opens it (2 s).

        Called again, it connects anew: a database that was taken away or replaced would else be written to for ever.
        """
        tags = {**tags, SWEEP_TAG: name, ID_TAG: sweep_id}
        with translated(f"start sweep {name}", self._url):
            if self._url.startswith(DATABASES):
                self._artifacts.mkdir(parents=True, exist_ok=True)
            if self._sweep is not None:
                renew(self._url)
            client = connect(self._url)
            settle_artifacts(self._url, self._artifacts)
            experiment = self._find_experiment(client)
            # One search finds a whole earlier call of this sweep; in a new sweep no trial searches any more.
            found = {run.info.run_id: run.data.tags for run in search(client, experiment, ID_TAG, sweep_id)}
            parents = [run for run, its in found.items() if PARENT_TAG not in its]
            if parents:
                parent = parents[0]
                _reopen(client, parent, tags)
            else:
                parent = client.create_run(experiment, tags=_texts(tags), run_name=name).info.run_id
            children = {run: its for run, its in found.items() if its.get(PARENT_TAG) == parent and TRIAL_TAG in its}
            numbers = {int(its[TRIAL_TAG]): run for run, its in children.items()}
            common = {key: value for key, value in tags.items() if key.startswith(COMMON_TAGS)}
            outcomes = {int(its[TRIAL_TAG]): its.get(OUTCOME_TAG, "") for its in children.values()}
            self._sweep = _OpenSweep(client, experiment, name, parent, numbers, common, outcomes=outcomes)
            client.log_text(parent, redact_url(config_yaml), CONFIG_FILE)

    def start_trial(
        self,
        number: int,
        searched: Mapping[str, Any],
        fixed: Mapping[str, Any],
        tags: Mapping[str, str],
        config_yaml: str,
    ) -> str:
        """See `Tracker`. A reopened trial must have the searched parameters that it had, and keeps the others."""
        sweep, chosen, others = self._opened(), flatten(searched), flatten(fixed)
        tags = {**sweep.common, **tags}
        own = {PARENT_TAG: sweep.parent, TRIAL_TAG: str(number), SEARCHED_TAG: ", ".join(chosen)}
        with translated(f"start trial {number}"):
            if number in sweep.runs:
                had, sweep.there[number] = _reopen(sweep.client, sweep.runs[number], {**tags, **own})
                others = {name: value for name, value in others.items() if name not in had}
            else:
                run_name = f"{sweep.name}/{number:04d}"
                run = sweep.client.create_run(sweep.experiment, tags=_texts({**tags, **own}), run_name=run_name)
                sweep.runs[number] = run.info.run_id
            _log_params(sweep.client, sweep.runs[number], {**others, **chosen})
            sweep.outcomes[number] = ""
            sweep.client.log_text(sweep.runs[number], redact_url(config_yaml), CONFIG_FILE)
        return sweep.runs[number]

    def incomplete(self, outcomes: Mapping[int, str]) -> list[int]:
        """See `Tracker`. An outcome is the last that is written, so a run that has one is whole."""
        said = self._opened().outcomes
        return [number for number, outcome in outcomes.items() if said.get(number) != outcome]

    def log(self, number: int, records: Sequence[Record]) -> None:
        """See `Tracker`. A value that is not finite is kept: MLflow shows NaN as NaN, infinity as 1.8e308."""
        sweep, run = self._opened(), self._run_of(number)
        with translated(f"log trial {number}"):
            _log_metrics(sweep.client, run, records, sweep.there.get(number, ()))
        for record in records:
            reached = record.step, record.timestamp_ms
            sweep.last[number] = max(sweep.last.get(number, reached), reached)

    def tag_trial(self, number: int, tags: Mapping[str, str]) -> None:
        """See `Tracker`."""
        sweep, run = self._opened(), self._run_of(number)
        with translated(f"tag trial {number}"):
            _set_tags(sweep.client, run, tags)

    def end_trial(self, number: int, verdict: Verdict, summary: Mapping[str, float]) -> None:
        """See `Tracker`."""
        sweep, run = self._opened(), self._run_of(number)
        # At the last step and its time, not now: so that ending a trial again adds no second point.
        step, timestamp_ms = sweep.last.setdefault(number, (0, time.time_ns() // 1_000_000))
        with translated(f"end trial {number}"):
            _log_metrics(sweep.client, run, [Record(step, timestamp_ms, summary)], sweep.there.get(number, ()))
            sweep.client.set_terminated(run, STATUS[verdict.outcome])
            # Last: a run that has an outcome is whole.
            _set_tags(sweep.client, run, {OUTCOME_TAG: verdict.outcome, REASON_TAG: verdict.reason})
        sweep.outcomes[number] = verdict.outcome

    def end_sweep(self, outcome: Outcome, tags: Mapping[str, str]) -> None:
        """See `Tracker`."""
        sweep = self._opened()
        with translated(f"end sweep {sweep.name}"):
            _set_tags(sweep.client, sweep.parent, {**tags, OUTCOME_TAG: outcome})
            sweep.client.set_terminated(sweep.parent, STATUS[outcome])

    def attach(self, number: int | None, files: Sequence[Path], note: str) -> None:
        """See `Tracker`."""
        sweep = self._opened()
        run = sweep.parent if number is None else self._run_of(number)
        with translated(f"attach a report to {sweep.name if number is None else f'trial {number}'}"):
            for path in files:
                sweep.client.log_artifact(run, str(path), REPORT)
            _set_tags(sweep.client, run, {NOTE_TAG: note})

    def _find_experiment(self, client: "MlflowClient") -> str:
        """Id of the experiment, made where missing."""
        experiment = client.get_experiment_by_name(self._experiment)
        if experiment is None:
            location = self._artifacts.as_uri() if self._url.startswith(DATABASES) else None
            # Without its kind MLflow greets the user with a page about language models instead of the runs.
            kind = {"mlflow.experimentKind": "custom_model_development"}
            return client.create_experiment(self._experiment, artifact_location=location, tags=kind)
        if experiment.lifecycle_stage == "deleted":
            raise TrackingError(
                f"tracking.mlflow_experiment must not be a deleted experiment, got {self._experiment!r}; "
                f"run `MLFLOW_TRACKING_URI={shlex.quote(redact_value(self._url))} mlflow experiments restore -x "
                f"{experiment.experiment_id}`, or choose another name"
            )
        return str(experiment.experiment_id)

    def _opened(self) -> _OpenSweep:
        if self._sweep is None:
            raise TrackingError("a tracker needs a started sweep; call start_sweep, again if it failed")
        return self._sweep

    def _run_of(self, number: int) -> str:
        run = self._opened().runs.get(number)
        if run is None:
            raise TrackingError(
                f"trial {number} must be started before it is written; call start_trial, again if it failed"
            )
        return run


def search(client: "MlflowClient", experiment: str, tag: str, value: str) -> list["Run"]:
    """Runs of an experiment that have a tag, the oldest first, deleted ones left out."""
    found: list[Run] = []
    token: str | None = None
    while token != "":
        page = client.search_runs(
            [experiment],
            f"tags.{tag} = '{value}'",
            max_results=_PAGE,
            order_by=["attributes.start_time ASC"],
            page_token=token,
        )
        found += page
        token = page.token or ""
    return found


def _reopen(
    client: "MlflowClient", run: str, tags: Mapping[str, str]
) -> tuple[Mapping[str, str], set[tuple[str, int]]]:
    """Sets an ended run going again: what was said about its end no longer holds.

    Returns:
        Its parameters, and each metric that it has with each step: a worker that had to start anew repeats them later,
        which MLflow would keep beside the first. Not those of the whole trial, of which the last point holds.
    """
    had = client.get_run(run).data
    for key in (OUTCOME_TAG, REASON_TAG):
        if key in had.tags:
            client.delete_tag(run, key)
    client.update_run(run, status="RUNNING")
    _set_tags(client, run, tags)
    curves = [name for name in had.metrics if not name.startswith(metrics.FINAL_PREFIX)]
    return had.params, {(name, row.step) for name in curves for row in client.get_metric_history(run, name)}


def _log_params(client: "MlflowClient", run: str, params: Mapping[str, Any]) -> None:
    from mlflow.entities import Param

    rows = [Param(key, storable(value, PARAM_LENGTH)) for key, value in params.items()]
    for start in range(0, len(rows), PARAMS_PER_BATCH):
        client.log_batch(run, params=rows[start : start + PARAMS_PER_BATCH])


def _log_metrics(
    client: "MlflowClient", run: str, records: Sequence[Record], there: Container[tuple[str, int]] = ()
) -> None:
    from mlflow.entities import Metric

    rows = [
        Metric(name, float(value), record.timestamp_ms, record.step)
        for record in records
        for name, value in record.metrics.items()
        if (name, record.step) not in there
    ]
    for start in range(0, len(rows), METRICS_PER_BATCH):
        client.log_batch(run, metrics=rows[start : start + METRICS_PER_BATCH])


def _set_tags(client: "MlflowClient", run: str, tags: Mapping[str, str]) -> None:
    from mlflow.entities import RunTag

    client.log_batch(run, tags=[RunTag(key, value) for key, value in _texts(tags).items()])


def _texts(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: storable(value, TAG_LENGTH) for key, value in tags.items()}


def storable(value: object, limit: int) -> str:
    """As MLflow may keep it: no password, and at most `limit` characters."""
    text = redact_url(str(value))
    return text if len(text) <= limit else text[: limit - 1] + "…"
