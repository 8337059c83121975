"""Serve MLflow and Optuna's dashboard on what was run: processes of their own on loopback, which end with the block."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil
from unstuck.records.errors import SweepError
from unstuck.records.ledger import Ledger
from unstuck.records.loopback import spare_loopback
from unstuck.records.mlflow.connection import NO_TELEMETRY
from unstuck.records.mlflow.links import (
    find_server,
    make_comparison_link,
    make_experiments_link,
    make_sweep_link,
)
from unstuck.records.mlflow.runs import find_experiment
from unstuck.records.redact import redact_error
from unstuck.records.urls import find_ledger_url, find_mlflow_url, sqlite_file
from unstuck.sweeps.config.identity import settle_records
from unstuck.sweeps.config.settings import SweepConfig

HOST = "127.0.0.1"
MLFLOW_PORT, DASHBOARD_PORT = 5000, 8080
"""Ports that are taken if nobody uses them: the links in reports and notes name them."""

START_S = 120.0
"""Seconds that a server may take until it answers."""

_END_S = 5.0
_PAUSE_S = 0.2

_STORAGE = "UNSTUCK_DASHBOARD_STORAGE"
"""Variable that hands the ledger's URL to the dashboard: other users of the machine can read a command's words."""

_DASHBOARD = (
    f"import os, sys; from optuna_dashboard import run_server; run_server(os.environ.pop({_STORAGE!r}), {HOST!r}, "
    "int(sys.argv[1]))"
)


@dataclass(frozen=True)
class Page:
    """Web pages of one program, such as MLflow: links, and the command of the server unless one runs already.

    Attributes:
        title: Name of the pages.
        address: Address of the server.
        links: Links by what each one shows; the first is the one to open.
        command: Words of the command that starts the server; empty for a server that runs elsewhere.
        variables: Variables of the server's process, beside those of the present process.
    """

    title: str
    address: str
    links: Mapping[str, str]
    command: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


def plan_sweep_pages(config: SweepConfig) -> list[Page]:
    """Plan which web pages on one sweep to serve: tables and charts in MLflow, the study in Optuna's dashboard.

    Raises:
        SweepError, TrackingError: The records cannot be read.
    """
    config = settle_records(config)
    ledger = Ledger.open_sweep(config.reference)
    pages = []
    if config.reference.is_tracked and (experiment := find_experiment(config.reference)):
        sweep_id = str(config.id)

        def make_links(server: str) -> dict[str, str]:
            return {
                "all trials, best first": make_sweep_link(server, experiment, sweep_id),
                "best trials and control": make_comparison_link(server, experiment, sweep_id),
            }

        pages.append(_plan_mlflow(config.reference.mlflow_url, make_links))
    return [*pages, _plan_dashboard(config.reference.ledger_url, ledger.dashboard_path)]


def plan_folder_pages(folder: Path, optuna_url: str | None = None, mlflow_url: str | None = None) -> list[Page]:
    """Plan which web pages on all sweeps of a folder to serve: MLflow, and Optuna's dashboard.

    Args:
        folder: Folder of all sweeps.
        optuna_url: URL of the ledger; None for the folder's own database.
        mlflow_url: URL of MLflow; None for the folder's own database.

    Raises:
        SweepError: There is neither database.
    """
    ledger, mlflow = find_ledger_url(optuna_url, folder), find_mlflow_url(mlflow_url, folder)
    pages = []
    if _is_there(mlflow):
        pages.append(_plan_mlflow(mlflow, lambda server: {"all experiments": make_experiments_link(server)}))
    if _is_there(ledger):
        pages.append(_plan_dashboard(ledger, "/dashboard/"))
    if not pages:
        raise SweepError(
            f"--folder must be a folder in which sweeps have run, got {folder}, which holds no mlflow.db and no "
            "optuna.db; name the folder, or a sweep"
        )
    return pages


def _is_there(url: str) -> bool:
    file = sqlite_file(url)
    return file is None or file.exists()


def _plan_mlflow(url: str, make_links: Callable[[str], dict[str, str]]) -> Page:
    if url.startswith(("http://", "https://")):
        return Page("MLflow", find_server(url), make_links(find_server(url)))
    port = find_port(MLFLOW_PORT)
    address = f"http://{HOST}:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    # No jobs: they are for language models, and each kind has a process of its own.
    variables = {**NO_TELEMETRY, "MLFLOW_BACKEND_STORE_URI": url, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return Page("MLflow", address, make_links(address), command, variables)


def _plan_dashboard(url: str, path: str) -> Page:
    port = find_port(DASHBOARD_PORT)
    address = f"http://{HOST}:{port}"
    command = [sys.executable, "-c", _DASHBOARD, str(port)]
    return Page("Optuna dashboard", address, {"trials": f"{address}{path}"}, command, {_STORAGE: url})


def find_port(wanted: int) -> int:
    """Find a free port on the local machine: the wanted one, or else one that the operating system chooses."""
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server that has just ended
            probe.bind((HOST, port))
            return int(probe.getsockname()[1])
    raise SweepError(f"a port on {HOST} must be free for the pages, and none is; end a server")


@dataclass
class _Server:
    """Web server process that was started for a page, with the file that the server's output is written to."""

    page: Page
    process: "subprocess.Popen[bytes]"
    printed: IO[bytes]

    def explain_end(self) -> str:
        """Return an error text that says that the web server has ended, with the last line that the server printed."""
        self.printed.seek(0)
        lines = self.printed.read().decode(errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "it printed nothing")
        said = redact_error(last.strip(), *self.page.variables.values())
        return f"{self.page.title} must go on, and ended with {self.process.returncode}: {said}"


@contextmanager
def serve_pages(pages: Sequence[Page]) -> Iterator[Callable[[], None]]:
    """Start the web servers of pages and wait until all answer; yield a function that waits; end them at the exit.

    Args:
        pages: The pages.

    Yields:
        Function that waits for as long as all servers run, and raises `SweepError` once one of them has ended.

    Raises:
        SweepError: A server ends, or does not answer in time.
    """
    spare_loopback()
    with ExitStack() as until_the_end:
        servers = [until_the_end.enter_context(_start(page)) for page in pages if page.command]
        for server in servers:
            _wait_for(server)

        def wait() -> None:
            while all(server.process.poll() is None for server in servers):
                time.sleep(_PAUSE_S)
            raise SweepError(next(server.explain_end() for server in servers if server.process.returncode is not None))

        yield wait


@contextmanager
def _start(page: Page) -> Iterator[_Server]:
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(
            page.command,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            env={**os.environ, **page.variables},
            start_new_session=True,  # else Ctrl-C would reach the servers too, each with a traceback
        )
        try:
            yield _Server(page, process, printed)
        finally:
            _end(process)


def _wait_for(server: _Server) -> None:
    """Wait until a web server answers; raise `SweepError` if the server ends, or does not answer in time."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise SweepError(server.explain_end())
        with suppress(OSError):
            urllib.request.urlopen(server.page.address, timeout=5).close()
            return
        time.sleep(_PAUSE_S)
    raise SweepError(f"{server.page.title} must answer at {server.page.address} within {START_S:g} s, and does not")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a web server with all child processes, by force after some seconds; ignore a second Ctrl-C meanwhile."""
    with _no_interrupt():
        _end_family(process)


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Ignore Ctrl-C, SIGTERM and SIGHUP inside the block; outside the main thread do nothing, as no signal arrives."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_family(process: "subprocess.Popen[bytes]") -> None:
    family: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
    for one in (process, *family):
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            one.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_S)
    _, left = psutil.wait_procs(family, timeout=1.0)
    for one in left:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    process.kill()
    process.wait()
