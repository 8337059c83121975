"""The package built and installed, as users have it; the fixture `built` in conftest.py makes it once for all."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("rl", "records", "sweeps", "analysis", "conf")
PIP_INSTALL = ("-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet")
PIP_INSTALL += ("install", "--no-deps", "--no-index", "--no-compile")
BUILD = "from setuptools import build_meta as b; b.build_wheel('../wheel'); b.build_editable('../editable')"
"""What pip asks our build backend for, both in one process."""


@dataclass(frozen=True)
class Built:
    """Where the package was built.

    Attributes:
        folder: Folder of all that was made.
    """

    folder: Path

    @property
    def source(self) -> Path:
        """The checkout copied, since a build writes beside what it builds."""
        return self.folder / "source"

    @property
    def installed(self) -> Path:
        """Where the wheel is installed, in no environment."""
        return self.folder / "installed"

    @property
    def program(self) -> Path:
        """The installed command `unstuck`."""
        return self.installed / "bin" / "unstuck"

    @property
    def editable(self) -> Path:
        """The wheel that an editable install of the copy is made from."""
        (file,) = (self.folder / "editable").glob("unstuck-*.whl")
        return file


def build(folder: Path) -> Built:
    """Copy the checkout, build its wheel and the one for an editable install, and install the former."""
    built = Built(folder)
    for name in ("unstuck", *ROOMS):
        shutil.copytree(ROOT / name, built.source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "sweep.py"):
        shutil.copy(ROOT / name, built.source / name)
    for name in ("wheel", "editable"):
        (folder / name).mkdir()
    _check(built.source, "-W", "ignore", "-c", BUILD)
    (file,) = (folder / "wheel").glob("unstuck-*.whl")
    _check(folder, *PIP_INSTALL, "--target", str(built.installed), str(file))
    return built


def _check(folder: Path, *words: str) -> None:
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
