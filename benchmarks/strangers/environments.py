"""Environments of the second draw: a lander with two thrusts, and a desk that serves one of three queues at a time."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from benchmarks.environments import Array, Small


class Lander(Small):
    """A craft falls onto a pad: two continuous thrusts, one reward at the touch, the better the softer and nearer.

    Observations are in metres and metres a second: place, height, and the speed of both.
    """

    length = 80
    gravity, step_time = 1.0, 0.15
    action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
    observation_space = spaces.Box(-np.inf, np.inf, (4,), np.float32)

    def begin(self) -> None:
        """Draw place and speed; the craft is 4 to 6 metres high."""
        self.place = np.array([self.np_random.uniform(-2, 2), self.np_random.uniform(4, 6)])
        self.speed = self.np_random.uniform([-0.5, -0.5], [0.5, 0.0])

    def act(self, action: Any) -> tuple[float, bool]:
        """Fire sideways and upwards, with 2 m/s² at most; a touch pays up to 10, and time costs a little."""
        push = 2.0 * np.clip(np.asarray(action, float), -1, 1) - np.array([0.0, self.gravity])
        self.speed = self.speed + self.step_time * push
        self.place = self.place + self.step_time * self.speed
        if self.place[1] > 0:
            return -0.02, False
        return 10 * float(np.exp(-abs(self.place[0]) - np.linalg.norm(self.speed))), True

    def observe(self) -> Array:
        """Return place, height and the speed of both."""
        return np.concatenate([self.place, self.speed]).astype(np.float32)


class Desk(Small):
    """A desk serves one of three queues a minute, for 100 minutes: who waits costs, each queue at its own rate.

    Rewards are negative, no state ends an episode, and what comes is drawn at random.
    """

    length = 100
    costs = np.array([0.5, 1.0, 3.0])
    served = 3
    action_space = spaces.Discrete(3)
    observation_space = spaces.Box(0.0, np.inf, (6,), np.float32)

    def begin(self) -> None:
        """Draw who waits, and how many come a minute on average."""
        self.waiting = self.np_random.integers(0, 8, 3).astype(float)
        self.coming = self.np_random.uniform(0.2, 1.2, 3)

    def act(self, action: Any) -> tuple[float, bool]:
        """Serve up to three of one queue; the reward is minus the cost of all who wait then, in tens."""
        self.waiting[int(action)] = max(0.0, self.waiting[int(action)] - self.served)
        self.waiting = np.minimum(self.waiting + self.np_random.poisson(self.coming), 60)
        return -float(self.costs @ self.waiting) / 10, False

    def observe(self) -> Array:
        """Return who waits in each queue, and how many come a minute on average."""
        return np.concatenate([self.waiting, self.coming]).astype(np.float32)


for _kind in (Lander, Desk):
    gymnasium.register(f"{_kind.__name__}-v0", _kind)
