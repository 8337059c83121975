"""Make the views in which MLflow's pages show a sweep: columns, order, charts; `records.mlflow.links` opens them."""

import base64
import json
import math
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unstuck.records.mlflow.names import OBJECTIVE, OBJECTIVE_SPREAD, PROGRESS, RENAMED, RULES
from unstuck.records.names import CONTROL, DIAGNOSIS, OUTCOME_TAG, PARENT_TAG
from unstuck.records.outcome import Outcome
from unstuck.records.tracker import SweepHeader
from unstuck.rl import metrics

if TYPE_CHECKING:
    from mlflow.entities import Run

VIEW_TAG = "mlflow.sharedViewState."
"""Start of the name of an experiment's tag that holds a view; the view's key follows."""

VIEW_LENGTH = 5000
"""Characters that MLflow allows in an experiment's tag."""

COMPARED = 5
"""Number of best trials that the comparison shows beside the control."""

_LETTER, _MARGIN, _NUMBER, _SETTING, _TEXT = 7, 24, 108, 180, 500
"""Pixels of a letter of a column's title, around it, of a column of numbers at least, of a searched setting with all
digits (else `7.9467146e-05` is cut short to `7.9467146`), and of a column of text."""

_ROOM = 720
"""Pixels for settings before the diagnosis, on a page 1,900 wide: with more the diagnosis would lie beyond its edge."""

_CHOSEN = "best trials and control"

_PLAIN_LINE = {
    "xAxisKey": "step",
    "lineSmoothness": 0,
    "useGlobalLineSmoothing": True,
    "useGlobalXaxisKey": True,
    "scaleType": "linear",
    "xAxisScaleType": "linear",
    "range": {},
}
"""A line through the points as they are; MLflow smoothes a line that says nothing of it."""


@dataclass(frozen=True)
class ShownSweep:
    """Facts about a sweep from which its prepared MLflow pages (tables and charts) are made.

    Attributes:
        header: Facts on the sweep.
        parent: Id of the sweep's own run.
        compared: Ids of the runs of the best trials and the control; empty before a trial has completed.
        metrics: Names in MLflow of all metrics that the trials have.
    """

    header: SweepHeader
    parent: str
    compared: Sequence[str] = ()
    metrics: Collection[str] = ()

    @property
    def objective(self) -> tuple[str, str]:
        """MLflow's names of the trials' value and of the value's spread over seeds."""
        is_renamed = self.header.format >= RENAMED
        return (OBJECTIVE, OBJECTIVE_SPREAD) if is_renamed else (metrics.FINAL_VALUE, metrics.FINAL_SPREAD)

    @property
    def columns(self) -> dict[str, int]:
        """Widths in pixels of the columns of MLflow's table, from left to right, to fit the titles.

        The diagnosis stands last, but before the settings of a sweep that has many, as an unstick's arms have.
        """
        value, spread = self.objective
        titles = {f"tags.`{OUTCOME_TAG}`": OUTCOME_TAG, **{f"metrics.`{name}`": name for name in (value, spread)}}
        widths = {column: max(_NUMBER, _MARGIN + _LETTER * len(title)) for column, title in titles.items()}
        settings = {f"params.`{path}`": max(_SETTING, _MARGIN + _LETTER * len(path)) for path in self.header.searched}
        diagnosis = {f"tags.`{DIAGNOSIS}`": _TEXT}
        fits = sum(settings.values()) <= _ROOM
        return {**widths, **settings, **diagnosis} if fits else {**widths, **diagnosis, **settings}


def choose_compared(header: SweepHeader, trials: "Sequence[Run]") -> list[str]:
    """Choose the runs to compare, the `COMPARED` best completed trials and the control; return their ids.

    Args:
        header: Facts on the sweep.
        trials: Runs of the sweep's trials.
    """
    objective, _ = ShownSweep(header, "").objective
    scored = [run for run in trials if math.isfinite(run.data.metrics.get(objective, math.nan))]
    completed = [run for run in scored if run.data.tags.get(OUTCOME_TAG) == Outcome.COMPLETED]
    ranked = sorted(completed, key=lambda run: run.data.metrics[objective], reverse=header.mode == "max")
    control = [run for run in trials if run.data.tags.get(CONTROL) == "true"]
    return list(dict.fromkeys(run.info.run_id for run in [*ranked[:COMPARED], *control]))


def make_table(sweep: ShownSweep) -> str:
    """Make the settings of MLflow's page on all trials: a table, best first, and charts, objective first."""
    objective, _ = sweep.objective
    group = objective.partition("/")[0]
    folded = _make_section(RULES.rstrip("/")) | {"display": False}
    sections = [_make_section(group) | {"columns": 2}, _make_section(PROGRESS.rstrip("/")), folded]
    line = {"type": "LINE", "uuid": "objective", "metricSectionId": group, "metricKey": objective, **_PLAIN_LINE}
    state = _make_base(sweep, f"tags.`{PARENT_TAG}` = '{sweep.parent}'")
    return _pack(
        {**state, "compareRunSections": sections, "compareRunCharts": [line, _make_parallel_coordinates(sweep, group)]}
    )


def make_comparison(sweep: ShownSweep) -> str:
    """Make the settings of MLflow's page that compares best trials and control in a chart; all if none completed.

    The chart has an axis for each searched setting and one for the objective. Charts of other metrics, which MLflow
    would add, are listed as taken away.
    """
    ids = ", ".join(f"'{run}'" for run in sweep.compared)
    chosen = f"attributes.run_id IN ({ids})" if ids else f"tags.`{PARENT_TAG}` = '{sweep.parent}'"
    gone = [{"type": "BAR", "uuid": name, "metricKey": name, "deleted": True} for name in sorted(sweep.metrics)]
    large = _make_section(_CHOSEN) | {"columns": 1, "cardHeight": 400}
    state = {**_make_base(sweep, chosen), "compareRunSections": [large]}
    charts = [_make_parallel_coordinates(sweep, _CHOSEN), *gone]
    packed = _pack({**state, "compareRunCharts": charts})
    return packed if len(packed) <= VIEW_LENGTH else _pack({**state, "compareRunCharts": charts[:1]})


def _make_base(sweep: ShownSweep, chosen: str) -> dict[str, Any]:
    return {
        "searchFilter": chosen,
        "orderByKey": f"metrics.`{sweep.objective[0]}`",
        "orderByAsc": sweep.header.mode == "min",
        "selectedColumns": list(sweep.columns),
        "columnOrder": list(sweep.columns),
        "columnWidths": sweep.columns,
        "runsHiddenMode": "SHOW_ALL",  # else charts leave out all but the first 10
        "hideEmptyCharts": True,
        "isAccordionReordered": True,  # else MLflow sorts the sections
    }


def _make_section(name: str) -> dict[str, Any]:
    """Make a section of charts on an MLflow page, for metrics whose names begin with `NAME/`."""
    return {"uuid": name, "name": name, "display": True, "isReordered": True}


def _make_parallel_coordinates(sweep: ShownSweep, section: str) -> dict[str, Any]:
    """Make a parallel-coordinates chart: an axis for each searched setting and the objective, a line a trial."""
    return {
        "type": "PARALLEL",
        "uuid": "searched",
        "metricSectionId": section,
        "selectedParams": list(sweep.header.searched),
        "selectedMetrics": [sweep.objective[0]],
        "showAllRuns": True,
    }


def _pack(state: dict[str, Any]) -> str:
    """Convert the settings of an MLflow page to text for a tag; compress long ones in MLflow's way."""
    text = json.dumps(state)
    if len(text) <= VIEW_LENGTH:
        return text
    return f"deflate;{base64.b64encode(zlib.compress(text.encode())).decode()}"
