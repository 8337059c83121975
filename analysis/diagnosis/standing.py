"""Judge if a run is learning: most rules need the answer before a fault counts as one."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from unstuck.analysis.diagnosis.direction import State, compute_lost_share, judge_direction, may_hide_rise
from unstuck.analysis.diagnosis.evaluations import find_paid_otherwise
from unstuck.analysis.diagnosis.signals import OURS, Signals
from unstuck.analysis.diagnosis.tasks import find_task
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.history.known import EVALUATION_GREEDY
from unstuck.analysis.history.record import EVAL_SUCCESS_RATE, SUCCESS_RATE
from unstuck.analysis.words import format_uncertain, join_words, number, pluralize
from unstuck.rl import metrics
from unstuck.rl.metrics import FINAL_EVALUATIONS

TRIVIAL_MARGIN = 0.01
"""Margin of F1 over the best trivial policy's within which F1 is no better, as in the health rules."""


EVALUATIONS = 4
"""Evaluations of another learner, below which a return of training that was recorded more often tells more."""

PLENTY = 40
"""Evaluations of another learner that show by themselves that a policy got worse, whatever training returns."""

LOST = 0.75
"""Share of a run's gain that must be lost again before the run has nothing to show."""

FROZEN = 20
"""Last values that must be all but the same before a return counts as one that no longer varies."""

FROZEN_SHARE = 0.95
"""Share of these that must be the same: a curve may hold a few points from before its logger caught up."""

SAME, ENOUGH = 1e-6, 4
"""Difference, as a share of their size, of values that are the same up to rounding; returns of which one says that all
are the same."""


SOLVED = 0.95
"""Share of the best return of a known task from which the task counts as solved."""

FEW, MOST = 0.4, 0.8
"""Success rates up to which few episodes succeed, and from which on most do."""

TRIED = 20
"""Values of a success rate, all 0, from which on the task counts as never solved."""


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
    if not run.is_ours and score == metrics.EVAL_RETURN and len(run.select_finite(score)) < EVALUATIONS:
        score = max(score, metrics.TRAIN_RETURN, key=lambda name: len(run.select_finite(name)))
    level = run.select_last(score, share=0.0, least=FINAL_EVALUATIONS)
    if level is None:
        return Standing(score, None, State.UNKNOWN, None, "no returns were recorded")
    trivial = None
    if score == metrics.F1 and run.trivial_f1:
        trivial = level.mean <= max(run.trivial_f1.values()) + TRIVIAL_MARGIN
    state = judge_direction(run, score)
    unclear = state in (State.FLAT, State.HOLDING, State.UNKNOWN)
    few = score == metrics.EVAL_RETURN and state in (State.FLAT, State.FALLING)
    few = few and (run.is_ours or state is State.FLAT or len(run.select_finite(score)) < PLENTY)
    sampled = judge_direction(run, metrics.TRAIN_RETURN) if unclear or few else State.UNKNOWN
    if sampled in (State.RISING, State.HOLDING) and find_paid_otherwise(run):
        sampled = State.UNKNOWN  # what training gains is nothing that evaluations count
    kept = sampled is State.FALLING and compute_lost_share(run.select_finite(metrics.TRAIN_RETURN)) <= LOST
    if (few and (sampled is State.HOLDING or kept)) or (state is State.UNKNOWN and sampled is State.HOLDING):
        state = State.HOLDING
    elif sampled is State.RISING:
        state = sampled  # the policy gets better where few evaluations, or F1, cannot show it yet
    elif state is State.FLAT and not run.is_ours and _succeeds(run):
        state = State.HOLDING
    frozen, at_best = 0 if score == metrics.F1 else _frozen(run), False
    if frozen:
        task = find_task(run.setting("env.id"))
        last = float(run.select_finite(metrics.TRAIN_RETURN).iloc[-1])
        state = State.HOLDING if state is State.RISING else state
        at_best = task is not None and task.best is not None and last >= task.best * (1 - SAME)
    failed = _count_failures(run)
    text = _text(run, score, level, state, trivial)
    text += f"; no episode has succeeded in {pluralize(failed, 'value')} of the success rate" if failed else ""
    lost, late = compute_lost_share(run.select_finite(score)), run.history.unrecorded > 0
    return Standing(score, level, state, trivial, text, lost, frozen, at_best, failed, late, may_hide_rise(run, score))


def count_equal_returns(run: Signals) -> int:
    """Count all returns on record if they are the same, above 0, and enough to say so; return 0 otherwise.

    Such a run is solved from the start, or stuck: returns do not tell. All 0 or less may as well be the least there is.
    """
    curves = (run.select_finite(name) for name in (metrics.TRAIN_RETURN, metrics.EVAL_RETURN))
    values = [value for curve in curves for value in curve]
    alike = len(values) >= ENOUGH and min(values) > 0 and max(values) - min(values) <= SAME * max(values)
    return len(values) if alike else 0


def _succeeds(run: Signals) -> bool:
    """True if most episodes succeed in a run of which few did at first: noisy returns may not show that rise."""
    for name in (SUCCESS_RATE, EVAL_SUCCESS_RATE):
        first, late = run.select_first(name), run.select_last(name)
        if first and late and len(run.select_finite(name)) >= TRIED and first.mean <= FEW and late.mean >= MOST:
            return run.holds_start(name)
    return False


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
