"""Tell from a run's files that the run has ended: they have not grown for many times the pace of their rows."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
from unstuck.analysis.history.record import ENV_STEPS, FINISHED, History

PACES = 20
"""Paces of the rows, with `LEAST_QUIET` at the least, for which a file must not have grown: a program that evaluates
or saves in between may be silent for several."""

LEAST_QUIET = timedelta(minutes=10)

QUIET_ANYHOW = timedelta(days=1)
"""Time without growth from which a run has ended whose pace is not on record: hardly an iteration takes a day."""

LEAST_ROWS = 20
"""Rows below which a file tells nothing: a trial start that was given up is no run that has failed."""


def note_ending(history: History, files: Sequence[Path]) -> History:
    """Mark a history as ended, with a remark that says why, if its files have not grown for long.

    Args:
        history: The run as read.
        files: Files that the run's metrics were read from.
    """
    if FINISHED in history.settings or not files or len(history.table) < LEAST_ROWS:
        return history
    quiet = timedelta(seconds=time.time() - max(file.stat().st_mtime for file in files))
    pace = _measure_pace(history)
    if quiet < (max(LEAST_QUIET, PACES * pace) if pace else QUIET_ANYHOW):
        return history
    every = f", and a row came every {_format_span(pace)}" if pace else ""
    remark = (
        f"taken for a run that has ended: nothing was written for {_format_span(quiet)}{every} (if it goes on: "
        f"--set {FINISHED}=false)"
    )
    return replace(history, has_ended=True, remarks=(*history.remarks, remark))


def _measure_pace(history: History) -> timedelta | None:
    """Compute the time from one row of a run's log to the next, from environment steps and speed; None if unknown.

    Returns:
        The time; None if steps or speed were not logged.
    """
    steps = history.curve(ENV_STEPS).to_numpy()
    if not history.speed or len(steps) < 2:
        return None
    return timedelta(seconds=float(np.median(np.diff(steps))) / history.speed)


def _format_span(span: timedelta) -> str:
    """Format a length of time in words, in one unit: days, hours, minutes or seconds, such as `3 hours`."""
    seconds = span.total_seconds()
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.2g} seconds"
