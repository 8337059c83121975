"""Show a running sweep: a live table on a terminal, plain lines elsewhere."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text
from unstuck.records.axis import ITERATION, Axis
from unstuck.records.names import CHECKPOINT, RESUMED_EXACTLY, RESUMED_FROM
from unstuck.records.outcome import Outcome, Verdict
from unstuck.records.unstick import MilestoneRecord, StageRecord
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.stopping.live_trial import LiveTrial

_HEARTBEAT_S = 30.0
"""Seconds between plain lines at most, while trials run."""

_RECENT = 6
"""Number of ended trials in the live table."""

_NOT_DONE = (Outcome.INFEASIBLE, Outcome.INTERRUPTED)
"""Outcomes that do not count as one of the trials to run."""


@dataclass(frozen=True)
class _Best:
    number: int
    value: float
    spread: float | None


class Progress:
    """Display of a running sweep: a live table in a terminal, else plain lines of text.

    Draws while the context is open.

    Args:
        config: Settings of the sweep.
        num_trials: Number of trials to run.
        console: Console to draw on.
        axis: Axis that the sweep counts trials by; None: iterations.
    """

    def __init__(self, config: SweepConfig, num_trials: int, console: Console, axis: Axis | None = None) -> None:
        self._config, self._num_trials, self._console = config, num_trials, console
        self._axis = axis or Axis(ITERATION, 1, config.ppo.num_iterations)
        self._started = time.monotonic()
        self._running: dict[int, LiveTrial] = {}
        # Holds every outcome from the start: the dictionary must not grow while a thread draws.
        self._outcomes = dict.fromkeys(Outcome, 0)
        self._earlier = 0
        self._best: _Best | None = None
        self._recent: deque[Text] = deque(maxlen=_RECENT)
        self._warnings: list[str] = []
        self._last_line = self._started
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=4) if self._animated else None

    @property
    def _animated(self) -> bool:
        return self._console.is_terminal and not self._console.is_dumb_terminal

    def __enter__(self) -> "Progress":
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def recall(self, number: int, outcome: Outcome, value: float | None, spread: float | None) -> None:
        """Count as done a trial that ended in an earlier process, and compare the trial's value with the best so far.

        Args:
            number: Number of the trial.
            outcome: Outcome of the trial.
            value: Final value of the trial, if there is one.
            spread: Spread of the value over members, if there are several.
        """
        self._outcomes[outcome] += 1
        self._earlier += outcome not in _NOT_DONE
        self._update_best(number, outcome, value, spread)

    def show_start(self, trial: LiveTrial) -> None:
        """Show a trial that has started in the live table; print nothing without a table."""
        self._running[trial.number] = trial

    def show_evaluation(self, trial: LiveTrial) -> None:
        """Print a line on the running trials, at most every 30 s; print nothing if there is a live table."""
        if time.monotonic() - self._last_line > _HEARTBEAT_S:
            at = ", ".join(self._describe_place(running) for running in self._running.values() if running.last_step)
            self._print_line(f"running: {at}; {self._format_status()}")

    def show_end(self, trial: LiveTrial, verdict: Verdict) -> None:
        """Show an ended trial's outcome, value and reason, and the best trial: in the live table, or as a line."""
        self._running.pop(trial.number, None)
        value, spread = trial.score()
        self._outcomes[verdict.outcome] += 1
        self._update_best(trial.number, verdict.outcome, value, spread)
        shown = "" if value is None else f" {_format_value(value, spread)}"
        text = f"trial {trial.number} {verdict.outcome}{shown}: {verdict.reason}"
        if trial.title and verdict.outcome is not Outcome.STUCK:  # a stuck trial's reason begins with the diagnosis
            text += f" ({trial.title})"
        self._recent.append(Text(text, overflow="ellipsis", no_wrap=True))
        self._print_line(f"{text}; {self._format_status()}")

    def show_notes(self, number: int, notes: Mapping[str, str]) -> None:
        """Show notes on a trial's checkpoint: a warning, or the iteration from which a resumed trial continues."""
        if CHECKPOINT in notes:
            self.warn(f"trial {number}'s checkpoint: {notes[CHECKPOINT]}")
        if RESUMED_FROM in notes:
            exactly = "" if RESUMED_EXACTLY not in notes else ", not bit for bit: see docs/resume.md"
            self._print_line(f"trial {number} goes on from iteration {notes[RESUMED_FROM]}{exactly}")

    def show_milestones(self, number: int, decided: Sequence[MilestoneRecord]) -> None:
        """Show a trial's decided milestones, passed or missed with the numbers: in the live table, or a line each."""
        for one in decided:
            text = f"trial {number} milestone {one.number} {one.describe()}"
            self._recent.append(Text(text, overflow="ellipsis", no_wrap=True))
            self._print_line(text)

    def expect(self, num_trials: int) -> None:
        """Set the number of trials to run, which grows with each stage of an unstick."""
        self._num_trials = num_trials

    def show_stage(self, stage: StageRecord) -> None:
        """Show why a further stage of an unstick starts, or why none does: in the live table, or as a line."""
        text = f"stage {stage.stage}: {stage.why}"
        self._recent.append(Text(text, overflow="ellipsis", no_wrap=True))
        self._print_line(text)

    def warn(self, message: str) -> None:
        """Show a warning in the live table, or print a line without a table; show equal warnings only once.

        A warning never ends the sweep.
        """
        if message not in self._warnings:
            self._warnings.append(message)
            self._print_line(f"warning: {message}")

    def _update_best(self, number: int, outcome: Outcome, value: float | None, spread: float | None) -> None:
        if outcome is Outcome.COMPLETED and value is not None and self._improves(number, value):
            self._best = _Best(number, value, spread)

    def _improves(self, number: int, value: float) -> bool:
        """True if a trial is better than the best so far; of equal trials, the lowest number counts as better."""
        if self._best is None:
            return True
        if value == self._best.value:
            return number < self._best.number
        return value > self._best.value if self._config.sweep.mode == "max" else value < self._best.value

    def _print_line(self, text: str) -> None:
        if not self._live:
            self._last_line = time.monotonic()
            print(f"[{_format_duration(self._last_line - self._started)}] {text}", file=self._console.file, flush=True)

    def _format_status(self) -> str:
        done = f"{self._done} of {self._num_trials} done{self._estimate_time_left()}"
        if self._best is None:
            return done
        return f"best {_format_value(self._best.value, self._best.spread)} (trial {self._best.number}); {done}"

    @property
    def _done(self) -> int:
        return sum(count for outcome, count in self._outcomes.items() if outcome not in _NOT_DONE)

    def _estimate_time_left(self) -> str:
        """Estimate the sweep's remaining time, as text, from the pace so far; a running trial counts as half done.

        Empty before the first trial has ended, and after the last.
        """
        done_here = self._done - self._earlier
        if not done_here or self._done >= self._num_trials or self._outcomes[Outcome.INTERRUPTED]:
            return ""
        elapsed = time.monotonic() - self._started
        pace = (done_here + len(self._running) / 2) / elapsed
        left = (self._num_trials - self._done - len(self._running) / 2) / pace
        if self._config.sweep.max_hours is not None:
            left = min(left, self._config.sweep.max_hours * 3600 - elapsed)
        return f", about {_format_duration(max(left, 0))} left"

    def _describe_place(self, trial: LiveTrial) -> str:
        """Describe how far a running trial has come, and the trial's diagnosis."""
        at = self._axis.describe_step(trial.last_step) if self._axis.in_env_steps else str(trial.last_step)
        return f"trial {trial.number} at {at}" + (f" ({trial.title})" if trial.title else "")

    def _draw(self) -> Group:
        elapsed = _format_duration(time.monotonic() - self._started)
        counts = ", ".join(f"{count} {outcome}" for outcome, count in self._outcomes.items() if count)
        head = Text(f"{self._config.sweep.name}  {elapsed}  {self._format_status()}", style="bold")
        table = Table(box=None, pad_edge=False, header_style="dim")
        for column in ("running", self._axis.unit, self._config.sweep.metric, "diagnosis", "configuration"):
            table.add_column(column, no_wrap=True, overflow="ellipsis")
        for number, trial in sorted(self._running.items()):
            value, spread = trial.score()
            shown = "" if value is None else _format_value(value, spread)
            reached = f"{trial.last_step}/{self._axis.length}"
            table.add_row(str(number), reached, shown, trial.title, describe_settings(trial.values))
        warnings = [Text(f"warning: {message}", style="yellow") for message in self._warnings[-2:]]
        return Group(head, Text(counts or "no trial has ended yet", style="dim"), table, *self._recent, *warnings)


def _format_value(value: float, spread: float | None) -> str:
    """Format a trial's value, with the spread over seeds if there are several seeds."""
    return f"{value:.3f}" if spread is None else f"{value:.3f} ± {spread:.3f}"


def describe_settings(values: Mapping[str, Any]) -> str:
    """Format searched settings as one line of `name=value` words, with names like `lr` instead of `ppo.lr`.

    Example:
        >>> describe_settings({"ppo.lr": 0.0003, "ppo.gamma": 0.99, "ppo.num_steps": 128})
        'lr=0.0003 gamma=0.99 num_steps=128'
    """
    return " ".join(f"{path.rpartition('.')[2]}={_format_setting(value)}" for path, value in values.items())


def _format_setting(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _format_duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
