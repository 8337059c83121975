"""Train one member by a command: start the command, follow the log that it writes, and end it.

Rows of the log become iterations by the environment steps on record. The analysis reads the log (docs/reading.md).
"""

import contextlib
import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from unstuck.rl import metrics
from unstuck.rl.config import require
from unstuck.rl.errors import ConfigError
from unstuck.rl.seeding import derive_int
from unstuck.sweeps.trainers import watch
from unstuck.sweeps.trainers.command_line import write_command
from unstuck.sweeps.trainers.members import MemberSpec, Settings

if TYPE_CHECKING:
    import pandas as pd

OUTPUT = "output.txt"
"""File of a member's folder that holds what the command prints."""

GRACE_S = 5.0
"""Seconds that a command has to end by itself, after it was asked to."""

_PAUSE_S = 0.25
_READING_SHARE = 0.1
"""Largest share of the time that goes into reading the log again."""


class CommandMember:
    """Trainer of one member (seed) by a command of the user's, whose log it reads.

    The command gives up no state: a trial that goes on after a kill starts anew.

    Args:
        spec: The member.
        turns: Turns that the commands of the trial's members take.
    """

    def __init__(self, spec: MemberSpec, turns: "Turns") -> None:
        self._spec, self._turns, self._log = spec, turns, _Log()
        self._batch = spec.config.ppo.batch_size

    def iterations(self, done: int) -> Iterator[Mapping[str, float]]:
        """Run the training command; yield each iteration's metrics once logged; end the command on close."""
        last = self._spec.budget.iterations(self._batch)
        with tempfile.TemporaryDirectory() as temporary:
            folder = _make_folder(self._spec.folder or Path(temporary), self._spec.number)
            running = _Running(self._write_words(folder, last), folder)
            self._turns.join(running)
            try:
                evaluated = done
                for iteration in range(done + 1, last + 1):
                    self._wait(running, iteration)
                    if iteration == last:
                        self._turns.take(running)
                        running.wait_for_end()
                    steps = iteration * self._batch
                    measured = self._log.read_at(steps)
                    if self._spec.evaluates_after(iteration):
                        measured[metrics.EVAL_RETURN] = self._log.mean_return(evaluated * self._batch, steps)
                        evaluated = iteration
                    yield measured
            finally:
                self._turns.leave(running)
                running.end()

    def state(self) -> bytes | None:
        """Return None, because the state of a training command cannot be saved."""
        return None

    def load_state(self, state: bytes) -> bool:
        """Raise `ValueError`, because a training command cannot continue from a saved state."""
        raise ValueError("a command must start anew, got a state to go on from")

    def apply(self, settings: Settings) -> None:
        """Do nothing: the training command got all settings, schedules included, when it started."""

    def effective(self) -> Mapping[str, float]:
        """Return an empty dict, because no setting can be read back from a running command."""
        return {}

    def reset(self, parts: Collection[str]) -> None:
        """Do nothing: a training command has no networks or optimisers to reset, and always starts untrained."""

    def _write_words(self, folder: Path, last: int) -> list[str]:
        seed = derive_int(self._spec.seed) % 2**31  # what torch and NumPy take
        return write_command(self._spec.config, seed, last * self._batch, folder)

    def _wait(self, running: "_Running", iteration: int) -> None:
        """Wait until the command's log holds the given iteration, or the command has ended.

        Raises:
            ConfigError: The command failed, ended too early, or logs nothing that can be read.
        """
        steps, patience_s = iteration * self._batch, self._spec.config.trainer.patience_s
        deadline = time.monotonic() + patience_s
        if not self._log.has(steps):
            self._turns.take(running)
        while not self._log.has(steps):
            code = running.poll()  # before the reading, so that nothing is read too early
            self._log.read(running.folder)
            if code is not None:
                self._require_end(running, code, steps)
                return
            require(
                time.monotonic() < deadline,
                f"the command must log each iteration within trainer.patience_s = {patience_s:g} s, and has not "
                f"logged environment step {steps:,} ({self._log.describe()}); raise trainer.patience_s, or see "
                f"{running.output}",
            )
            time.sleep(max(_PAUSE_S, self._log.reading_s / _READING_SHARE))

    def _require_end(self, running: "_Running", code: int, steps: int) -> None:
        """Raise an error if the training command failed, or ended before the log reached the full training length."""
        name = f"member {self._spec.number}'s command"
        if code != 0:
            said = running.read_last_line() or "it printed nothing"
            raise ConfigError(f"{name} must end with 0, and ended with {code}: {said} (see {running.output})")
        short = self._log.steps < steps - self._batch
        require(
            not short and self._log.steps > 0,
            f"{name} must train and log up to environment step {steps:,}, and ended before "
            f"({self._log.describe()}); hand total_steps on, or see {running.output}",
        )


class Turns:
    """Turn-taking of a trial's training commands: only as many run at the same time as the trial has cores.

    Args:
        at_once: Number of commands that may run at the same time.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._running: list[_Running] = []

    def join(self, running: "_Running") -> None:
        """Add a training command that has just started to those that take turns."""
        self._running.append(running)

    def leave(self, running: "_Running") -> None:
        """Remove a training command that is about to end from those that take turns."""
        self._running.remove(running)

    def take(self, running: "_Running") -> None:
        """Resume the given command and those after it, as many as may run at the same time; pause the others."""
        first, count = self._running.index(running), len(self._running)
        chosen = {(first + place) % count for place in range(min(self._at_once, count))}
        for place, one in sorted(enumerate(self._running), key=lambda each: each[0] in chosen):  # pauses come first
            one.go_on(place in chosen)


class _Log:
    """Log of a running training command, read again and again while the log grows.

    Attributes:
        steps: Environment steps on record so far.
        reading_s: Seconds that the last reading took.
    """

    def __init__(self) -> None:
        self.steps, self.reading_s = 0.0, 0.0
        self._table: pd.DataFrame | None = None
        self._why = "nothing is on record yet"

    def has(self, steps: int) -> bool:
        """Return True if the command's log has a row at or beyond the given number of environment steps."""
        return self.steps >= steps

    def read(self, folder: Path) -> None:
        """Read everything that a training command has logged in its folder, or printed, so far."""
        from unstuck.analysis.errors import AnalysisError
        from unstuck.analysis.history import load
        from unstuck.analysis.history.record import ENV_STEPS

        began = time.monotonic()
        logged = any(file.is_file() and file.name != OUTPUT for file in folder.rglob("*"))
        try:
            table = load(str(folder if logged else folder / OUTPUT)).table
        except AnalysisError as error:  # an empty or half written file, too
            self._why = str(error)
        else:
            if ENV_STEPS in table.columns and table[ENV_STEPS].notna().any():
                self._table = table[table[ENV_STEPS].notna()].set_index(ENV_STEPS, drop=True)
                self.steps = float(self._table.index.max())
            else:
                self._why = "rows without environment steps: the log must count them, such as global_step"
        self.reading_s = time.monotonic() - began

    def describe(self) -> str:
        """Describe in words how many environment steps the log has reached, or why the log cannot be read."""
        return f"step {self.steps:,.0f} is on record" if self.steps else self._why

    def read_at(self, steps: int) -> dict[str, float]:
        """Return the last logged value of each training metric up to a number of environment steps, by name."""
        known = self._rows_until(steps)
        ours = [name for name in known.columns if not name.startswith("eval/")]  # evaluations end a period
        return {name: float(known[name].dropna().iloc[-1]) for name in ours if known[name].notna().any()}

    def mean_return(self, after: int, steps: int) -> float:
        """Compute the mean return between two steps: of evaluations if the log has any, else of training episodes.

        Without a value in the range the last one before counts; NaN if there is none at all.
        """
        for name in (metrics.EVAL_RETURN, metrics.TRAIN_RETURN):
            rows = self._rows_until(steps)
            values = rows[name].dropna() if name in rows.columns else None
            if values is not None and len(values):
                recent = values[values.index > after]
                return float(recent.mean() if len(recent) else values.iloc[-1])
        return math.nan

    def _rows_until(self, steps: int) -> "pd.DataFrame":
        import pandas as pd

        if self._table is None:
            return pd.DataFrame()
        rows = self._table[self._table.index <= steps]
        return rows if len(rows) else self._table.iloc[:1]


class _Running:
    """Process of one seed's training command in its own folder; the process ends when the worker ends.

    Attributes:
        folder: Folder that the command runs in.
        output: File with what the command prints.
    """

    def __init__(self, words: list[str], folder: Path) -> None:
        self.folder, self.output = folder, folder / OUTPUT
        self._goes_on = True
        script = Path(watch.__file__)
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-E", str(script), f"{GRACE_S:g}", *words],
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def poll(self) -> int | None:
        """Return the command's exit status, or None while the command runs."""
        return self._process.poll()

    def go_on(self, goes_on: bool) -> None:
        """Resume the command if `goes_on` is True, else pause the command."""
        if goes_on == self._goes_on or self._process.stdin is None:
            return
        with contextlib.suppress(BrokenPipeError):  # it has ended
            self._process.stdin.write(watch.RESUME if goes_on else watch.PAUSE)
            self._process.stdin.flush()
        self._goes_on = goes_on

    def wait_for_end(self) -> None:
        """Wait until the command ends by itself, for `GRACE_S` seconds at most."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_S)

    def end(self) -> None:
        """Ask a running command to end (killed after `GRACE_S` seconds), and wait until the command has ended."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it has ended
                self._process.stdin.close()
        self._process.wait()

    def read_last_line(self) -> str:
        """Return the last line that the command printed; empty if nothing was printed."""
        lines = self.output.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _make_folder(parent: Path, number: int) -> Path:
    """Make an empty folder for one seed's training command; delete what an earlier start left there."""
    folder = parent / f"member_{number}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
