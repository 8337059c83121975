"""Where a folder's own MLflow store says that its artifacts lie: where the folder lies now, whoever moved or copied it.

MLflow writes down absolute paths, for an experiment and for each of its runs, and has no call to change them. So its
tables are written here, by its own models, and nowhere else.
"""

from pathlib import Path

from unstuck.records.urls import sqlite_file


def settle_artifacts(url: str, artifacts: Path) -> None:
    """Have a store name its artifacts where they lie; does nothing where it does, or where the store is elsewhere.

    Args:
        url: MLflow's database, with its tables if it is there; or a server.
        artifacts: Absolute folder of the artifacts. Runs that keep theirs in a folder of another name keep them there.
    """
    file = sqlite_file(url)
    if file is None or not file.exists() or file.absolute().parent != artifacts.parent:
        return
    import sqlalchemy
    from mlflow.store.tracking.dbmodels.models import SqlExperiment, SqlRun

    experiments, runs = SqlExperiment.__table__, SqlRun.__table__
    engine, here = sqlalchemy.create_engine(url), artifacts.as_uri()
    with engine.begin() as database:
        for number, location in database.execute(
            sqlalchemy.select(experiments.c.experiment_id, experiments.c.artifact_location)
        ).all():
            if location != here and _is_of(location, artifacts):
                of_it = experiments.c.experiment_id == number
                database.execute(sqlalchemy.update(experiments).where(of_it).values(artifact_location=here))
        elsewhere = ~runs.c.artifact_uri.startswith(f"{here}/", autoescape=True)
        found = sqlalchemy.select(runs.c.run_uuid, runs.c.artifact_uri).where(elsewhere)
        for run, uri in database.execute(found).all():
            root, _, own = uri.rpartition(f"/{run}/")
            if _is_of(root, artifacts):
                there = f"{here}/{run}/{own}"
                database.execute(sqlalchemy.update(runs).where(runs.c.run_uuid == run).values(artifact_uri=there))
    engine.dispose()


def _is_of(location: str | None, artifacts: Path) -> bool:
    """Whether a location is that of a folder such as ours, wherever it lay."""
    return str(location).startswith("file://") and str(location).endswith(f"/{artifacts.name}")
