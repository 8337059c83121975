"""Read runs in MLflow: a sweep's trials, or any run by id."""

import logging
import math
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history.align import tabulate_iterations
from unstuck.analysis.history.assemble import Found, Reading, assemble_history
from unstuck.analysis.history.names import UNSTUCK, translate_metric
from unstuck.analysis.history.raw import Points, Raw
from unstuck.analysis.history.record import History
from unstuck.analysis.history.settings import parse_literal
from unstuck.records.axis import BATCH
from unstuck.records.drivers import explain_missing_driver
from unstuck.records.identity import Identity
from unstuck.records.mlflow.client import find_run, read_curves, search_runs
from unstuck.records.mlflow.connection import connect, list_store_errors
from unstuck.records.mlflow.infinity import from_stored
from unstuck.records.mlflow.names import ALWAYS_ZERO, SCORE, from_mlflow, read_tags
from unstuck.records.names import DIALECT_TAG, ID_TAG, PROBED_TAG, RUN_ID, SWEEP_TAG, TRIAL_TAG
from unstuck.records.redact import explain_error, redact_value
from unstuck.rl import metrics
from unstuck.rl.wording import find_near

if TYPE_CHECKING:  # imported where first needed: it takes seconds
    from unstuck.records.mlflow.client import Run
    from unstuck.records.mlflow.mlflow_internals import MetricRow

_STORES = ("sqlite:///", "postgresql:", "postgresql+", "mysql:", "mysql+", "mssql:", "mssql+", "http://", "https://")


_NEAR = 0.6
"""Likeness from which on the name of a sweep is suggested."""


def _suggest(sweep: str, number: int, known: Sequence[str]) -> str:
    """Suggest a trial with a number near to a wrong one, as text, or list the sweeps; empty if there are none."""
    near = find_near(sweep, known, _NEAR)
    meant = f"; did you mean {near}/{number}?" if near else ""
    return f"{meant}; sweeps with a folder: {', '.join(known)}" if known else ""


class TrackedRuns:
    """Reader of the runs in an MLflow store: trials of our sweeps, and runs of other programs.

    Args:
        url: A database or a tracking server. A database that does not exist is refused, not made.
        reading: Choices of the user on how other programs' runs are read.
    """

    def __init__(self, url: str, reading: Reading | None = None) -> None:
        check_url(url)
        self._reading = reading or Reading()
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what is wrong is said in one line
        self.url = url
        self._client = self._ask(connect, url)

    def run(self, run_id: str) -> History:
        """Load the metrics and settings of an MLflow run by run id.

        Raises:
            AnalysisError: There is none.
        """
        run: Run | None = self._ask(find_run, self._client, run_id)
        if run is None:
            raise AnalysisError(f"no run {run_id} in {redact_value(self.url)}")
        return self._history(run)

    def trial(self, sweep: str, number: int, own: Identity | None = None, known: Sequence[str] = ()) -> History:
        """Load the metrics and settings of one trial of a sweep, given by number.

        Args:
            sweep: Name of the sweep.
            number: Number of the trial.
            own: Identity in the sweep's folder.
            known: Names of the sweeps that have a folder, for the message if there is no such sweep.

        Raises:
            AnalysisError: There is no trial of the number; the message says which there are.
        """
        runs = self.trials(sweep, own)
        if number not in runs:
            none = "none has begun" if sweep in known else f"no such sweep{_suggest(sweep, number, known)}"
            there = f"trials {min(runs)} to {max(runs)}" if runs else none
            raise AnalysisError(f"no trial {number} of sweep {sweep!r} in {redact_value(self.url)}: {there}")
        return self._history(runs[number])

    def trials(self, sweep: str, own: Identity | None = None) -> dict[int, "Run"]:
        """Return the MLflow runs of a sweep's trials by trial number; the latest one if a trial has two.

        Args:
            sweep: Name of the sweep.
            own: Identity in the sweep's folder; None: there is no folder, so no other sweep may have the name.

        Raises:
            AnalysisError: Several sweeps have the name, and there is no folder to tell which is meant.
        """
        experiments = [experiment.experiment_id for experiment in self._ask(self._client.search_experiments)]
        found: list[Run] = self._ask(search_runs, self._client, experiments, SWEEP_TAG, sweep.replace("'", ""))
        trials = [run for run in found if TRIAL_TAG in run.data.tags]
        ids = {run.data.tags.get(ID_TAG) for run in trials}
        kept = [run for run in trials if own is None or own.owns(run.data.tags.get(ID_TAG))]
        runs = {int(run.data.tags[TRIAL_TAG]): run for run in kept}
        if own is None and len(ids) > 1:
            raise AnalysisError(
                f"{len(ids)} sweeps in {redact_value(self.url)} are named {sweep!r}; name one's folder with --folder"
            )
        return dict(sorted(runs.items()))

    def load_histories(self, sweep: str, own: Identity | None = None) -> dict[int, History]:
        """Load metrics and settings of all trials of a sweep, by trial number."""
        return {number: self._history(run) for number, run in self.trials(sweep, own).items()}

    def _history(self, run: "Run") -> History:
        tags = {name: value for name, value in run.data.tags.items() if not name.startswith("mlflow.")}
        params = {name: parse_literal(value) for name, value in run.data.params.items()}
        if TRIAL_TAG not in tags:
            return self._foreign(run, params, tags)
        renamed = {
            name: found[0] for name in run.data.metrics if (found := translate_metric(from_mlflow(name), UNSTUCK))
        }
        batch = 1
        if "budget.env_steps" in params:  # MLflow's steps are the environment's
            batch = math.prod(int(params[path]) for path in BATCH)
        read: dict[str, list[MetricRow]] = self._ask(read_curves, self._client, run.info.run_id, renamed)
        curves = {our: _make_points(read[theirs], batch) for theirs, our in renamed.items()}
        table = tabulate_iterations(_restore(curves, tags), counted=True)
        if renamed and not len(table):
            raise AnalysisError(f"run {run.info.run_id} must have recorded metrics, and has none")
        return History(
            name=f"{tags[SWEEP_TAG]}/{tags[TRIAL_TAG]}",
            source=f"MLflow run {run.info.run_id}",
            table=table,
            settings=params,
            dialect=tags.get(DIALECT_TAG, UNSTUCK.name),
            probed=tags.get(PROBED_TAG, ""),
            tags=tags | {RUN_ID: run.info.run_id},
        )

    def _foreign(self, run: "Run", params: dict[str, Any], tags: dict[str, str]) -> History:
        """Load an MLflow run that another program logged, such as Stable-Baselines3 or CleanRL."""
        read: dict[str, list[MetricRow]] = self._ask(read_curves, self._client, run.info.run_id, run.data.metrics)
        columns = {name: _make_points(rows) for name, rows in read.items()}
        raw = Raw(
            None, {name: points for name, points in columns.items() if len(points)}, stepped=True, form="MLflow run"
        )
        if not raw.columns:
            raise AnalysisError(f"run {run.info.run_id} must have recorded metrics, and has none")
        name = run.info.run_name or run.info.run_id
        source = f"MLflow run {run.info.run_id}"
        return assemble_history(name, source, Found([raw], params), self._reading, tags | {RUN_ID: run.info.run_id})

    def _ask(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call a function that uses MLflow and return its result; convert any failure to `AnalysisError`."""
        try:
            return call(*arguments, **options)
        except ImportError as error:
            reason = explain_missing_driver(error) or str(error)
            raise AnalysisError(f"MLflow's records in {redact_value(self.url)} cannot be read: {reason}") from None
        except list_store_errors() as error:
            _, line = explain_error(error, self.url)
            raise AnalysisError(f"MLflow's records in {redact_value(self.url)} cannot be read: {line}") from None


def _make_points(logged: "Sequence[MetricRow]", batch: int = 1) -> Points:
    """Make a metric's points, the last one logged if a step has two; `batch` steps make one iteration."""
    points = dict(sorted({row.step // batch: from_stored(row.value) for row in logged}.items()))
    return Points(np.array(list(points), dtype=np.float64), np.array(list(points.values()), dtype=np.float64))


def _restore(curves: Mapping[str, Points], tags: Mapping[str, str]) -> dict[str, Points]:
    """Return a trial's curves, with values added that MLflow cannot store, such as NaN, or stores as tags."""
    last = np.array([max((each.at.max() for each in curves.values() if len(each)), default=0.0)])
    ends = {name: Points(last, curves[name].values[-1:]) for name in SCORE if name in curves}
    ends |= {name: Points(last, np.array([float(value)])) for name, value in read_tags(tags).items()}
    drawn = curves.get(metrics.F1_RANDOM)
    zeros = {ALWAYS_ZERO: Points(drawn.at, np.zeros(len(drawn)))} if drawn is not None and len(drawn) else {}
    return {**zeros, **curves, **ends}


def check_url(url: str) -> None:
    """Raise `AnalysisError` unless a URL names an MLflow store; a database file must exist and be MLflow's."""
    file = Path(url.removeprefix("sqlite:///").partition("?")[0])
    if not url.startswith(_STORES) or url == "sqlite:///":
        kinds = "sqlite:///FILE, a database such as postgresql://HOST/NAME, or a server such as http://HOST:5000"
        raise AnalysisError(f"--mlflow-url must be {kinds}, got {redact_value(url)!r}")
    if not url.startswith("sqlite:"):
        return
    if not file.exists():
        raise AnalysisError(
            f"MLflow's records must exist, got {file}; name the folder of the sweeps with --folder, or --mlflow-url"
        )
    tables: set[str] = set()
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables >= {"experiments", "runs", "metrics"}:  # MLflow would write its tables into it
        raise AnalysisError(f"MLflow's records must be a database that MLflow made, got {file}, which is none")
