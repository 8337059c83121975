"""Say where a ledger lies, and answer what its database raises in one line that names the setting to check."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError
from unstuck.records.drivers import explain_missing_driver
from unstuck.records.errors import SweepError
from unstuck.records.redact import redact_error, redact_value


class Places(NamedTuple):
    """Names of the two settings or options that locate an Optuna database, for error messages.

    Attributes:
        folder: Setting of the folder of all sweeps.
        url: Setting of the ledger's URL.
    """

    folder: str = "sweep.folder"
    url: str = "tracking.optuna_url"


SETTINGS = Places()
"""Names of the settings by which a sweep's own command places the ledger."""


@contextmanager
def translate_errors(url: str, places: Places) -> Iterator[None]:
    """Convert any database error inside the block to a `SweepError` with a message of one line."""
    try:
        yield
    # ImportError: a database without its driver. RuntimeError: tables of somebody else's, such as MLflow's.
    # ValueError: a port that is no number.
    except (SQLAlchemyError, StorageInternalError, ImportError, RuntimeError, ValueError) as error:
        shown, reason = redact_value(url), redact_error(str(error), url).partition("\n")[0]
        raise SweepError(
            f"{places.url} must be a database of optuna's own that can be opened, got {shown}: "
            + (explain_missing_driver(error) or reason)
        ) from error
