"""Plant what goes wrong in scripts around an environment: wrappers of observations, actions, rewards, ends and resets.

Each is a frozen dataclass, so that a run's script can be written down, and calling one plants the fault.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit, TransformAction, TransformObservation, TransformReward

Env = gymnasium.Env[Any, Any]


def _observing(env: Env, change: Callable[[Any], Any]) -> Env:
    """Wrap an environment so that observations are changed; bounds of the changed ones are not known."""
    space = env.observation_space
    assert isinstance(space, spaces.Box)
    wide = spaces.Box(-np.inf, np.inf, space.shape, np.float32)
    return TransformObservation(env, lambda seen: np.asarray(change(seen), np.float32), wide)


@dataclass(frozen=True)
class ScaledObservations:
    """Observations in a unit that is too small, such as millimetres."""

    factor: float

    def __call__(self, env: Env) -> Env:
        """Wrap the environment."""
        return _observing(env, lambda seen: seen * self.factor)


@dataclass(frozen=True)
class HiddenColumns:
    """Some columns of the observation are 0 at every step."""

    columns: tuple[int, ...]

    def __call__(self, env: Env) -> Env:
        """Wrap the environment."""
        shown = np.ones(env.observation_space.shape or (), np.float32)
        shown[list(self.columns)] = 0
        return _observing(env, lambda seen: seen * shown)


@dataclass(frozen=True)
class WholeNumbers:
    """Observations are stored as integers, which cuts off all that stands behind the point."""

    def __call__(self, env: Env) -> Env:
        """Wrap the environment."""
        return _observing(env, np.trunc)


@dataclass(frozen=True)
class ClippedObservations:
    """Observations are clipped, which belongs behind the normalisation and not before."""

    bound: float

    def __call__(self, env: Env) -> Env:
        """Wrap the environment."""
        return _observing(env, lambda seen: np.clip(seen, -self.bound, self.bound))


class _Late(gymnasium.Wrapper[Any, Any, Any, Any]):
    def __init__(self, env: Env, frames: int) -> None:
        super().__init__(env)
        self._frames: deque[Any] = deque(maxlen=frames)

    def reset(self, **how: Any) -> tuple[Any, dict[str, Any]]:
        seen, info = self.env.reset(**how)
        self._frames.extend([seen] * (self._frames.maxlen or 1))
        return self._frames[0], info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        seen, *others = self.env.step(action)
        self._frames.append(seen)
        return self._frames[0], *others


@dataclass(frozen=True)
class LateObservations:
    """Of the last few frames the first is shown in place of the last."""

    frames: int

    def __call__(self, env: Env) -> Env:
        """Wrap the environment."""
        return _Late(env, self.frames)


class _Delayed(gymnasium.Wrapper[Any, Any, Any, Any]):
    def __init__(self, env: Env, steps: int) -> None:
        super().__init__(env)
        self._waiting, self._steps = deque[Any](), steps

    def reset(self, **how: Any) -> tuple[Any, dict[str, Any]]:
        self._waiting.clear()
        return self.env.reset(**how)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        self._waiting.append(action)
        due = self._waiting.popleft() if len(self._waiting) > self._steps else self._waiting[0]
        return self.env.step(due)


@dataclass(frozen=True)
class LateActions:
    """Each action is done some steps after it was chosen; until then the episode's first one is repeated."""

    steps: int

    def __call__(self, env: Env) -> Env:
        """Wrap the environment."""
        return _Delayed(env, self.steps)


@dataclass(frozen=True)
class ClippedActions:
    """Continuous actions are clipped to 0 to 1, where the environment wants -1 to 1."""

    def __call__(self, env: Env) -> Env:
        """Wrap the environment."""
        return TransformAction(env, lambda action: np.clip(action, 0.0, 1.0), env.action_space)


@dataclass(frozen=True)
class ScaledActions:
    """Continuous actions are scaled to the environment's unit twice over."""

    factor: float

    def __call__(self, env: Env) -> Env:
        """Wrap the environment."""
        return TransformAction(env, lambda action: action * self.factor, env.action_space)


@dataclass(frozen=True)
class FirstActionForAll:
    """Of an action of several numbers the first one is done in place of each."""

    def __call__(self, env: Env) -> Env:
        """Wrap the environment."""
        return TransformAction(env, lambda action: np.full_like(action, action[0]), env.action_space)


@dataclass(frozen=True)
class ScaledRewards:
    """Rewards in another unit, or with the wrong sign."""

    factor: float

    def __call__(self, env: Env) -> Env:
        """Wrap the environment."""
        return TransformReward(env, lambda reward: float(reward) * self.factor)


@dataclass(frozen=True)
class ClippedRewards:
    """Rewards are clipped to 0 to 1."""

    def __call__(self, env: Env) -> Env:
        """Wrap the environment."""
        return TransformReward(env, lambda reward: float(np.clip(reward, 0.0, 1.0)))


class _Noisy(gymnasium.RewardWrapper[Any, Any]):
    def __init__(self, env: Env, spread: float) -> None:
        super().__init__(env)
        self._spread = spread

    def reward(self, reward: Any) -> float:
        return float(reward) + float(self.np_random.normal(0, self._spread))


@dataclass(frozen=True)
class NoisyRewards:
    """Rewards are measured with noise."""

    spread: float

    def __call__(self, env: Env) -> Env:
        """Wrap the environment."""
        return _Noisy(env, self.spread)


class _Centred(gymnasium.RewardWrapper[Any, Any]):
    def __init__(self, env: Env) -> None:
        super().__init__(env)
        self._count, self._mean, self._squares = 0, 0.0, 0.0

    def reward(self, reward: Any) -> float:
        self._count += 1
        off = float(reward) - self._mean
        self._mean += off / self._count
        self._squares += off * (float(reward) - self._mean)
        spread = (self._squares / self._count) ** 0.5
        return (float(reward) - self._mean) / (spread + 1e-8)


@dataclass(frozen=True)
class CentredRewards:
    """Rewards are normalised as observations are: less their running mean, which tells a step that pays from none."""

    def __call__(self, env: Env) -> Env:
        """Wrap the environment."""
        return _Centred(env)


class _Costly(gymnasium.Wrapper[Any, Any, Any, Any]):
    def __init__(self, env: Env, cost: float) -> None:
        super().__init__(env)
        self._cost = cost

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        seen, reward, *others = self.env.step(action)
        return seen, float(reward) - self._cost * float(np.square(action).sum()), *others


@dataclass(frozen=True)
class CostlyActions:
    """Actions cost so much that to do nothing pays best."""

    cost: float

    def __call__(self, env: Env) -> Env:
        """Wrap the environment."""
        return _Costly(env, self.cost)


@dataclass(frozen=True)
class PaidByTheStep:
    """Every step pays or costs the same on top: so much that to go on, or to end, pays better than the task."""

    amount: float

    def __call__(self, env: Env) -> Env:
        """Wrap the environment."""
        return TransformReward(env, lambda reward: float(reward) + self.amount)


class _Swapped(gymnasium.Wrapper[Any, Any, Any, Any]):
    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        seen, reward, terminated, truncated, info = self.env.step(action)
        return seen, reward, False, terminated or truncated, info


@dataclass(frozen=True)
class EndsAsTruncations:
    """Every end of an episode is told as a truncation, so that values go on behind it."""

    def __call__(self, env: Env) -> Env:
        """Wrap the environment."""
        return _Swapped(env)


@dataclass(frozen=True)
class EarlyEnds:
    """Episodes are truncated after a few steps."""

    steps: int

    def __call__(self, env: Env) -> Env:
        """Wrap the environment."""
        return TimeLimit(env, self.steps)


class _Unending(gymnasium.Wrapper[Any, Any, Any, Any]):
    def __init__(self, env: Env, limit: int) -> None:
        super().__init__(env)
        self._limit, self._steps = limit, 0

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        self._steps += 1
        seen, reward, terminated, truncated, info = self.env.step(action)
        return seen, reward, terminated, truncated or self._steps >= self._limit, info


@dataclass(frozen=True)
class CounterNeverReset:
    """An environment counts steps to truncate an episode, and no reset sets the counter back to 0."""

    limit: int

    def __call__(self, env: Env) -> Env:
        """Wrap the environment."""
        return _Unending(env, self.limit)


class _Alike(gymnasium.Wrapper[Any, Any, Any, Any]):
    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        return self.env.reset(seed=0, options=options)


@dataclass(frozen=True)
class ResetsAlike:
    """Every episode of every environment begins with the same seed."""

    def __call__(self, env: Env) -> Env:
        """Wrap the environment."""
        return _Alike(env)
