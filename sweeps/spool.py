"""A tracker may fail, and a sweep must not: what could not be written is owed, and written once the tracker is back.

Nothing is kept for that but the trials' numbers. The ledger and the checkpoints hold all that MLflow shows, so a trial
that is owed is written anew from there, whatever had failed; what its run has already is not written twice.
"""

import time
from collections.abc import Callable, Mapping

from sweeps.errors import TrackingError

RETRY_S = (10.0, 30.0, 60.0, 120.0, 300.0)
"""Pauses between attempts. Each may take long: MLflow waits 20 s for a locked database."""


class Spool:
    """Writes to a tracker, now or later.

    Args:
        reopen: Connects to the tracker anew.
        incomplete: Which trials, given with their outcomes, the tracker lacks or has in part, as far as it can tell.
        outcomes: Of the trials that have ended, by number; empty for those that run.
        replay: Writes a trial anew, from its ledger and checkpoint.
        say: Tells the user.

    Attributes:
        owed: Numbers of the trials that are not, or not all, written.
    """

    def __init__(
        self,
        reopen: Callable[[], None],
        incomplete: Callable[[Mapping[int, str]], list[int]],
        outcomes: Callable[[], Mapping[int, str]],
        replay: Callable[[int], None],
        say: Callable[[str], None],
    ) -> None:
        self._reopen, self._incomplete, self._outcomes = reopen, incomplete, outcomes
        self._replay, self._say = replay, say
        self._failures = 0
        self._retry_at = 0.0
        self.owed: set[int] = set()

    def write(self, number: int, write: Callable[[], None]) -> None:
        """Write something of a trial, if the tracker is there; else all of the trial is owed."""
        if self._failures:
            self.owed.add(number)
            if time.monotonic() >= self._retry_at:
                self.catch_up()
            return
        try:
            write()
        except TrackingError as error:
            self.owed.add(number)
            self._fail(error)

    def catch_up(self) -> None:
        """Write what is owed, and what a former process has left unwritten, or a store that was replaced lacks."""
        try:
            outcomes = self._outcomes()
            if self._failures:
                self._reopen()
                # It may not be the store that it was, nor the one that took what was written last.
                self.owed |= {number for number, outcome in outcomes.items() if not outcome}
            for number in sorted({*self.owed, *self._incomplete(outcomes)}):
                self._replay(number)
                self.owed.discard(number)
        except TrackingError as error:
            self._fail(error)
            return
        if self._failures:
            self._say("the tracker is back, and has all that it had missed")
        self._failures = 0

    def _fail(self, error: TrackingError) -> None:
        if not self._failures:  # every further attempt fails too, each with a message of its own
            self._say(f"{error}; the sweep goes on, and writes it later")
        self._retry_at = time.monotonic() + RETRY_S[min(self._failures, len(RETRY_S) - 1)]
        self._failures += 1
