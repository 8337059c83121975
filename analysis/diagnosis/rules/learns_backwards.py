"""The policy gets worse: updates go against the advantages, or the return falls from the start.

Where a learner records whether updates follow the advantages, a wrong sign shows at once. Elsewhere the return tells:
noise leaves the return at the same level, and steps that are too large throw the return about; a return that falls
steadily below the untrained policy's means that the wrong thing is optimised.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from unstuck.analysis.diagnosis.direction import compute_stretches
from unstuck.analysis.diagnosis.finding import (
    Blind,
    Cause,
    Evidence,
    Finding,
    Ground,
    Kind,
    Rule,
    Stage,
    Support,
    Sureness,
)
from unstuck.analysis.diagnosis.rules.doing_nothing_pays import find_put_off
from unstuck.analysis.diagnosis.rules.entropy_pinned import widens
from unstuck.analysis.diagnosis.rules.reward_sparse import find_seldom_met
from unstuck.analysis.diagnosis.rules.updates_too_large import LARGE_CLIP, LARGE_KL, were_large
from unstuck.analysis.diagnosis.rules.updates_too_small import SMALL_KL
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.throws import RUINOUS_KL
from unstuck.analysis.words import number
from unstuck.rl import metrics

POINTS = 10
"""Returns on record before anything is said."""

CLEAR = 3.0
"""Standard errors by which the end must lie below the start, and by which no stretch may lie above the start."""

SOON = 0.3
"""Share of the run within which the return must have begun to fall, by one standard error less: a policy moved by
noise may drift below its start as well, though later."""

PLAIN = 10.0
"""A drop of so many needs no test for a trend: a curve that has reached its lowest level has none any more."""


SETTLES = 0.05
"""Share of itself by which an entropy must have fallen to show that updates move the policy, where KL is not logged."""

AGAINST = 3.0
"""Standard errors by which updates must be against their advantages, on average over `EVALUATIONS` or more."""

EVALUATIONS = 3

LEAST_ERROR = 0.03
"""Standard error of one such correlation at the least: that of chance among 512 samples is 0.044."""


def examine(run: Signals) -> Finding | Blind | None:
    """Return a finding if updates make good actions less likely, or the return falls from the start; None otherwise."""
    found = _against(run) or _fallen(run)
    return found if found or run.has(metrics.APPROX_KL) else Blind(((metrics.APPROX_KL,),))


def _against(run: Signals) -> Finding | None:
    """Return a fault if updates make actions with positive advantage less likely; None otherwise."""
    followed, kl = run.select_all(metrics.ADVANTAGE_FOLLOWED), run.select_all(metrics.APPROX_KL)
    if followed is None or len(followed.values) < EVALUATIONS or (kl is not None and max(kl.values) < SMALL_KL):
        return None
    if followed.mean > -AGAINST * max(followed.error, LEAST_ERROR / math.sqrt(len(followed.values))):
        return None
    text = (
        f"the correlation of advantages with the change of their actions' log-probabilities is {followed.level} "
        f"{followed.where}, and above 0 in runs that learn"
    )
    return Finding(
        headline="The policy is being made worse: its updates go against the advantages, correlation "
        f"{number(followed.mean, 2)}",
        kind=Kind.FAULT,
        sureness=Sureness.SURE,
        why="an update that does what its loss should makes actions that paid more likely",
        evidence=(Evidence(text, (followed.metric,), followed.reach),),
        causes=(
            Cause(
                "the policy's loss, or its advantages, have the wrong sign",
                "train on a bandit with one paying action: it must be preferred within seconds",
                Support.SUPPORTED,
                f"correlation {number(followed.mean, 2)}",
            ),
            Cause(
                "the sign is wrong for a part of the samples only: of some lanes, or some workers",
                "measure the correlation lane by lane",
            ),
        ),
        since=followed.iterations[EVALUATIONS - 1],
    )


def _fallen(run: Signals) -> Finding | None:
    """Return a finding if the return of training episodes falls from the start of the run; None otherwise."""
    curve = run.select_finite(metrics.TRAIN_RETURN)
    kl, clipped = run.select_all(metrics.APPROX_KL), run.select_all(metrics.CLIP_FRACTION)
    if len(curve) < POINTS or (kl is None and not _settles(run)):
        return None
    if kl is not None and (max(kl.values) < SMALL_KL or kl.mean > LARGE_KL or max(kl.values) > RUINOUS_KL):
        return None  # nothing moves the policy, or single updates throw it away
    if not run.holds_start(
        kl.metric if kl else metrics.TRAIN_RETURN
    ):  # returns begin with the first end of an episode, which may be rollouts later
        return None  # what a record that begins in mid-run loses had been learned before: no sign is wrong
    if clipped is not None and clipped.mean > LARGE_CLIP:
        return None
    if not run.is_ours and (find_seldom_met(run) is not None or widens(run) or find_put_off(run) is not None):
        return None  # chance finds less, actions scatter more, or an end is put off: no sign is wrong
    falls = run.trend(metrics.TRAIN_RETURN)
    whole, head = _fall(curve), _fall(curve.loc[: max(int(curve.index[POINTS - 1]), int(SOON * run.history.length))])
    if not whole.never_rose or min(whole.drop, head.drop + 1) < CLEAR or not (falls.falls or whole.drop > PLAIN):
        return None
    first, last = whole.first, whole.last
    mean = " on average" if were_large(run) else ""
    begin, end = int(curve.index[0]), int(curve.index[-1])
    text = f"the return of training episodes falls from {number(first)} to {number(last)}"
    return Finding(
        headline=f"The policy is being made worse: {text}",
        kind=Kind.SUSPECT if _is_told(run) or kl is None else Kind.FAULT,
        sureness=Sureness.SURE if kl else Sureness.LIKELY,
        why=(
            f"updates are of a usual size{mean} (KL {number(kl.mean, 2)})"
            if kl
            else "the policy settles by its entropy"
        )
        + f", and the return never rose (Mann-Kendall p {number(falls.p, 2)})",
        evidence=(Evidence(f"{text} over iterations {begin} to {end}", (metrics.TRAIN_RETURN,), (begin, end)),),
        causes=(
            Cause(
                "the policy's loss, the advantages or the rewards have the wrong sign",
                "train on a bandit with one paying action: it must be preferred within seconds",
            ),
            Cause(
                "actions that are stored, or executed, in another order than they are chosen",
                "act by a rule that knows what pays: its return must be the best there is",
            ),
            Cause(
                "rewards that pay for what ends episodes early, or for nothing that the return counts",
                "compute what each action earns when always taken",
                *_ends_sooner(run),
            ),
        ),
        since=int(curve.index[min(POINTS, len(curve)) - 1]),
        ground=Ground.PACE,
    )


def _settles(run: Signals) -> bool:
    """True if another learner's policy settles, by an entropy that falls, so that updates do move it."""
    start, late = run.select_first(metrics.ENTROPY), run.select_last(metrics.ENTROPY)
    if run.is_ours or start is None or late is None or not run.trend(metrics.ENTROPY).falls:
        return False
    return start.mean - late.mean > SETTLES * abs(start.mean)


def _is_told(run: Signals) -> bool:
    """True if the run recorded whether updates follow advantages, which would show a wrong sign."""
    followed = run.select_all(metrics.ADVANTAGE_FOLLOWED)
    return followed is not None and len(followed.values) >= EVALUATIONS


class _Fall(NamedTuple):
    """Fall of the return over a run: first and last mean, drop in standard errors, and if the first was the highest."""

    first: float
    last: float
    drop: float
    never_rose: bool


def _fall(curve: "pd.Series[float]") -> _Fall:
    values = np.asarray(curve, dtype=np.float64)
    size = max(3, len(values) // 4)
    noise = max(float(np.median(np.abs(np.diff(values)))) / 0.954, 1e-9 * float(np.abs(values).max()), 1e-12)
    error = noise * (2 / size) ** 0.5
    first, best, last = compute_stretches(values, size)
    return _Fall(first, last, (first - last) / error, best - first <= CLEAR * error)


def _ends_sooner(run: Signals) -> tuple[Support, str]:
    if run.is_triage:
        return Support.RULED_OUT, "episodes all have the same length"
    return Support.OPEN, ""


RULE = Rule(
    name="learns_backwards",
    title="Learns backwards",
    stage=Stage.BUG,
    needs=((metrics.TRAIN_RETURN,),),
    helps=(metrics.ADVANTAGE_FOLLOWED, metrics.CLIP_FRACTION),
    explains=(
        *("entropy_collapsed", "greedy_collapsed", "greedy_vs_sampled", "oscillating", "signal_lost"),
        *("critic_underfits", "policy_starved", "policy_frozen", "entropy_pinned"),
    ),
    says=(
        "updates go against their advantages; where that was not recorded, the return falls from the start with "
        "updates of a usual size (else a suspect)"
    ),
    threshold=(
        "correlation 3 standard errors below 0, in 3 evaluations at least; return 3 standard errors below its start, "
        "never above, begun within 30 % of the run, in a record that holds the start; a doubt where no KL is on "
        "record and entropy fell by a twentieth"
    ),
    source="Jones 2021, Debugging RL without the agonizing pain (probe environments); Schulman 2017; measured here",
    examine=examine,
)
