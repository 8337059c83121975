"""CartPole-v1, vectorised, with the steps and the episodes of Gymnasium's single environment.

Equations and constants: Barto, Sutton and Anderson (1983), "Neuronlike adaptive elements that can solve difficult
learning control problems", by Euler's method; limits, start and time limit as in Gymnasium's CartPole-v1. The
operations are in Gymnasium's order, so that float64 states agree to the last bit.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box, Discrete
from unstuck.rl.envs.lanes import LaneVectorEnv, Observations, State

GRAVITY = 9.8  # m/s^2
POLE_MASS = 0.1  # kg
TOTAL_MASS = 1.1  # kg, cart and pole
HALF_LENGTH = 0.5  # m, of the pole
POLE_MOMENT = POLE_MASS * HALF_LENGTH  # kg m
FORCE = 10.0  # N, to the left (action 0) or to the right (action 1)
TIME_STEP = 0.02  # s
MAX_POSITION = 2.4  # m, beyond which the episode terminates
MAX_ANGLE = 12 * 2 * math.pi / 360  # rad, likewise
START_RANGE = 0.05  # each of the four starts uniformly within this of 0
MAX_STEPS = 500


class CartPoleVector(LaneVectorEnv):
    """CartPole-v1 as parallel environments. Observation: position, velocity, angle, angular velocity; reward 1."""

    def __init__(self, num_envs: int) -> None:
        """Make `num_envs` parallel CartPole environments."""
        high = np.array([2 * MAX_POSITION, np.inf, 2 * MAX_ANGLE, np.inf], dtype=np.float32)
        super().__init__(num_envs, Box(-high, high, dtype=np.float32), Discrete(2), MAX_STEPS)
        self._physics = np.zeros((4, num_envs), dtype=np.float64)

    def _start(self, lane: int, generator: np.random.Generator) -> None:
        self._physics[:, lane] = generator.uniform(-START_RANGE, START_RANGE, size=4)

    def _observe(self) -> Observations:
        return self._physics.T.astype(np.float32, order="C")

    def _advance(
        self, actions: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], dict[str, Any]]:
        _, velocity, angle, spin = self._physics
        cos, sin = np.cos(angle), np.sin(angle)
        force = np.where(actions == 1, FORCE, -FORCE)
        push = (force + POLE_MOMENT * np.square(spin) * sin) / TOTAL_MASS
        inertia = HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * np.square(cos) / TOTAL_MASS)
        spin_rate = (GRAVITY * sin - cos * push) / inertia
        acceleration = push - POLE_MOMENT * spin_rate * cos / TOTAL_MASS
        self._physics += TIME_STEP * np.stack((velocity, acceleration, spin, spin_rate))
        terminated = (np.abs(self._physics[0]) > MAX_POSITION) | (np.abs(self._physics[2]) > MAX_ANGLE)
        return np.ones(self.num_envs), terminated, {}

    def _arrays(self) -> State:
        return {"physics": self._physics}
