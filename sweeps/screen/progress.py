"""Show a running sweep: a live view on a terminal, plain lines elsewhere."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.control import Control
from rich.live import Live
from rich.text import Text
from unstuck.records.axis import ITERATION, Axis
from unstuck.records.names import CHECKPOINT, RESUMED_EXACTLY, RESUMED_FROM
from unstuck.records.outcome import Outcome, Verdict
from unstuck.records.unstick import MilestoneRecord, StageRecord
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.screen.live import Frame, Row, Widths, draw_frame, thin_curve
from unstuck.sweeps.screen.pace import Pace
from unstuck.sweeps.stopping.live_trial import LiveTrial

_HEARTBEAT_S = 30.0
"""Seconds between plain lines at most, while trials run."""

_RECENT = 50
"""Number of the latest lines that are printed again after the terminal has changed its size."""

_NOT_DONE = (Outcome.INFEASIBLE, Outcome.INTERRUPTED)
"""Outcomes that do not count as one of the trials to run."""

_STYLES = {
    Outcome.COMPLETED: "green",
    Outcome.PRUNED: "yellow",
    Outcome.STUCK: "yellow",
    Outcome.DIVERGED: "red",
    Outcome.CRASHED: "red",
}

_WARNING = "yellow"

STARTING = "starting"
"""Shown in place of a diagnosis until a trial has delivered a first evaluation."""


@dataclass(frozen=True)
class _Best:
    number: int
    value: float
    spread: float | None


class Progress:
    """Display of a running sweep: a live view below printed lines on a terminal, else plain lines of text only.

    Draws while the context is open; then the live view goes, and what has happened stays.

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
        self._pace = Pace(self._axis.length)
        # Replaced, never changed: a thread draws them.
        self._running: dict[int, LiveTrial] = {}
        self._rows: dict[int, Row] = {}
        self._widths = Widths(
            number=max(len("trial"), len(str(num_trials))),
            reached=len(self._describe_reached(self._axis.length)),
            value=len(_format_value(0.0, 0.0 if config.sweep.seeds > 1 else None)),
        )
        self._outcomes = dict.fromkeys(Outcome, 0)
        self._best: _Best | None = None
        self._recent: deque[Text] = deque(maxlen=_RECENT)
        self._warnings: list[str] = []
        self._last_line = self._started
        self._phase = ""
        self._size = console.size
        self._live: Live | None = None
        if console.is_terminal and not console.is_dumb_terminal:
            self._live = Live(console=console, get_renderable=self._draw, transient=True)

    def __enter__(self) -> "Progress":
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the live view from the terminal; lines printed above remain. A second call does nothing."""
        if self._live:
            self._live.stop()

    def recall(self, number: int, outcome: Outcome, value: float | None, spread: float | None) -> None:
        """Count a trial that ended in an earlier process as done, and as the best one if its value is the best.

        Args:
            number: Number of the trial.
            outcome: Outcome of the trial.
            value: Final value of the trial, if there is one.
            spread: Spread of the value over members, if there are several.
        """
        self._outcomes[outcome] += 1
        self._update_best(number, outcome, value, spread)

    def show_phase(self, phase: str) -> None:
        """Show a text on what is being started, until the first trial starts."""
        self._phase = phase
        self._print_line(phase)

    def show_start(self, trial: LiveTrial) -> None:
        """Add a trial that has started to the live view; without a live view, print nothing."""
        self._phase = ""
        self._pace.start(trial)
        self._running = {**self._running, trial.number: trial}
        self._rows = {**self._rows, trial.number: self._make_row(trial, time.monotonic())}

    def show_evaluation(self, trial: LiveTrial) -> None:
        """Update the trial's row in the live view; without a live view, print the running trials every 30 s at most."""
        self._pace.deliver(trial)
        if trial.number in self._rows:
            self._rows = {**self._rows, trial.number: self._make_row(trial, self._rows[trial.number].began)}
        if not self._live and time.monotonic() - self._last_line > _HEARTBEAT_S:
            at = ", ".join(self._describe_place(running) for running in self._running.values() if running.last_step)
            self._print_line(f"running: {at}; {self._format_status()}")

    def show_end(self, trial: LiveTrial, verdict: Verdict) -> None:
        """Print a line with an ended trial's outcome, value and reason; without a live view also the best trial."""
        self._running = {number: one for number, one in self._running.items() if number != trial.number}
        self._rows = {number: row for number, row in self._rows.items() if number != trial.number}
        self._pace.end(trial, counts=verdict.outcome not in _NOT_DONE)
        value, spread = trial.score()
        self._outcomes[verdict.outcome] += 1
        self._update_best(trial.number, verdict.outcome, value, spread)
        shown = "" if value is None else f" {_format_value(value, spread)}"
        text = f"trial {trial.number} {verdict.outcome}{shown}: {verdict.reason}"
        if trial.title and verdict.outcome is not Outcome.STUCK:  # a stuck trial's reason begins with the diagnosis
            text += f" ({trial.title})"
        self._tell(text, _STYLES.get(verdict.outcome, ""), self._format_status())

    def show_notes(self, number: int, notes: Mapping[str, str]) -> None:
        """Print notes on a trial's checkpoint: a warning, or the iteration from which a resumed trial continues."""
        if CHECKPOINT in notes:
            self.warn(f"trial {number}'s checkpoint: {notes[CHECKPOINT]}")
        if RESUMED_FROM in notes:
            exactly = "" if RESUMED_EXACTLY not in notes else ", not bit for bit: see docs/resume.md"
            self._tell(f"trial {number} goes on from iteration {notes[RESUMED_FROM]}{exactly}")

    def show_milestones(self, number: int, decided: Sequence[MilestoneRecord]) -> None:
        """Print a line for each decided milestone (bound on a metric) of a trial: passed or missed, with numbers."""
        for one in decided:
            self._tell(f"trial {number} milestone {one.number} {one.describe()}")

    def expect(self, num_trials: int) -> None:
        """Set the number of trials to run, which grows when a sweep on a stuck run adds trials."""
        self._num_trials = num_trials

    def show_stage(self, stage: StageRecord) -> None:
        """Print a line that says why a further round of a stuck run's branches starts, or why none does."""
        self._tell(f"stage {stage.stage}: {stage.why}")

    def warn(self, message: str) -> None:
        """Print a warning as a line; print equal warnings only once. The sweep goes on."""
        if message not in self._warnings:
            self._warnings.append(message)
            self._tell(f"warning: {message}", _WARNING)

    def _update_best(self, number: int, outcome: Outcome, value: float | None, spread: float | None) -> None:
        if outcome is Outcome.COMPLETED and value is not None and self._improves(number, value):
            self._best = _Best(number, value, spread)

    def _improves(self, number: int, value: float) -> bool:
        """Return True if a trial's value is better than the best so far, or equal and its number is lower."""
        if self._best is None:
            return True
        if value == self._best.value:
            return number < self._best.number
        return value > self._best.value if self._config.sweep.mode == "max" else value < self._best.value

    def _tell(self, text: str, style: str = "", status: str = "") -> None:
        """Print a line about an event: above the live view, or as plain text followed by the sweep's status."""
        if not self._live:
            self._print_line(f"{text}; {status}" if status else text)
            return
        line = Text(f"[{self._format_elapsed()}] ", style="dim")
        line.append(text, style=f"not dim {style}")
        self._recent.append(line)
        self._console.print(line)

    def _print_line(self, text: str) -> None:
        if not self._live:
            self._last_line = time.monotonic()
            print(f"[{self._format_elapsed()}] {text}", file=self._console.file, flush=True)

    def _format_elapsed(self) -> str:
        return _format_duration(time.monotonic() - self._started)

    def _format_status(self) -> str:
        done = f"{self._format_done()}{self._format_time_left()}"
        return f"best {self._format_best()}; {done}" if self._best else done

    def _format_best(self) -> str:
        best = self._best
        return "" if best is None else f"{_format_value(best.value, best.spread)} (trial {best.number})"

    def _format_done(self) -> str:
        return f"{self._done} of {self._num_trials} done"

    @property
    def _done(self) -> int:
        return sum(count for outcome, count in self._outcomes.items() if outcome not in _NOT_DONE)

    def _format_time_left(self) -> str:
        """Format the estimated time left as text; empty before the first evaluation and after the last trial."""
        left = self._pace.estimate_left(self._num_trials - self._done)
        if left is None or self._done >= self._num_trials or self._outcomes[Outcome.INTERRUPTED]:
            return ""
        if self._config.sweep.max_hours is not None:
            budget = self._config.sweep.max_hours * 3600 - (time.monotonic() - self._started)
            left = max(min(left, budget), 0.0)
        return f", about {_format_duration(left)} left"

    def _describe_place(self, trial: LiveTrial) -> str:
        """Describe in words how far a running trial has come, with the title of the trial's diagnosis."""
        at = self._axis.describe_step(trial.last_step) if self._axis.in_env_steps else str(trial.last_step)
        return f"trial {trial.number} at {at}" + (f" ({trial.title})" if trial.title else "")

    def _describe_reached(self, step: int) -> str:
        """Format how far a trial has come as text, such as `15/30`."""
        length = self._axis.length
        return f"{step:,}/{length:,}" if self._axis.in_env_steps else f"{step}/{length}"

    def _make_row(self, trial: LiveTrial, began: float) -> Row:
        value, spread = trial.score()
        metric = self._config.sweep.metric
        row = Row(
            number=trial.number,
            reached=self._describe_reached(trial.last_step),
            points=thin_curve([measured[metric] for measured in trial.evaluations]),
            value="" if value is None else _format_value(value, spread),
            diagnosis=trial.title if trial.records else STARTING,
            settings=describe_settings(trial.values) or ("control" if trial.is_control else ""),
            began=began,
        )
        self._widths = self._widths.grow(row)
        return row

    def _draw(self) -> Group:
        """Draw the live view with the present values; print recent lines again if the terminal was resized."""
        if self._console.size != self._size:
            self._size = self._console.size
            self._print_anew()
        speed = self._pace.steps_per_second
        share = (self._done + self._pace.under_way) / max(self._num_trials, 1)
        frame = Frame(
            name=str(self._config.sweep.name),
            time=f"{self._format_elapsed()}{self._format_time_left()}",
            done=self._format_done(),
            share=min(share, 1.0),
            speed="" if speed is None else f"{speed:,.0f} steps/s",
            best=f"best {self._config.sweep.metric} {self._format_best()}" if self._best else "",
            outcomes=", ".join(f"{count} {outcome}" for outcome, count in self._outcomes.items() if count),
            phase=self._phase,
            unit="env step" if self._axis.in_env_steps else self._axis.unit,
            metric=self._config.sweep.metric,
        )
        rows = [row for _, row in sorted(self._rows.items())]
        return draw_frame(frame, rows, self._widths, self._size, time.monotonic(), self._console.options.ascii_only)

    def _print_anew(self) -> None:
        """Clear the screen after a change of the terminal's size, and print the latest lines again."""
        self._console.control(Control.clear(), Control.home())
        if self._recent:
            self._console.print(Text("\n").join(list(self._recent)[-self._size.height :]))


def _format_value(value: float, spread: float | None) -> str:
    """Format a trial's value as text, with the spread over seeds if there are several seeds."""
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
