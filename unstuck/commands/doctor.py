"""`unstuck doctor`: say what this machine lacks."""

import fcntl
import os
import platform
import shutil
import socket
import sqlite3
import tempfile
import tomllib
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from unstuck.commands.parsing import add_folder, add_json, make_parser, run_refusing
from unstuck.records.as_json import format_json
from unstuck.records.machine import count_granted_cores, measure_free_memory
from unstuck.records.provenance import ROOT, find_own_version
from unstuck.rl.errors import ConfigError

_ENOUGH_MEMORY, _LEAST_MEMORY = 3.0, 1.0
_ENOUGH_DISK, _LEAST_DISK = 2.0, 0.2
"""Gigabytes that a small sweep takes in comfort, and with which none can start."""

_SQLITE = (3, 24)
"""First version of SQLite that updates a row that is there instead of adding one, as Optuna asks it to."""


class State(StrEnum):
    """Results of a check: fine, a note (something optional is missing), or a lack that stops sweeps.

    Attributes:
        FINE: The machine has what is needed.
        NOTE: Something that is not needed for all sweeps is missing or scarce.
        LACKS: No sweep can run, or not by the versions that were tested.
    """

    FINE = "ok"
    NOTE = "note"
    LACKS = "lacks"


@dataclass(frozen=True)
class Check:
    """Result of one check of the machine, with a text and a remedy.

    Attributes:
        name: What was checked.
        state: Result.
        found: What the machine has.
        remedy: What to do about a lack; empty if nothing needs to be done.
    """

    name: str
    state: State
    found: str
    remedy: str = ""


def build_parser() -> ArgumentParser:
    """Build the parser of `unstuck doctor`."""
    parser = make_parser(
        "doctor",
        "Says what this machine lacks: versions, extras, compiler, cores, memory, disk, database,\n"
        "temporary files, network. `lacks` is needed,\n"
        "`note` is not needed for all sweeps. Exit code: 0, or 1 if something is lacking.",
        ("", "--folder /data/runs", "--json"),
    )
    add_folder(parser)
    add_json(parser)
    return parser


def main(words: Sequence[str]) -> int:
    """Check this machine and print what is missing; return the exit code: 0, or 1 if a sweep cannot run."""
    options = build_parser().parse_args(words)

    def examine() -> int:
        checks = check_machine(options.folder.absolute())
        lacks = sum(check.state is State.LACKS for check in checks)
        if options.json:
            print(
                format_json({"version": find_own_version(), "lacks": lacks, "checks": [asdict(one) for one in checks]})
            )
            return int(lacks > 0)
        longest = max(len(check.name) for check in checks)
        for check in checks:
            remedy = f": {check.remedy}" if check.remedy else ""
            print(f"{check.state:<5}  {check.name:<{longest}}  {check.found}{remedy}")
        print(f"{lacks} lacking" if lacks else f"unstuck {find_own_version()} can run here")
        return int(lacks > 0)

    return run_refusing("doctor", words, examine)


def check_machine(folder: Path) -> list[Check]:
    """Run all checks of what a sweep needs from the machine.

    Args:
        folder: Folder of all sweeps, absolute; need not exist.
    """
    return [
        *check_packages(*read_requirements()),
        check_sqlite(sqlite3.sqlite_version),
        *check_compiler_and_gpu(),
        Check("cores", State.FINE, str(count_granted_cores())),
        check_amount("memory", measure_free_memory() / 1e9, _ENOUGH_MEMORY, _LEAST_MEMORY, "end other programs"),
        *check_folder(folder),
        check_temporary(tempfile.gettempdir()),
        *check_shared_memory(Path("/dev/shm")),
        check_home(os.environ.get("HOME", "")),
        check_loopback(),
        *(check_port(port, what) for port, what in _PORTS.items()),
        check_extras(EXTRAS),
        check_browser(),
    ]


EXTRAS = {
    "sb3": "stable_baselines3",
    "tensorboard": "tensorboard",
    "wandb": "wandb",
    "box2d": "Box2D",
    "postgres": "psycopg",
}
"""Extras for users, and the module that tells whether each is installed."""

_PORTS = {5000: "MLflow's pages", 8080: "Optuna's dashboard"}
"""Ports that links in reports name."""

_LONGEST_TEMPORARY = 24
"""Longest path of temporary files for Ray's sockets; `sweeps.ray_tune.scratch` takes /tmp instead of a longer one."""

_ENOUGH_SHARED = 0.3
"""Gigabytes of shared memory that Ray's object store takes."""


def check_extras(extras: Mapping[str, str]) -> Check:
    """Check which optional dependencies (extras) of the package are installed.

    Args:
        extras: Module of each extra, by the extra's name.
    """
    missing = [name for name, module in extras.items() if find_spec(module) is None]
    if not missing:
        return Check("extras", State.FINE, f"{', '.join(extras)} are installed")
    names = ", ".join(missing)
    return Check("extras", State.NOTE, f"not installed: {names}", f"pip install 'unstuck[{','.join(missing)}]'")


def check_browser() -> Check:
    """Check whether Chromium is installed, which only the tests of web pages need."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    kept = sorted(Path.home().glob(".cache/ms-playwright/chromium*")) if os.environ.get("HOME") else []
    if found or kept:
        return Check("Chromium", State.FINE, str(found or kept[-1]))
    return Check(
        "Chromium", State.NOTE, "not found; only the project's own tests use one", "playwright install chromium"
    )


def check_temporary(folder: str) -> Check:
    """Check that temporary files can be written, in a folder whose path is short enough for Ray's sockets.

    Args:
        folder: Folder of temporary files.
    """
    used = folder if len(folder) <= _LONGEST_TEMPORARY else "/tmp"
    why = "" if used == folder else f", since {folder} is too long for Ray's sockets"
    try:
        with tempfile.TemporaryDirectory(dir=used, prefix="unstuck-doctor-") as inside:
            socket.socket(socket.AF_UNIX).bind(str(Path(inside, "socket")))
    except OSError as error:
        return Check("temporary", State.LACKS, f"{used} cannot be used{why}: {error.strerror}", "set TMPDIR to another")
    return Check("temporary", State.FINE, f"{used}{why}")


def check_shared_memory(folder: Path) -> Iterator[Check]:
    """Check how much shared memory Ray's object store has; yield nothing on systems without such a folder."""
    if folder.is_dir():
        free = shutil.disk_usage(folder).free / 1e9
        slow = "Ray uses the disk, slower; in a container raise it: docker run --shm-size=1g"
        state = State.FINE if free >= _ENOUGH_SHARED else State.NOTE
        yield Check("shared memory", state, f"{free:,.1f} GB free in {folder}", "" if state is State.FINE else slow)


def check_home(home: str) -> Check:
    """Check that the user's home folder can be written, where libraries keep settings; sweeps run without."""
    if home and os.access(home, os.W_OK):
        return Check("home", State.FINE, home)
    found = f"{home} cannot be written" if home else "HOME is not set"
    return Check("home", State.NOTE, f"{found}; some libraries want it", "set HOME to a folder that can be written")


def check_port(port: int, what: str) -> Check:
    """Check that a port of this machine, which links in reports name, is free for a program.

    Args:
        port: The port.
        what: Program that would use the port, in words.
    """
    name = f"port {port}"
    try:
        with socket.create_server(("127.0.0.1", port)):
            return Check(name, State.FINE, f"free for {what}")
    except OSError:
        return Check(name, State.NOTE, f"taken, so that {what} open on another port", "end the program that holds it")


def read_requirements(root: Path = ROOT) -> tuple[str, list[str]]:
    """Read which Python and packages this version requires, from a checkout's file or the installed package.

    Args:
        root: The checkout, or where the packages are installed.

    Returns:
        Range of Python's versions, and the requirements without those of extras; empty of a copy that is neither.
    """
    file = root / "pyproject.toml"
    if (root / "sweep.py").is_file() and file.is_file():
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        return str(project["requires-python"]), [str(one) for one in project["dependencies"]]
    try:
        of_package = metadata.metadata("unstuck")
    except metadata.PackageNotFoundError:
        return "", []
    asked = metadata.requires("unstuck") or []
    return of_package["Requires-Python"] or "", [one for one in asked if "extra ==" not in one]


def check_packages(python: str, requirements: Sequence[str]) -> Iterator[Check]:
    """Check the versions of Python and packages; yield a check for each wrong one, and one for all others.

    Args:
        python: Range of Python's versions.
        requirements: Packages with the ranges of their versions.
    """
    fits = SpecifierSet(python).contains(platform.python_version(), prereleases=True)
    state = State.FINE if fits else State.LACKS
    yield Check("Python", state, f"{platform.python_version()}, of {python}", "" if fits else "install one of these")
    good = 0
    for text in requirements:
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        try:
            found = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            yield Check(wanted.name, State.LACKS, "not installed", f"pip install '{wanted}'")
            continue
        if wanted.specifier.contains(found, prereleases=True):
            good += 1
        else:
            yield Check(wanted.name, State.LACKS, f"{found}, of {wanted.specifier}", f"pip install '{wanted}'")
    yield Check("packages", State.FINE, f"{good} of {len(requirements)} are of versions that were tested")


def check_sqlite(version: str) -> Check:
    """Check that the version of SQLite, such as `3.40.1`, suits the databases of Optuna and MLflow."""
    parts = tuple(int(part) for part in version.split(".")[:2])
    least = ".".join(map(str, _SQLITE))
    if parts >= _SQLITE:
        return Check("SQLite", State.FINE, version)
    return Check("SQLite", State.LACKS, f"{version}, of at least {least}", "use another Python, or PostgreSQL")


def check_compiler_and_gpu() -> Iterator[Check]:
    """Check that torch can be loaded, if it has a GPU, and if there is the C++ compiler that `ppo.compile` needs."""
    try:
        from unstuck.rl.config import PPOConfig
        from unstuck.rl.machine import require_machine
    except (ImportError, OSError) as error:
        yield Check("torch", State.LACKS, f"cannot be loaded: {error}", "install it again")
        return
    for name, config in (("compiler", PPOConfig(compile=True)), ("GPU", PPOConfig(device="cuda"))):
        try:
            require_machine(config)
            yield Check(name, State.FINE, "found")
        except ConfigError as error:
            yield Check(name, State.NOTE, str(error))


def check_amount(name: str, found: float, enough: float, least: float, remedy: str) -> Check:
    """Check an amount in gigabytes against what a small sweep needs comfortably, and what it needs at least."""
    text = f"{found:,.1f} GB free"
    if found >= enough:
        return Check(name, State.FINE, text)
    state = State.NOTE if found >= least else State.LACKS
    return Check(name, state, f"{text}, and a small sweep takes up to {enough:g} GB", remedy)


def check_folder(folder: Path) -> Iterator[Check]:
    """Check that a folder of sweeps can be written, locked and used by SQLite, and how much disk space is left.

    Args:
        folder: Folder of all sweeps, absolute; if it does not exist, the folder above is looked at.
    """
    there = next(one for one in (folder, *folder.parents) if one.exists())
    try:
        with tempfile.TemporaryDirectory(dir=there, prefix=".unstuck-doctor-") as inside:
            _lock_file(Path(inside, "lock"))
            _use_database(Path(inside, "database"))
    except (OSError, sqlite3.Error) as error:
        yield Check("folder", State.LACKS, f"{there} cannot be used: {error}", "name another by sweep.folder=FOLDER")
        return
    yield Check("folder", State.FINE, f"{there} can be written, locked and hold a database")
    free = shutil.disk_usage(there).free / 1e9
    yield check_amount("disk", free, _ENOUGH_DISK, _LEAST_DISK, "make room, or name another by sweep.folder=FOLDER")


def _lock_file(file: Path) -> None:
    with file.open("w") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _use_database(file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("create table numbers (one integer)")
    database.close()


def check_loopback() -> Check:
    """Check that processes of this machine can connect to each other over loopback, as Ray's do."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=5).close()
    except OSError as error:
        return Check("loopback", State.LACKS, f"127.0.0.1 cannot be used: {error}", "allow it in the firewall")
    proxy = next((name for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY") if os.environ.get(name)), None)
    return Check("loopback", State.FINE, f"127.0.0.1 answers, past {proxy}" if proxy else "127.0.0.1 answers")
