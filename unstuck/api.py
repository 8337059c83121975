"""Read, diagnose and compare runs from a program: what `import unstuck` offers."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from unstuck.analysis.diagnosis import Diagnosis
from unstuck.analysis.diagnosis import diagnose as diagnose_history
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history import History, Stores, load
from unstuck.analysis.history.known import check_setting
from unstuck.analysis.side_by_side import Comparison, compare_runs, require_two_runs

Run = str | os.PathLike[str] | History
"""A run by its name or path, or one that was loaded."""


def load_run(
    run: Run,
    folder: str | os.PathLike[str] = "runs",
    *,
    mlflow_url: str | None = None,
    names: str | os.PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> History:
    """Load a run's curves and settings from a file, a folder, a sweep's trial or MLflow, made by any program.

    Args:
        run: A file (a CSV, or an event file of TensorBoard's), a folder with such files, a sweep's trial (`NAME/7`), or
            an MLflow run id. A run that was loaded is taken as it is.
        folder: Folder of the sweeps; holds `mlflow.db` unless a URL is given.
        mlflow_url: MLflow's database or server.
        names: A mapping file for columns of unknown names (docs/diagnosis.md).
        settings: Settings that the run's files do not hold, such as `{"ppo.gamma": 0.99}`.

    Returns:
        The run: `table` holds its curves, `settings` what is on record of its settings.

    Raises:
        AnalysisError: There is no such run, it cannot be read, or a setting is unknown.

    Example:
        >>> run = load_run("progress.csv", settings={"ppo.gamma": 0.99})
        >>> print(run.last_iteration, run.settings["ppo.gamma"])
        100 0.99
    """
    for path, value in (settings or {}).items():
        check_setting("settings", path, value)
    if not isinstance(run, str | os.PathLike | History):
        raise AnalysisError(
            f"a run must be a path, a trial such as NAME/7, an MLflow run id, or a run of load_run's, got a "
            f"{type(run).__name__}; write 'NAME/7'"
        )
    if not isinstance(run, History):
        run = load(os.fspath(run), Stores(Path(folder), mlflow_url, Path(names) if names is not None else None))
    return replace(run, settings={**run.settings, **settings}) if settings else run


def diagnose(
    run: Run,
    folder: str | os.PathLike[str] = "runs",
    *,
    mlflow_url: str | None = None,
    names: str | os.PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Diagnosis:
    """Return findings on why a run is stuck, the most basic cause first, each with evidence, causes and tests.

    Args:
        run: A run, as `load_run` takes it; the other arguments likewise.
        folder: Folder of the sweeps.
        mlflow_url: MLflow's database or server.
        names: A mapping file for columns of unknown names.
        settings: Settings that the run's files do not hold.

    Raises:
        AnalysisError: There is no such run, it cannot be read, or a setting is unknown.

    Example:
        >>> found = diagnose("progress.csv")
        >>> [(one.rule.name, str(one.finding.kind)) for one in found.findings][:1]
        [('value_floor', 'limit')]
    """
    return diagnose_history(load_run(run, folder, mlflow_url=mlflow_url, names=names, settings=settings))


def compare(
    *runs: Run,
    folder: str | os.PathLike[str] = "runs",
    mlflow_url: str | None = None,
    names: str | os.PathLike[str] | None = None,
) -> Comparison:
    """Compare runs with the first one, the control: scores, differences with uncertainty, and settings that differ.

    Args:
        runs: Two runs or more, each as `load_run` takes it.
        folder: Folder of the sweeps.
        mlflow_url: MLflow's database or server.
        names: A mapping file for columns of unknown names.

    Raises:
        AnalysisError: For fewer than two runs, a run that cannot be read, or runs without a score in common.

    Example:
        >>> compared = compare("progress.csv", "worse.csv")
        >>> print(compared.runs[1].against_control)
        worse than the control
    """
    require_two_runs(runs)
    return compare_runs([diagnose(run, folder, mlflow_url=mlflow_url, names=names) for run in runs])
