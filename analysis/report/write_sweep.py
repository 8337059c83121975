"""Write the report of a sweep: read ledger and MLflow, and leave Markdown and HTML in the sweep's folder."""

import math
from collections.abc import Mapping
from pathlib import Path

from unstuck.analysis.diagnosis import Diagnosis, diagnose
from unstuck.analysis.document import Document
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history import Stores
from unstuck.analysis.history.own_seeds import add_seeds
from unstuck.analysis.history.tracked import TrackedRuns
from unstuck.analysis.report.sweep import Findings, sweep_document
from unstuck.analysis.report.unstick import unstick_document
from unstuck.analysis.report.write import write_document
from unstuck.analysis.sweep.importance import (
    compute_dashboard_importances,
    compute_importances,
    read_ranges,
    read_sweep,
)
from unstuck.analysis.sweep.trials import Sweep
from unstuck.analysis.sweep.unstick import Unstick, read_run_before
from unstuck.records.identity import read_identity
from unstuck.records.outcome import Outcome

ENOUGH_COMPLETED = 0.6
"""Share of the trials that must have completed for importances to be about final values; else they are about the first
rung, which all trials reached alike."""


def report_sweep(name: str, stores: Stores, optuna_url: str | None = None, folder: Path | None = None) -> list[Path]:
    """Write the report of a sweep as Markdown and HTML into the sweep's folder; return the paths.

    Args:
        name: Name of the sweep.
        stores: Places of its folder and of MLflow's records.
        optuna_url: URL of the ledger; None: `optuna.db` in the sweeps' folder.
        folder: Folder to write to instead.

    Returns:
        Files and folders written, to be kept as artifacts of the sweep's MLflow run.

    Raises:
        AnalysisError: There is no such sweep, or the report cannot be written.
    """
    document = make_sweep_document(gather_findings(name, stores, optuna_url))
    return write_document(document, folder or stores.folder / name / "report", "report")


def make_sweep_document(found: Findings) -> Document:
    """Return the report of a sweep as a document, in another form if the sweep branches a stuck run."""
    unstick = found.sweep.unstick
    return unstick_document(found, unstick) if unstick else sweep_document(found)


def gather_findings(
    name: str, stores: Stores, optuna_url: str | None = None, diagnoses: Mapping[int, Diagnosis] | None = None
) -> Findings:
    """Collect the data for a sweep's report from Optuna study and MLflow.

    Args:
        name: Name of the sweep.
        stores: Places of its folder and of MLflow's records.
        optuna_url: URL of the ledger, as for `report_sweep`.
        diagnoses: Diagnoses of its trials; None for those that MLflow holds.
    """
    sweep = read_sweep(name, stores.folder, optuna_url)
    diagnoses = _diagnose_trials(name, stores) if diagnoses is None else diagnoses
    if sweep.unstick:  # its arms are no search: nothing can be said of a setting's importance
        before = _diagnose_before(sweep, sweep.unstick, stores.folder / name)
        return Findings(sweep, diagnoses, folder=stores.folder, before=before)
    completed = sweep.rank_trials(Outcome.COMPLETED)
    values, about = choose_values(sweep)
    trials = {trial.number: trial for trial in sweep.trials}
    chosen = [trials[number] for number in values]
    ranges = read_ranges(name, stores.folder, optuna_url)
    shares = compute_importances(chosen, list(values.values()), ranges, sweep.sign)
    dashboard = compute_dashboard_importances(completed, ranges, sweep.sign)
    return Findings(sweep, diagnoses, shares, about, len(chosen), dashboard, stores.folder)


def _diagnose_before(sweep: Sweep, unstick: Unstick, folder: Path) -> Diagnosis | None:
    """Diagnose the stuck run as it was at its checkpoint; None if the checkpoint cannot be read."""
    history = read_run_before(unstick, sweep.settings, folder)
    return diagnose(history) if history is not None else None


def choose_values(sweep: Sweep) -> tuple[dict[int, float], str]:
    """Choose the trials' values to compute importances from (final, or early ones), with a text on the choice.

    Final values are ordered, the best first.
    """
    completed = {trial.number: trial.value or 0.0 for trial in sweep.rank_trials(Outcome.COMPLETED)}
    rung = min((entry.iteration for trial in sweep.trials for entry in trial.rungs), default=0)
    reached = {trial.number: trial.objective_from(rung) for trial in sweep.trials} if rung else {}
    judged = {number: value for number, value in reached.items() if value is not None and math.isfinite(value)}
    if len(completed) < ENOUGH_COMPLETED * len(judged):
        return judged, f"{sweep.metric} at {sweep.axis.describe_step(rung)}, which all of them reached"
    return completed, f"the final {sweep.metric} of completed trials"


def _diagnose_trials(name: str, stores: Stores) -> Mapping[int, Diagnosis]:
    """Diagnose all trials whose curves MLflow has; return the diagnoses by trial number."""
    try:
        histories = TrackedRuns(stores.mlflow).load_histories(name, read_identity(stores.folder / name))
    except AnalysisError:
        return {}
    folder = stores.folder / name
    return {
        number: diagnose(add_seeds(history, folder, number))
        for number, history in histories.items()
        if len(history.table)
    }
