"""Make MLflow's own store in a sweep folder name the artifacts where the folder lies now, after a move or a copy.

MLflow writes down absolute paths, for an experiment and for each run, and has no call to change a path (mlflow#3144,
mlflow#2577). So this
module, and no other, writes MLflow's tables by MLflow's own models.
"""

from pathlib import Path

from unstuck.records.urls import sqlite_file


def settle_artifacts(url: str, artifacts: Path) -> None:
    """Correct the artifact paths in an MLflow database file that was moved; change no correct ones, and no server.

    Args:
        url: URL of MLflow's database, with tables if the file exists; or a server.
        artifacts: Absolute folder of the artifacts. Runs with a folder of another name are left alone.
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
    """Return True if a location is a file path that ends in the artifacts folder's name."""
    return str(location).startswith("file://") and str(location).endswith(f"/{artifacts.name}")
