"""Measure how actions, observations and rewards of a rollout belong together, by regressions on held-out lanes.

Where the observation tells the state, the step before adds nothing to the forecast of what comes next, and an action
shows in the very next observation.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Space
from unstuck.rl import metrics
from unstuck.rl.regressions import (
    STILL,
    STRENGTHS,
    Array,
    correlate,
    expand_features,
    find_varying,
    foresee_share,
    predict_across,
    reduce_error,
    solve_ridge,
)

WIDEST, MOST_CROSSED = 256, 128
"""Most columns of an observation that are measured, and most products of an action with a column that are fitted."""

SAMPLES, FEWEST = 1_024, 128
"""Most and fewest samples of a regression."""

LAGS = 8
"""Steps, the present one among them, in which an action is looked for."""

SHOWN = 0.02
"""Share of what the present observation leaves open of the next one from which on an action shows."""

DRAWS = 19
"""Other draws of the actions that explain what they can by chance (Phipson and Smyth 2010: 1 chance in 20 is left)."""

VALUES, SAME = 16, 0.99
"""Different values between its ends from which a column is no switch; correlation from which two columns are one."""


@dataclass(frozen=True)
class Bounds:
    """Kind of the actions (discrete or continuous), and the bounds of continuous ones.

    Attributes:
        choices: Number of options of each choice of discrete actions; empty for continuous ones.
        low: Lower bounds `[A]`, infinite where there is none.
        high: Upper bounds `[A]`.
    """

    choices: tuple[int, ...] = ()
    low: Array | None = None
    high: Array | None = None

    @classmethod
    def from_space(cls, space: Space[Any]) -> "Bounds | None":
        """Return kind and bounds of an action space; None for a space of another kind than Discrete, Box and so on."""
        if isinstance(space, Discrete):
            return cls((int(space.n),))
        if isinstance(space, MultiDiscrete):
            return cls(tuple(space.nvec.flatten().tolist()))
        if isinstance(space, MultiBinary):
            return cls((2,) * int(np.prod(space.shape)))
        if isinstance(space, Box):
            return cls((), space.low.flatten().astype(np.float64), space.high.flatten().astype(np.float64))
        return None


@dataclass(frozen=True)
class Transitions:
    """Arrays of T steps in N environments.

    Attributes:
        observations: `[T, N, F]`.
        actions: Numbers for a regression, see `encode_actions`, `[T, N, A]`.
        rewards: `[T, N]`; None where unknown.
        ends: Whether the action ended an episode, `[T, N]`.
        noise: What the policy drew: actions less their mean under the policy, `[T, N, A]`; None where unknown.
    """

    observations: Array
    actions: Array
    rewards: Array | None
    ends: npt.NDArray[np.bool_]
    noise: Array | None = None

    @cached_property
    def halves(self) -> npt.NDArray[np.bool_]:
        """True for steps in the first half of the environments, `[T, N]`; for one environment, of the time."""
        steps, lanes = self.ends.shape
        first = np.zeros((steps, lanes), bool)
        if lanes > 1:
            first[:, : lanes // 2] = True
        else:
            first[: steps // 2] = True
        return first

    def last_without_end(self, back: int) -> npt.NDArray[np.bool_]:
        """True for steps whose `back` steps before belong to the same episode, `[T, N]`."""
        steps = len(self.ends)
        whole = np.ones(self.ends.shape, bool)
        whole[: min(back, steps)] = False
        for lag in range(1, back + 1):
            whole[lag:] &= ~self.ends[: steps - lag]
        return whole


def encode_actions(actions: Array, bounds: Bounds) -> Array:
    """Convert actions to numbers for a regression: clipped to bounds, or 0 and 1 for each option but the first."""
    if bounds.choices:
        options = [
            actions[..., choice, None] == np.arange(1, count)
            for choice, count in enumerate(bounds.choices[: actions.shape[-1]])
        ]
        return np.concatenate(options, axis=-1).astype(np.float64)
    if bounds.low is None or bounds.high is None or len(bounds.low) != actions.shape[-1]:
        return actions
    return np.clip(actions, bounds.low, bounds.high)


def measure_steps(steps: Transitions, bounds: Bounds) -> dict[str, float]:
    """Measure how actions change observations and rewards, and what the previous step adds; return metrics.

    Args:
        steps: Some steps of a rollout.
        bounds: Kind and bounds of the actions.

    Returns:
        `metrics.ENVIRONMENT` by name; each is absent where rewards are missing, or too few steps tell.
    """
    if not np.isfinite(steps.observations).all() or not np.isfinite(steps.actions).all():
        return {}
    found = {metrics.COLUMNS_CONSTANT: 1.0 - float(find_varying(steps.observations).mean()), **_measure_rewards(steps)}
    if steps.ends.size >= FEWEST:
        found |= {
            metrics.COLUMNS_CLIPPED: _measure_clipping(steps),
            **({} if bounds.choices else _measure_effort(steps)),
        }
    changes = _find_changes(steps)
    if changes is not None:
        found |= _measure_next(steps, changes) | _measure_effects(steps, changes)
        found |= _measure_sight(steps, round(found.get(metrics.ACTION_DELAY, 0.0)))
        found |= {} if bounds.choices else _measure_halves(steps, bounds, changes)
        found |= _measure_early(steps, bounds, changes)
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _measure_clipping(steps: Transitions) -> float:
    """Return the largest share of a column's values at the rarer of its two ends, exactly; 0 without a clipped column.

    Left out: columns with few values in between, such as switches, and the last action, whose bounds are the actions'.
    """
    columns = steps.observations.reshape(-1, steps.observations.shape[-1])
    lowest, highest = columns == columns.min(0), columns == columns.max(0)
    shares = np.minimum(lowest.mean(0), highest.mean(0))
    for column in np.argsort(-shares):
        if shares[column] < SHOWN:
            break
        between = columns[~lowest[:, column] & ~highest[:, column], column]
        if len(np.unique(between)) >= max(VALUES, len(between) // 2) and not _is_last_action(steps, column):
            return float(shares[column])
    return 0.0


def _is_last_action(steps: Transitions, column: int) -> bool:
    """True if a column of the observation is an action of the step before, up to scale."""
    rows = steps.last_without_end(1)
    shown = steps.observations[..., column][rows]
    return any(
        abs(correlate(_shift(steps.actions, 1)[..., action][rows], shown)) > SAME
        for action in range(steps.actions.shape[-1])
    )


def _measure_effort(steps: Transitions) -> dict[str, float]:
    """Measure which share of rewards' variance a cost of the actions' squares explains, as a metric."""
    if steps.rewards is None:
        return {}
    cost = -np.square(steps.actions).sum(-1).flatten()
    return {metrics.REWARD_BY_EFFORT: max(correlate(cost, steps.rewards.flatten()), 0.0) ** 2}


def _measure_rewards(steps: Transitions) -> dict[str, float]:
    """Measure which share of rewards' variance the present and the previous step predict; return metrics."""
    rewards, rows = steps.rewards, steps.last_without_end(1)
    if rewards is None or rows.sum() < FEWEST or not find_varying(rewards[..., None])[0]:
        return {}
    present = np.concatenate([steps.observations, steps.actions], axis=-1)
    before = np.concatenate([_shift(present, 1), _shift(rewards[..., None], 1)], axis=-1)
    sums = {
        metrics.REWARD_BY_OBSERVATION: steps.observations,
        metrics.REWARD_BY_STEP: present,
        metrics.REWARD_BY_PAST: np.concatenate([present, before], axis=-1),
    }
    first = steps.halves[rows]
    targets = rewards[rows][:, None]
    shares = {name: foresee_share(inputs[rows], targets, first) for name, inputs in sums.items()}
    return {name: float(share[0]) for name, share in shares.items()}


@dataclass(frozen=True)
class _Changes:
    """Changes of the observations from each step to the next within an episode, as arrays.

    Attributes:
        rows: Whether the next observation belongs to the same episode, `[T, N]`.
        scaled: Columns that vary, with mean 0 and spread 1, `[T, N, F]`.
        made: Change to the next observation, `[T, N, F]`.
        unforeseen: What a regression on the present observation leaves of the change, `[T, N, F]`.
    """

    rows: npt.NDArray[np.bool_]
    scaled: Array
    made: Array
    unforeseen: Array


def _find_changes(steps: Transitions) -> _Changes | None:
    """Compute the observations' changes from step to step; None if too few steps follow, or nothing varies."""
    rows, varies = ~steps.ends, find_varying(steps.observations)
    rows[-1] = False
    if rows.sum() < FEWEST or not varies.any():
        return None
    seen = steps.observations[..., varies]
    scaled = (seen - seen.mean((0, 1))) / seen.std((0, 1))
    made, unforeseen = np.zeros_like(scaled), np.zeros_like(scaled)
    made[:-1] = scaled[1:] - scaled[:-1]
    unforeseen[rows] = made[rows] - predict_across(expand_features(scaled[rows]), made[rows], steps.halves[rows])
    return _Changes(rows, scaled, made, unforeseen)


def _measure_next(steps: Transitions, changes: _Changes) -> dict[str, float]:
    """Measure which share of the observations' changes present and previous step predict; return metrics."""
    rows = changes.rows & steps.last_without_end(1)
    if rows.sum() < FEWEST:
        return {}
    present = np.concatenate([changes.scaled, steps.actions], axis=-1)
    past = np.concatenate([present, _shift(present, 1)], axis=-1)
    targets, first = changes.made[rows], steps.halves[rows]
    return {
        name: float(foresee_share(inputs[rows], targets, first).mean())
        for name, inputs in ((metrics.NEXT_BY_STEP, present), (metrics.NEXT_BY_PAST, past))
    }


def _measure_effects(steps: Transitions, changes: _Changes) -> dict[str, float]:
    """Measure how far actions change the next observation, and how many steps late; return metrics by name."""
    shares, sizes = [], []
    least = STILL * np.maximum(changes.made[changes.rows].var(0), STILL**2)  # less is rounding, and the ridge's bias
    for lag in range(LAGS):
        rows = changes.rows & steps.last_without_end(lag)
        if rows.sum() < FEWEST:
            break
        inputs, targets = (
            part[rows] - part[rows].mean(0)
            for part in (_cross(_shift(steps.actions, lag), changes.scaled), changes.unforeseen)
        )
        reduced = reduce_error(inputs, targets, steps.halves[rows])
        shares.append(float((reduced / np.maximum(targets.var(0), least)).max()))
        sizes.append(float(np.sqrt(np.clip(reduced, 0, None)).max()))
    if not shares:
        return {}
    found = {metrics.ACTION_EFFECT: sizes[0], metrics.ACTION_SHOWN: max(shares[0], 0.0)}
    latest = int(np.argmax(shares))
    if shares[latest] > SHOWN:
        found |= {metrics.ACTION_DELAY: float(latest), metrics.ACTION_SHOWN_LATE: shares[latest]}
    return found


def _measure_sight(steps: Transitions, delay: int) -> dict[str, float]:
    """Measure if observations `delay` steps later predict a reward better than those about the step; return metrics.

    An environment that answers late by nature pays by its present state; where an old frame is shown, the state that is
    paid for is shown later.
    """
    rows = ~steps.ends & steps.last_without_end(delay + 1)
    rows[-1] = False
    if steps.rewards is None or delay == 0 or rows.sum() < FEWEST or not find_varying(steps.rewards[..., None])[0]:
        return {}
    targets, first = _shift(steps.rewards[..., None], delay)[rows], steps.halves[rows]
    after = np.zeros_like(steps.observations)
    after[:-1] = steps.observations[1:]
    pairs = np.concatenate([steps.observations, after], axis=-1)
    inputs = ((metrics.REWARD_BY_NEXT, _shift(pairs, delay)), (metrics.REWARD_BY_LATER, pairs))
    return {name: float(foresee_share(pair[rows], targets, first)[0]) for name, pair in inputs}


def _measure_halves(steps: Transitions, bounds: Bounds, changes: _Changes) -> dict[str, float]:
    """Compare the effects of the two halves of an action's range: 1 if they are equal, 0 if one has none.

    Of each action counts the column that answers best; of several actions, the one whose halves are most alike.
    """
    if bounds.low is None or bounds.high is None or not np.isfinite([bounds.low, bounds.high]).all():
        return {}
    rows, count = changes.rows, steps.actions.shape[-1]
    off = steps.actions[rows] - (bounds.low + bounds.high) / 2
    inputs = np.concatenate([np.minimum(off, 0), np.maximum(off, 0)], axis=-1)
    if (inputs.std(0) == 0).any():
        return {}
    inputs, targets = inputs - inputs.mean(0), changes.unforeseen[rows] - changes.unforeseen[rows].mean(0)
    answers = reduce_error(inputs, targets, steps.halves[rows]) > SHOWN * np.maximum(targets.var(0), STILL**2)
    if not answers.any():
        return {}
    slopes = np.abs(solve_ridge(inputs, targets[:, answers], STRENGTHS[:1])).reshape(2, count, -1)
    best = slopes.max(0).argmax(1)
    lower, upper = slopes[:, np.arange(count), best]
    return {metrics.ACTION_HALVES: float((np.minimum(lower, upper) / np.maximum(lower, upper)).max())}


def _measure_early(steps: Transitions, bounds: Bounds, changes: _Changes) -> dict[str, float]:
    """Measure which share of a step's effects the noise in the next step's action explains; return metrics by name.

    The noise of an action was drawn after the last reward was paid, and after the present observation was there. So
    in a rollout that is stored as it happened other draws explain as much by chance: what they explain is taken off.
    """
    rows = changes.rows
    if steps.noise is None or rows.sum() < FEWEST:
        return {}
    first, shown, after = steps.halves[rows], changes.scaled[rows], changes.scaled[1:][rows[:-1]]
    effects = [changes.unforeseen[rows]]
    if steps.rewards is not None and find_varying(steps.rewards[..., None])[0]:
        paid = steps.rewards[rows][:, None]
        effects.append(paid - predict_across(expand_features(np.concatenate([shown, after], axis=-1)), paid, first))
    targets = np.concatenate(effects, axis=-1)
    targets = targets - targets.mean(0)

    def explain(noise: Array) -> Array:
        """Compute the share of the variance that next actions' noise explains: the largest of a target's, and all's."""
        inputs = _cross(noise[1:][rows[:-1]][None], shown[None])[0]
        shares = reduce_error(inputs - inputs.mean(0), targets, first) / np.maximum(targets.var(0), STILL**2)
        return np.array([shares.max(), shares.mean()])

    explained, generator = explain(steps.noise), np.random.default_rng(len(targets))
    if explained.max() >= SHOWN:
        drawn = [explain(_draw_noise(steps, steps.noise, bounds, generator)) for _ in range(DRAWS)]
        explained = explained - np.maximum(np.max(drawn, axis=0), 0.0)
    return {metrics.ACTION_SHOWN_EARLY: max(float(explained.max()), 0.0)}


def _draw_noise(steps: Transitions, noise: Array, bounds: Bounds, generator: np.random.Generator) -> Array:
    """Draw the noise of all actions anew, from the policy that acted, `[T, N, A]`.

    Discrete actions are drawn by their probabilities, which are the actions less their noise; normal noise is as likely
    with the other sign.
    """
    if not bounds.choices:
        mirrored: Array = noise * generator.choice((-1.0, 1.0), noise.shape)
        return mirrored
    drawn, start = np.empty_like(noise), 0
    for count in bounds.choices:
        options = slice(start, start + count - 1)
        start += count - 1
        likely = (steps.actions - noise)[..., options]
        until, at = likely.cumsum(-1), generator.random(noise.shape[:-1])[..., None]
        drawn[..., options] = ((until - likely <= at) & (at < until)) - likely
    return drawn


def _shift(columns: Array, lag: int) -> Array:
    """Delay an array `[T, N, K]` by `lag` steps, with zeros at the start."""
    moved = np.zeros_like(columns)
    moved[lag:] = columns[: len(columns) - lag]
    return moved


def _cross(actions: Array, columns: Array) -> Array:
    """Return actions, and if these are few also their products with observation columns, `[..., K]`."""
    if actions.shape[-1] * columns.shape[-1] > MOST_CROSSED:
        return actions
    actions = actions - actions.mean((0, 1))  # so that a product says nothing of the column alone
    products = actions[..., :, None] * columns[..., None, :]
    return np.concatenate([actions, products.reshape(*actions.shape[:-1], -1)], axis=-1)
