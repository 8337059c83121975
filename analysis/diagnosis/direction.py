"""Judge the direction of a curve: rising, holding, falling or flat, compared with the curve's own noise."""

import math
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import pandas as pd
from unstuck.analysis.diagnosis.signals import WINDOW, WINDOWED, Signals
from unstuck.analysis.history.record import ENV_STEPS, EPISODE_LENGTH
from unstuck.rl import metrics

CLEAR = 3.0
"""Standard errors from which a change counts."""

UNKNOWN_WINDOW = 25
"""Iterations that a curve may be a moving mean over, where its values move too smoothly to be independent."""

APART, FAR = ("mlagents", "tianshou"), 0.5
"""Programs that log means over the episodes since the last value, so that no two values share any; and the share of the
size of start or end that their score must have risen by at once: a smaller rise is of the first few episodes."""

INDEPENDENT = -0.25
"""Correlation of successive moves: -0.5 for independent values, about 0 for moving means."""

ONWARD = 0.15
"""Share of its moves up to which a curve of evaluations turns that goes its way by itself: one of moving means turns at
every other move."""

SLIGHT = 1e-3
"""Share of its level by which a score of another learner must rise to be better, or fall before it had been better."""

REGAINED = 0.25
"""Share of the gain that may be lost; another learner's last `AT_FIRST` scores show that no more is, after a dip."""

AT_FIRST = 3
"""Values that are a run's start, where its first quarter holds all of the rise."""

SMOOTHED_FROM = 8
"""Values of a stretch from which on their autocorrelation can be told."""

BRIEF = 3.0
"""Steps of an episode up to which a few updates may teach all that there is: a rollout holds hundreds of episodes, and
what is logged then is the chance of their returns. Blackjack's last 1.4 steps, and its policy gains 0.3 of a spread."""

HINTED, MANY = 2.5, 16
"""Standard errors by which the first `AT_FIRST` of `MANY` scores may lie below the last quarter of a level curve by
chance, once in a hundred times. Further below, a rise is not shown, and is not excluded."""


class State(StrEnum):
    """Directions of a run's score over time: rising, holding, falling, flat or unknown.

    Attributes:
        RISING: The score is getting better.
        HOLDING: The score has got better, and stays there.
        FALLING: The score had been better.
        FLAT: The score is near its start.
        UNKNOWN: Neither returns nor F1 were recorded often enough.
    """

    RISING = "rising"
    HOLDING = "holding"
    FALLING = "falling"
    FLAT = "flat"
    UNKNOWN = "unknown"


def may_hide_rise(run: Signals, name: str) -> bool:
    """True if a run of another learner had short episodes from first to last, or first scores that lie lower."""
    lengths = run.select_finite(EPISODE_LENGTH)
    size = max(1, len(lengths) // 4)
    if run.is_ours:
        return False
    if len(lengths) and max(float(lengths.iloc[:size].mean()), float(lengths.iloc[-size:].mean())) <= BRIEF:
        return True
    values = np.asarray(run.select_finite(name), dtype=np.float64)
    if len(values) < MANY or not run.holds_start(name):
        return False
    size, moves = len(values) // 4, np.diff(values)
    window = _window_of(run, name, moves, size)
    noise = float(np.median(np.abs(moves))) / 0.954 * math.sqrt(1 / AT_FIRST + 1 / size)
    error = noise if window <= 1 else _moved(moves) * max(window / math.sqrt(2 * AT_FIRST), 1.0)
    return float(values[-size:].mean() - values[:AT_FIRST].mean()) > HINTED * error


def judge_direction(run: Signals, name: str) -> State:
    """Judge if a metric (higher is better) rises, holds, falls or is flat, compared with its noise."""
    curve = run.select_finite(name)
    if len(curve) < 4:
        return State.UNKNOWN
    size = max(2, len(curve) // 4)
    values = np.asarray(curve, dtype=np.float64)
    noise = max(float(np.median(np.abs(np.diff(values)))) / 0.954, 1e-9 * float(np.abs(values).max()), 1e-12)
    # 0.954: the median of a normal difference is 0.6745 * sqrt(2) of the points' own spread.
    error = noise * (2 / size) ** 0.5
    if not run.is_ours:
        error = max(error, _smoothed_error(values, size), _window_error(run, name, values, size))
    first, best, last = compute_stretches(values, size)
    slight = 0.0 if run.is_ours else SLIGHT * float(np.median(np.abs(values)))
    least = max(CLEAR * error, slight)
    if best - last > least and best - first > CLEAR * error and best - last > REGAINED * (best - first):
        dipped = not run.is_ours and float(values[-AT_FIRST:].min()) >= best - REGAINED * (best - first)
        return State.HOLDING if dipped else State.FALLING
    risen = last - first > CLEAR * error or (not run.is_ours and _rose_at_once(run, name, values, last))
    if not risen or last - min(first, float(values[:AT_FIRST].mean())) <= slight:
        return State.FALLING if first - last > least else State.FLAT
    before = float(values[-2 * size : -size].mean())
    return State.RISING if last - before > error else State.HOLDING


def _smoothed_error(values: npt.NDArray[np.float64], size: int) -> float:
    """Compute the standard error of the difference of two stretches of a smoothed curve.

    Other programs log means over the last 100 episodes: neighbours differ by less than the curve's own noise. The error
    is widened as in `statistics.fit_trend` (Bayley and Hammersley 1946).
    """
    last = values[-size:]
    if size < SMOOTHED_FROM:
        return 0.0
    x = np.arange(size) - (size - 1) / 2
    residuals = last - last.mean() - x * float(x @ last) / float(x @ x)
    power = float(residuals @ residuals)
    repeats = float(residuals[1:] @ residuals[:-1]) / power if power > 0 else 0.0
    repeats = max(0.0, min(repeats, 0.98))
    return math.sqrt(2 * power / (size - 2) / size * (1 + repeats) / (1 - repeats))


def _window_error(run: Signals, name: str, values: npt.NDArray[np.float64], size: int) -> float:
    """Compute the standard error of the difference of two stretches of a curve of moving means.

    Means over k values of spread s move by s sqrt(2) / k from one to the next; two far apart differ by s sqrt(2 / k).
    """
    moves = np.diff(values)
    window = _window_of(run, name, moves, size)
    return _moved(moves) * math.sqrt(window) * min(1.0, math.sqrt(window / size))


def _window_of(run: Signals, name: str, moves: npt.NDArray[np.float64], size: int) -> float:
    """Estimate over how many iterations each value of a logged curve is averaged; 1 where our code measured it."""
    if run.is_measured_by_us:
        return 1.0
    steps, lengths = run.select_finite(ENV_STEPS), run.select_finite(EPISODE_LENGTH)
    if name == metrics.TRAIN_RETURN and run.history.dialect in WINDOWED and len(steps) > 1 and len(lengths):
        stride = float(np.median(np.diff(steps.to_numpy())))
        window = WINDOW * float(lengths.median()) / max(stride, 1.0)
        return min(max(window, 1.0), float(len(moves)))
    power = float(moves @ moves)
    repeats = float(moves[1:] @ moves[:-1]) / power if power > 0 else -0.5
    onward = name == metrics.EVAL_RETURN and float(np.mean(moves[1:] * moves[:-1] < 0)) <= ONWARD
    return float(min(UNKNOWN_WINDOW, size)) if repeats > INDEPENDENT and not onward else 1.0


def _rose_at_once(run: Signals, name: str, values: npt.NDArray[np.float64], last: float) -> bool:
    """True if the curve ends clearly above its first few values, so that the rise came within the first quarter.

    The first values of a moving mean are means over few: as noisy as what goes into it.
    """
    size = max(2, len(values) // 4)
    moves = np.diff(values)
    start = float(values[:AT_FIRST].mean())
    apart = run.history.program in APART and last - start > FAR * max(abs(last), abs(start))
    window = 1.0 if apart else _window_of(run, name, moves, size)
    error = _moved(moves) * max(window / math.sqrt(2 * AT_FIRST), 1.0)
    return last - start > CLEAR * error and last > float(values[:size].mean())


def _moved(moves: npt.NDArray[np.float64]) -> float:
    """Compute a robust spread of a curve's changes from value to value: 1.48 times the median size."""
    return 1.4826 * float(np.median(np.abs(moves)))


def compute_stretches(values: npt.NDArray[np.float64], size: int) -> tuple[float, float, float]:
    """Compute the means of the first, the best and the last `size` successive values of a curve."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    means = (sums[size:] - sums[:-size]) / size
    return float(means[0]), float(means.max()), float(means[-1])


def compute_lost_share(curve: "pd.Series[float]") -> float:
    """Compute the share of a curve's gain since the start that was lost again by the end."""
    if len(curve) < 4:
        return 0.0
    first, best, last = compute_stretches(np.asarray(curve, dtype=np.float64), max(2, len(curve) // 4))
    return (best - last) / (best - first) if best > first else 1.0
