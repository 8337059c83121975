"""Environments that hide or delay: a depot whose deliveries come days later, and a chase that sees ahead alone.

Importing the module registers each with Gymnasium, as `benchmarks.depot_and_chase:Depot-v0`.
"""

from math import atan2, cos, hypot, pi, sin
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from benchmarks.environments import Array, Small


class Depot(Small):
    """A depot orders two goods a day, which arrive four days later: two continuous actions, and a reward each day.

    A day pays the share of the demand that is met, less what the stock costs; goodwill falls with what is not met, and
    the depot closes when none is left. Observations are pieces: stock, what arrives on each of the next days, and what
    is asked for on average; the last column is goodwill, of 1.
    """

    length = 60
    delay, largest, keeping = 4, 16.0, 0.01
    action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
    observation_space = spaces.Box(0.0, np.inf, (13,), np.float32)

    def begin(self) -> None:
        """Draw stock, deliveries and demand; goodwill is whole."""
        self.demand = self.np_random.uniform(2, 12, 2)
        self.stock = self.np_random.uniform(0, 20, 2)
        self.coming = self.np_random.uniform(0, 12, (self.delay, 2))
        self.goodwill = 1.0

    def act(self, action: Any) -> tuple[float, bool]:
        """Order up to 16 pieces of each good, take what is due, and sell."""
        order = self.largest * (1 + np.clip(np.asarray(action, float), -1, 1)) / 2
        self.stock = np.minimum(self.stock + self.coming[0], 80)
        self.coming = np.concatenate([self.coming[1:], order[None]])
        asked = self.np_random.poisson(self.demand)
        sold = np.minimum(asked, self.stock)
        self.stock = self.stock - sold
        met = float(sold.sum() / max(asked.sum(), 1))
        self.goodwill = min(1.0, self.goodwill + 0.1 - 0.4 * (1 - met))
        self.demand = np.clip(self.demand + self.np_random.normal(0, 0.3, 2), 1, 13)
        return met - self.keeping * float(self.stock.sum()), self.goodwill <= 0

    def observe(self) -> Array:
        """Return stock, deliveries by day, mean demand and goodwill."""
        return np.concatenate([self.stock, self.coming.ravel(), self.demand, [self.goodwill]]).astype(np.float32)


class Chase(Small):
    """A hunter on wheels catches prey in the plane: the angle to the prey is seen where the prey is ahead.

    Two choices a step, a turn of three and a pace of two; a step costs 0.05, haste 0.02 more, and the catch pays 5 and
    ends the episode. How far off the prey is, is not shown.
    """

    length = 80
    view, near, pace, turn = 2 * pi / 3, 0.35, (0.1, 0.25), 0.45
    action_space = spaces.MultiDiscrete([3, 2])
    observation_space = spaces.Box(-1.0, 1.0, (5,), np.float32)

    def begin(self) -> None:
        """Draw both places, and where the two are headed."""
        self.heading, way, self.flight = self.np_random.uniform(-pi, pi, 3)
        distance = self.np_random.uniform(1.0, 3.0)
        self.place = [0.0, 0.0]
        self.prey = [distance * cos(way), distance * sin(way)]
        self.turned = 0

    def act(self, action: Any) -> tuple[float, bool]:
        """Turn and go; the prey goes on at 0.1 a step, and turns at random in one step of ten."""
        self.turned, is_fast = int(action[0]) - 1, int(action[1])
        self.heading += self.turn * self.turned
        self.place[0] += self.pace[is_fast] * cos(self.heading)
        self.place[1] += self.pace[is_fast] * sin(self.heading)
        if self.np_random.random() < 0.1:
            self.flight = float(self.np_random.uniform(-pi, pi))
        self.prey[0] += 0.1 * cos(self.flight)
        self.prey[1] += 0.1 * sin(self.flight)
        is_caught = hypot(self.prey[0] - self.place[0], self.prey[1] - self.place[1]) < self.near
        return 5 * is_caught - 0.05 - 0.02 * is_fast, is_caught

    def observe(self) -> Array:
        """Return sine and cosine of the angle and a 1, or zeros where the prey is behind; the last turn; the time."""
        angle = atan2(self.prey[1] - self.place[1], self.prey[0] - self.place[0]) - self.heading
        angle = (angle + pi) % (2 * pi) - pi
        seen = (sin(angle), cos(angle), 1.0) if abs(angle) < self.view else (0.0, 0.0, 0.0)
        return np.array([*seen, self.turned, self.steps / self.length], np.float32)


for _kind in (Depot, Chase):
    gymnasium.register(f"{_kind.__name__}-v0", _kind)
