"""Compare what a training sees of an environment with the environment itself, which lies inside of its wrappers.

A wrapper that delays, cuts off or scales away is a plain fact: what goes in and what comes out are both there to see.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box

from unstuck.analysis.history import record
from unstuck.probe.lane_tap import LaneTap, Step
from unstuck.rl.regressions import foresee_share

Array = npt.NDArray[np.float64]

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
class _Record:
    """Steps of all lanes, one lane after the other.

    Attributes:
        steps: The steps.
        age: Number of the step in its episode as far as recorded, from 0, `[n]`.
        lane: Number of the step's lane, `[n]`.
    """

    steps: Sequence[Step]
    age: npt.NDArray[np.int_]
    lane: npt.NDArray[np.int_]

    def read(self, *names: str) -> list[Array]:
        """Return arrays `[n, K]` of the named numbers; empty if one is missing or two have different shapes."""
        found = []
        for name in names:
            rows = [value for one in self.steps if (value := getattr(one, name)) is not None]
            if len(rows) < len(self.steps) or len(set(map(len, rows))) != 1:
                return []
            found.append(np.concatenate(rows).reshape(len(rows), -1))
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


def _count_ages(steps: Sequence[Step]) -> list[int]:
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
        if shares[0] >= OTHER:
            return 0
    if not shares:
        return None
    if _is_rescaled(given, got):
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
