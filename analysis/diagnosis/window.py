"""A window: finite values of one metric over some iterations, with the figures and words that findings show."""

import math
from dataclasses import dataclass

import numpy as np
from unstuck.analysis.words import format_range, format_uncertain, number

QUARTERS = 4
"""Parts of a curve, the first and the last of which tell its way; fewer values stand for themselves."""


@dataclass(frozen=True)
class Window:
    """Finite values of one metric over some iterations, with mean, spread, standard error and texts about these.

    Attributes:
        metric: Name of the metric.
        iterations: Iterations at which the metric was recorded.
        values: Finite values, one for each iteration, at least one.
    """

    metric: str
    iterations: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean of a metric's values in the window of iterations."""
        return math.fsum(self.values) / len(self.values)

    @property
    def median(self) -> float:
        """Median of a metric's values in the window of iterations."""
        ordered, middle = sorted(self.values), len(self.values) // 2  # numpy's takes ten times as long for so few
        return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2

    @property
    def spread(self) -> float:
        """Standard deviation (n - 1) of a metric's values in the window; 0 for a single value."""
        with np.errstate(invalid="ignore", over="ignore"):  # of seeds, some may have diverged
            return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else 0.0

    @property
    def error(self) -> float:
        """Standard error of a metric's mean in the window, as if neighbouring values were independent."""
        return self.spread / math.sqrt(len(self.values))

    @property
    def reach(self) -> tuple[int, int]:
        """First and last iteration of the window, as a pair of numbers."""
        return self.iterations[0], self.iterations[-1]

    def __str__(self) -> str:
        return f"{format_range(self.values)} {self.where}"

    @property
    def where(self) -> str:
        """Iterations of the window as text, such as `over iterations 3 to 9`."""
        first, last = self.reach
        return f"at iteration {first}" if first == last else f"over iterations {first} to {last}"

    @property
    def level(self) -> str:
        """Mean and spread of a metric in the window as text, such as `0.94 ± 0.02`."""
        return format_uncertain(self.mean, self.spread)

    @property
    def way(self) -> str:
        """Change from first to last quarter as text, e.g. `from 30 in the first quarter to -26 in the last`."""
        first, last = self._ends
        if len(self.values) < QUARTERS:
            return f"from {number(first)} to {number(last)} {self.where}"
        return f"from {number(first)} in the first quarter to {number(last)} in the last, {self.where}"

    @property
    def went_down(self) -> bool:
        """True if the last quarter of the window's values lies below the first."""
        first, last = self._ends
        return last < first

    @property
    def _ends(self) -> tuple[float, float]:
        size = max(1, len(self.values) // QUARTERS)
        return math.fsum(self.values[:size]) / size, math.fsum(self.values[-size:]) / size
