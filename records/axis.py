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
    """Unit in which the curves and rungs of a sweep, and the steps in MLflow, are counted.

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
        """Choose the axis of a sweep: environment steps if the sweep searches the size of an iteration.

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
        """True if the axis counts environment steps."""
        return self.unit == ENV_STEP

    @property
    def units(self) -> str:
        """Plural of the unit: `iterations` or `environment steps`."""
        return f"{self.unit}s"

    def describe_step(self, step: int) -> str:
        """Return the text for one step on the axis: `iteration 20`, `environment step 1,280`."""
        return f"{self.unit} {step:,}" if self.in_env_steps else f"{self.unit} {step}"

    def describe_length(self, steps: int) -> str:
        """Return the text for a number of steps on the axis: `20 iterations`, `1,280 environment steps`."""
        return f"{steps:,} {self.unit if steps == 1 else self.units}"


ITERATIONS = Axis(ITERATION, 1, 0)
"""Axis for a trial of unknown length."""


def read_last_step(summary: Mapping[str, float], otherwise: int) -> int:
    """Return the last step of an ended trial, from the `final/` metrics in `summary`; `otherwise` if there is none."""
    return int(summary.get(metrics.FINAL_ENV_STEPS, summary.get(metrics.FINAL_ITERATIONS, otherwise)))
