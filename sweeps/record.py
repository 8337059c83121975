"""What one iteration measured: the unit in which metrics travel from a trial to the ledger and the tracker."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Record:
    """One iteration's metrics of one trial.

    Attributes:
        iteration: Which one, from 1; MLflow's step.
        timestamp_ms: When it was measured, in ms since 1970. It stays with the record, so that writing it again
            after a resume adds nothing.
        metrics: Means over the trial's members, and each member's own, under the names of `rl.metrics`.
    """

    iteration: int
    timestamp_ms: int
    metrics: Mapping[str, float]
