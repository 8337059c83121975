"""Commands of the project's programs, in words that a user can type from any folder, in any environment."""

import os
import shutil
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The checkout, or where the packages are installed."""


def python_program() -> str:
    """Return the command that starts the Python in use: `python` if PATH leads to that Python, else the path."""
    return _here("python", Path(sys.executable))


def tool_program(name: str) -> str:
    """Return the command of a program installed with Python, e.g. `mlflow`: its name if on PATH, else its path."""
    return _here(name, Path(sys.executable).with_name(name))


def sweep_program() -> list[str]:
    """Return the words of the command that starts a sweep: `unstuck sweep`, or Python with `sweep.py`."""
    script = ROOT / "sweep.py"
    called = Path(sys.argv[0])
    if _is_console_command(called):
        return [*unstuck_program(), "sweep"]
    if not script.is_file():  # installed, and called in another way
        return [*unstuck_program(), "sweep"]
    return [python_program(), str(called) if called.is_file() and called.samefile(script) else _relative(script)]


def unstuck_program() -> list[str]:
    """Return the words of the command that has all of the project's commands: `unstuck`, or Python with its package."""
    called = Path(sys.argv[0])
    if _is_console_command(called):
        return [_here(called.name, called.absolute())]
    return _module("unstuck", ROOT / "unstuck" if (ROOT / "sweep.py").is_file() else ROOT)


def module_program(room: str) -> list[str]:
    """Return the words of the command that runs a package of the project, such as `sweeps`."""
    called = Path(sys.argv[0])
    if _is_console_command(called):  # which has the commands of all rooms
        return [_here(called.name, called.absolute())]
    return _module(f"unstuck.{room}", ROOT / room)


def _is_console_command(called: Path) -> bool:
    return called.name == "unstuck" and called.is_file()


def _module(name: str, folder: Path) -> list[str]:
    installed = ROOT.parent in {Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib")}
    hidden = any(Path(entry).exists() for entry in ("unstuck", "unstuck.py"))  # by the folder's own, which comes first
    if Path.cwd() == ROOT or (installed and not hidden):
        return [python_program(), "-m", name]
    return [python_program(), str(folder)]


def sweep_words(name: str, folder: Path) -> list[str]:
    """Return the arguments that name a sweep on the command line: the name, and `--folder` unless default."""
    return [name] if folder.absolute() == Path("runs").absolute() else [name, "--folder", str(folder.absolute())]


def _here(name: str, file: Path) -> str:
    found = shutil.which(name)
    is_it = found is not None and Path(found).parent.resolve() == file.parent.resolve()
    return name if is_it else _relative(file)


def _relative(file: Path) -> str:
    """Shorten a path relative to the current folder, if the file lies below the folder."""
    here = Path.cwd()
    return os.path.relpath(file, here) if file.is_relative_to(here) else str(file)
