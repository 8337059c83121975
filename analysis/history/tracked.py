"""Runs in MLflow: a sweep's trials, or anybody's run by its id."""

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.axis import BATCH
from analysis.errors import AnalysisError
from analysis.history.align import by_iteration
from analysis.history.names import UNSTUCK, dialect_of, rename
from analysis.history.record import History
from analysis.history.settings import literal, translate

if TYPE_CHECKING:  # imported where first needed: it takes seconds
    from mlflow.entities import Run

_INFINITY = 1.7e308
"""MLflow stores infinity as the largest float."""


class TrackedRuns:
    """An MLflow store, for reading.

    Args:
        url: A database or a tracking server. A database that does not exist is refused, not made.
    """

    def __init__(self, url: str) -> None:
        file = url.removeprefix("sqlite:///")
        if file != url and "?" not in file and not Path(file).exists():
            raise AnalysisError(
                f"MLflow's records must exist, got {file}; name the folder of the sweeps with --folder, or --mlflow-url"
            )
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        from mlflow import MlflowClient

        self._client = MlflowClient(tracking_uri=url)
        self.url = url

    def run(self, run_id: str) -> History:
        """Anybody's run by its id.

        Raises:
            AnalysisError: There is none.
        """
        from mlflow.exceptions import MlflowException

        try:
            return self._history(self._client.get_run(run_id))
        except MlflowException as error:
            raise AnalysisError(f"no run {run_id} in {_shown(self.url)}: {error.message}") from None

    def trial(self, sweep: str, number: int) -> History:
        """A sweep's trial.

        Raises:
            AnalysisError: There is none of this number; the message says which there are.
        """
        runs = self.trials(sweep)
        if number not in runs:
            there = f"trials {min(runs)} to {max(runs)}" if runs else "no such sweep"
            raise AnalysisError(f"no trial {number} of sweep {sweep!r} in {_shown(self.url)}: {there}")
        return self._history(runs[number])

    def trials(self, sweep: str) -> dict[int, "Run"]:
        """MLflow's runs of a sweep's trials, by number; the latest where one was logged twice."""
        runs: dict[int, Run] = {}
        token: str | None = None
        experiments = [experiment.experiment_id for experiment in self._client.search_experiments()]
        query = f"tags.sweep = '{sweep.replace(chr(39), '')}'"
        while token != "":
            page = self._client.search_runs(
                experiments, query, order_by=["attributes.start_time ASC"], page_token=token
            )
            runs |= {int(run.data.tags["trial"]): run for run in page if "trial" in run.data.tags}
            token = page.token or ""
        return dict(sorted(runs.items()))

    def histories(self, sweep: str) -> dict[int, History]:
        """All of a sweep's trials, read whole."""
        return {number: self._history(run) for number, run in self.trials(sweep).items()}

    def _history(self, run: "Run") -> History:
        tags = {name: value for name, value in run.data.tags.items() if not name.startswith("mlflow.")}
        params = {name: literal(value) for name, value in run.data.params.items()}
        ours = "trial" in tags
        dialect = UNSTUCK if ours else dialect_of(run.data.metrics)
        renamed = {name: found for name in run.data.metrics if (found := rename(name, dialect))}
        batch = 1
        if ours and "budget.env_steps" in params:  # MLflow's steps are the environment's
            batch = math.prod(int(params[path]) for path in BATCH)
        table = by_iteration(
            {our: self._points(run.info.run_id, theirs, times, batch) for theirs, (our, times) in renamed.items()},
            counted=True if ours else None,
        )
        if renamed and not len(table):
            raise AnalysisError(f"run {run.info.run_id} must have recorded metrics, and has none")
        name = f"{tags['sweep']}/{tags['trial']}" if ours else run.info.run_name or run.info.run_id
        return History(
            name=name,
            source=f"MLflow run {run.info.run_id}",
            table=table,
            settings=params if ours else translate(params, dialect),
            tags=tags | {"run_id": run.info.run_id},
            remarks=tuple(text for metric, text in dialect.remarks.items() if metric in table),
            dialect=dialect.name,
        )

    def _points(self, run_id: str, metric: str, times: float, batch: int) -> list[tuple[int, float]]:
        """A metric's points, the last one where a step was logged twice; an iteration is so many steps."""
        points = {point.step // batch: point.value for point in self._client.get_metric_history(run_id, metric)}
        return [(step, _value(value) * times) for step, value in sorted(points.items())]


def _value(stored: float) -> float:
    return stored if abs(stored) < _INFINITY else float("inf") if stored > 0 else float("-inf")


def _shown(url: str) -> str:
    """A URL without its password."""
    head, _, tail = url.rpartition("@")
    return f"{head.partition('://')[0]}://***@{tail}" if head else url
