"""What one iteration measured: the unit in which metrics travel from a trial to the ledger and the tracker."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


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

    def to_json(self) -> dict[str, Any]:
        """As a checkpoint's history holds it; JSON here has NaN and infinity."""
        return {"iteration": self.iteration, "timestamp_ms": self.timestamp_ms, "metrics": dict(self.metrics)}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Record":
        """Inverse of `to_json`."""
        return cls(int(kept["iteration"]), int(kept["timestamp_ms"]), dict(kept["metrics"]))
