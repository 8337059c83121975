"""URLs of the databases that a sweep is recorded in."""

from pathlib import Path


def sqlite_url(folder: Path, name: str) -> str:
    """Return the URL of a database in the folder of all sweeps."""
    return f"sqlite:///{folder.absolute() / f'{name}.db'}"


def sqlite_file(url: str) -> Path | None:
    """Return the file that a plain sqlite URL names; None for any other URL, one with options included."""
    file = url.removeprefix("sqlite:///")
    return None if file == url or not file or "?" in file else Path(file)
