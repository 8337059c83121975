"""Compare what training is paid with what evaluations count: both returns stand in a log with evaluations.

Where training pays for what evaluations count, both returns rise together, and an untrained policy's are much alike.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import pandas as pd
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.wrapped import pays_unchanged
from unstuck.analysis.history.record import EPISODE_LENGTH, EVAL_LENGTH, POLICY_STD, REWARD_BY_EFFORT
from unstuck.analysis.words import number
from unstuck.rl import metrics

EVALUATIONS = 6
"""Evaluations before both are compared: a third of them is the start, a third the end."""

START = 3
"""Returns of training that are its start, before much is learned."""

NEVER = 0.1
"""Share of training's gain that evaluations may have gained where what training gained is nothing that they count."""

OPPOSITE = 0.9
"""Share of the evaluations that must have the other sign than the training about them."""

ALIKE = 4.0
"""Factor within which both must be of one size, a step, to be the same reward with the other sign."""

APART = 1.5
"""Spreads of single evaluations by which their middle must lie apart from 0 for their sign to be more than chance."""

LOSES = 0.2
"""Share of their start that evaluations must lose to be training's mirror where their lengths are not on record."""

TURNED, TRACKS, SMOOTH = 1.5, -0.8, 3
"""Factor within which both must be of one size in the last third, and correlation of means of so many values since the
best evaluation, to be one reward whose sign was turned in mid-run: up to 1.35, and -0.93 and less, where it was. Of a
healthy arm whose greedy policy goes in circles meanwhile -0.7 at least."""

VARIED = 0.5
"""Share of training's episodes that may begin as earlier ones did, above which they may be known by heart: then
evaluations fall while training rises as well."""

CLEAR = 2.0
"""Standard errors by which evaluations must fall."""

PLAIN = 10.0
"""Spreads of single values by which a gain needs no test for a trend."""

SIZE = 3.0
"""Factor of what evaluations count by which training must begin below: the noise of exploration costs less."""

OF_SPREAD = 0.3
"""Share of what a cost of actions loses as their variance narrows that must still be lost in the end: training that is
as good as evaluations, with actions nearly as noisy, has learned to steer, and pays no cost."""

EFFORT = 0.8
"""Share of the rewards' variance that a cost of the actions' squares explains in training's first looks, from which on
training pays for little else: 0.97 where such a cost is planted, and 0 where there is none."""

OWN_EFFORT = 0.2
"""The same share in runs of our own learner, which evaluate the greedy policy after few updates: there the noise of
exploration alone may cost as a penalty does. At the first look 0.01 at most in healthy runs of five tasks, and 0.33 to
0.53 where such a cost is planted, since the environment cuts actions off that were drawn beyond its range."""

LAW, NARROWED, TWICE = 0.97, 0.15, 2.0
"""Correlation of training's return with the variance of the actions from which on the return is what their noise costs:
0.977 and more where a cost of their squares is planted. Share of that variance that is left in the end, since a task
that is learned keeps more: 0.3 in a landing, whose return follows the variance as closely. And factor of what
evaluations count by which training must then begin below."""

FAR, STILL = 0.5, 0.4
"""Share of the first distance between both that training must close by rising, and that must be left once the logged
mean has forgotten all episodes before the first evaluation: a mean that lags behind closes a distance as well."""


class Way(StrEnum):
    """Ways in which the return of training and that of evaluations disagree, such as by sign.

    Attributes:
        MIRRORED: One is the other with its sign turned.
        OPPOSED: Evaluations fall while training rises.
        COST: Training climbs from far below to what evaluations have counted from the start.
    """

    MIRRORED = "mirrored"
    OPPOSED = "opposed"
    COST = "cost"


@dataclass(frozen=True)
class Apart:
    """Evidence that training rewards something other than evaluations measure: kind, numbers in words, iterations."""

    way: Way
    text: str
    iterations: tuple[int, int]


@dataclass(frozen=True)
class _Ends:
    """Mean of a return curve over its first values, and mean over its last values."""

    first: float
    last: float

    @property
    def gain(self) -> float:
        return self.last - self.first

    def __str__(self) -> str:
        return f"from {number(self.first, 3)} to {number(self.last, 3)}"


@dataclass(frozen=True)
class _Both:
    """Training and evaluation returns at start and end, with the evaluations' spread and the gains' standard errors."""

    paid: _Ends
    counted: _Ends
    noise: float
    error: float


def _compare(run: Signals) -> _Both | None:
    """Compute both returns at start and end; None with too few values, or where a triage's table can pay so."""
    trained, evaluated = run.select_finite(metrics.TRAIN_RETURN), run.select_finite(metrics.EVAL_RETURN)
    if len(evaluated) < EVALUATIONS or len(trained) < EVALUATIONS:
        return None
    if run.is_triage and not _is_below_table(run, float(trained.iloc[:START].mean())):
        return None
    size, values = len(evaluated) // 3, evaluated.to_numpy(dtype=np.float64)
    counted = _Ends(float(values[:size].mean()), float(values[-size:].mean()))
    paid = _Ends(float(trained.iloc[:START].mean()), float(trained.loc[evaluated.index[-size] :].mean()))
    noise = _measure_noise(evaluated)
    return _Both(paid, counted, noise, noise * (2 / size) ** 0.5) if np.isfinite(paid.last) else None


def _is_below_table(run: Signals, paid: float) -> bool:
    """True if an episode of training was paid less than the reward table can, whatever is done with which flows."""
    flows, rows = (
        run.read_number("env.flows_per_episode"),
        [run.setting(f"env.reward_{of}") for of in ("benign", "threat")],
    )
    if not run.is_triage or not flows or not all(isinstance(row, tuple | list) and row for row in rows):
        return False
    return paid < flows * min(float(value) for row in rows for value in row)


def find_paid_otherwise(run: Signals) -> Apart | None:
    """Find out if training is paid for something that evaluations do not count; return how, or None if not shown."""
    both = _compare(run)
    if both is None:
        return None
    trained, evaluated = run.select_finite(metrics.TRAIN_RETURN), run.select_finite(metrics.EVAL_RETURN)
    paid, counted, error = both.paid, both.counted, both.error
    text = f"training goes {paid}, evaluations {counted}"
    reach = int(trained.index[0]), int(evaluated.index[-1])
    rises = run.trend(metrics.TRAIN_RETURN).rises or paid.gain > PLAIN * _measure_noise(trained)
    clear = abs(float(evaluated.median())) > APART * both.noise
    most = CLEAR * error if run.has(EVAL_LENGTH) else -max(error, LOSES * abs(counted.first))
    if rises and clear and counted.gain <= most and _is_mirrored(run, trained, evaluated):
        return Apart(Way.MIRRORED, text, reach)
    if rises and counted.gain < -CLEAR * error and _is_turned(run, trained, evaluated):
        return Apart(Way.MIRRORED, text, reach)
    if counted.gain > NEVER * paid.gain or not rises or (run.is_ours and not _may_cost(run)):
        return None
    effort = _pays_for_effort(run) or _pays_for_narrowing(run, both)
    if _is_cost(run, paid, counted, trained, evaluated) or (effort and counted.gain <= CLEAR * error):
        return None if pays_unchanged(run) else Apart(Way.COST, text, reach)  # what exploration costs is no wrapper's
    far = abs(counted.first - paid.first) > FAR * paid.gain
    falls = counted.gain < -max(CLEAR * error, FAR * float(np.ptp(evaluated.to_numpy())), NEVER * paid.gain)
    from_start = int(evaluated.to_numpy().argmax()) < len(evaluated) // 3  # else something was learned, and lost again
    return Apart(Way.OPPOSED, text, reach) if far and falls and from_start else None


def _may_cost(run: Signals) -> bool:
    """True if a cost of actions may be what our own learner's training pays: by the table, or by what was measured."""
    effort = run.select_first(REWARD_BY_EFFORT, START)
    return run.is_triage or (effort is not None and effort.median >= OWN_EFFORT)


def _is_mirrored(run: Signals, trained: "pd.Series[float]", evaluated: "pd.Series[float]") -> bool:
    """True if evaluation returns nearly always have the opposite sign of training returns, at equal size."""
    paid, counted = _beside(trained, evaluated), evaluated.to_numpy()
    lengths, tried = run.select_finite(EPISODE_LENGTH), run.select_finite(EVAL_LENGTH)
    if len(lengths) and len(tried) == len(evaluated):
        paid, counted = paid / _beside(lengths, evaluated), counted / tried.to_numpy()
    usual, other = float(np.median(np.abs(paid))), float(np.median(np.abs(counted)))
    alike = min(usual, other) * ALIKE >= max(usual, other) > 0
    return alike and float(np.mean(paid * counted < 0)) >= OPPOSITE


def _is_turned(run: Signals, trained: "pd.Series[float]", evaluated: "pd.Series[float]") -> bool:
    """True if in the end our own learner's evaluations mirror its training, though both begin episodes alike."""
    scale, alike = run.select_all(metrics.START_SCALE), run.select_all(metrics.STARTS_ALIKE)
    again = run.select_last(metrics.START_REPEATS)
    if not run.is_ours or scale is None or alike is None or again is None:
        return False
    if not 1 / ALIKE < scale.median < ALIKE or alike.median == 1 or again.mean > VARIED:
        return False  # what evaluations show differs from training's, or is new to the policy
    late, since = evaluated.iloc[-len(evaluated) // 3 :], evaluated.loc[evaluated.idxmax() :]
    if len(since) <= len(late):
        return False
    paid, counted = _beside(trained, late), late.to_numpy()
    sizes = float(np.median(np.abs(paid))), float(np.median(np.abs(counted)))
    if min(sizes) * TURNED < max(sizes) or float(np.mean(paid * counted < 0)) < OPPOSITE:
        return False
    both = trained.rolling(SMOOTH, min_periods=1).mean(), since.rolling(SMOOTH, min_periods=1).mean()
    return float(np.corrcoef(_beside(both[0], since), both[1])[0, 1]) <= TRACKS


def _is_cost(
    run: Signals, paid: _Ends, counted: _Ends, trained: "pd.Series[float]", evaluated: "pd.Series[float]"
) -> bool:
    """True if training returns climb for long from far below towards evaluation returns that hardly change."""
    gap = counted.first - paid.first
    if gap <= SIZE * abs(counted.first) or paid.gain < FAR * gap or paid.last > counted.last + NEVER * gap:
        return False
    if paid.gain < float(np.ptp(evaluated.to_numpy())) / NEVER / 2:
        return False
    if counted.last - paid.last < OF_SPREAD * _measure_narrowing(run) * gap:
        return False
    begin, apart = int(evaluated.index[0]) + run.averaged, int(evaluated.index[1] - evaluated.index[0])
    later = trained.loc[begin : begin + apart]  # a mean: single returns scatter
    return len(later) > 0 and counted.first - float(later.mean()) > STILL * gap


def _pays_for_effort(run: Signals) -> bool:
    """True if a probe (logger) measured that hardly anything but a cost of actions makes rewards differ."""
    effort = run.select_first(REWARD_BY_EFFORT, START)
    return effort is not None and effort.median >= EFFORT


def _pays_for_narrowing(run: Signals, both: _Both) -> bool:
    """True if training's return rises from far below evaluations in step with the variance of the actions' noise."""
    returns, spread = run.select_finite(metrics.TRAIN_RETURN), run.select_finite(POLICY_STD)
    below = both.counted.first - both.paid.first
    if below < TWICE * abs(both.counted.first) or not 0 < _measure_narrowing(run) <= NARROWED:
        return False
    variances = (spread**2).rolling(max(run.averaged, 1), min_periods=1).mean()
    both_logged = returns.index.intersection(variances.index)
    return len(both_logged) >= EVALUATIONS and returns.loc[both_logged].corr(variances.loc[both_logged]) <= -LAW


def _measure_narrowing(run: Signals) -> float:
    """Compute the share of the continuous actions' variance that is left at the end; 0 if not logged."""
    start, late = run.select_first(POLICY_STD, START), run.select_last(POLICY_STD, share=0.0)
    return (late.mean / start.mean) ** 2 if start and late and start.mean > 0 else 0.0


def _measure_noise(curve: "pd.Series[float]") -> float:
    """Estimate the spread of single values around a curve's trend, from differences of neighbouring values."""
    return float(np.median(np.abs(np.diff(curve.to_numpy())))) / 0.954


def _beside(curve: "pd.Series[float]", evaluated: "pd.Series[float]") -> npt.NDArray[np.float64]:
    """Return a curve's value at, or last before, each evaluation; the first value for earlier evaluations."""
    places = np.searchsorted(curve.index.to_numpy(), evaluated.index.to_numpy(), side="right") - 1
    beside: npt.NDArray[np.float64] = np.asarray(curve, dtype=np.float64)[np.maximum(places, 0)]
    return beside
