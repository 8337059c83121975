"""Read what a probe saw on both sides of an environment's wrappers: facts that hold from the first steps on."""

from unstuck.analysis.diagnosis.finding import Evidence
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.history.record import (
    WRAPPED_ACTION_CUT,
    WRAPPED_ACTION_DELAY,
    WRAPPED_COLUMNS_BLANK,
    WRAPPED_REWARD_LOST,
    WRAPPED_REWARD_SIGN,
    WRAPPED_SIGHT_DELAY,
    WRAPPED_SIGHT_LOST,
)

WHOLE = 0.05
"""Share of a column's variance that wrappers may take away from observations that arrive whole."""


def read_fact(run: Signals, name: str) -> float | None:
    """Return the last value of a metric of wrappers, from most steps; None if none was recorded."""
    window = run.select_last(name, share=0.0, least=1)
    return window.values[-1] if window is not None else None


def make_evidence(run: Signals, text: str, *names: str) -> Evidence:
    """Return a fact about wrappers as evidence, with the first iteration at which the fact stood."""
    first = int(run.select_finite(names[0]).index[0])
    return Evidence(text, names, (first, first))


def shows_whole(run: Signals) -> bool:
    """True if both sides were compared, and observations arrive as the environment makes them, at once and whole."""
    if read_fact(run, WRAPPED_SIGHT_DELAY) != 0 or read_fact(run, WRAPPED_ACTION_DELAY) != 0:
        return False
    return read_fact(run, WRAPPED_COLUMNS_BLANK) == 0 and (read_fact(run, WRAPPED_SIGHT_LOST) or 0.0) <= WHOLE


def acts_whole(run: Signals) -> bool:
    """True if both sides were compared, and the environment is given what the policy chose, at once and whole."""
    return read_fact(run, WRAPPED_ACTION_DELAY) == 0 and not read_fact(run, WRAPPED_ACTION_CUT)


def pays_unchanged(run: Signals) -> bool:
    """True if both sides were compared, and what is paid in training is what the environment pays."""
    compared = run.has(WRAPPED_ACTION_DELAY) or run.has(WRAPPED_SIGHT_DELAY)
    return compared and not run.has(WRAPPED_REWARD_SIGN) and not run.has(WRAPPED_REWARD_LOST)
