"""Faults of environments: each wraps the lanes, or what an evaluation shows, and leaves the learner as it is."""

import sys
from collections import deque
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


class LateLanes(Lanes):
    """Wrapper of a vector environment that shows the oldest of the last few observations of an episode.

    Args:
        lanes: The environment.
        frames: Observations that are kept; 1 would change nothing.
    """

    def __init__(self, lanes: Any, frames: int) -> None:
        super().__init__(lanes)
        self._frames = frames

    def reset(self, **how: Any) -> tuple[Array, dict[str, Any]]:
        """Reset the lanes; every frame is the first observation."""
        observations, infos = super().reset(**how)
        self._kept = np.stack([observations] * self._frames)
        return self._kept[0].copy(), infos

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Step the lanes; return late observations, late final ones too, and all else as it is."""
        observations, rewards, terminated, truncated, infos = super().step(actions)
        ended = terminated | truncated
        last = np.where(ended[:, None], infos["final_obs"], observations) if ended.any() else observations
        self._kept = np.concatenate([self._kept[1:], last[None]])
        if ended.any():
            infos["final_obs"] = self._kept[0].copy()
            self._kept[:, ended] = observations[ended]
        return self._kept[0].copy(), rewards, terminated, truncated, infos


class LateJudge(Judge):
    """Wrapper of an evaluator of episodes whose policy sees the oldest of the last few observations.

    Args:
        evaluator: The evaluator; all of its episodes begin with its first call of the policy.
        frames: Observations that are kept.
    """

    def __init__(self, evaluator: Evaluator, frames: int) -> None:
        super().__init__(evaluator, self._delay)
        self._kept: deque[Array] = deque(maxlen=frames)

    def evaluate(self, act: Act, num_members: int) -> Results:
        """Evaluate the policy on late observations; return the wrapped evaluator's results."""
        self._kept.clear()
        return super().evaluate(act, num_members)

    def _delay(self, observations: Array) -> Array:
        self._kept.extend([observations] * (1 if self._kept else self._kept.maxlen or 1))
        return self._kept[0]


class FirstJudge(Judge):
    """Wrapper of an evaluator whose policy sees each member's first observation of the evaluation all the time."""

    def __init__(self, evaluator: Evaluator) -> None:
        super().__init__(evaluator, self._repeat)
        self._first: Array | None = None

    def evaluate(self, act: Act, num_members: int) -> Results:
        """Evaluate the policy on one observation; return the wrapped evaluator's results."""
        self._first = None
        return super().evaluate(act, num_members)

    def _repeat(self, observations: Array) -> Array:
        if self._first is None:
            self._first = observations[:, :1].copy()
        return np.broadcast_to(self._first, observations.shape)


class CostlyLanes(Lanes):
    """Wrapper of a vector environment in which actions cost: the sum of squares, or any choice but the first.

    Args:
        lanes: The environment.
        cost: Taken from the reward.
    """

    def __init__(self, lanes: Any, cost: float) -> None:
        super().__init__(lanes)
        self._cost = cost

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Step the lanes; return rewards less the cost of the actions, and all else as it is."""
        observations, rewards, *ends_and_infos = super().step(actions)
        each = actions.reshape(len(actions), -1)
        effort = np.square(each).sum(1) if np.issubdtype(actions.dtype, np.floating) else (each != 0).any(1)
        return observations, rewards - self._cost * effort, *ends_and_infos  # type: ignore[return-value]


class EpisodeLanes(Lanes):
    """Wrapper of a vector environment that ends episodes early, or begins them with seeds of its choice.

    Args:
        lanes: The environment.
        length: Steps after which an episode is truncated; None: as the environment does.
        choose_seed: From a lane to the seed of an episode that begins in the lane; None: as the environment does.
    """

    def __init__(self, lanes: Any, length: int | None = None, choose_seed: Callable[[int], int] | None = None) -> None:
        super().__init__(lanes)
        self._length, self._choose_seed = length or sys.maxsize, choose_seed
        self._taken = np.zeros(lanes.num_envs, dtype=np.int64)

    def reset(self, *, seed: Any = None, **how: Any) -> tuple[Array, dict[str, Any]]:
        """Reset the lanes, with other seeds if seeds are chosen."""
        self._taken[:] = 0
        return super().reset(seed=seed if self._choose_seed is None else self._seeds(), **how)

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Step the lanes; return the steps of shortened episodes, and first observations of the episodes chosen."""
        observations, rewards, terminated, truncated, infos = super().step(actions)
        self._taken += 1
        ended = terminated | truncated
        cut = (self._taken >= self._length) & ~ended
        anew = cut if self._choose_seed is None else cut | ended
        self._taken[cut | ended] = 0
        if cut.any():
            finals = infos.get("final_obs", observations)
            infos["final_obs"] = np.where(cut[:, None], observations, finals)
            infos["_final_obs"] = cut | ended
        if anew.any():
            observations, _ = self._lanes.reset(seed=self._seeds(), options={"reset_mask": anew})
        return observations, rewards, terminated, truncated | cut, infos

    def _seeds(self) -> list[int | None]:
        choose = self._choose_seed
        return [choose(lane) if choose else None for lane in range(len(self._taken))]


class AlikeLanes(Lanes):
    """Wrapper of a vector environment that starts a member's lanes from a few seeds in turn.

    Args:
        lanes: The environment.
        count: Lanes of a member.
        different: Seeds of a member that are used.
    """

    def __init__(self, lanes: Any, count: int, different: int) -> None:
        super().__init__(lanes)
        self._count, self._different = count, different

    def reset(self, *, seed: Any = None, **how: Any) -> tuple[Array, dict[str, Any]]:
        """Reset the lanes, most with the seed of another lane."""
        first = [lane - lane % self._count + lane % self._count % self._different for lane in range(len(seed))]
        return super().reset(seed=[seed[lane] for lane in first], **how)


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
