"""Make and read the sqlite URLs of the databases that a sweep is recorded in."""

from pathlib import Path


def sqlite_url(folder: Path, name: str) -> str:
    """Return the sqlite URL of the database `name` in the folder of all sweeps.

    Example:
        >>> sqlite_url(Path("/runs"), "mlflow")
        'sqlite:////runs/mlflow.db'
    """
    return f"sqlite:///{folder.absolute() / f'{name}.db'}"


def sqlite_file(url: str) -> Path | None:
    """Return the path that a plain sqlite URL names; None for any other URL, one with options included.

    Example:
        >>> sqlite_file("sqlite:////runs/mlflow.db").as_posix()
        '/runs/mlflow.db'
        >>> sqlite_file("postgresql://db/mlflow") is None
        True
    """
    file = url.removeprefix("sqlite:///")
    return None if file == url or not file or "?" in file else Path(file)
