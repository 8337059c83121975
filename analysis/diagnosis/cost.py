"""Cost of training a run once more: iterations, environment steps, and minutes at the run's own speed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.history import ENV_STEPS
from unstuck.analysis.words import join_words, pluralize
from unstuck.records.axis import BATCH
from unstuck.rl import metrics


@dataclass(frozen=True)
class Cost:
    """Cost of one or more trainings: iterations, environment steps and minutes, None where unknown.

    Attributes:
        iterations: Iterations.
        env_steps: Environment steps of all seeds together; None if neither rollouts nor steps are on record.
        seconds: Time at the speed on record; None without a speed.

    Example:
        >>> print(Cost(220, 220_000, 1500.0)), print(3 * Cost(10))
        220,000 environment steps, 25 minutes
        30 iterations
        (None, None)
    """

    iterations: int
    env_steps: int | None = None
    seconds: float | None = None

    def __rmul__(self, times: int) -> "Cost":
        """Multiply the cost by a number of trainings that run one after another; unknown parts stay None."""
        steps = None if self.env_steps is None else times * self.env_steps
        return Cost(times * self.iterations, steps, None if self.seconds is None else times * self.seconds)

    def __add__(self, other: "Cost") -> "Cost":
        """Add two costs; a part that is unknown (None) in either is unknown in the sum."""
        steps = None if None in (self.env_steps, other.env_steps) else (self.env_steps or 0) + (other.env_steps or 0)
        both = None if None in (self.seconds, other.seconds) else (self.seconds or 0.0) + (other.seconds or 0.0)
        return Cost(self.iterations + other.iterations, steps, both)

    @property
    def briefly(self) -> str:
        """Return the cost as a short text for a table cell, with `steps` for environment steps."""
        return str(self).replace(" environment steps", " steps")

    def __str__(self) -> str:
        """Return the cost in words: environment steps (or iterations), and the time if known."""
        steps = pluralize(self.iterations, "iteration")
        if self.env_steps is not None:
            steps = f"{self.env_steps:,} environment steps"
        return steps if self.seconds is None else f"{steps}, {describe_time(self.seconds)}"


def describe_time(seconds: float) -> str:
    """Describe a number of seconds in words, such as `5 min`.

    Example:
        >>> describe_time(42.0), describe_time(90.0), describe_time(7200.0), describe_time(400_000.0)
        ('42 seconds', '2 minutes', '2.0 hours', '4.6 days')
    """
    if seconds < 60:
        return pluralize(max(1, round(seconds)), "second")
    if seconds < 3600:
        return pluralize(round(seconds / 60), "minute")
    return f"{seconds / 3600:.1f} hours" if seconds < 86_400 else f"{seconds / 86_400:.1f} days"


def estimate_cost(run: Signals, change: Mapping[str, Any] | None = None) -> Cost:
    """Estimate the cost (steps, time) of training a run once more at full planned length, with some settings changed.

    Args:
        run: The run.
        change: Settings by dotted path; those of the rollout change the steps in an iteration.
    """
    iterations = run.planned or run.history.length
    seeds = int(run.read_number("sweep.seeds") or 1) if run.is_ours else 1
    steps = _count_steps(run, change or {})
    seconds, done = run.select_last(metrics.FINAL_SECONDS, least=1), run.history.last_iteration
    if seconds is not None and done:
        as_it_was = _count_steps(run, {})
        larger = steps / as_it_was if steps and as_it_was else 1.0
        spent: float | None = seconds.mean * iterations / done * larger
    else:
        spent = steps * iterations / run.history.speed if steps and run.history.speed else None
    return Cost(iterations, None if steps is None else round(steps * iterations * seeds), spent)


def _count_steps(run: Signals, change: Mapping[str, Any]) -> float | None:
    """Count one seed's environment steps in an iteration, from the settings or the log; None if unknown."""
    sizes = [change.get(path, run.read_number(path)) for path in BATCH]
    if all(isinstance(size, int | float) for size in sizes):
        return math.prod(float(size) for size in sizes)
    counted = run.select_finite(ENV_STEPS)
    each = 0.0 if counted.empty else float(counted.iloc[-1]) / float(counted.index[-1])
    return each if each > 1 else None  # else what was read as a count of steps counts iterations


COSTS = "costs each, in environment steps"
"""Header of a column of costs."""


def explain_costs(run: Signals, arms: int, each: Cost) -> str:
    """Return a sentence on the cost of trying several changes and the control, and how the cost was estimated."""
    total = (arms + 1) * each
    text = f"{pluralize(arms, 'change')} and the control, one after another: {total}"
    lacking = [] if each.env_steps is not None else ["how many environment steps an iteration has"]
    lacking += [] if each.seconds is not None else ["how fast the run was"]
    own = " at the run's own speed" if each.seconds is not None else ""
    unknown = f"; not on record: {join_words(lacking)}" if lacking else ""
    return f"{text}{own}{unknown}."
