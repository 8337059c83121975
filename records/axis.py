"""What a sweep counts its trials by: iterations, or environment steps where these differ in size between trials."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from unstuck.rl import metrics

ITERATION, ENV_STEP = "iteration", "environment step"

BATCH = ("ppo.num_envs", "ppo.num_steps")
"""Settings whose product is how many steps an iteration is."""

_FORMAT = 2
"""Sweeps whose records are of an earlier format count iterations, whatever they search."""


@dataclass(frozen=True)
class Axis:
    """What a sweep's curves, rungs and MLflow's steps are counted by.

    Attributes:
        unit: `ITERATION` or `ENV_STEP`, these of one member.
        scale: How many of these an iteration of the unchanged configuration is.
        length: How many of these a trial takes that is not stopped; in environment steps the last update overshoots it.
    """

    unit: str
    scale: int
    length: int

    @classmethod
    def choose(cls, searched: Collection[str], iterations: int, batch: int, format: int) -> "Axis":
        """The axis of a sweep.

        Args:
            searched: Dotted paths of what is searched.
            iterations: Of the unchanged configuration.
            batch: Steps of an iteration of the unchanged configuration.
            format: Version of the sweep's records.
        """
        if format >= _FORMAT and any(path in searched for path in BATCH):
            return cls(ENV_STEP, batch, iterations * batch)
        return cls(ITERATION, 1, iterations)

    @property
    def in_env_steps(self) -> bool:
        """Whether it counts environment steps."""
        return self.unit == ENV_STEP

    @property
    def units(self) -> str:
        """The unit's plural."""
        return f"{self.unit}s"

    def describe_step(self, step: int) -> str:
        """A place on it: `iteration 20`, `environment step 1,280`."""
        return f"{self.unit} {step:,}" if self.in_env_steps else f"{self.unit} {step}"

    def describe_length(self, steps: int) -> str:
        """So much of it: `20 iterations`, `1,280 environment steps`."""
        return f"{steps:,} {self.unit if steps == 1 else self.units}"


ITERATIONS = Axis(ITERATION, 1, 0)
"""Where nothing is known of a trial's length."""


def read_last_step(summary: Mapping[str, float], otherwise: int) -> int:
    """How far a trial came on its sweep's axis by the numbers written at its end; `otherwise` without them."""
    return int(summary.get(metrics.FINAL_ENV_STEPS, summary.get(metrics.FINAL_ITERATIONS, otherwise)))
