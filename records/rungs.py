"""Define the record of a trial's result at a rung of the scheduler, as kept in the ledger."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RungEntry:
    """Result of a trial at a rung (a step at which trials are compared), by which later trials are judged.

    Attributes:
        trial: Number of the trial.
        rung: Number of the rung, from 1.
        iteration: Evaluation that was recorded, on the sweep's axis: the first at or beyond the rung.
        value: Objective at that evaluation, mean over members; may be non-finite.
        tie_breaker: Undiscounted episode return at that evaluation, mean over members; higher is better.
        spared: True if the trial is exempt from pruning.
        would_stop: True if the trial lost at this rung, and had to stop unless spared or at its end; None if not on
            record, in a sweep of format 1.
    """

    trial: int
    rung: int
    iteration: int
    value: float
    tie_breaker: float
    spared: bool
    would_stop: bool | None = None
