"""Environments with observations that are no plain row: a robot arm shows a dictionary, and a game of catch a frame.

Importing the module registers both with Gymnasium, as `benchmarks.other_observations:Arm-v0`; `Catch-v0` shows a row.
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import TransformObservation

from benchmarks.environments import Array, Small


class Arm(Small):
    """An arm of three joints touches a goal in the plane: three continuous actions, which turn the joints with a lag.

    A step costs the distance of the tip to the goal; a touch pays 10 and ends the episode. Observations are a
    dictionary: sines and cosines of the joints, their speeds, and the way from the tip to the goal.
    """

    length = 50
    links = np.array([0.5, 0.4, 0.3])
    near = 0.2
    action_space = spaces.Box(-1.0, 1.0, (3,), np.float32)
    observation_space: Any = spaces.Dict(
        {
            "joints": spaces.Box(-1.0, 1.0, (6,), np.float32),
            "speeds": spaces.Box(-1.0, 1.0, (3,), np.float32),
            "way": spaces.Box(-3.0, 3.0, (2,), np.float32),
        }
    )

    def begin(self) -> None:
        """Draw joints and goal, in front of the arm; nothing moves."""
        self.joints, self.speeds = self.np_random.uniform(-1, 1, 3), np.zeros(3)
        angle, radius = self.np_random.uniform([-1.5, 0.5], [1.5, 1.0])
        self.goal = radius * np.array([np.cos(angle), np.sin(angle)])

    @property
    def tip(self) -> Array:
        """Place of the tip; each joint's angle is that to the link before."""
        angles = np.cumsum(self.joints)
        return np.array([self.links @ np.cos(angles), self.links @ np.sin(angles)], np.float32)

    def act(self, action: Any) -> tuple[float, bool]:
        """Turn the joints, by 0.3 rad a step at most; the reward is minus the distance, and 10 at a touch."""
        self.speeds = 0.5 * self.speeds + 0.15 * np.clip(np.asarray(action, float), -1, 1)
        self.joints = self.joints + self.speeds
        distance = float(np.linalg.norm(self.goal - self.tip))
        has_touched = distance < self.near
        return 10 * has_touched - distance, has_touched

    def observe(self) -> Any:
        """Return the dictionary of joints, speeds and way."""
        turns = np.concatenate([np.sin(self.joints), np.cos(self.joints)])
        parts = {"joints": turns, "speeds": self.speeds, "way": self.goal - self.tip}
        return {name: part.astype(np.float32) for name, part in parts.items()}


class Catch(Small):
    """Balls fall one after the other, and a bat of three columns catches them: a miss ends the episode, a catch pays 1.

    A ball falls by a row a step, and in one step of five the wind blows it aside. The observation is a frame of 9 by 7
    grey pixels, the ball and the bat white.
    """

    length = 80
    rows, columns, wind = 9, 7, 0.2
    action_space = spaces.Discrete(3)
    observation_space: Any = spaces.Box(0, 255, (9, 7, 1), np.uint8)

    def begin(self) -> None:
        """Put the bat in the middle, and drop the first ball."""
        self.bat = self.columns // 2
        self.drop()

    def drop(self) -> None:
        """Drop a ball from anywhere."""
        self.row, self.column = 0, int(self.np_random.integers(self.columns))

    def act(self, action: Any) -> tuple[float, bool]:
        """Move the bat left, not at all or right; a ball that arrives is caught or not."""
        self.bat = int(np.clip(self.bat + int(action) - 1, 0, self.columns - 1))
        self.row += 1
        if self.np_random.random() < self.wind:
            self.column = int(np.clip(self.column + self.np_random.choice([-1, 1]), 0, self.columns - 1))
        if self.row < self.rows - 1:
            return 0.0, False
        is_caught = abs(self.column - self.bat) <= 1
        self.drop()
        return float(is_caught), not is_caught

    def observe(self) -> Any:
        """Return the frame, `[9, 7, 1]`."""
        frame = np.zeros((self.rows, self.columns, 1), np.uint8)
        frame[-1, max(self.bat - 1, 0) : self.bat + 2] = 255
        frame[self.row, self.column] = 255
        return frame


def make_row_catch() -> gymnasium.Env[Any, Any]:
    """Make a game of catch for policies without convolutions: the frame is a row of 63 shares of white."""
    row = spaces.Box(0.0, 1.0, (Catch.rows * Catch.columns,), np.float32)
    return TransformObservation(Catch(), lambda frame: frame.ravel().astype(np.float32) / 255, row)


gymnasium.register("Arm-v0", Arm)
gymnasium.register("Catch-v0", make_row_catch)
