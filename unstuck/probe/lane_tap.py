"""Record an environment's steps, outside and inside of its wrappers, and change nothing of what the steps do."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import numpy.typing as npt

from unstuck.rl.dynamics import WIDEST

Array = npt.NDArray[np.float64]

STEPS = 2_048
"""Steps of all watched environments together after which none is watched; no single one records more."""


class _Call(NamedTuple):
    """One call of an environment's `step`: action, observation and reward as rows of numbers, None for others."""

    action: Array | None
    seen: Array | None
    reward: Array | None
    terminated: bool
    ended: bool


class Step(NamedTuple):
    """One step outside and inside of the wrappers; inside, frames that are skipped are joined to one step."""

    action: Array | None
    seen: Array | None
    reward: Array | None
    terminated: bool
    ended: bool
    own_action: Array | None
    own_seen: Array | None
    own_reward: Array | None
    own_terminated: bool


_PLAIN = frozenset(map(np.dtype, ("float32", "float64", "int64", "int32", "uint8", "int8", "bool")))
_SINGLE = frozenset((float, int, bool, *(one.type for one in _PLAIN)))
"""Types of arrays and of numbers that are read without a look inside, as a training does at each step."""

_ROWS = ("action", "seen", "reward", "own_action", "own_seen", "own_reward")
_FLAGS = ("terminated", "ended", "own_terminated")


def stack_steps(steps: Sequence[Step]) -> dict[str, npt.NDArray[Any]]:
    """Return steps as a few arrays by name: rows of numbers end to end with their lengths (-1 for None), and flags."""
    stacked: dict[str, npt.NDArray[Any]] = {}
    for name in _ROWS:
        rows = [getattr(step, name) for step in steps]
        stacked[f"lengths of {name}"] = np.array([-1 if row is None else len(row) for row in rows], dtype=np.int64)
        stacked[name] = np.concatenate([np.zeros(0), *(row for row in rows if row is not None)])
    return stacked | {name: np.array([getattr(step, name) for step in steps], dtype=np.bool_) for name in _FLAGS}


def unstack_steps(stacked: Mapping[str, npt.NDArray[Any]]) -> list[Step]:
    """Return the steps that `stack_steps` stacked."""
    columns: dict[str, list[Any]] = {name: stacked[name].tolist() for name in _FLAGS}
    for name in _ROWS:
        lengths = stacked[f"lengths of {name}"]
        ends = np.cumsum(np.maximum(lengths, 0))
        columns[name] = [
            stacked[name][end - length : end] if length >= 0 else None
            for length, end in zip(lengths, ends, strict=True)
        ]
    return [Step(**dict(zip(columns, values, strict=True))) for values in zip(*columns.values(), strict=True)]


class LaneTap:
    """Recorder of one environment's steps, outside and inside of its wrappers, until `stop`.

    Args:
        env: The environment with all its wrappers.

    Attributes:
        steps: Steps so far.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self.steps: list[Step] = []
        self._env, self._inner = env, env.unwrapped
        self._step, self._own_step = env.step, self._inner.step
        self._calls: list[_Call] = []
        self._before = [(one, vars(one).get("step")) for one in (env, self._inner)]  # someone else's, if any
        self._inner.step = self._pass_inside  # type: ignore[method-assign]
        if env is not self._inner:
            env.step = self._pass_outside  # type: ignore[method-assign]

    def stop(self) -> None:
        """Restore the environment's own methods."""
        for env, step in self._before:
            vars(env).pop("step", None)
            if step is not None:
                vars(env)["step"] = step

    @property
    def spaces(self) -> tuple[gymnasium.Space[Any], gymnasium.Space[Any]]:
        """Space of the policy's actions, and of those that the environment is given by its innermost wrapper."""
        return self._env.action_space, self._inner.action_space

    def _pass_inside(self, *given: Any, **named: Any) -> Any:
        if len(self.steps) >= STEPS:
            return self._own_step(*given, **named)
        action = _read_numbers(given[0]) if given else None
        told = self._own_step(*given, **named)
        if len(self.steps) < STEPS:
            self._calls.append(_read_call(action, told))
            if self._env is self._inner:
                self._finish(self._calls[0])
        return told

    def _pass_outside(self, *given: Any, **named: Any) -> Any:
        if len(self.steps) >= STEPS:
            return self._step(*given, **named)
        action = _read_numbers(given[0]) if given else None
        self._calls.clear()
        told = self._step(*given, **named)
        if self._calls and len(self.steps) < STEPS:
            self._finish(_read_call(action, told))
        return told

    def _finish(self, outside: _Call) -> None:
        """Add a step, of whose calls inside the first has the action and the last the observation."""
        inside = self._calls[0] if len(self._calls) == 1 else _join_calls(self._calls)
        self._calls.clear()
        self.steps.append(Step(*outside, inside.action, inside.seen, inside.reward, inside.terminated))


def _join_calls(calls: Sequence[_Call]) -> _Call:
    """Join the calls of one step, as where frames are skipped: the first's action, the last's sight, all rewards."""
    paid = [call.reward for call in calls if call.reward is not None]
    whole = np.sum(paid, axis=0) if len(paid) == len(calls) else None
    return _Call(calls[0].action, calls[-1].seen, whole, any(call.terminated for call in calls), calls[-1].ended)


def _read_call(action: Array | None, told: Any) -> _Call:
    try:
        seen, reward, terminated, truncated, _ = told
        ends = bool(terminated), bool(terminated or truncated)
    except Exception:  # whatever flags of an environment's own raise: training must not know that somebody watches
        return _Call(action, None, None, False, False)
    return _Call(action, _read_numbers(seen), _read_numbers(reward), *ends)


def _read_numbers(given: Any) -> Array | None:
    """Return actions or observations as a row of numbers; None for what is no number, or has too many."""
    kind = type(given)
    try:
        if kind is np.ndarray and given.dtype in _PLAIN and given.size <= WIDEST:
            row: Array = given.astype(np.float64)
            return row if row.ndim == 1 else row.reshape(-1)
        return np.array((given,), dtype=np.float64) if kind in _SINGLE else _flatten(given)
    except Exception:  # whatever values of an environment's own raise: training must not know that somebody watches
        return None


def _flatten(given: Any) -> Array | None:
    if isinstance(given, Mapping):
        parts = [_flatten(given[name]) for name in sorted(given)]
    elif isinstance(given, tuple):
        parts = [_flatten(part) for part in given]
    else:
        if isinstance(given, str) or np.prod(np.shape(given)) > WIDEST:
            return None
        return np.array(given, dtype=np.float64).reshape(-1)
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if known and len(known) == len(parts) and sum(map(len, known)) <= WIDEST else None


def tap_lane(env: gymnasium.Env[Any, Any]) -> LaneTap | None:
    """Tap an environment; return None for an environment whose `step` cannot be replaced."""
    before = env.unwrapped.step
    try:
        return LaneTap(env)
    except (AttributeError, TypeError):
        if env.unwrapped.step != before:
            vars(env.unwrapped).pop("step")
        return None
