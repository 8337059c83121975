"""Environments of the benchmarks' own, small enough to be learned in seconds: a reach, a tank, a courier and a shop.

Importing the module registers each with Gymnasium, as `benchmarks.environments:Reach-v0`.
"""

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

Array = npt.NDArray[np.float32]
Step = tuple[Array, float, bool, bool, dict[str, Any]]


class Small(gymnasium.Env[Array, Any]):
    """Base of the environments: counts the steps of an episode and truncates the episode after `length` steps."""

    length: int

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Begin an episode; return its first observation."""
        super().reset(seed=seed)
        self.steps = 0
        self.begin()
        return self.observe(), {}

    def step(self, action: Any) -> Step:
        """Do an action; return the next observation, the reward and whether the episode ended or was truncated."""
        self.steps += 1
        reward, is_over = self.act(action)
        return self.observe(), float(reward), bool(is_over), self.steps >= self.length, {}

    def begin(self) -> None:
        """Draw the first state of an episode."""
        raise NotImplementedError

    def act(self, action: Any) -> tuple[float, bool]:
        """Change the state; return the reward, and whether the episode is over."""
        raise NotImplementedError

    def observe(self) -> Array:
        """Return the observation of the state, `[F]`."""
        raise NotImplementedError


class Reach(Small):
    """A point moves to a goal in a square: two continuous actions, a step costs the distance, 25 steps, no end."""

    length = 25
    action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
    observation_space = spaces.Box(-2.0, 2.0, (4,), np.float32)

    def begin(self) -> None:
        """Draw point and goal."""
        self.point, self.goal = self.np_random.uniform(-1, 1, (2, 2))

    def act(self, action: Any) -> tuple[float, bool]:
        """Move the point by at most 0.15 along each axis; the reward is minus the distance."""
        self.point = np.clip(self.point + 0.15 * np.clip(action, -1, 1), -1, 1)
        return -float(np.linalg.norm(self.point - self.goal)), False

    def observe(self) -> Array:
        """Return the point, and the way to the goal."""
        return np.concatenate([self.point, self.goal - self.point]).astype(np.float32)


class Tank(Small):
    """A tank's level is held by a valve that turns slowly: one continuous action, the episode ends empty or overflown.

    Observations are in litres: level, wanted level, inflow, and the valve's opening in percent.
    """

    length = 120
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    observation_space = spaces.Box(-np.inf, np.inf, (4,), np.float32)

    def begin(self) -> None:
        """Draw level, wanted level and inflow; the valve is half open."""
        self.level, self.wanted = self.np_random.uniform([40, 30], [60, 70])
        self.inflow, self.valve = self.np_random.uniform(3, 7), 50.0

    def act(self, action: Any) -> tuple[float, bool]:
        """Turn the valve by at most 12 %; the reward is 1 at the wanted level, and 0 from 25 litres off on."""
        self.valve = float(np.clip(self.valve + 12 * np.clip(action[0], -1, 1), 0, 100))
        self.inflow = float(np.clip(self.inflow + self.np_random.normal(0, 0.5), 1, 9))
        self.level += self.inflow - self.valve / 10
        return max(0.0, 1 - abs(self.level - self.wanted) / 25), not 0 < self.level < 100

    def observe(self) -> Array:
        """Return level, wanted level, inflow and valve."""
        return np.array([self.level, self.wanted, self.inflow, self.valve], np.float32)


class Courier(Small):
    """A courier fetches a parcel and brings it home in a grid of 5 by 5: four moves, one reward, at the end."""

    length = 60
    size = 5
    action_space = spaces.Discrete(4)
    observation_space = spaces.Box(0.0, 1.0, (7,), np.float32)
    moves = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]])

    def begin(self) -> None:
        """Draw the places of courier, parcel and home."""
        self.place, self.parcel, self.home = self.np_random.integers(0, self.size, (3, 2))
        self.has_parcel = False

    def act(self, action: Any) -> tuple[float, bool]:
        """Move; home with the parcel pays 1, less what was used of the time."""
        self.place = np.clip(self.place + self.moves[int(action)], 0, self.size - 1)
        self.has_parcel |= bool((self.place == self.parcel).all())
        is_home = self.has_parcel and bool((self.place == self.home).all())
        return (1 - 0.9 * self.steps / self.length if is_home else 0.0), is_home

    def observe(self) -> Array:
        """Return the places in shares of the grid, and whether the courier has the parcel."""
        places = np.concatenate([self.place, self.parcel, self.home]) / (self.size - 1)
        return np.append(places, self.has_parcel).astype(np.float32)


class Shop(Small):
    """A shop orders two goods each day for 30 days: two actions of six choices, the reward is the profit in money."""

    length = 30
    prices, costs, keeping = np.array([40.0, 25.0]), np.array([22.0, 12.0]), np.array([4.0, 2.0])
    action_space = spaces.MultiDiscrete([6, 6])
    observation_space = spaces.Box(-np.inf, np.inf, (6,), np.float32)

    def begin(self) -> None:
        """Draw the stock, and how well each good sells."""
        self.stock = self.np_random.integers(0, 6, 2).astype(float)
        self.wanted = self.np_random.uniform(2, 9, 2)
        self.sold = self.wanted.copy()

    def act(self, action: Any) -> tuple[float, bool]:
        """Order 0 to 10 pieces of each good, and sell; who finds nothing on the shelf costs, and so does the rest."""
        order = 2.0 * np.asarray(action)
        self.stock = np.minimum(self.stock + order, 40)
        self.wanted = np.clip(self.wanted + self.np_random.normal(0, 0.4, 2), 1, 10)
        asked = self.np_random.poisson(self.wanted)
        self.sold = np.minimum(asked, self.stock)
        self.stock = self.stock - self.sold
        missed = asked - self.sold
        profit = self.prices * self.sold - self.costs * order - self.keeping * self.stock - 10 * missed
        return float(profit.sum()), False

    def observe(self) -> Array:
        """Return stock, what was sold yesterday, and what is asked for on average."""
        return np.concatenate([self.stock, self.sold, self.wanted]).astype(np.float32)


for _kind in (Reach, Tank, Courier, Shop):
    gymnasium.register(f"{_kind.__name__}-v0", _kind)
