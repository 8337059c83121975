"""Measurements of one iteration: the unit in which metrics travel from a trial to the ledger and the tracker."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Record:
    """One iteration's metrics of one trial.

    Attributes:
        iteration: Which one, from 1.
        timestamp_ms: When it was measured, in ms since 1970. It stays with the record, so that writing it again
            after a resume adds nothing.
        metrics: Means over the trial's members, and each member's own, under the names of `rl.metrics`.
        env_steps: Environment steps of a member by its end; None in a sweep that counts iterations.
    """

    iteration: int
    timestamp_ms: int
    metrics: Mapping[str, float]
    env_steps: int | None = None

    @property
    def step(self) -> int:
        """Where it stands on the sweep's axis (`records.axis`): MLflow's step, and the ledger's."""
        return self.iteration if self.env_steps is None else self.env_steps

    def to_json(self) -> dict[str, Any]:
        """Return the record as a checkpoint's history holds it; JSON here has NaN and infinity."""
        kept = {"iteration": self.iteration, "timestamp_ms": self.timestamp_ms, "metrics": dict(self.metrics)}
        return kept if self.env_steps is None else {**kept, "env_steps": self.env_steps}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Record":
        """Read what `to_json` returned."""
        return cls(int(kept["iteration"]), int(kept["timestamp_ms"]), dict(kept["metrics"]), kept.get("env_steps"))
