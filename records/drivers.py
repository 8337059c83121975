"""Databases whose driver is not installed: which one, and how to get it."""

_INSTALL = {"psycopg": "'unstuck[postgres]'", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
"""What pip installs a driver by, unless it is called like its module."""


def missing_driver(error: BaseException) -> str:
    """Say which driver a library has not found, and how to install it; empty if it failed on something else."""
    driver = ""
    cause: BaseException | None = error
    while cause is not None:  # Optuna and SQLAlchemy wrap what Python says
        if isinstance(cause, ImportError) and cause.name:
            driver = cause.name.partition(".")[0]
        cause = cause.__cause__
    if not driver:
        return ""
    return f"the database's driver {driver} is not installed; pip install {_INSTALL.get(driver, driver)}"
