"""Define the record of one iteration, in which metrics travel from a trial to the ledger and the tracker."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from unstuck.rl import metrics


@dataclass(frozen=True)
class Record:
    """Metrics measured in one iteration of one trial, with time and step.

    Attributes:
        iteration: Number of the iteration, from 1.
        timestamp_ms: Time of the measurement, in ms since 1970. The time stays with the record, so that writing the
            record again after a resume adds nothing.
        metrics: Means over the trial's members, and each member's own value, under the names of `rl.metrics`.
        env_steps: Environment steps of a member by the end of the iteration; None in a sweep that counts iterations.
        seeds: Each member's own value, in the members' order, of the metrics of which `metrics` holds the mean alone;
            empty for a single member. The checkpoint keeps them, for the diagnosis; no tracker gets them.

    Example:
        >>> record = Record(20, 1_700_000_000_000, {"eval/f1": 0.5}, env_steps=2560)
        >>> record.step
        2560
        >>> Record.from_json(record.to_json()) == record
        True
    """

    iteration: int
    timestamp_ms: int
    metrics: Mapping[str, float]
    env_steps: int | None = None
    seeds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def step(self) -> int:
        """Step of the record in MLflow and Optuna: the iteration, or environment steps in sweeps that count these."""
        return self.iteration if self.env_steps is None else self.env_steps

    def to_json(self) -> dict[str, Any]:
        """Convert the record to a dict for `json.dumps`, which writes NaN and infinity as `NaN` and `Infinity`."""
        kept = {"iteration": self.iteration, "timestamp_ms": self.timestamp_ms, "metrics": dict(self.metrics)}
        kept |= {} if self.env_steps is None else {"env_steps": self.env_steps}
        return kept | ({"seeds": {name: list(values) for name, values in self.seeds.items()}} if self.seeds else {})

    def list_values(self) -> dict[str, float]:
        """Return all values of the record by name: means over seeds, and each seed's own where recorded."""
        own = {
            metrics.seed_metric(name, member): value
            for name, values in self.seeds.items()
            for member, value in enumerate(values)
        }
        return {**self.metrics, **own}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Record":
        """Make a record (metrics of one iteration) from a dict that `to_json` returned."""
        iteration, written = int(kept["iteration"]), int(kept["timestamp_ms"])
        seeds = {name: tuple(values) for name, values in kept.get("seeds", {}).items()}
        return cls(iteration, written, dict(kept["metrics"]), kept.get("env_steps"), seeds)
