"""Faults of environments: each wraps the lanes, or what an evaluation shows, and leaves the learner as it is."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import SeedSequence
from unstuck.rl.envs.evaluate import Evaluator
from unstuck.rl.learner import Learner

from benchmarks.diagnosis.wrappers import (
    AlikeLanes,
    Array,
    CostlyLanes,
    EpisodeLanes,
    FirstJudge,
    Judge,
    Lanes,
    LateJudge,
    LateLanes,
)


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


@dataclass(frozen=True)
class GrowingObservations:
    """Fault: the first column of the observations holds a clock that never goes back, in evaluation too."""

    per_step: float

    def __call__(self, learner: Learner) -> Learner:
        """Return a new learner whose first column grows by `per_step` each step of a lane."""
        done = 0

        def show(observations: Array) -> Array:
            shown = observations.copy()
            shown[..., 0] += done * self.per_step
            return shown

        def observe(observations: Array) -> Array:
            nonlocal done
            done += 1
            return show(observations)

        return rebuilt(learner, Lanes(learner.env, observe), Judge(learner.evaluator, show))


@dataclass(frozen=True)
class ObservationsNotFinite:
    """Fault: after a share of the run, one step's observations hold NaN, as where a sensor fails."""

    since: float

    def __call__(self, learner: Learner) -> Learner:
        """Return a new learner whose lanes show NaN once."""
        broken, done = round(self.since * learner.config.num_iterations * learner.config.num_steps), 0

        def observe(observations: Array) -> Array:
            nonlocal done
            done += 1
            return np.full_like(observations, np.nan) if done == broken else observations

        return rebuilt(learner, Lanes(learner.env, observe))


@dataclass(frozen=True)
class LateObservations:
    """Fault: of the last few observations the oldest is shown, in training and in evaluation."""

    frames: int

    def __call__(self, learner: Learner) -> Learner:
        """Return a new learner that is shown late observations."""
        return rebuilt(learner, LateLanes(learner.env, self.frames), LateJudge(learner.evaluator, self.frames))


@dataclass(frozen=True)
class HiddenColumns:
    """Fault: of every few columns of the observations all but the first are 0, in training and in evaluation."""

    every: int

    def __call__(self, learner: Learner) -> Learner:
        """Return a new learner from which columns are hidden; every second one of CartPole's are its velocities."""
        return rebuilt(learner, Lanes(learner.env, self._hide), Judge(learner.evaluator, self._hide))

    def _hide(self, observations: Array) -> Array:
        shown = np.arange(observations.shape[-1]) % self.every == 0
        return np.asarray(observations * shown, np.float32)


@dataclass(frozen=True)
class OneObservationInEvaluation:
    """Fault: the policy is shown the same observation all through an evaluation: its first one, or zeros."""

    empty: bool

    def __call__(self, learner: Learner) -> Learner:
        """Return a new learner whose evaluation shows one observation."""
        inner = learner.evaluator
        return rebuilt(learner, evaluator=Judge(inner, np.zeros_like) if self.empty else FirstJudge(inner))


@dataclass(frozen=True)
class RareRewards:
    """Fault: only the best `share` of what the first policy is paid pays, and all alike: 1 or nothing."""

    share: float
    measured: int = 4096

    def __call__(self, learner: Learner) -> Learner:
        """Return a new learner that is paid rarely; the first `measured` rewards, which set the bound, pay nothing."""
        seen: list[Array] = []
        bound = np.inf

        def pay(rewards: Array) -> Array:
            nonlocal bound
            if len(seen) * len(rewards) < self.measured:
                seen.append(np.array(rewards))
            elif bound == np.inf:
                bound = float(np.quantile(np.concatenate(seen), 1 - self.share))
            return (np.asarray(rewards) > bound).astype(np.float64)

        return rebuilt(learner, Lanes(learner.env, pay=pay))


@dataclass(frozen=True)
class SignTurns:
    """Fault: after a share of the run, training is paid with the wrong sign."""

    since: float

    def __call__(self, learner: Learner) -> Learner:
        """Return a new learner whose rewards turn."""
        last, done = self.since * learner.config.num_iterations * learner.config.num_steps, 0

        def pay(rewards: Array) -> Array:
            nonlocal done
            done += 1
            return np.asarray(-rewards if done > last else rewards)

        return rebuilt(learner, Lanes(learner.env, pay=pay))


@dataclass(frozen=True)
class CostlyActions:
    """Fault: in training actions cost so much that to do nothing pays best."""

    cost: float

    def __call__(self, learner: Learner) -> Learner:
        """Return a new learner whose actions cost."""
        return rebuilt(learner, CostlyLanes(learner.env, self.cost))


@dataclass(frozen=True)
class EarlyEnds:
    """Fault: in training episodes are truncated after a few steps."""

    steps: int

    def __call__(self, learner: Learner) -> Learner:
        """Return a new learner whose episodes are short."""
        return rebuilt(learner, EpisodeLanes(learner.env, self.steps))


@dataclass(frozen=True)
class EpisodesAlike:
    """Fault: in training every episode begins with one of a few seeds, which fix all that is drawn in the episode."""

    starts: int

    def __call__(self, learner: Learner) -> Learner:
        """Return a new learner whose episodes repeat."""
        generator = np.random.default_rng(SeedSequence(15))

        def choose(lane: int) -> int:
            return int(generator.integers(self.starts))

        return rebuilt(learner, EpisodeLanes(learner.env, choose_seed=choose))


@dataclass(frozen=True)
class LanesAlike:
    """Fault: a member's lanes begin with the same few seeds, so that most show what others show."""

    different: int

    def __call__(self, learner: Learner) -> Learner:
        """Return a new learner of whose lanes only a few differ."""
        return rebuilt(learner, AlikeLanes(learner.env, learner.config.num_envs, self.different))
