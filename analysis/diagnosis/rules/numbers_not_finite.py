"""A number that is not finite came in from outside: losses were in order, and from one update to the next were none.

A run that diverges does so step by step: its loss or its gradient grows first (`value_explosion`). One that is fed an
infinite reward or a NaN in an observation breaks at once.
"""

import math

import pandas as pd
from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Ground, Kind, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.rules.updates_too_large import LARGE_KL
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.words import number
from unstuck.rl import metrics

LAST, CALM = 3, 3.0
"""Values before the break, and the factor of their metric's median within which each of them lies in a calm run."""

POINTS = 5
"""Finite values before the break."""


def examine(run: Signals) -> Finding | None:
    """Return a fault if losses turn infinite or NaN within one update, without having grown before; None otherwise."""
    names = (metrics.VALUE_LOSS, metrics.POLICY_LOSS, metrics.GRAD_NORM)
    curves = [curve for curve in map(run.history.curve, names) if _is_broken(curve)]
    breaks = [int(curve[~(curve.abs() < math.inf)].index[0]) for curve in curves]
    if not breaks or not _was_calm(run, min(breaks)):
        return None
    when, loss = min(breaks), run.select_finite(metrics.VALUE_LOSS).loc[: min(breaks) - 1]
    text = f"losses are not finite from iteration {when} on, after a value loss of {number(float(loss.iloc[-1]), 3)}"
    inputs = run.history.curve(metrics.INPUT_RMS_MAX)
    outside = bool((~(inputs.abs() < math.inf)).any())
    return Finding(
        headline=f"A number that is not finite came in from outside: {text}",
        kind=Kind.FAULT,
        sureness=Sureness.SURE if outside else Sureness.LIKELY,
        why="a run that diverges by itself grows first, and no setting mends a number that is not one",
        evidence=(Evidence(text, (metrics.VALUE_LOSS,), (int(loss.index[-1]), when)),),
        causes=(
            Cause(
                "an observation that is NaN or infinite (a division by 0, a missing value, a sensor's gap)",
                "assert that every observation and reward of a rollout is finite, before they are stored",
                Support.SUPPORTED if outside else Support.OPEN,
                "the inputs' size is not finite" if outside else "",
            ),
            Cause("a reward that is NaN or infinite", "print the largest reward of each rollout"),
            Cause(
                "the logarithm or the division of a 0 in a loss of one's own",
                "find the first operation that gives a number not finite",
            ),
        ),
        since=when,
        ground=Ground.PROOF,
    )


def _is_broken(curve: "pd.Series[float]") -> bool:
    return bool((~(curve.abs() < math.inf)).any())


def _was_calm(run: Signals, when: int) -> bool:
    """True if, before an iteration, neither value loss nor gradient had grown and updates were not large."""
    loss = run.select_finite(metrics.VALUE_LOSS).loc[: when - 1]
    if len(loss) < POINTS:
        return False
    for name in (metrics.VALUE_LOSS, metrics.GRAD_NORM):
        before = run.select_finite(name).loc[: when - 1]
        if len(before) and float(before.iloc[-LAST:].max()) > CALM * max(float(before.median()), 1e-12):
            return False
    kl = run.select_finite(metrics.APPROX_KL).loc[: when - 1]
    return kl.empty or float(kl.iloc[-LAST:].max()) < LARGE_KL


RULE = Rule(
    name="numbers_not_finite",
    title="Numbers not finite",
    stage=Stage.BUG,
    needs=((metrics.VALUE_LOSS,),),
    helps=(metrics.INPUT_RMS_MAX, metrics.GRAD_NORM),
    explains=("value_explosion", "learned_and_lost", "policy_frozen", "oscillating", "greedy_collapsed"),
    curable=False,
    says=("an observation or a reward is no number: losses were in order, and broke from one update to the next"),
    threshold=(
        "five finite value losses; the last three of loss and gradient within 3 times their medians, and KL below 0.05"
    ),
    source="Stable-Baselines3's documentation (VecCheckNan); measured here",
    examine=examine,
)
