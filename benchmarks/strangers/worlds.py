"""Worlds to train in: three classic environments and thirteen of our own, each with a script that learns."""

from dataclasses import dataclass
from typing import Any

import gymnasium

from benchmarks.depot_and_chase import Chase, Depot
from benchmarks.environments import Courier, Reach, Shop, Tank
from benchmarks.more_environments import Battery, Fans, Lake
from benchmarks.other_observations import Arm, Catch
from benchmarks.strangers.environments import Desk, Lander
from benchmarks.strangers.script import Script


@dataclass(frozen=True)
class World:
    """Environment with a script that learns in it.

    Attributes:
        name: Short.
        env: Gymnasium's id, or the class.
        script: The healthy script.
        learned: A healthy run must score above this, or it has not learned and does not count as healthy.
        worst: The score of a run that broke off.
    """

    name: str
    env: str | type[gymnasium.Env[Any, Any]]
    script: Script
    learned: float
    worst: float

    def make(self) -> gymnasium.Env[Any, Any]:
        """Make the environment, with no wrapper of the script."""
        return gymnasium.make(self.env, disable_env_checker=True) if isinstance(self.env, str) else self.env()


_COMMON = {"n_steps": 128, "batch_size": 128, "n_epochs": 6, "learning_rate": 1e-3}

WORLDS = {
    world.name: world
    for world in (
        World("cartpole", "CartPole-v1", Script(25_000, {**_COMMON, "gamma": 0.98}), learned=150.0, worst=8.0),
        World(
            "pendulum",
            "Pendulum-v1",
            Script(60_000, {**_COMMON, "n_steps": 256, "n_epochs": 10, "gamma": 0.9}, evaluates=False),
            learned=-700.0,
            worst=-1800.0,
        ),
        World("reach", Reach, Script(25_000, {**_COMMON, "gamma": 0.95}), learned=-8.0, worst=-40.0),
        World(
            "tank",
            Tank,
            Script(30_000, {**_COMMON, "gamma": 0.97}, normalised=("observations",)),
            learned=80.0,
            worst=0.0,
        ),
        World(
            "courier",
            Courier,
            Script(45_000, {**_COMMON, "gamma": 0.97, "ent_coef": 0.01}, evaluates=False),
            learned=0.5,
            worst=0.0,
        ),
        World(
            "shop",
            Shop,
            Script(20_000, {**_COMMON, "gamma": 0.9}, normalised=("observations", "rewards")),
            learned=2500.0,
            worst=-10_000.0,
        ),
        World(
            "acrobot",
            "Acrobot-v1",
            Script(50_000, {**_COMMON, "gamma": 0.99, "ent_coef": 0.01}, evaluates=False),
            learned=-200.0,
            worst=-500.0,
        ),
        World(
            "lander",
            Lander,
            Script(45_000, {**_COMMON, "gamma": 0.98}),
            learned=5.0,
            worst=-1.6,
        ),
        World(
            "desk",
            Desk,
            Script(30_000, {**_COMMON, "gamma": 0.95}, normalised=("observations", "rewards")),
            learned=-150.0,
            worst=-2000.0,
        ),
        World("lake", Lake, Script(20_000, {**_COMMON, "gamma": 0.97}), learned=0.5, worst=0.0),
        World(
            "battery",
            Battery,
            Script(30_000, {**_COMMON, "gamma": 0.97}, normalised=("observations", "rewards")),
            learned=1000.0,
            worst=-10_000.0,
        ),
        World(
            "fans",
            Fans,
            Script(25_000, {**_COMMON, "gamma": 0.9}, normalised=("rewards",)),
            learned=-100.0,
            worst=-600.0,
        ),
        World("arm", Arm, Script(30_000, {**_COMMON, "gamma": 0.95}), learned=-5.0, worst=-60.0),
        World("catch", Catch, Script(25_000, {**_COMMON, "gamma": 0.97}), learned=5.0, worst=0.0),
        World(
            "depot",
            Depot,
            Script(30_000, {**_COMMON, "gamma": 0.97}, normalised=("observations",)),
            learned=30.0,
            worst=-40.0,
        ),
        World("chase", Chase, Script(20_000, {**_COMMON, "gamma": 0.97}), learned=2.0, worst=-5.6),
    )
}
"""`reach` has negative rewards and episodes of 25 steps that no state ends; `pendulum`, `reach` and `tank` have
continuous actions, `shop` two actions at a time. `arm` shows a dictionary, `catch` a frame, and
`chase` a part of the state alone; what is done in `depot` arrives days later."""

NEWEST = ("depot", "chase")
"""Worlds that no draw before the fifth held: deliveries that come days later, and a chase that hides distances."""

LATER = ("lake", "battery", "fans", "arm", "catch", *NEWEST)
"""Worlds of the third draw and of later ones: also a sparse goal, what pays hours later, four bits at a time, three
joints and a dictionary, and a game that is seen in frames."""
