"""Wrappers of lanes and of evaluators, by which a fault changes what is shown and paid."""

import sys
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from unstuck.rl.envs.evaluate import Act, Evaluator, Results

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
