"""Faults of environments: each wraps the lanes, or what an evaluation shows, and leaves the learner as it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.random import SeedSequence
from unstuck.rl.envs.evaluate import Act, Evaluator, Results
from unstuck.rl.learner import Learner

Array = npt.NDArray[Any]


class Lanes:
    """Wrapper of a vector environment that changes observations by one function and rewards by a second one.

    Args:
        lanes: The environment.
        observe: From observations `[L, F]` to what is shown in their place.
        pay: From the rewards of a step `[L]` to those paid in their place.
    """

    def __init__(
        self, lanes: Any, observe: Callable[[Array], Array] | None = None, pay: Callable[[Array], Array] | None = None
    ) -> None:
        self._lanes = lanes
        self._observe = observe or (lambda observations: observations)
        self._pay = pay or (lambda rewards: rewards)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lanes, name)

    def reset(self, **how: Any) -> tuple[Array, dict[str, Any]]:
        """Reset the lanes; return changed observations, and the wrapped environment's infos."""
        observations, infos = self._lanes.reset(**how)
        return self._observe(observations), infos

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Step the lanes; return changed observations and rewards, with the wrapped environment's flags and infos."""
        observations, rewards, terminated, truncated, infos = self._lanes.step(actions)
        if "final_obs" in infos:
            infos["final_obs"] = self._observe(infos["final_obs"])
        return self._observe(observations), self._pay(rewards), terminated, truncated, infos


class Judge:
    """Wrapper of an evaluator that changes the observations `[P, B, F]` (member, sample, feature) for the policy."""

    def __init__(self, evaluator: Evaluator, observe: Callable[[Array], Array]) -> None:
        self._evaluator, self._observe = evaluator, observe

    def evaluate(self, act: Act, num_members: int) -> Results:
        """Evaluate the policy on changed observations; return the wrapped evaluator's results."""
        return self._evaluator.evaluate(lambda seen: act(self._observe(seen)), num_members)


def rebuilt(learner: Learner, lanes: Any = None, evaluator: Evaluator | None = None) -> Learner:
    """Return a new, untrained learner with the same members, and a given environment or evaluator."""
    return Learner(learner.members, lanes or learner.env, evaluator or learner.evaluator, learner.actions)


@dataclass(frozen=True)
class ScaledInputs:
    """Fault: observations have a wrong unit, in training and in evaluation, and nothing normalises the unit."""

    factor: float

    def __call__(self, learner: Learner) -> Learner:
        """Return a new learner whose observations are scaled by `factor`."""
        scale = self._scale
        return rebuilt(learner, Lanes(learner.env, scale), Judge(learner.evaluator, scale))

    def _scale(self, observations: Array) -> Array:
        return (observations * np.float32(self.factor)).astype(np.float32)


@dataclass(frozen=True)
class OtherInputsInEvaluation:
    """Fault: observations have a different unit in evaluation than in training, as if a normaliser was left out."""

    factor: float
    offset: float

    def __call__(self, learner: Learner) -> Learner:
        """Return a new learner whose observations are scaled and shifted in evaluation only."""
        return rebuilt(learner, evaluator=Judge(learner.evaluator, self._shift))

    def _shift(self, observations: Array) -> Array:
        return (observations * np.float32(self.factor) + np.float32(self.offset)).astype(np.float32)


@dataclass(frozen=True)
class ObservationsOfOthers:
    """Fault: in a share of the steps each lane sees the observation of a different lane."""

    share: float

    def __call__(self, learner: Learner) -> Learner:
        """Return a new learner whose lanes see each other's observations in a share of the steps."""
        members, lanes = len(learner.members), learner.config.num_envs
        generator = np.random.default_rng(SeedSequence(7))

        def observe(observations: Array) -> Array:
            split = observations.reshape(members, lanes, -1)
            others = np.roll(split, int(generator.integers(1, lanes)), axis=1)
            swapped = generator.random((members, 1, 1)) < self.share
            return np.where(swapped, others, split).reshape(observations.shape)

        return rebuilt(learner, Lanes(learner.env, observe))


@dataclass(frozen=True)
class ScaledRewards:
    """Fault: rewards are multiplied by a constant factor."""

    factor: float

    def __call__(self, learner: Learner) -> Learner:
        """Return a new learner whose rewards are multiplied by `factor`."""
        return rebuilt(learner, Lanes(learner.env, pay=lambda rewards: rewards * self.factor))


@dataclass(frozen=True)
class GrowingRewards:
    """Fault: rewards grow tenfold every `steps` steps of a lane, as where prices or counters pile up."""

    steps: int

    def __call__(self, learner: Learner) -> Learner:
        """Return a new learner whose rewards grow tenfold every `steps` steps."""
        done = 0

        def pay(rewards: Array) -> Array:
            nonlocal done
            done += 1
            return np.asarray(rewards * 10.0 ** (done / self.steps))

        return rebuilt(learner, Lanes(learner.env, pay=pay))


@dataclass(frozen=True)
class ConstantReward:
    """Fault: every step has the same reward, for all actions and observations."""

    reward: float

    def __call__(self, learner: Learner) -> Learner:
        """Return a new learner whose rewards all equal `reward`."""
        return rebuilt(learner, Lanes(learner.env, pay=lambda rewards: np.full_like(rewards, self.reward)))


@dataclass(frozen=True)
class RewardsOfOthers:
    """Fault: in a share of the steps each lane gets the reward that a different lane has earned."""

    share: float

    def __call__(self, learner: Learner) -> Learner:
        """Return a new learner whose lanes get each other's rewards in a share of the steps."""
        members, lanes = len(learner.members), learner.config.num_envs
        generator = np.random.default_rng(SeedSequence(8))

        def pay(rewards: Array) -> Array:
            split = np.asarray(rewards).reshape(members, lanes)
            others = np.roll(split, int(generator.integers(1, lanes)), axis=1)
            return np.where(generator.random((members, 1)) < self.share, others, split).reshape(-1)

        return rebuilt(learner, Lanes(learner.env, pay=pay))
