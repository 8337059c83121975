"""Read from Stable-Baselines3's environments how episodes end and begin, and how evaluations are wrapped."""

import hashlib
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from gymnasium.utils import seeding
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, EvalCallback, EventCallback
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecNormalize, unwrap_vec_normalize

from unstuck.analysis.history.known import EVALUATION_GREEDY, EVALUATION_NORMALISED
from unstuck.analysis.history.record import ENDS_TRUNCATED, STARTS_RESEEDED, TRUNCATED_EARLY, TRUNCATED_LENGTHS

MOST_RESETS = 32
"""Resets of a run at which the state of an environment's random numbers is read."""


class EpisodeEnds:
    """Count of truncated episodes by length, whose environment is asked at some resets for its random state.

    Args:
        env: Environments of the training; None if unknown.
    """

    NOT_SAVED: ClassVar = ("_env",)

    def __init__(self, env: VecEnv | None) -> None:
        self._env = env if env is not None and isinstance(env.unwrapped, (DummyVecEnv, SubprocVecEnv)) else None
        self._begun: dict[int, int] = {}
        self._ended = 0
        self._truncated: dict[int, int] = {}
        self._states: dict[int, str] = {}
        self._reseeded: list[bool] = []

    def add(self, step: int, lane: int, truncated: bool) -> None:
        """Add the end of an episode; the first one of each lane has an unknown beginning, and is not counted.

        Args:
            step: Number of the step that ended the episode, counted in each lane.
            lane: Number of the environment.
            truncated: True if the end was told as a truncation.
        """
        if lane in self._begun:
            self._ended += 1
            if truncated:
                length = step - self._begun[lane]
                self._truncated[length] = self._truncated.get(length, 0) + 1
        self._begun[lane] = step
        if self._env is not None and len(self._reseeded) < MOST_RESETS:
            self._compare_state(self._env, lane)

    def _compare_state(self, env: VecEnv, lane: int) -> None:
        """Compare the random state after a reset with the one after the lane's reset before.

        A generator from which nothing was drawn since its seed was set is skipped: the environment draws nothing.
        """
        (generator,) = env.get_attr("np_random", lane)
        (seed,) = env.get_attr("np_random_seed", lane)
        if not isinstance(generator, np.random.Generator) or not isinstance(seed, int) or seed < 0:
            return
        state = _hash_state(generator)
        if state == _hash_state(seeding.np_random(seed)[0]):
            return
        if lane in self._states:
            self._reseeded.append(state == self._states[lane])
        self._states[lane] = state

    def measure(self) -> dict[str, float]:
        """Return the share of truncated ends, their lengths, and the share of resets that set the seed, as metrics."""
        found = {STARTS_RESEEDED: float(np.mean(self._reseeded))} if self._reseeded else {}
        if self._ended:
            count = sum(self._truncated.values())
            found[ENDS_TRUNCATED] = count / self._ended
            found[TRUNCATED_LENGTHS] = float(len(self._truncated))
            found[TRUNCATED_EARLY] = 1 - self._truncated[max(self._truncated)] / count if count else 0.0
        return found


def _hash_state(generator: np.random.Generator) -> str:
    return hashlib.sha256(repr(generator.bit_generator.state).encode()).hexdigest()


def list_environments(env: VecEnv | None) -> list[Any]:
    """Return the single environments of a training that lie in its own process; empty if there are none."""
    return list(env.unwrapped.envs) if env is not None and isinstance(env.unwrapped, DummyVecEnv) else []


def read_evaluation(callback: Any, training: VecNormalize | None) -> dict[str, Any]:
    """Return as settings what evaluations of an `EvalCallback` do otherwise than usual, or than training does.

    Args:
        callback: Callback, or list of callbacks, that `learn` was given.
        training: Normaliser of the training; None without one.

    Returns:
        By dotted paths: that actions are drawn, where they are; and whether observations are scaled as in training,
        where training scales them.
    """
    found = list(_list_evaluations(callback))
    told: dict[str, Any] = {} if all(one.deterministic for one in found) else {EVALUATION_GREEDY: False}
    if not found or training is None or not training.norm_obs:
        return told
    normalisers = [unwrap_vec_normalize(one.eval_env) for one in found]
    return told | {EVALUATION_NORMALISED: all(one is not None and one.norm_obs for one in normalisers)}


def _list_evaluations(callback: Any) -> Iterator[EvalCallback]:
    """Yield each `EvalCallback` in a callback of Stable-Baselines3."""
    if isinstance(callback, EvalCallback):
        yield callback
    if isinstance(callback, CallbackList):
        for one in callback.callbacks:
            yield from _list_evaluations(one)
    elif isinstance(callback, EventCallback) and isinstance(callback.callback, BaseCallback):
        yield from _list_evaluations(callback.callback)
