"""Results of trials at the scheduler's rungs, as the ledger keeps them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RungEntry:
    """A trial's result at a rung: all that a fresh process needs to judge the trials that follow.

    Attributes:
        trial: The trial's number.
        rung: Which rung, counted from 1.
        iteration: The evaluation that was recorded, on the sweep's axis: the first at or beyond the rung.
        value: The objective there, mean over members; may be non-finite.
        tie_breaker: The undiscounted episode return there, mean over members; higher is better.
        spared: Whether the trial is exempt from pruning.
        would_stop: Whether it lost at this rung, and had to stop unless it is spared or at its end; None: not on
            record, in a sweep of format 1.
    """

    trial: int
    rung: int
    iteration: int
    value: float
    tie_breaker: float
    spared: bool
    would_stop: bool | None = None
