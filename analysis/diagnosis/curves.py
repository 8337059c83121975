"""Measure the curves of a run's metrics: windows early and late, trends, and whether the record holds the start."""

import math

import numpy as np
import pandas as pd
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.history import History
from unstuck.analysis.statistics import Trend, fit_trend

LATE_SHARE = 0.25
"""The last quarter of a curve is how the run stands."""

FIRST = 3
"""Iteration, or twice the distance of two, by which a record must begin to hold the start of a run."""


class Curves:
    """Curves of one run's metrics by iteration, with cached measurements such as windows and trends.

    Args:
        history: The run.

    Attributes:
        history: The run.
    """

    def __init__(self, history: History) -> None:
        self.history = history
        self._finite: dict[str, pd.Series[float]] = {}  # rules ask for the same things again and again
        self._trends: dict[tuple[str, int], Trend] = {}
        self._late: dict[tuple[str, float, int], Window | None] = {}

    def has(self, *names: str) -> bool:
        """True if the run recorded each of the named metrics."""
        return self.history.has(*names)

    def select_all(self, name: str) -> Window | None:
        """Return all finite values of a metric as a `Window`; None if there are none."""
        return _make_window(name, self.select_finite(name))

    def select_first(self, name: str, count: int = 3) -> Window | None:
        """Return the first `count` finite values of a metric as a `Window`; None if there are none."""
        return _make_window(name, self.select_finite(name), slice(count))

    def select_last(self, name: str, share: float = LATE_SHARE, least: int = 3) -> Window | None:
        """Return a metric's last finite values (a `share` of all, at least `least`) as a `Window`; None if none."""
        key = name, share, least
        if key not in self._late:
            curve = self.select_finite(name)
            self._late[key] = _make_window(name, curve, slice(-max(least, math.ceil(share * len(curve))), None))
        return self._late[key]

    def trend(self, name: str, start: int = 0) -> Trend:
        """Test a metric for an upward or downward trend from iteration `start` on (Mann-Kendall test)."""
        key = name, start
        if key not in self._trends:
            curve = self.select_finite(name).loc[start:]
            self._trends[key] = fit_trend(curve.index.tolist(), curve.tolist())
        return self._trends[key]

    def select_finite(self, name: str) -> "pd.Series[float]":
        """Return the finite values of a metric by iteration; empty if there are none."""
        found = self._finite.get(name)
        if found is None:
            curve = self.history.curve(name)
            finite = np.isfinite(curve.to_numpy())
            found = self._finite[name] = curve if finite.all() else curve[finite]
        return found

    def holds_start(self, name: str) -> bool:
        """True if a metric's record begins at the run's start, and not far into the run."""
        if self.history.unrecorded:
            return False
        steps = self.select_finite(name).index.to_numpy()
        apart = float(np.median(np.diff(steps))) if len(steps) > 1 else 0.0
        return len(steps) > 0 and float(steps[0]) <= max(FIRST, 2 * apart)


def _make_window(name: str, curve: "pd.Series[float]", part: slice = slice(None)) -> Window | None:
    values = curve.to_numpy()[part].tolist()  # a slice of a series takes pandas ten times as long
    return Window(name, tuple(curve.index.to_numpy()[part].tolist()), tuple(values)) if values else None
