"""Manage Ray's processes on this host: block signals, watch for deaths, end all processes with the sweep."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil
from unstuck.sweeps.ray_tune.ray_internals import find_processes

_LOOKS_EVERY_S = 0.25

_VITAL = ("gcs_server", "raylet")
"""Ray's names of the processes that a sweep needs."""


@contextmanager
def block_signals() -> Iterator[None]:
    """Block SIGTERM and SIGHUP in all processes started inside the block, and in the processes' children.

    A closed terminal, systemd and Slurm send a signal to all processes. Without a raylet, however, the driver cannot
    close the records in peace: when Ray's core cannot save an object, Ray's core calls `_Exit(1)`. Ray blocks SIGINT in
    the same way.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Daemons:
    """Ray's background processes on the local machine, watched by a thread that reports when an essential one dies.

    The processes were just started by `ray.init` inside `block_signals`.

    Args:
        when_dead: Function called once, from a thread of its own, if a vital process ends before `end` is called: Ray's
            core would wait for the process for minutes, or end the driver.
    """

    def __init__(self, when_dead: Callable[[], None]) -> None:
        started = find_processes()
        self._processes = [process for kind in started.values() for process in kind]
        self._vital = [process for name in _VITAL for process in started[name]]
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._watch_vital, args=(when_dead,), daemon=True)
        self._watch.start()

    def _watch_vital(self, when_dead: Callable[[], None]) -> None:
        while not self._over.wait(_LOOKS_EVERY_S):
            if any(process.poll() is not None for process in self._vital):
                when_dead()
                return

    def end(self) -> None:
        """Shut Ray down and kill Ray's processes; after an essential one's death, wait until `when_dead` returns."""
        import ray

        self._over.set()
        self._watch.join()
        below = []
        for process in self._processes:
            # Else Ray waits a second for each process to obey SIGTERM, which is blocked.
            process.terminate = process.kill  # type: ignore[method-assign]
            with suppress(psutil.NoSuchProcess):
                below += psutil.Process(process.pid).children(recursive=True)
        ray.shutdown()
        for child in below:  # a killed raylet leaves child processes behind
            with suppress(psutil.NoSuchProcess):
                child.kill()
