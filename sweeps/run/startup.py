"""Whether the first trials crash at their start, all alike: those to come would crash as well."""

import re
from collections.abc import Collection

from unstuck.records.errors import StartupError

FEWEST = 2
"""Crashes that say so; one may be the trial's own."""

_PROCESS_NUMBERS = re.compile(r"\b(?:0x)?[0-9a-f]*\d[0-9a-f]*\b")
"""Process ids, addresses: what differs between two workers that died of the same cause."""


class Startup:
    """Watches the first trials, until one of them delivers something."""

    def __init__(self) -> None:
        self._is_over = False
        self._reasons: list[str] = []
        self._beside: set[int] = set()

    def deliver(self) -> None:
        """Take note of a first result: whatever crashes from here on, the sweep can run."""
        self._is_over = True

    def crash(self, number: int, reason: str, running: Collection[int]) -> StartupError | None:
        """Take note of a crash.

        Args:
            number: The trial.
            reason: The last line of its traceback.
            running: Numbers of the trials that run beside it.

        Returns:
            Why the sweep must end; None as long as a trial that was started with the first to crash may still live.
        """
        if self._is_over:
            return None
        if not self._reasons:
            self._beside = set(running)
        self._beside.discard(number)
        self._reasons.append(reason)
        self._is_over = len({_PROCESS_NUMBERS.sub("", reason) for reason in self._reasons}) > 1
        if self._is_over or self._beside or len(self._reasons) < FEWEST:
            return None
        return StartupError(
            f"the first {len(self._reasons)} trials crashed alike, before a first result, so the sweep was stopped: "
            f"{reason}"
        )
