"""Servers of the two UIs, started by the commands that a sweep prints."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol


class Watch(Protocol):
    """What `served` needs of the fixture `watch`."""

    environment: dict[str, str]

    def talked_to(self) -> set[str]: ...

    def listening(self, root: int) -> dict[int, set[str]]: ...


@contextmanager
def served(command: Sequence[str], watch: Watch, *options: str) -> Iterator[str]:
    """The server that a printed command starts, on a port of its own; gives its address.

    Afterwards: it listened on loopback alone, and asked for no other machine.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**watch.environment, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PATH": path}
    environment.pop("MLFLOW_DISABLE_TELEMETRY", None)  # the command says so itself
    process = subprocess.Popen(
        ["env", *command, "--port", str(port), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address, process)
        yield address
        assert set().union(*watch.listening(process.pid).values()) == {"127.0.0.1"}
        assert watch.talked_to() == set()
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_for(address: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended"
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"nothing answers at {address}")
