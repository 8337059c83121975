"""Independent observations whose reward follows from them to a known share: the best critic is known exactly."""

from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box, Discrete
from unstuck.rl.envs.lanes import Actions, LaneVectorEnv, Observations, State

NEVER = 10**9
NUM_FEATURES = 4


class IndependentRewards(LaneVectorEnv):
    """Environment of independent normal observations; reward = sqrt(share) * first value + noise.

    Rewards have mean 0 and spread 1; `share` of their variance follows from the observation. Actions do nothing, and
    no episode ends.
    """

    def __init__(self, num_envs: int, share: float) -> None:
        super().__init__(num_envs, Box(-np.inf, np.inf, (NUM_FEATURES,), np.float32), Discrete(2), NEVER)
        self.share = share
        self._drawn = np.zeros((num_envs, NUM_FEATURES + 1))  # what is seen, and the noise of its reward

    def _start(self, lane: int, generator: np.random.Generator) -> None:
        self._drawn[lane] = generator.standard_normal(NUM_FEATURES + 1)

    def _observe(self) -> Observations:
        return self._drawn[:, :-1].astype(np.float32, order="C")

    def _advance(self, actions: Actions) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], dict[str, Any]]:
        rewards = self.share**0.5 * self._drawn[:, 0] + (1 - self.share) ** 0.5 * self._drawn[:, -1]
        for lane, generator in enumerate(self._generators):
            self._start(lane, generator)
        return rewards, np.zeros(self.num_envs, dtype=np.bool_), {}

    def _arrays(self) -> State:
        return {"drawn": self._drawn}


def highest_explained_variance(share: float, gamma: float, gae_lambda: float, steps: int) -> float:
    """Compute the highest share of lambda-returns' variance that a critic can explain in rollouts of `steps` steps.

    A return is the value, which is foreseen, plus discounted temporal differences, which are independent of it and of
    each other: each has the variance of the reward's noise and of the next value. Where fewer steps are left in the
    rollout there are fewer of them, so that a short rollout lies somewhat above the limit of a long one.
    """
    weights = (gamma * gae_lambda) ** (2.0 * np.arange(steps))
    unforeseen = ((1 - share) + gamma**2 * share) * float(np.cumsum(weights).mean())
    return share / (share + unforeseen)
