"""Define the unit of a sweep's steps: iterations, or environment steps where iterations of trials differ in size."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from unstuck.rl import metrics

ITERATION, ENV_STEP = "iteration", "environment step"

BATCH = ("ppo.num_envs", "ppo.num_steps")
"""Settings whose product is the number of environment steps in an iteration."""

_FORMAT = 2
"""First format of records whose sweeps may count environment steps; sweeps of an earlier format count iterations."""


@dataclass(frozen=True)
class Axis:
    """Unit in which a sweep counts the length of trials: iterations, or environment steps.

    Attributes:
        unit: `ITERATION` or `ENV_STEP`; environment steps are those of one member.
        scale: Units in an iteration of the unchanged configuration.
        length: Units in a trial that nothing stops; the last update may go beyond a length in environment steps.

    Example:
        >>> axis = Axis.choose(["ppo.num_envs"], iterations=20, batch=128, format=2)
        >>> axis.describe_step(axis.length), axis.describe_length(20 * 64)
        ('environment step 2,560', '1,280 environment steps')
    """

    unit: str
    scale: int
    length: int

    @classmethod
    def choose(cls, searched: Collection[str], iterations: int, batch: int, format: int) -> "Axis":
        """Choose the unit in which a sweep counts training: environment steps if iterations of trials differ in size.

        Args:
            searched: Dotted paths of the searched settings.
            iterations: Number of iterations of the unchanged configuration.
            batch: Environment steps in an iteration of the unchanged configuration.
            format: Version of the sweep's records; sweeps of format 1 count iterations in any case.
        """
        if format >= _FORMAT and any(path in searched for path in BATCH):
            return cls(ENV_STEP, batch, iterations * batch)
        return cls(ITERATION, 1, iterations)

    @property
    def in_env_steps(self) -> bool:
        """True if the sweep counts training in environment steps, False if in iterations."""
        return self.unit == ENV_STEP

    @property
    def units(self) -> str:
        """Name of the unit in the plural: `iterations` or `environment steps`."""
        return f"{self.unit}s"

    def describe_step(self, step: int) -> str:
        """Format one point of a trial's progress as text: `iteration 20`, `environment step 1,280`."""
        return f"{self.unit} {step:,}" if self.in_env_steps else f"{self.unit} {step}"

    def describe_length(self, steps: int) -> str:
        """Format a length of training as text: `20 iterations`, `1,280 environment steps`."""
        return f"{steps:,} {self.unit if steps == 1 else self.units}"


ITERATIONS = Axis(ITERATION, 1, 0)
"""Axis for a trial of unknown length."""


def read_last_step(summary: Mapping[str, float], otherwise: int) -> int:
    """Return the last step that an ended trial reached, from its final metrics, or else the number `otherwise`."""
    return int(summary.get(metrics.FINAL_ENV_STEPS, summary.get(metrics.FINAL_ITERATIONS, otherwise)))
