"""The reward of training hardly depends on what the policy does: single episodes scatter far more than evaluations.

Noise in the reward leaves a mean that chance throws about, and a critic with nothing to explain. Evaluations that count
the task's own reward do not scatter so.
"""

import math

import numpy as np
import numpy.typing as npt
from unstuck.analysis.diagnosis.evaluations import find_paid_otherwise
from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Ground, Kind, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.signals import WINDOW, WINDOWED, Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.diagnosis.wrapped import make_evidence, read_fact
from unstuck.analysis.history.record import ENV_STEPS, EPISODE_LENGTH, WRAPPED_REWARD_NOISE
from unstuck.analysis.words import number
from unstuck.rl import metrics

POINTS, EVALUATIONS = 12, 6
"""Returns of training, and evaluations, on record before anything is said."""

EVALUATED = 5
"""Episodes whose mean an evaluation is taken for; where they are more, evaluations scatter more than is assumed."""

MORE = 5.0
"""Factor by which episodes of training must scatter more than those of evaluations, than half of the range of all
evaluations, and than a tenth of their size: evaluations of one fixed start do not scatter at all."""

NOTHING = 0.1
"""Explained variance below which the critic explains next to nothing."""

ADDED = 5.0
"""Factor by which noise that a wrapper adds to an episode's return must exceed the spread of the environment's own."""


def examine(run: Signals) -> Finding | None:
    """Return a fault if training's returns scatter far more than evaluations and nothing is learned; None otherwise."""
    added = read_fact(run, WRAPPED_REWARD_NOISE)
    if added is not None and added >= ADDED:
        return _make_noise(run, added)
    explained, scatter = run.select_last(metrics.EXPLAINED_VARIANCE), measure_scatter(run)
    if run.is_ours or scatter is None or explained is None or explained.median >= NOTHING:
        return None
    values = np.asarray(run.select_finite(metrics.EVAL_RETURN), dtype=np.float64)
    if len(values) < EVALUATIONS or judge_standing(run).has_learned or find_paid_otherwise(run):
        return None
    usual = math.sqrt(EVALUATED) * _measure_changes(values)
    counted = max(usual, float(np.ptp(values)) / 2, abs(float(values.mean())) / 10)
    trained = run.select_finite(metrics.TRAIN_RETURN)
    if scatter < MORE * counted or (not np.ptp(values) and not trained.min() < values[0] < trained.max()):
        return None  # noise goes both ways about evaluations that are all the same
    text = (
        f"single episodes of training scatter by about {number(scatter, 2)}, and evaluations lie between "
        f"{number(float(values.min()), 3)} and {number(float(values.max()), 3)}"
    )
    return Finding(
        headline=f"Noise buries the reward: {text}",
        kind=Kind.FAULT,
        sureness=Sureness.LIKELY,
        why=f"the critic explains {number(explained.median, 2)} of what it is to predict; {judge_standing(run).brief}",
        evidence=(
            Evidence(
                text, (metrics.TRAIN_RETURN, metrics.EVAL_RETURN), (int(trained.index[0]), int(trained.index[-1]))
            ),
            Evidence(f"explained variance {number(explained.median, 2)}", (explained.metric,), explained.reach),
        ),
        causes=(
            Cause(
                "noise in training's rewards that is far larger than what actions change",
                "do the same actions from one seed twice, and print both rewards",
                Support.SUPPORTED,
                text,
            ),
            Cause(
                "rare events of great size (a crash, a jackpot) that evaluations have not met",
                "look at the largest and the smallest of a thousand episodes' returns",
            ),
        ),
        since=int(trained.index[POINTS - 1]),
        ground=Ground.PACE,
    )


def _make_noise(run: Signals, added: float) -> Finding:
    """Return the fault of a wrapper that was seen to add noise to the rewards."""
    text = f"a wrapper adds {number(added, 2)} times as much to an episode's return as the environment's returns differ"
    return Finding(
        headline=f"Noise buries the reward: {text}",
        kind=Kind.FAULT,
        sureness=Sureness.LIKELY,
        why=f"neither what is seen nor what is done foretells what is added; {judge_standing(run).brief}",
        evidence=(make_evidence(run, text, WRAPPED_REWARD_NOISE),),
        causes=(
            Cause(
                "a wrapper that adds noise to the rewards",
                "print what `step` pays inside and outside of each wrapper, for ten steps",
                Support.SUPPORTED,
                text,
            ),
            Cause(
                "a wrapper that pays for what no observation shows",
                "give what it pays for as a column of the observation",
            ),
        ),
        since=int(run.select_finite(WRAPPED_REWARD_NOISE).index[0]),
        ground=Ground.PACE,
    )


def measure_scatter(run: Signals) -> float | None:
    """Estimate the spread of single episodes' returns from changes of their logged mean; None if impossible.

    A mean over the last `WINDOW` episodes changes by as many episodes as are new: by s sqrt(2 n) / `WINDOW`.
    """
    trained = np.asarray(run.select_finite(metrics.TRAIN_RETURN), dtype=np.float64)
    steps, lengths = run.select_finite(ENV_STEPS), run.select_finite(EPISODE_LENGTH)
    if len(trained) < POINTS or len(steps) < 2 or lengths.empty or float(lengths.median()) <= 0:
        return None
    new = max(float(np.median(np.diff(steps.to_numpy()))) / float(lengths.median()), 1.0)
    if run.history.dialect in WINDOWED:
        return _measure_changes(trained) * WINDOW / math.sqrt(min(new, WINDOW))
    return _measure_changes(trained) * math.sqrt(new)


def _measure_changes(values: npt.NDArray[np.float64]) -> float:
    """Compute the spread of a curve around its trend from differences of neighbouring values."""
    return float(np.median(np.abs(np.diff(values)))) / 0.954


RULE = Rule(
    name="rewards_noisy",
    title="Noise buries the reward",
    stage=Stage.CEILING,
    needs=((metrics.TRAIN_RETURN,), (metrics.EVAL_RETURN, WRAPPED_REWARD_NOISE), (metrics.EXPLAINED_VARIANCE,)),
    helps=(EPISODE_LENGTH,),
    explains=(
        *("critic_underfits", "signal_lost", "oscillating", "entropy_pinned", "greedy_vs_sampled", "reward_scale"),
        "learns_backwards",
    ),
    curable=False,
    says=(
        "single episodes of training scatter far more than evaluations, the critic explains nothing, and nothing is "
        "learned; or a wrapper adds noise"
    ),
    threshold=(
        "5 times as much as evaluations of 5 episodes, as half of their range and as a tenth of their size; explained "
        "variance below 0.1; or noise that a wrapper adds to an episode's return is 5 times the spread of the "
        "environment's own, in a run that has learned nothing"
    ),
    source="Henderson et al. 2018; Jones 2021 (probe environments with a reward that is known); measured here",
    examine=examine,
)
