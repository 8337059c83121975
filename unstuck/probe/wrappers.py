"""Compare what a training sees of an environment with the environment itself, which lies inside of its wrappers.

A wrapper that delays, cuts off or scales away is a plain fact: what goes in and what comes out are both there to see.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box

from unstuck.analysis.history import record
from unstuck.rl.dynamics import WIDEST
from unstuck.rl.regressions import foresee_share

Array = npt.NDArray[np.float64]

LANES, STEPS = 8, 2_048
"""Most environments that are watched, and steps of all together after which none is; no single one records more."""

FEWEST = 64
"""Steps, and payments or ends of episodes, from which something is measured: an eighth of them for the latter."""

LAGS = 8
"""Delays that are looked for, in steps, the present step among them."""

SAME, OTHER = 0.99, 0.95
"""Share of the steps that must be the same some steps late, and below which they must be the same at once."""

ROUNDING = 1e-5
"""Relative difference of numbers that are the same in float32."""

COST = 0.9
"""Share of what wrappers add to the rewards that the actions' squares must explain to be a cost of actions."""

PARTS = 16
"""Most numbers in an action of which each is asked for its use."""

BY_LENGTH = 0.5
"""Correlation of an episode's length with the environment's own return from which a step more has a worth."""

RARE = 0.1
"""Share of the steps up to which those that pay more than most are payments of their own."""


@dataclass(frozen=True)
class _Call:
    """One call of an environment's `step`: action, observation and reward as rows of numbers, None for others."""

    action: Array | None
    seen: Array | None
    reward: Array | None
    terminated: bool
    ended: bool


@dataclass(frozen=True)
class _Step:
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


_ROWS = ("action", "seen", "reward", "own_action", "own_seen", "own_reward")
_FLAGS = ("terminated", "ended", "own_terminated")


def _stack_steps(steps: Sequence[_Step]) -> dict[str, npt.NDArray[Any]]:
    """Return steps as a few arrays by name: rows of numbers end to end with their lengths (-1 for None), and flags."""
    stacked: dict[str, npt.NDArray[Any]] = {}
    for name in _ROWS:
        rows = [getattr(step, name) for step in steps]
        stacked[f"lengths of {name}"] = np.array([-1 if row is None else len(row) for row in rows], dtype=np.int64)
        stacked[name] = np.concatenate([np.zeros(0), *(row for row in rows if row is not None)])
    return stacked | {name: np.array([getattr(step, name) for step in steps], dtype=np.bool_) for name in _FLAGS}


def _unstack_steps(stacked: Mapping[str, npt.NDArray[Any]]) -> list[_Step]:
    """Return the steps that `_stack_steps` stacked."""
    columns: dict[str, list[Any]] = {name: stacked[name].tolist() for name in _FLAGS}
    for name in _ROWS:
        lengths = stacked[f"lengths of {name}"]
        ends = np.cumsum(np.maximum(lengths, 0))
        columns[name] = [
            stacked[name][end - length : end] if length >= 0 else None
            for length, end in zip(lengths, ends, strict=True)
        ]
    return [_Step(**dict(zip(columns, values, strict=True))) for values in zip(*columns.values(), strict=True)]


class LaneTap:
    """Recorder of one environment's steps, outside and inside of its wrappers, until `stop`.

    Args:
        env: The environment with all its wrappers.

    Attributes:
        steps: Steps so far.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self.steps: list[_Step] = []
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
        paid = [call.reward for call in self._calls if call.reward is not None]
        inside = _Call(
            self._calls[0].action,
            self._calls[-1].seen,
            np.sum(paid, axis=0) if len(paid) == len(self._calls) else None,
            any(call.terminated for call in self._calls),
            self._calls[-1].ended,
        )
        self._calls.clear()
        self.steps.append(
            _Step(
                outside.action,
                outside.seen,
                outside.reward,
                outside.terminated,
                outside.ended,
                inside.action,
                inside.seen,
                inside.reward,
                inside.terminated,
            )
        )


def _read_call(action: Array | None, told: Any) -> _Call:
    try:
        seen, reward, terminated, truncated, _ = told
        ends = bool(terminated), bool(terminated or truncated)
    except Exception:  # whatever flags of an environment's own raise: training must not know that somebody watches
        return _Call(action, None, None, False, False)
    return _Call(action, _read_numbers(seen), _read_numbers(reward), *ends)


def _read_numbers(given: Any) -> Array | None:
    """Return actions or observations as a row of numbers; None for what is no number, or has too many."""
    try:
        return _flatten(given)
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


@dataclass(frozen=True)
class _Record:
    """Steps of all lanes, one lane after the other.

    Attributes:
        steps: The steps.
        age: Number of the step in its episode as far as recorded, from 0, `[n]`.
        lane: Number of the step's lane, `[n]`.
    """

    steps: Sequence[_Step]
    age: npt.NDArray[np.int_]
    lane: npt.NDArray[np.int_]

    def read(self, *names: str) -> list[Array]:
        """Return arrays `[n, K]` of the named numbers; empty if one is missing or two have different shapes."""
        found = []
        for name in names:
            rows = [np.atleast_1d(value) for one in self.steps if (value := getattr(one, name)) is not None]
            if len(rows) < len(self.steps) or len({len(row) for row in rows}) != 1:
                return []
            found.append(np.stack(rows).astype(np.float64))
        return found if len({array.shape for array in found}) == 1 and found[0].shape[1] else []


def measure_wrappers(taps: Sequence[LaneTap]) -> dict[str, float]:
    """Measure what wrappers change in actions, observations, rewards and ends, and when rewards come; return metrics.

    Args:
        taps: Recorders of a few environments that are alike.

    Returns:
        `record.WRAPPED` by name; each is absent where too few steps tell, or the two sides cannot be compared.
    """
    steps = [step for tap in taps for step in tap.steps]
    if len(steps) < FEWEST:
        return {}
    ages = [age for tap in taps for age in _count_ages(tap.steps)]
    lanes = [number for number, tap in enumerate(taps) for _ in tap.steps]
    of = _Record(steps, np.array(ages), np.array(lanes))
    found = _measure_actions(of, taps[0]) | _measure_sight(of) | _measure_rewards(of) | _measure_ends(of)
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _count_ages(steps: Sequence[_Step]) -> list[int]:
    ages, age = [], 0
    for step in steps:
        ages.append(age)
        age = 0 if step.ended else age + 1
    return ages


def _measure_actions(of: _Record, tap: LaneTap) -> dict[str, float]:
    """Measure how late, how far and how whole the actions arrive; return metrics."""
    pair = of.read("action", "own_action")
    if not pair:
        return {}
    given, done = pair
    delay = _find_delay(of, given, done)
    found = {record.WRAPPED_ACTION_DELAY: float(delay)} if delay is not None else {}
    if not delay:
        found |= _measure_unused(given, done)
    spaces = tap.spaces
    if delay or not all(isinstance(space, Box) and np.isfinite(space.high - space.low).all() for space in spaces):
        return found
    (low, high), (own_low, own_high) = ((space.low.ravel(), space.high.ravel()) for space in spaces)  # type: ignore[attr-defined]
    if not len(low) == len(own_low) == given.shape[1]:
        return found
    reached, tried = np.ptp(done, 0) / (own_high - own_low), np.ptp(given, 0) / (high - low)
    if (tried > ROUNDING).any():
        found[record.WRAPPED_ACTION_REACH] = float((reached / np.maximum(tried, ROUNDING))[tried > ROUNDING].max())
    cut = [_measure_cut(given[:, one], done[:, one], high[one] - low[one]) for one in range(given.shape[1])]
    return found | {record.WRAPPED_ACTION_CUT: min(cut)}


def _measure_cut(given: Array, done: Array, width: float) -> float:
    """Compute the largest share of an action's range that arrives as one value, the least or the largest one."""
    if np.ptp(done) <= ROUNDING * max(float(np.abs(done).max()), ROUNDING):
        return 0.0
    return max(float(np.ptp(given[done == end])) / float(width) for end in (done.min(), done.max()))


def _measure_unused(given: Array, done: Array) -> dict[str, float]:
    """Measure the share of an action's numbers that change nothing of what is done; return a metric."""
    parts = given[:, _vary(given)]
    count = parts.shape[1]
    if not 1 < count <= PARTS:
        return {}
    unused = 0
    for one in range(count):
        others, alone = np.delete(parts, one, axis=1), parts[:, one : one + 1]
        unused += _is_told(others, done) and not _is_told(others, alone)
    return {record.WRAPPED_ACTION_UNUSED: unused / given.shape[1]}


def _is_told(columns: Array, told: Array) -> bool:
    """True if columns tell all of others by a linear rule, but for rounding."""
    inputs = np.concatenate([columns, np.ones((len(columns), 1))], axis=1)
    rest = told - inputs @ np.linalg.lstsq(inputs, told, rcond=None)[0]
    return bool((np.abs(rest).max(0) <= ROUNDING * np.maximum(np.abs(told).max(0), ROUNDING)).all())


def _find_delay(of: _Record, given: Array, got: Array) -> int | None:
    """Return how many steps late all of an array arrives; 0 if at once, None if it arrives in another form."""
    if not (np.ptp(given, 0) > 0).any():
        return None
    shares = []
    for lag in range(LAGS):
        rows = of.age >= lag
        rows[:lag] = False
        rows[lag:] &= of.lane[lag:] == of.lane[: len(of.lane) - lag]
        if rows.sum() < FEWEST:
            break
        before = np.roll(given, lag, axis=0)[rows]
        close = np.abs(got[rows] - before) <= ROUNDING * np.maximum(np.abs(before), ROUNDING)
        shares.append(float(close.all(1).mean()))
    if not shares:
        return None
    if shares[0] >= OTHER or _is_rescaled(given, got):
        return 0
    return next((lag for lag, share in enumerate(shares) if share >= SAME), None)


def _is_rescaled(given: Array, got: Array) -> bool:
    """True if each column that varies arrives in another unit, or from another zero, and in no other way changed."""
    columns = np.flatnonzero(_vary(given))
    return all(abs(_correlate(given[:, one], got[:, one])) >= 1 - ROUNDING for one in columns)


def _measure_sight(of: _Record) -> dict[str, float]:
    """Measure how late observations are shown, and what of their variance wrappers take away; return metrics."""
    pair = of.read("own_seen", "seen")
    if not pair:
        return {}
    own, seen = pair
    delay = _find_delay(of, own, seen)
    found = {record.WRAPPED_SIGHT_DELAY: float(delay)} if delay is not None else {}
    vary, shown = _vary(own), _vary(seen)
    if delay or not vary.any():
        return found
    found[record.WRAPPED_COLUMNS_BLANK] = max(0.0, 1.0 - float(shown.sum()) / float(vary.sum()))
    columns = np.flatnonzero(vary)
    return found | {record.WRAPPED_SIGHT_LOST: max(_measure_lost(own[:, one], seen[:, one]) for one in columns)}


def _vary(columns: Array) -> npt.NDArray[np.bool_]:
    """Return which columns vary by more than rounding."""
    varies: npt.NDArray[np.bool_] = np.ptp(columns, 0) > ROUNDING * np.maximum(np.abs(columns).max(0), ROUNDING)
    return varies


def _measure_lost(own: Array, shown: Array) -> float:
    """Compute the share of a column's variance among steps that are shown as one and the same number."""
    _, group = np.unique(shown.astype(np.float32), return_inverse=True)
    counts = np.bincount(group)
    means = np.bincount(group, own) / counts
    return float(np.square(own - means[group]).mean() / own.var())


def _measure_rewards(of: _Record) -> dict[str, float]:
    """Measure what wrappers make of the rewards, and how long rewards are waited for; return metrics."""
    pair = of.read("own_reward", "reward")
    if not pair or not np.isfinite(pair).all():
        return {}
    own, paid = (array[:, 0] for array in pair)
    found = _measure_payments(of, paid)
    if (own == paid).all():
        return found
    varies, pays = bool(_vary(pair[0])[0]), bool(_vary(pair[1])[0])
    if varies:
        found[record.WRAPPED_REWARD_LOST] = _measure_lost(own, paid)
    if varies and pays:
        found[record.WRAPPED_REWARD_SIGN] = _correlate(own, paid)
    elif not varies and not pays:
        found[record.WRAPPED_REWARD_SIGN] = float(np.sign(own[0] * paid[0]))
    return found | (_measure_added(of, own, paid) if pays or not varies else {})


def _correlate(one: Array, other: Array) -> float:
    """Compute the correlation of two arrays; 0 where one does not vary."""
    return float(np.corrcoef(one, other)[0, 1]) if np.ptp(one) > 0 and np.ptp(other) > 0 else 0.0


def _measure_payments(of: _Record, paid: Array) -> dict[str, float]:
    """Measure how long an episode takes to a reward, or from one to the next, where most steps pay less; return it."""
    values, counts = np.unique(paid, return_counts=True)
    rare = paid > values[counts.argmax()]
    if not FEWEST // 8 <= rare.sum() <= RARE * len(paid):
        return {}
    rows = np.flatnonzero(rare)
    since_start, since_last = of.age[rows] + 1, np.diff(rows, prepend=-len(paid))
    return {record.REWARD_AFTER: float(np.minimum(since_start, since_last).mean())}


def _measure_added(of: _Record, own: Array, paid: Array) -> dict[str, float]:
    """Measure what wrappers add to the rewards of an episode, in spreads of the environment's returns; return metrics.

    What neither the environment's reward nor what is seen and done foretells is noise.
    """
    sums = [(own[rows].sum(), len(rows)) for rows in _list_episodes(of)]
    spread = float(np.std([total for total, _ in sums])) if len(sums) >= FEWEST // 8 else 0.0
    if spread <= 0:
        return {}
    length = float(np.mean([count for _, count in sums]))
    slope = _correlate(own, paid) * float(paid.std() / own.std()) if np.ptp(own) > 0 else 1.0
    added = paid - slope * own
    found = _measure_step_pay(np.array(sums), added)
    actions, seen = of.read("action"), of.read("own_seen")
    if actions and actions[0].shape[1] > 0:
        cost = np.square(actions[0]).sum(1)
        by_cost = _correlate(cost, added)
        if by_cost < 0 and by_cost**2 >= COST:
            found[record.WRAPPED_REWARD_COST] = abs(float(added.mean())) * length / spread
    if seen and actions:
        inputs = np.concatenate([seen[0], np.roll(seen[0], 1, axis=0), actions[0]], axis=1)
        first = of.lane < (of.lane.max() + 1) / 2 if of.lane.max() > 0 else np.arange(len(own)) < len(own) / 2
        foreseen = float(foresee_share(inputs, added[:, None], first)[0])
        found[record.WRAPPED_REWARD_NOISE] = float(added.std()) * (max(0.0, 1 - foreseen) * length) ** 0.5 / spread
    return found


def _measure_step_pay(sums: Array, added: Array) -> dict[str, float]:
    """Measure what wrappers pay each step against what a step more brings by itself; return a metric.

    Args:
        sums: The environment's own return and the length of each episode, `[E, 2]`.
        added: What wrappers add to the reward of each step, `[n]`.
    """
    returns, lengths = sums.T
    by_length = _correlate(lengths, returns)
    if abs(by_length) < BY_LENGTH or np.ptp(added) > ROUNDING * float(np.abs(added).max()):
        return {}
    worth = by_length * float(returns.std() / lengths.std())
    return {record.WRAPPED_REWARD_STEP: max(0.0, -float(added.mean()) / worth)}


def _list_episodes(of: _Record) -> list[npt.NDArray[np.int_]]:
    """Return the rows of each episode that ended."""
    starts = np.flatnonzero(of.age == 0)
    ends = [*starts[1:], len(of.age)]
    return [np.arange(start, end) for start, end in zip(starts, ends, strict=True) if of.steps[end - 1].ended]


def _measure_ends(of: _Record) -> dict[str, float]:
    """Measure which share of the environment's own ends is told as something else; return a metric."""
    told = [step.terminated for step in of.steps if step.own_terminated]
    return {record.WRAPPED_ENDS: 1.0 - float(np.mean(told))} if len(told) >= FEWEST // 8 else {}


def _tap_lane(env: gymnasium.Env[Any, Any]) -> LaneTap | None:
    """Tap an environment; return None for an environment whose `step` cannot be replaced."""
    before = env.unwrapped.step
    try:
        return LaneTap(env)
    except (AttributeError, TypeError):
        if env.unwrapped.step != before:
            vars(env.unwrapped).pop("step")
        return None


class WrapperWatch:
    """Taps of a training's environments, for as many steps as tell.

    Args:
        envs: The environments; those of another kind than Gymnasium's are left alone.
    """

    def __init__(self, envs: Sequence[Any]) -> None:
        own = {id(env): env for env in envs if isinstance(env, gymnasium.Env)}
        self._taps = [tap for env in [*own.values()][:LANES] if (tap := _tap_lane(env)) is not None]
        self._measured = 0

    def measure(self) -> dict[str, float]:
        """Return the metrics of all steps so far; empty unless twice as many steps as at the last time are there."""
        count = sum(len(tap.steps) for tap in self._taps)
        if count < FEWEST or count < min(2 * self._measured, STEPS):
            return {}
        self._measured = count
        found = measure_wrappers(self._taps)
        if count >= STEPS:
            self.stop()
        return found

    def capture_state(self) -> dict[str, Any]:
        """Return all that was recorded so far as numbers and arrays, for a checkpoint; see `restore_state`."""
        return {"measured": self._measured, "steps": [_stack_steps(tap.steps) for tap in self._taps]}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `capture_state` returned; stop if the environments were no longer watched by then."""
        self._measured = int(state["measured"])
        if len(state["steps"]) != len(self._taps):
            self.stop()
        for tap, stacked in zip(self._taps, state["steps"], strict=False):
            tap.steps = _unstack_steps(stacked)

    def stop(self) -> None:
        """Restore all environments, and forget what was recorded."""
        for tap in self._taps:
            tap.stop()
        self._taps = []
