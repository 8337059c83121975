"""Levels between which arms are scored: of the uniformly random policy, and of a healthy run, in each environment."""

import statistics
from pathlib import Path
from typing import NamedTuple

import gymnasium
from unstuck.rl.config import TRIAGE, DataConfig
from unstuck.rl.data import load_flows
from unstuck.rl.envs.confusion import RANDOM_FLAG_SHARE, f1_at_random

from benchmarks.unstick.kinds import ENVIRONMENTS, Settings
from benchmarks.unstick.sweeps import train

EPISODES = 50
"""Episodes of the uniformly random policy, where its level must be played for."""

HEALTHY_SEED = 1
"""`sweep.seed` of the healthy runs."""


class Levels(NamedTuple):
    """Objective of the uniformly random policy and of the healthy run in one environment.

    Attributes:
        random: F1 from expected counts on the validation flows; elsewhere the mean return of random episodes.
        healthy: Value of the healthy run: mean over members of the last three evaluations.
    """

    random: float
    healthy: float

    def share(self, value: float) -> float:
        """Compute how far a value has gone from random (0) to healthy (1).

        Example:
            >>> Levels(20.0, 500.0).share(260.0)
            0.5
        """
        return (value - self.random) / (self.healthy - self.random)


def measure_levels(environment: str, folder: Path) -> Levels:
    """Measure the levels of one environment; the healthy run is trained unless that has been done.

    Raises:
        RuntimeError: The healthy run has no value.
    """
    settings = ENVIRONMENTS[environment]
    value = train(f"healthy-{environment}", {**settings, "sweep.seed": HEALTHY_SEED}, folder).trials[0].value
    if value is None:
        raise RuntimeError(f"the healthy run of {environment} must have a value; delete its sweep in {folder}")
    return Levels(measure_random(settings), value)


def measure_random(settings: Settings) -> float:
    """Measure the objective of the uniformly random policy under the settings of an environment."""
    if settings["env.id"] == TRIAGE:
        own = {path.removeprefix("data."): value for path, value in settings.items() if path.startswith("data.")}
        return f1_at_random(load_flows(DataConfig(**own)).validation.threat, RANDOM_FLAG_SHARE)
    env = gymnasium.make(settings["env.id"])
    env.action_space.seed(0)
    returns = []
    for episode in range(EPISODES):
        env.reset(seed=episode)
        total, is_over = 0.0, False
        while not is_over:
            _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
            total, is_over = total + float(reward), terminated or truncated
        returns.append(total)
    return statistics.fmean(returns)
