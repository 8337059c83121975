"""Handle Ctrl-C, SIGTERM, a closed terminal and `unstuck stop`: note at once, act where the records can be closed."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn, ParamSpec, TypeVar

from unstuck.records.lock import is_stop_requested, read_owner

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

PATIENCE_S = 20.0
"""Seconds that an orderly end may take before the forced exit."""

NO_ANSWER = "Ray no longer answered"

_A_CALL_TAKES_S = 10.0

_RAY_ABORTS_AFTER_S = 3.0
"""Seconds from a SIGTERM that reaches Ray's own handler to the alarm by which Ray aborts the process."""

_LOOKS_EVERY_S = 0.5
"""Seconds between two looks at whether another process asks for the end."""

P = ParamSpec("P")
R = TypeVar("R")


class StopState(Enum):
    """States of the request to stop a sweep: no request yet, requested, the process is exiting.

    Attributes:
        RUNNING: Nobody wants the sweep to end.
        ASKED: A signal came; the sweep ends where its records can be closed.
        LEAVING: The forced exit closes the records and ends the process.
    """

    RUNNING = auto()
    ASKED = auto()
    LEAVING = auto()


class StopRequest:
    """Request to stop the running sweep, made by the first Ctrl-C, SIGTERM or SIGHUP, or by another process's file.

    A signal changes the state instead of raising: Python drops an exception raised inside a callback of the garbage
    collector, and an exception in the middle of a write leaves half of the write. A second Ctrl-C raises
    `KeyboardInterrupt`, unless shielded. Python hands signals to the main thread alone, so in any other thread no
    handler is set.

    Attributes:
        state: `RUNNING`, then `ASKED` after a signal; `LEAVING` once the forced exit has begun.

    Example:
        >>> with StopRequest() as stop:
        ...     signal.raise_signal(signal.SIGTERM)
        ...     stop.is_asked
        True
    """

    def __init__(self) -> None:
        self.state = StopState.RUNNING
        self._is_shielded = False
        self._forced_exit: Callable[[str], None] | None = None
        self._was_asked = False
        self._before: dict[signal.Signals, Any] = {}
        self._timer: threading.Timer | None = None
        self._choosing, self._call_under_way = threading.Lock(), threading.Lock()
        self._has_signals = threading.current_thread() is threading.main_thread()
        self._is_over = threading.Event()

    @property
    def is_asked(self) -> bool:
        """True once the sweep was asked to stop: by Ctrl-C, SIGTERM, SIGHUP, a file, or a call of `ask`."""
        return self._was_asked

    def __enter__(self) -> "StopRequest":
        if self._has_signals:
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        if self._timer:
            self._timer.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def rearm(self) -> None:
        """Install the signal handlers again after a library has replaced the handlers, as Ray does (ray#52898)."""
        for number in self._before:
            signal.signal(number, self._note)

    def watch(self, folder: Path) -> None:
        """Obey stop requests of other processes (files written by `unstuck stop`) until the context closes.

        Args:
            folder: Folder of the sweep, whose lock the process holds.
        """
        threading.Thread(target=self._look_for_requests, args=(folder, read_owner(folder)), daemon=True).start()

    def _look_for_requests(self, folder: Path, owner: str | None) -> None:
        while not self._is_over.wait(_LOOKS_EVERY_S):
            if is_stop_requested(folder, owner):
                if not self._was_asked:
                    self._heed()
                return

    def ask(self) -> None:
        """Ask the sweep to stop, by a call instead of a signal; no forced exit follows if stopping takes long."""
        self._was_asked = True
        if self.state is StopState.RUNNING:
            self.state = StopState.ASKED

    def arm_forced_exit(self, leave: Callable[[str], None]) -> None:
        """Store the function that ends the process without waiting for Ray, for a forced exit to call.

        Args:
            leave: Function called with the reason, from a thread of its own, if Ray has died, or if the sweep has not
                ended `PATIENCE_S` after a signal.
        """
        self._forced_exit = leave

    def disarm_forced_exit(self) -> None:
        """Cancel the forced exit after Ray's shutdown; if the exit has begun, block until the process ends."""
        with self._choosing:
            self._forced_exit = None
        if self.state is StopState.LEAVING:
            _block_forever()
        if self._timer:
            self._timer.cancel()

    def force_exit(self, why: str) -> None:
        """Call the function that `arm_forced_exit` stored, once; first let a running guarded function finish."""
        with self._choosing:
            leave, self._forced_exit = self._forced_exit, None
            if leave is not None:
                self.state = StopState.LEAVING
        if leave:
            self._call_under_way.acquire(timeout=_A_CALL_TAKES_S)  # the call may hang as well
            leave(why)

    def guard(self, call: Callable[P, R]) -> Callable[P, R]:
        """Wrap a function so that a forced exit waits for a running call; later calls block forever."""

        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            """Call the wrapped function if no forced exit has begun; else block forever."""
            with self._call_under_way:
                if self.state is not StopState.LEAVING:
                    return call(*args, **kwargs)
            return _block_forever()

        return guarded

    def shield(self) -> None:
        """Ignore further Ctrl-C, SIGTERM and SIGHUP until the context closes, so that the last output is printed.

        `run_sweep` calls this method after the report is written, or while a second Ctrl-C is handled.
        """
        self._is_shielded = True

    @contextmanager
    def ignore_signals(self) -> Iterator[None]:
        """Ignore further Ctrl-C, SIGTERM and SIGHUP inside the block, e.g. while Ray shuts down.

        Ray's shutdown must not be left half done: once Ray's core is gone, releasing one of Ray's objects ends the
        process.
        """
        before, self._is_shielded = self._is_shielded, True
        try:
            yield
        finally:
            self._is_shielded = before

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGTERM:
            _cancel_alarm_of_ray()
        if self._was_asked:
            if self._is_shielded or self.state is StopState.LEAVING:
                return
            raise KeyboardInterrupt
        self._heed()

    def _heed(self) -> None:
        """Mark the sweep as asked to stop, and force the process to exit if the sweep has not ended in time."""
        self.ask()
        if self._forced_exit:
            self._timer = threading.Timer(PATIENCE_S, self.force_exit, [NO_ANSWER])
            self._timer.daemon = True
            self._timer.start()


def _cancel_alarm_of_ray() -> None:
    """Cancel the alarm by which Ray's core would abort the process; alarms that are later, or repeat, stay.

    Ray's core takes SIGTERM over as Ray starts, sets the alarm, and then calls Python's handler, until `rearm`.
    """
    left_s, every_s = signal.getitimer(signal.ITIMER_REAL)
    if 0 < left_s <= _RAY_ABORTS_AFTER_S and every_s == 0:
        signal.alarm(0)


def _block_forever() -> NoReturn:
    while True:
        time.sleep(PATIENCE_S)
