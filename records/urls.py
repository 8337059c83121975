"""Make and read the sqlite URLs of the databases that a sweep is recorded in."""

from pathlib import Path
from urllib.parse import unquote

LEDGER_FILE, MLFLOW_FILE = "optuna.db", "mlflow.db"
"""Databases in the folder of all sweeps, unless URLs name others."""


def find_ledger_url(url: str | None, folder: Path) -> str:
    """Return the URL of Optuna's database: the given URL, or a sqlite file in the folder of all sweeps.

    Example:
        >>> find_ledger_url(None, Path("/runs"))
        'sqlite:////runs/optuna.db'
    """
    return url or f"sqlite:///{folder.absolute() / LEDGER_FILE}"


def find_mlflow_url(url: str | None, folder: Path) -> str:
    """Return the URL of MLflow's database or server: the given URL, or a sqlite file in the folder of all sweeps.

    Example:
        >>> find_mlflow_url("http://here:5000", Path("/runs")), find_mlflow_url(None, Path("/runs"))
        ('http://here:5000', 'sqlite:////runs/mlflow.db')
    """
    return url or f"sqlite:///{folder.absolute() / MLFLOW_FILE}"


def sqlite_file(url: str) -> Path | None:
    """Return the path of the file that a sqlite URL names; None for other URLs, and for those with options.

    Example:
        >>> sqlite_file("sqlite:////runs/mlflow.db").as_posix()
        '/runs/mlflow.db'
        >>> sqlite_file("postgresql://db/mlflow") is None
        True
    """
    file = url.removeprefix("sqlite:///")
    return None if file == url or not file or "?" in file else Path(file)


def are_two_files(one: str, other: str) -> bool:
    """Return True if two URLs, with options or without, name two sqlite files that exist; False wherever in doubt.

    Example:
        >>> are_two_files("postgresql://here/optuna", "postgresql://there/optuna")  # may be one server by two names
        False
    """
    files = [_read_path(url) for url in (one, other)]
    return all(file.is_file() for file in files) and not files[0].samefile(files[1])


def _read_path(url: str) -> Path:
    """Return the path in a sqlite URL, also in one with options like `sqlite:///file:/runs/optuna.db?uri=true`."""
    path = url.removeprefix("sqlite:///").partition("?")[0]
    return Path(unquote(path.removeprefix("file:")) if path.startswith("file:") else path)
