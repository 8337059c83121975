"""Ctrl-C, SIGTERM, a closed terminal: noted at once, acted on where the records can be closed."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

PATIENCE_S = 20.0
"""How long an orderly end may take before the records are closed in any case."""


class StopRequest:
    """Remembers, while it is entered, that somebody wants the sweep to end.

    A signal sets a flag instead of raising: Python drops what is raised inside a callback of its garbage collector, and
    an exception in the middle of a write leaves half of it. A second Ctrl-C raises `KeyboardInterrupt`.

    Attributes:
        asked: Whether a signal came.
        is_shielded: Whether a second one raises nothing.
        last_resort: Called from a thread of its own if the sweep has not ended `PATIENCE_S` after the signal, for then
            Ray no longer answers (a signal to the whole process group ends it too); None: nothing is.
    """

    def __init__(self) -> None:
        self.asked = False
        self.last_resort: Callable[[], None] | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._timer: threading.Timer | None = None
        self.is_shielded = False

    def __enter__(self) -> "StopRequest":
        self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._timer:
            self._timer.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def rearm(self) -> None:
        """Take the signals back from a library that has put its own handlers (Ray's for SIGTERM aborts)."""
        for number in _SIGNALS:
            signal.signal(number, self._note)

    def stand_down(self) -> None:
        """Ray has answered: there is no need for the last resort any more."""
        self.last_resort = None
        if self._timer:
            self._timer.cancel()

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Meanwhile a second Ctrl-C raises nothing: for what must not be left half done.

        Ray's shutdown is such: once its core is gone, releasing any of its objects ends the process without a word.
        """
        before, self.is_shielded = self.is_shielded, True
        try:
            yield
        finally:
            self.is_shielded = before

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            if self.is_shielded:
                return
            raise KeyboardInterrupt
        self.asked = True
        if self.last_resort:
            self._timer = threading.Timer(PATIENCE_S, self.last_resort)
            self._timer.daemon = True
            self._timer.start()
