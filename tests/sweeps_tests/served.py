"""Servers of the two UIs, started by the commands that a sweep prints, and watched."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from benchmarks.browser import serve


class Watch(Protocol):
    """What `served` needs of the fixture `watch`."""

    environment: dict[str, str]

    def talked_to(self) -> set[str]: ...

    def listening(self, root: int) -> dict[int, set[str]]: ...


@contextmanager
def served(command: Sequence[str], watch: Watch) -> Iterator[str]:
    """The server that a printed command starts, on a port of its own; gives its address.

    Afterwards: it listened on loopback alone, and asked for no other machine.
    """
    environment = dict(watch.environment)
    environment.pop("MLFLOW_DISABLE_TELEMETRY", None)  # the command says so itself
    with serve(command, environment) as (address, process):
        yield address
        assert set().union(*watch.listening(process.pid).values()) == {"127.0.0.1"}
        assert watch.talked_to() == set()
