"""Ctrl-C, SIGTERM, a closed terminal: noted at once, acted on where the records can be closed."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, NoReturn, ParamSpec, TypeVar

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

PATIENCE_S = 20.0
"""How long an orderly end may take before the records are closed in any case."""

NO_ANSWER = "Ray no longer answered"

_A_CALL_TAKES_S = 10.0

P = ParamSpec("P")
R = TypeVar("R")


class StopRequest:
    """Remembers, while it is entered, that somebody wants the sweep to end.

    A signal sets a flag instead of raising: Python drops what is raised inside a callback of its garbage collector, and
    an exception in the middle of a write leaves half of it. A second Ctrl-C raises `KeyboardInterrupt`.

    Attributes:
        asked: Whether a signal came.
        is_shielded: Whether a second one raises nothing.
        last_resort: Ends the process without waiting for Ray; called with the reason, from a thread of its own, where
            Ray has died, or the sweep has not ended `PATIENCE_S` after a signal. None: nothing is.
    """

    def __init__(self) -> None:
        self.asked = False
        self.is_shielded = False
        self.last_resort: Callable[[str], None] | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._timer: threading.Timer | None = None
        self._choosing, self._call_under_way = threading.Lock(), threading.Lock()
        self._leaving = False

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
        """Ray has answered: there is no need for the last resort any more. Waits for ever if it is being used."""
        with self._choosing:
            self.last_resort = None
        if self._leaving:
            _never()
        if self._timer:
            self._timer.cancel()

    def give_up(self, why: str) -> None:
        """Use the last resort, once, if there is one; after the `guarded` call that is under way."""
        with self._choosing:
            last_resort, self.last_resort = self.last_resort, None
            self._leaving = self._leaving or last_resort is not None
        if last_resort:
            self._call_under_way.acquire(timeout=_A_CALL_TAKES_S)  # it may hang as well
            last_resort(why)

    def guarded(self, call: Callable[P, R]) -> Callable[P, R]:
        """The same call, which ends before the last resort begins, and which never begins after that has."""

        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._call_under_way:
                if not self._leaving:
                    return call(*args, **kwargs)
            return _never()

        return guarded

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
            if self.is_shielded or self._leaving:
                return
            raise KeyboardInterrupt
        self.asked = True
        if self.last_resort:
            self._timer = threading.Timer(PATIENCE_S, self.give_up, [NO_ANSWER])
            self._timer.daemon = True
            self._timer.start()


def _never() -> NoReturn:
    while True:
        time.sleep(PATIENCE_S)
