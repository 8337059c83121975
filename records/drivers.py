"""Explain which database driver is missing, and how to install the driver."""

_INSTALL = {"psycopg": "'unstuck[postgres]'", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
"""Package that pip installs for a driver's module, if the two names differ."""


def explain_missing_driver(error: BaseException) -> str:
    """Explain in words which database driver is missing and how to install it; return "" for other errors."""
    driver = ""
    cause: BaseException | None = error
    while cause is not None:  # Optuna and SQLAlchemy wrap what Python says
        if isinstance(cause, ImportError) and cause.name:
            driver = cause.name.partition(".")[0]
        cause = cause.__cause__
    if not driver:
        return ""
    return f"the database's driver {driver} is not installed; pip install {_INSTALL.get(driver, driver)}"
