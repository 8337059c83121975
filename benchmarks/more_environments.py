"""Environments of the newest draws: a frozen lake with one goal, a battery that trades by the hour, and four fans.

Importing the module registers each with Gymnasium, as `benchmarks.more_environments:Lake-v0`.
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from benchmarks.environments import Array, Small


class Lake(Small):
    """A walker crosses a frozen lake of 6 by 6 to the one goal: four moves, of which some slip.

    The goal pays 1, a hole ends the episode unpaid. The observation is one column for each square.
    """

    length = 50
    size, slips = 6, 0.1
    goal = (5, 5)
    holes = frozenset({(1, 1), (1, 4), (3, 2), (4, 4), (2, 5)})
    action_space = spaces.Discrete(4)
    observation_space = spaces.Box(0.0, 1.0, (36,), np.float32)
    moves = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]])

    def begin(self) -> None:
        """Draw a square of ice."""
        squares = [(row, column) for row in range(self.size) for column in range(self.size)]
        ice = [square for square in squares if square != self.goal and square not in self.holes]
        self.place = np.array(ice[int(self.np_random.integers(len(ice)))])

    def act(self, action: Any) -> tuple[float, bool]:
        """Move; one move in ten goes anywhere."""
        way = int(self.np_random.integers(4)) if self.np_random.random() < self.slips else int(action)
        self.place = np.clip(self.place + self.moves[way], 0, self.size - 1)
        square = (int(self.place[0]), int(self.place[1]))
        return float(square == self.goal), square == self.goal or square in self.holes

    def observe(self) -> Array:
        """Return 1 in the column of the walker's square, and 0 in all others."""
        seen = np.zeros(self.size**2, np.float32)
        seen[self.place[0] * self.size + self.place[1]] = 1
        return seen


class Battery(Small):
    """A battery trades with the grid for ten days by the hour: one continuous action, and what is bought pays later.

    Observations are the charge in kWh, the price in cents, and sine and cosine of the hour; no state ends an episode.
    """

    length = 240
    capacity, power, efficiency = 10.0, 2.0, 0.95
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    observation_space = spaces.Box(-np.inf, np.inf, (4,), np.float32)

    def begin(self) -> None:
        """Draw charge, hour and price."""
        self.charge = self.np_random.uniform(0, self.capacity)
        self.hour = int(self.np_random.integers(24))
        self.drift = self.np_random.normal(0, 5)

    @property
    def price(self) -> float:
        """Price of a kWh in cents: high at six in the evening, low at six in the morning, with a drift."""
        return float(40 + 20 * np.cos(2 * np.pi * (self.hour - 18) / 24) + self.drift)

    def act(self, action: Any) -> tuple[float, bool]:
        """Buy or sell up to 2 kWh at the price of the hour; the reward is what is paid, in cents."""
        wanted = self.power * float(np.clip(action[0], -1, 1))
        change = float(np.clip(wanted, -self.charge, self.capacity - self.charge))
        traded = change / self.efficiency if change > 0 else change * self.efficiency
        paid = -self.price * traded
        self.charge += change
        self.hour = (self.hour + 1) % 24
        self.drift = 0.9 * self.drift + self.np_random.normal(0, 2)
        return paid, False

    def observe(self) -> Array:
        """Return charge, price, and sine and cosine of the hour."""
        turn = 2 * np.pi * self.hour / 24
        return np.array([self.charge, self.price, np.sin(turn), np.cos(turn)], np.float32)


class Fans(Small):
    """Four rooms with a fan each, which runs or not in a minute: heat and current cost, for an hour.

    Actions are four bits, rewards are negative, and no state ends an episode. Observations are in degrees: what each
    room is above what is wanted, and how much each warms in a minute.
    """

    length = 60
    wind, current = 2.0, 0.15
    action_space = spaces.MultiBinary(4)
    observation_space = spaces.Box(-np.inf, np.inf, (8,), np.float32)

    def begin(self) -> None:
        """Draw how warm the rooms are, and how they warm."""
        self.heat = self.np_random.uniform(-2, 4, 4)
        self.warming = self.np_random.uniform(0.2, 1.2, 4)

    def act(self, action: Any) -> tuple[float, bool]:
        """Run some fans, which cool the less the more of them run; each degree costs 1, a minute of a fan 0.15."""
        runs = np.asarray(action, float)
        cooling = self.wind / (1 + 0.2 * max(runs.sum() - 1, 0))
        self.warming = np.clip(self.warming + self.np_random.normal(0, 0.05, 4), 0.1, 1.5)
        self.heat = np.clip(self.heat + self.warming - cooling * runs, -10, 10)
        return -float(np.abs(self.heat).mean() + self.current * runs.sum()), False

    def observe(self) -> Array:
        """Return the heat of the rooms, and how they warm."""
        return np.concatenate([self.heat, self.warming]).astype(np.float32)


for _kind in (Lake, Battery, Fans):
    gymnasium.register(f"{_kind.__name__}-v0", _kind)
