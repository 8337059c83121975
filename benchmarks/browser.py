"""Open pages in a headless browser, and start the servers that show them."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OFF = ("quic", "gpu", "background-networking", "component-update", "sync")
_WAIT_S = 90.0


def find_browser() -> str | None:
    """Return the path of Chromium; None if there is none."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


@contextmanager
def open_browser(executable: str) -> "Iterator[Browser]":
    """Start a headless Chromium that sends nothing to other machines by itself; yield the browser."""
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in _OFF)]
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=executable, args=arguments)
        yield browser
        browser.close()


@contextmanager
def serve(command: Sequence[str], environment: Mapping[str, str]) -> "Iterator[tuple[str, subprocess.Popen[bytes]]]":
    """Start a web server by a printed command on a free port; yield the address and the process of the ready server.

    Args:
        command: Words of the command, variables in front included; MLflow's starts one worker and no jobs.
        environment: Variables of the process.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    small = ("--workers", "1") if "--backend-store-uri" in command else ()
    process = subprocess.Popen(
        ["env", *command, "--port", str(port), *small],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**environment, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PATH": path},
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address, process)
        yield address, process
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_for(address: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server for {address} ended with {process.returncode}")
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    raise RuntimeError(f"nothing answers at {address}")
