"""Judge if a run is learning: most rules need the answer before a fault counts as one."""

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd
from unstuck.analysis.diagnosis.evaluations import find_paid_otherwise
from unstuck.analysis.diagnosis.signals import OURS, WINDOW, WINDOWED, Signals
from unstuck.analysis.diagnosis.tasks import find_task
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.history.known import EVALUATION_GREEDY
from unstuck.analysis.history.record import ENV_STEPS, EPISODE_LENGTH, EVAL_SUCCESS_RATE, SUCCESS_RATE
from unstuck.analysis.words import format_uncertain, join_words, number, pluralize
from unstuck.rl import metrics
from unstuck.rl.metrics import FINAL_EVALUATIONS

TRIVIAL_MARGIN = 0.01
"""Margin of F1 over the best trivial policy's within which F1 is no better, as in the health rules."""

CLEAR = 3.0
"""Standard errors from which a change counts."""

UNKNOWN_WINDOW = 25
"""Iterations that a curve may be a moving mean over, where its values move too smoothly to be independent."""

INDEPENDENT = -0.25
"""Correlation of successive moves: -0.5 for independent values, about 0 for moving means."""

AT_FIRST = 3
"""Values that are a run's start, where its first quarter holds all of the rise."""

SMOOTHED_FROM = 8
"""Values of a stretch from which on their autocorrelation can be told."""

LOST = 0.75
"""Share of a run's gain that must be lost again before the run has nothing to show."""

FROZEN = 20
"""Last values that must be all but the same before a return counts as one that no longer varies."""

FROZEN_SHARE = 0.95
"""Share of these that must be the same: a curve may hold a few points from before its logger caught up."""

SAME = 1e-6
"""Difference, as a share of their size, of values that are the same up to rounding."""


SOLVED = 0.95
"""Share of the best return of a known task from which the task counts as solved."""

TRIED = 20
"""Values of a success rate, all 0, from which on the task counts as never solved."""

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


@dataclass(frozen=True)
class Standing:
    """Level and direction of a run's score, compared with policies that have learned nothing.

    Attributes:
        score: Metric of the standing: F1, else the return of evaluations, else of training episodes.
        level: Last evaluations; None if the score was never recorded.
        state: Direction of the score.
        trivial: True if F1 is no better than the best policy that has learned nothing; None without F1.
        text: The standing in words, with numbers.
        lost: Share of the best gain that was lost again.
        frozen: Number of last values of the training return that are the same; 0 if the return varies.
        at_best: True if the frozen return is the best that the known task allows.
        failed: Number of values of the success rate if all are 0, and at least `TRIED`; else 0.
        begins_late: True if the record begins in mid-run: what is no better than there may have been learned before.
        hides_rise: True if a rise may lie before the first values, as episodes of another learner last `BRIEF` steps at
            most, or among them.
    """

    score: str
    level: Window | None
    state: State
    trivial: bool | None
    text: str
    lost: float = 0.0
    frozen: int = 0
    at_best: bool = False
    failed: int = 0
    begins_late: bool = False
    hides_rise: bool = False

    @property
    def has_learned(self) -> bool:
        """True if the run's last score is clearly above the first, and above policies that have learned nothing.

        A return that has stopped to rise shows nothing where a success rate says that no episode succeeds.
        """
        return self.state in (State.RISING, State.HOLDING) and not self.trivial and not self.is_poor

    @property
    def is_untaught(self) -> bool:
        """True if the score is no better than at the start of training, which the record holds."""
        return self.state is State.FLAT and not self.begins_late and not self.may_have_learned

    @property
    def may_have_learned(self) -> bool:
        """True if a level score does not tell: a rise may lie before its first values, or among them.

        Returns that do not vary, or none of which succeeds, show that nothing was learned all the same.
        """
        return self.state is State.FLAT and self.hides_rise and not self.frozen and not self.failed

    @property
    def brief(self) -> str:
        """Short phrase that says how the run's score develops, for use within a sentence."""
        if self.is_poor:
            return "the run has nothing to show for it"
        if self.begins_late and self.state is State.FLAT:
            return "the run is where its record begins"
        if self.may_have_learned:
            return "a rise may lie before the first returns, or among them"
        return _BRIEFLY[self.state]

    @property
    def is_poor(self) -> bool:
        """True if the score is no better than untrained or at the start, no episode succeeds, or most is lost."""
        if self.trivial is not None:
            return self.trivial and self.state is not State.RISING
        if self.failed and self.state in (State.HOLDING, State.FLAT):
            return True
        return self.is_untaught or (self.state is State.FALLING and self.lost > LOST)


def reaches_best(run: Signals, share: float) -> bool | None:
    """True if the late return is at least a share of the best one in a known task; None for an unknown task."""
    task, late = find_task(run.setting("env.id")), run.select_last(metrics.TRAIN_RETURN)
    return late.mean >= share * task.best if task is not None and task.best is not None and late is not None else None


def is_solved(run: Signals) -> bool:
    """True if the return in a known task is about the best possible."""
    return reaches_best(run, SOLVED) is True


@lru_cache(maxsize=16)
def judge_standing(run: Signals) -> Standing:
    """Judge level and direction of a run's score: F1, else the return of evaluations, else of training episodes."""
    candidates = (metrics.F1, metrics.EVAL_RETURN, metrics.TRAIN_RETURN)
    score = next((name for name in candidates if run.has(name)), metrics.TRAIN_RETURN)
    level = run.select_last(score, share=0.0, least=FINAL_EVALUATIONS)
    if level is None:
        return Standing(score, None, State.UNKNOWN, None, "no returns were recorded")
    trivial = None
    if score == metrics.F1 and run.trivial_f1:
        trivial = level.mean <= max(run.trivial_f1.values()) + TRIVIAL_MARGIN
    state = _state(run, score)
    unclear = state in (State.FLAT, State.HOLDING, State.UNKNOWN)
    few = score == metrics.EVAL_RETURN and state in (State.FLAT, State.FALLING)
    sampled = _state(run, metrics.TRAIN_RETURN) if unclear or few else State.UNKNOWN
    if sampled in (State.RISING, State.HOLDING) and find_paid_otherwise(run):
        sampled = State.UNKNOWN  # what training gains is nothing that evaluations count
    kept = sampled is State.FALLING and _lost(run.select_finite(metrics.TRAIN_RETURN)) <= LOST
    if (few and (sampled is State.HOLDING or kept)) or (state is State.UNKNOWN and sampled is State.HOLDING):
        state = State.HOLDING
    elif sampled is State.RISING:
        state = sampled  # the policy gets better where few evaluations, or F1, cannot show it yet
    frozen, at_best = 0 if score == metrics.F1 else _frozen(run), False
    if frozen:
        task = find_task(run.setting("env.id"))
        last = float(run.select_finite(metrics.TRAIN_RETURN).iloc[-1])
        state = State.HOLDING if state is State.RISING else state
        at_best = task is not None and task.best is not None and last >= task.best * (1 - SAME)
    failed = _count_failures(run)
    text = _text(run, score, level, state, trivial)
    text += f"; no episode has succeeded in {pluralize(failed, 'value')} of the success rate" if failed else ""
    lost, late = _lost(run.select_finite(score)), run.history.unrecorded > 0
    return Standing(score, level, state, trivial, text, lost, frozen, at_best, failed, late, _may_hide_rise(run, score))


def _may_hide_rise(run: Signals, name: str) -> bool:
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


def _count_failures(run: Signals) -> int:
    """Count recorded success rates, of training and evaluation, if all are 0 and many; else return 0.

    The sign of success is the program's own: a rate that is 0 throughout says that the task is not solved.
    """
    values = np.concatenate([run.select_finite(name).to_numpy() for name in (SUCCESS_RATE, EVAL_SUCCESS_RATE)])
    return len(values) if len(values) >= TRIED and not values.any() else 0


def _frozen(run: Signals) -> int:
    """Count training returns at the run's end that are almost equal; return 0 if fewer than `FROZEN`."""
    values = run.select_finite(metrics.TRAIN_RETURN).to_numpy()[::-1]
    if len(values) < FROZEN:
        return 0
    level = float(np.median(values[:FROZEN]))
    same = np.abs(values - level) <= SAME * max(1.0, abs(level))
    share = np.cumsum(same) / np.arange(1, len(same) + 1)
    enough = np.flatnonzero(same & (share >= FROZEN_SHARE))
    count = int(enough[-1]) + 1 if len(enough) else 0
    return count if FROZEN <= count < len(values) else 0  # one that has never varied has not frozen


def _state(run: Signals, name: str) -> State:
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
    if best - last > CLEAR * error and best - first > CLEAR * error and best - last > 0.25 * (best - first):
        return State.FALLING
    if last - first <= CLEAR * error and not (not run.is_ours and _rose_at_once(run, name, values, last)):
        return State.FALLING if first - last > CLEAR * error else State.FLAT
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
    return float(min(UNKNOWN_WINDOW, size)) if repeats > INDEPENDENT else 1.0


def _rose_at_once(run: Signals, name: str, values: npt.NDArray[np.float64], last: float) -> bool:
    """True if the curve ends clearly above its first few values, so that the rise came within the first quarter.

    The first values of a moving mean are means over few: as noisy as what goes into it.
    """
    size = max(2, len(values) // 4)
    moves = np.diff(values)
    window = _window_of(run, name, moves, size)
    error = _moved(moves) * max(window / math.sqrt(2 * AT_FIRST), 1.0)
    return last - float(values[:AT_FIRST].mean()) > CLEAR * error and last > float(values[:size].mean())


def _moved(moves: npt.NDArray[np.float64]) -> float:
    """Compute a robust spread of a curve's changes from value to value: 1.48 times the median size."""
    return 1.4826 * float(np.median(np.abs(moves)))


def compute_stretches(values: npt.NDArray[np.float64], size: int) -> tuple[float, float, float]:
    """Compute the means of the first, the best and the last `size` successive values of a curve."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    means = (sums[size:] - sums[:-size]) / size
    return float(means[0]), float(means.max()), float(means[-1])


def _lost(curve: "pd.Series[float]") -> float:
    """Compute the share of a curve's gain since the start that was lost again by the end."""
    if len(curve) < 4:
        return 0.0
    first, best, last = compute_stretches(np.asarray(curve, dtype=np.float64), max(2, len(curve) // 4))
    return (best - last) / (best - first) if best > first else 1.0


def _text(run: Signals, score: str, level: Window, state: State, trivial: bool | None) -> str:
    title = {metrics.F1: "F1", metrics.EVAL_RETURN: name_return(run), metrics.TRAIN_RETURN: "return"}[score]
    seeds = run.seeds(score)
    values = list(seeds.values())
    spread = Window(score, level.iterations, tuple(values)).spread if len(values) > 1 else 0.0
    words = f"{title} {format_uncertain(level.mean, spread) if spread else number(level.mean)}"
    words += f" over the last {pluralize(len(level.values), name_counted(run, score))}"
    if len(values) > 1:
        words += f" and {len(values)} seeds"
    if trivial is not None:
        policies = [f"{name.replace('_', ' ')} {number(value, 3)}" for name, value in run.trivial_f1.items()]
        words += (
            f", {'no better than' if trivial else 'above'} policies that have learned nothing ({join_words(policies)})"
        )
    going = _GOING[state] if run.holds_start(score) else _GOING_LATE.get(state, _GOING[state])
    return f"{words}; {going}"


def name_return(run: Signals) -> str:
    """Return what to call a run's evaluation return: greedy only if its evaluations are known to be.

    A command's returns may be those of training episodes, and other programs may draw actions in evaluations, too.
    """
    if not evaluates_apart(run):
        return "return"
    return "greedy return" if evaluates_greedily(run) else "return in evaluation"


def evaluates_greedily(run: Signals) -> bool:
    """True if a run's evaluations take the most probable action, as far as its settings and its program tell."""
    if run.setting(EVALUATION_GREEDY) is False:
        return False
    trainer = run.setting("trainer.name")
    return run.history.program in _GREEDY if trainer is None else trainer in _GREEDY_TRAINERS


def evaluates_apart(run: Signals) -> bool:
    """True unless a run's evaluation returns may be those of training's own episodes, as of a script without any."""
    return bool(run.setting("trainer.name") != _COMMAND)


def name_counted(run: Signals, score: str) -> str:
    """Return what each value of a score belongs to, as a word such as `iteration` or `evaluation`."""
    if score == metrics.TRAIN_RETURN:
        return "iteration"
    return "evaluation" if run.history.dialect == OURS else "evaluated iteration"


_GREEDY = (OURS, "sb3", "sb2")
"""Programs whose evaluations take the most probable action, Stable-Baselines' unless its user asks for draws."""

_GREEDY_TRAINERS, _COMMAND = ("ppo", "sb3"), "command"
"""Options of `trainer` whose evaluations are greedy, and the option that reads returns from a script's log."""

_BRIEFLY = {
    State.RISING: "the run gets better all the same",
    State.HOLDING: "the run has got better all the same",
    State.FALLING: "the run had been better",
    State.FLAT: "the run is where it started",
    State.UNKNOWN: "how the run stands is not known",
}

_GOING = {
    State.RISING: "still rising",
    State.HOLDING: "risen since the start, now level",
    State.FALLING: "it had been better",
    State.FLAT: "no better than at the start",
    State.UNKNOWN: "too few values to tell where it is going",
}

_GOING_LATE = {
    State.HOLDING: "risen since the record begins, now level",
    State.FLAT: "no better than where the record begins",
}
"""The same of a record that begins far into a run."""
