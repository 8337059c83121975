"""Close a sweep: end the records, print the outcome, return the exit code."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from rich.console import Console
from unstuck.records.errors import LedgerError, LibraryError, StartupError, TrackingError
from unstuck.records.ledger import Ledger
from unstuck.records.names import REASON_TAG
from unstuck.records.outcome import Outcome
from unstuck.sweeps.config.settings import CRASHED, SweepConfig
from unstuck.sweeps.explain.dashboard import show_start, show_stop
from unstuck.sweeps.mirror import Outboxes
from unstuck.sweeps.run.driver import Driver
from unstuck.sweeps.screen.progress import Progress
from unstuck.sweeps.screen.summary import (
    NONE_COMPLETED,
    explain_failure,
    make_resume_command,
    print_command,
    print_text,
    show_summary,
)
from unstuck.sweeps.search.space import Space
from unstuck.sweeps.webhook import notify


class End(Enum):
    """Ways a sweep can end, each with a text to print and an exit code of the process.

    Without a completed trial the exit code is 1, except after an end by the user.

    Attributes:
        FINISHED: All trials have ended.
        TIME_UP: The time budget is used up.
        BY_USER: A signal ended the sweep; 130 is what shells have for Ctrl-C.
        FAILED: The ledger failed, the disk is full, Ray died, or no trial could be started.
    """

    FINISHED = ("", 0)
    TIME_UP = ("the time budget is used up", 0)
    BY_USER = ("stopped by the user", 130)
    FAILED = ("the driver failed", 1)

    def __init__(self, text: str, exit_code: int) -> None:
        self.text, self.exit_code = text, exit_code


@dataclass(frozen=True)
class Ended:
    """Way in which a sweep ended, one of `End` (such as finished or failed), with an optional text about the cause.

    Example:
        >>> Ended(End.BY_USER).reason
        'stopped by the user'
        >>> Ended(End.FAILED, "the disk is full").reason
        'the disk is full'
    """

    end: End
    why: str = ""

    @property
    def reason(self) -> str:
        """Text about why the sweep ended: the given cause, or the default text; empty for a sweep that finished."""
        return self.why or self.end.text


@dataclass(frozen=True)
class OpenSweep:
    """Running sweep with open records, and methods that close the records and print how the sweep has ended.

    Attributes:
        config: Settings of the sweep.
        command: Words that the sweep was called with.
        driver: Driver of the sweep.
        outbox: Trackers of the sweep.
        progress: Display of the sweep while it runs.
        console: Console to print on.
    """

    config: SweepConfig
    command: Sequence[str]
    driver: Driver
    outbox: Outboxes
    progress: Progress
    console: Console

    def catch_up(self) -> None:
        """Write to MLflow all trials for which writing failed earlier, if MLflow works now."""
        with self.driver.note_failure():
            self.outbox.catch_up()

    def show_start(self, num_trials: int, space: Space, ledger: Ledger) -> None:
        """Write a note on the starting sweep to Optuna's dashboard; print a warning if writing failed."""
        resume = make_resume_command(self.config, self.command)
        self._warn(show_start(self.config, num_trials, space, ledger, resume))

    def show_stop(self, ended: Ended, ledger: Ledger) -> None:
        """Write a note on a sweep that ended early to Optuna's dashboard; print a warning if writing failed."""
        resume = make_resume_command(self.config, self.command)
        self._warn(show_stop(self.config, ledger, ended.reason, resume))

    def close(self, ended: Ended) -> None:
        """Close the sweep's MLflow run with outcome and reason; print a warning about trials that MLflow lacks."""
        self.catch_up()
        for outbox in self.outbox.all:
            if outbox.owed:
                lacking = ", ".join(map(str, sorted(outbox.owed)))
                parts = "or has them in part; a resume, or the audit's --repair, adds it"
                self._print(f"warning: {outbox.name} lacks trials {lacking}, {parts}")
        failure = self.driver.failure
        reason = str(failure or ended.reason) or ("" if self.driver.completed else NONE_COMPLETED)
        if isinstance(failure, LedgerError) or (failure is None and ended.end is not End.FINISHED):
            outcome = Outcome.INTERRUPTED
        else:
            outcome = Outcome.CRASHED if reason else Outcome.COMPLETED
        try:
            self.outbox.end_sweep(outcome, {REASON_TAG: reason} if reason else {})
        except TrackingError as error:
            self._print(f"warning: {error}")

    def conclude(self, ended: Ended, ledger: Ledger, report: str) -> int:
        """Print the best trials, counts of outcomes and commands to type next; return the exit code of the process.

        Raises:
            SweepError: The sweep's own failure, for the caller to print.
        """
        failure = self.driver.failure
        if isinstance(failure, LedgerError):
            self.say_how_to_resume(str(failure))
            return End.FAILED.exit_code
        if isinstance(failure, LibraryError):
            raise failure
        entries = ledger.entries()
        is_success = self.driver.completed > 0 or ended.end is End.BY_USER
        if isinstance(failure, StartupError):
            self._print(f"error: {failure}")
        elif not is_success:
            self._print(explain_failure(entries))
        show_summary(self.config, self.command, entries, report, self.outbox.find_experiment(), self.console)
        if failure and not isinstance(failure, StartupError):
            raise failure
        if ended.end is not End.FINISHED and not failure:
            self.say_how_to_resume(ended.reason)
        crashed = sum(entry.outcome is Outcome.CRASHED for entry in entries)
        if crashed:
            self._print(f"Once its cause is mended, what crashed ({crashed}) can run again, under the same numbers:")
            print_command([*make_resume_command(self.config, self.command), f"retry={CRASHED}"], self.console)
        return ended.end.exit_code if is_success else End.FAILED.exit_code

    def tell_webhook(self, ended: Ended, ledger: Ledger, report: str) -> None:
        """Send the result of the sweep to the webhook, if one is set; print a warning if sending failed."""
        self._warn(notify(self._describe_end(ended, ledger, report)))

    def _describe_end(self, ended: Ended, ledger: Ledger, report: str) -> str:
        failure, name = self.driver.failure, self.config.sweep.name
        reason = str(failure or ended.reason)
        broke = failure is not None or ended.end is End.FAILED
        lines = [f"Unstuck: sweep {name} {'broke' if broke else 'has ended'}{f': {reason}' if reason else ''}"]
        if not isinstance(failure, LedgerError):
            outcomes = Counter(str(entry.outcome) for entry in ledger.entries() if entry.outcome)
            lines.append(", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common()))
        return "\n".join(filter(None, [*lines, report]))

    def say_how_to_resume(self, why: str) -> None:
        """Print why the sweep ended early, and the command that resumes the sweep."""
        self._print(f"The sweep ended early: {why}. What had run is on record. Go on with it:")
        print_command(make_resume_command(self.config, self.command), self.console)

    def make_forced_exit(self, is_asked: Callable[[], bool]) -> Callable[[str], None]:
        """Make the function that closes the records and ends the process by `os._exit`, without waiting for Ray."""

        def leave(why: str) -> None:
            """Record running trials as interrupted, close the records, print how to resume, end the process."""
            ended = Ended(End.BY_USER) if is_asked() else Ended(End.FAILED, why)
            self.driver.interrupt(ended.reason)
            self.close(ended)
            self.progress.close()
            self.say_how_to_resume(f"{ended.reason}, and {why}" if is_asked() else why)
            os._exit(ended.end.exit_code)

        return leave

    def _warn(self, warning: str) -> None:
        if warning:
            self._print(warning)

    def _print(self, text: str) -> None:
        print_text(text, self.console)
