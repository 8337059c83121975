"""Collect the provenance of a result, to reproduce the result later: code, versions and machine."""

import getpass
import platform
import subprocess
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from unstuck.records.machine import count_granted_cores

PACKAGES = ("torch", "ray", "optuna", "mlflow", "gymnasium")
GIT_TIMEOUT_S = 10.0
ROOT = Path(__file__).resolve().parents[1]
"""The checkout, or where the packages are installed."""


def collect_provenance(source: Path = Path(__file__)) -> dict[str, str]:
    """Collect facts about the code and the machine as tags by name: git commit, package versions, cores.

    Args:
        source: File of the code that runs; the commit is that of the repository which holds the file.

    Returns:
        `git.commit` (40 hex digits) and `git.dirty` (`true` or `false`), both left out where `source` is in no
        commit, e.g. of an installed package; `version.python` and `version.<package>` for each of `PACKAGES` that
        is installed; `host.cpus`, the cores that were granted.
    """
    return {**read_git_state(source), **collect_versions(PACKAGES), "host.cpus": str(count_granted_cores().count)}


def find_own_version(root: Path = ROOT) -> str:
    """Find this project's version: in a checkout's `pyproject.toml`, or else of the installed package.

    Args:
        root: The checkout, or where the packages are installed.

    Returns:
        Version such as `0.1.0`; `unknown` of a copy that is neither a checkout nor installed.
    """
    file = root / "pyproject.toml"
    if (root / "sweep.py").is_file() and file.is_file():
        return str(tomllib.loads(file.read_text(encoding="utf-8"))["project"]["version"])
    try:
        return metadata.version("unstuck")
    except metadata.PackageNotFoundError:
        return "unknown"


def make_user_tags(program: str, code: Mapping[str, str]) -> dict[str, str]:
    """Make the tags from which MLflow's pages show who ran which program at which commit.

    Args:
        program: Command that runs.
        code: Tags of `collect_provenance`.
    """
    tags = {"mlflow.source.name": program, "mlflow.source.type": "LOCAL"}
    with suppress(OSError, KeyError, ImportError):  # a container may run as a user that has no name
        tags["mlflow.user"] = getpass.getuser()
    return tags | ({"mlflow.source.git.commit": code["git.commit"]} if "git.commit" in code else {})


def read_git_state(source: Path) -> dict[str, str]:
    """Read the git commit of the file `source`, and whether changes are uncommitted; return tags by name.

    Args:
        source: File. A file that its repository does not track gets no answer: an environment inside somebody's
            repository must not be taken for that repository's code.
    """
    file = source.resolve()
    commit = _run_git(file.parent, "rev-parse", "HEAD")
    if commit is None or _run_git(file.parent, "ls-files", "--error-unmatch", file.name) is None:
        return {}
    changes = _run_git(file.parent, "status", "--porcelain")
    return {"git.commit": commit, "git.dirty": str(changes != "").lower()}


def collect_versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Collect the versions of Python and of installed packages, by tag name, without importing a package."""
    found = {"version.python": platform.python_version()}
    for package in packages:
        try:
            found[f"version.{package}"] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _run_git(folder: Path, *arguments: str) -> str | None:
    """Run git with the given arguments; return the output, or None if git fails, is missing or is too slow."""
    # Without optional locks a status never gets in the way of a commit that the user makes meanwhile.
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=GIT_TIMEOUT_S, check=True)
    except (OSError, subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip()
