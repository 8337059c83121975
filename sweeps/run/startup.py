"""Detect that the first trials all crash alike at the start, as all later trials would."""

import re
from collections.abc import Collection

from unstuck.records.errors import StartupError

FEWEST = 2
"""Number of equal crashes that end a sweep; a single crash may be due to the trial alone."""

_PROCESS_NUMBERS = re.compile(r"\b(?:0x)?[0-9a-f]*\d[0-9a-f]*\b")
"""Process ids and addresses, which differ between two workers that died of the same cause."""


class Startup:
    """Detector of a sweep in which all first trials crash with the same reason before any result.

    Example:
        >>> startup = Startup()
        >>> startup.crash(0, "no memory for process 101", running={1}) is None
        True
        >>> print(startup.crash(1, "no memory for process 102", running={0}))
        the first 2 trials crashed alike, before a first result, so the sweep was stopped: no memory for process 102
    """

    def __init__(self) -> None:
        self._is_over = False
        self._reasons: list[str] = []
        self._beside: set[int] = set()

    @property
    def is_over(self) -> bool:
        """True if a trial has delivered a result, or the first crashes differ: a later crash is a trial's own."""
        return self._is_over

    def deliver(self) -> None:
        """Store that a trial has delivered a result, so that later crashes do not end the sweep."""
        self._is_over = True

    def crash(self, number: int, reason: str, running: Collection[int]) -> StartupError | None:
        """Count a trial's crash; return the error that ends the sweep if all first trials crashed alike, else None.

        Args:
            number: Number of the trial.
            reason: Last line of the trial's traceback.
            running: Numbers of the trials that run beside the crashed one.

        Returns:
            Error that ends the sweep; None as long as a trial that was started beside the first crashed one may still
            live.
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
