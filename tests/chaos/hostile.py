"""Environments that misbehave, for sweeps that must not: `env.id=tests.chaos.hostile:NotFinite-v0`."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

STEPS_AN_EPISODE = 8
BAD_STEP = 100
"""Of a lane, counted over its episodes: from here on it misbehaves."""


class Sound(gymnasium.Env[Any, Any]):
    """Guess the sign of the first of two numbers."""

    observation_space = Box(-1, 1, (2,), np.float32)
    action_space = Discrete(2)

    def __init__(self) -> None:
        self.steps = 0
        self.first_seed: int | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if self.first_seed is None:
            self.first_seed = seed
        self._left = STEPS_AN_EPISODE
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        self._left -= 1
        reward = float(action == (self._seen[0] > 0))
        return self._observe(), self.spoil(reward), False, self._left == 0, {}

    def spoil(self, reward: float) -> float:
        return reward

    def _observe(self) -> Any:
        self._seen = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self._seen


class NotFinite(Sound):
    """Its rewards turn NaN."""

    def spoil(self, reward: float) -> float:
        return float("nan") if self.steps >= BAD_STEP else reward


class OddNotFinite(Sound):
    """They turn NaN in lanes whose first seed is odd; see `seed_with_odd_lanes_in_one_member`."""

    def spoil(self, reward: float) -> float:
        return float("nan") if self.steps >= BAD_STEP and self.first_seed and self.first_seed % 2 else reward


class Raising(Sound):
    """Gives up."""

    def spoil(self, reward: float) -> float:
        if self.steps >= BAD_STEP:
            raise RuntimeError(f"the simulator lost its licence at step {self.steps}")
        return reward


for kind in (Sound, NotFinite, OddNotFinite, Raising):
    gymnasium.register(f"{kind.__name__}-v0", kind)
