"""Define a suspicion: how far a run's numbers speak for a cause. Select the returns and build the evidence for one."""

from dataclasses import dataclass

from unstuck.analysis.diagnosis.finding import Evidence
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.history.record import EPISODE_LENGTH, EVAL_LENGTH
from unstuck.rl import metrics

SPEAKS, HINTS, OPEN, HARDLY = 4.0, 2.0, 1.0, 0.25
"""Factors of a suspect's frequency: the run's numbers speak for the cause, hint at it, leave it open, or hardly allow
it."""

VALUES = 20
"""Values on record before it tells that they stay."""


@dataclass(frozen=True)
class Suspicion:
    """A cause that a run's record allows: how far its numbers speak for it, the numbers, and the test that would tell.

    Attributes:
        factor: How far the numbers speak for the cause: `SPEAKS` to `HARDLY`.
        fact: The numbers in words.
        test: Test that tells the cause from its rivals.
        missing: Metrics that would have told.
    """

    factor: float
    fact: Evidence
    test: str
    missing: tuple[str, ...] = ()


def build_evidence(text: str, *windows: Window | None) -> Evidence:
    """Return evidence with the metrics of windows, and the iterations of the first one."""
    shown = [window for window in windows if window]
    return Evidence(text, tuple(window.metric for window in shown), shown[0].reach if shown else None)


def select_returns(run: Signals) -> tuple[Window | None, Window | None]:
    """Return the returns and lengths of episodes: of training, or else of evaluations."""
    if run.has(metrics.TRAIN_RETURN):
        return run.select_all(metrics.TRAIN_RETURN), run.select_all(EPISODE_LENGTH)
    return run.select_all(metrics.EVAL_RETURN), run.select_all(EVAL_LENGTH)
