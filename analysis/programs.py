"""The project's programs as they are typed where the user stands: any folder, with any environment in force."""

import os
import shutil
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The checkout, or where the packages are installed."""


def python() -> str:
    """This process's Python: `python` where that is it, as in an environment that is in force."""
    return _here("python", Path(sys.executable))


def tool(name: str) -> str:
    """A program that was installed beside this process's Python, such as `mlflow`."""
    return _here(name, Path(sys.executable).with_name(name))


def sweep_program() -> list[str]:
    """The words that call `sweep.py`, as this process was called if it is one."""
    script = ROOT / "sweep.py"
    called = Path(sys.argv[0])
    return [python(), str(called) if called.is_file() and called.samefile(script) else _relative(script)]


def module_program(room: str) -> list[str]:
    """Return the words that call a package of ours: by its name where Python finds it from here, else by its path."""
    installed = ROOT.parent in {Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib")}
    hidden = any(Path(entry).exists() for entry in ("unstuck", "unstuck.py"))  # by the folder's own, which comes first
    if Path.cwd() == ROOT or (installed and not hidden):
        return [python(), "-m", f"unstuck.{room}"]
    return [python(), str(ROOT / room)]


def sweep_words(name: str, folder: Path) -> list[str]:
    """The words by which `champion`, `audit` and `report` find a sweep; `folder` is its `sweep.folder`."""
    return [name] if folder.absolute() == Path("runs").absolute() else [name, "--folder", str(folder.absolute())]


def _here(name: str, file: Path) -> str:
    found = shutil.which(name)
    is_it = found is not None and Path(found).parent.resolve() == file.parent.resolve()
    return name if is_it else _relative(file)


def _relative(file: Path) -> str:
    """The path as short as it can be said from here, without going up."""
    here = Path.cwd()
    return os.path.relpath(file, here) if file.is_relative_to(here) else str(file)
