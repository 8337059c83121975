"""Connect to MLflow's store, and turn the store's errors into errors of one line."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unstuck.records.drivers import explain_missing_driver
from unstuck.records.errors import TrackingError
from unstuck.records.loopback import spare_loopback
from unstuck.records.redact import explain_error
from unstuck.records.urls import sqlite_file

if TYPE_CHECKING:  # imported where first needed: it takes 1.4 s
    from mlflow import MlflowClient

NO_TELEMETRY = {"MLFLOW_DISABLE_TELEMETRY": "true"}
"""Variables for MLflow, read on import, and for MLflow's server, which asks what to report as soon as it starts."""
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")

_NO_ARTIFACTS = "/nonexistent"
"""Folder of artifacts that MLflow asks for; nothing is ever written to the folder."""


def connect(url: str) -> "MlflowClient":
    """Connect to the MLflow database or server at `url`; create the tables of a missing sqlite file.

    Errors are raised, nothing is printed.
    """
    os.environ.update(NO_TELEMETRY)
    spare_loopback()
    # MLflow's own 7 retries hold a sweep up for 4 minutes when a tracking server is gone (mlflow#5744).
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    import sqlalchemy
    from mlflow import MlflowClient

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    if (file := sqlite_file(url)) and file.parent.is_dir() and not file.exists():
        _make_tables(file)
    if url.startswith(DATABASES):
        # MLflow tries an unreachable database for 100 s (mlflow#1749); one attempt of our own tells at once.
        engine = sqlalchemy.create_engine(url)
        engine.connect().close()
        engine.dispose()
    return MlflowClient(tracking_uri=url)


def list_store_errors() -> tuple[type[Exception], ...]:
    """List the types of errors that calls to MLflow can raise: of MLflow, the database, the disk or a wrong URL."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, SQLAlchemyError, OSError, ValueError


def renew(url: str) -> None:
    """Close MLflow's connections to the sqlite file at `url`, and create the tables that the file lacks.

    MLflow keeps connections for as long as the process lives (mlflow#4663), even to a file that was deleted or
    replaced (mlflow#4808).
    """
    if sqlite_file(url):
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        for _ in range(2):  # to drop what MLflow has kept, then to make the tables
            SqlAlchemyStore(url, _NO_ARTIFACTS).engine.dispose()  # type: ignore[no-untyped-call]


def _make_tables(file: Path) -> None:
    """Create MLflow's database under a temporary name, then rename the file, so that no half-made one is opened."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def write_without_waiting(connection: Any, record: object) -> None:
        """Leave it to the system when commits reach the disk: MLflow makes 70, and a half-made file is never used."""
        connection.execute("PRAGMA synchronous = OFF")

    temporary = file.with_name(f"{file.name}.tmp")
    temporary.unlink(missing_ok=True)
    event.listen(Engine, "connect", write_without_waiting)
    try:
        renew(f"sqlite:///{temporary}")
    finally:
        event.remove(Engine, "connect", write_without_waiting)
    with temporary.open("rb") as made:
        os.fsync(made.fileno())
    temporary.replace(file)


@contextmanager
def translate_errors(action: str, url: str = "") -> Iterator[None]:
    """Convert any error inside the block to a `TrackingError` with a message of one line.

    Args:
        action: Action under way, for the message.
        url: URL of the store, if the action opens the store: errors may quote the URL, a password's part included.
    """
    try:
        yield
    except TrackingError:
        raise
    except Exception as error:  # errors of MLflow, its database, the driver or the disk
        if missing := explain_missing_driver(error):
            raise TrackingError(f"cannot {action} in MLflow: {missing}") from None
        kind, line = explain_error(error, url)
        raise TrackingError(
            f"cannot {action} in MLflow: {kind}: {line.rstrip('.')}; "
            "check tracking.mlflow_url and the disk, or run with tracking=none"
        ) from None
