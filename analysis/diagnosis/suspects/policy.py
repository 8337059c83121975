"""Suspect the policy: a bonus that widens it, an entropy that is gone, inputs that are not scaled.

Each function returns a suspicion with its numbers, or None where the record speaks against the cause.
"""

import math

from unstuck.analysis.diagnosis.bonus import find_bonus
from unstuck.analysis.diagnosis.direction import State
from unstuck.analysis.diagnosis.finding import Evidence
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.diagnosis.suspects.suspicion import HINTS, OPEN, SPEAKS, Suspicion, build_evidence
from unstuck.analysis.history.record import POLICY_STD
from unstuck.analysis.words import number
from unstuck.rl import metrics

WIDENS = 6.0
"""Factor of a policy that widens while nothing is learned: advantages alone never widen one that is at its widest."""

WIDER, HEAVY = 0.05, 0.05
"""Nats by which an entropy, or the logarithm of a spread, must have grown; coefficient of a bonus that may do it."""

SETTLED, FAR = 0.35, 1.0
"""Share of its largest below which an entropy has fallen far; nats, where the largest is not known."""


def suspect_bonus(run: Signals) -> Suspicion | None:
    """Suspect the entropy bonus: where a policy widens though nothing is learned, or the coefficient is large."""
    bonus, name = find_bonus(run), POLICY_STD if run.has(POLICY_STD) else metrics.ENTROPY
    if bonus is not None and bonus.weight == 0:
        return None
    test = "branch at a tenth of entropy_coef: entropy falls within 20 iterations"
    start, late, heavy = run.select_first(name), run.select_last(name), bonus is not None and bonus.weight >= HEAVY
    weight = f"; {bonus}" if bonus else ""
    missing = () if bonus else ("ppo.entropy_coef",)
    if start and late:
        grown = late.mean - start.mean
        if name == POLICY_STD:
            grown = math.log(late.mean / start.mean) if min(start.mean, late.mean) > 0 else 0.0
        title = "the actions' spread" if name == POLICY_STD else "entropy"
        text = f"{title} {number(start.mean, 3)} at first and {number(late.mean, 3)} of late{weight}"
        if grown > WIDER and run.trend(name).rises:
            return Suspicion(WIDENS, build_evidence(f"{text}, while nothing is learned", late), test, missing)
        return Suspicion(HINTS, build_evidence(text, late), test) if heavy and grown > -WIDER else None
    return Suspicion(SPEAKS, Evidence(str(bonus), ("ppo.entropy_coef",)), test, (metrics.ENTROPY,)) if heavy else None


def suspect_collapse(run: Signals) -> Suspicion | None:
    """Suspect a policy that always does the same: by an entropy that fell far, or one not on record as returns fall."""
    test = "look at the shares of the actions, or at the policy's spread: nothing else is tried any more"
    if run.has(metrics.ENTROPY) or run.has(POLICY_STD):
        start, late, most = run.select_first(metrics.ENTROPY), run.select_last(metrics.ENTROPY), run.entropy_reference
        if start is None or late is None:
            return None
        fell = late.mean < SETTLED * most if most else start.mean - late.mean > FAR
        text = f"entropy {number(start.mean, 3)} at first and {number(late.mean, 3)} of late, with nothing learned"
        return Suspicion(HINTS, build_evidence(text, late), test) if fell and start.mean > late.mean else None
    falls = judge_standing(run).state is State.FALLING or any(
        run.trend(name).falls for name in (metrics.TRAIN_RETURN, metrics.EVAL_RETURN)
    )
    text = "entropy is not on record" + (", and the return falls" if falls else "")
    return Suspicion(SPEAKS if falls else OPEN, Evidence(text), test, (metrics.ENTROPY,))


def suspect_raw_inputs(run: Signals) -> Suspicion | None:
    """Suspect inputs that are not scaled, unless the settings say that they are, or a measurement does."""
    normalised = run.setting("ppo.normalize_observations")
    if normalised or run.has(metrics.INPUT_RMS_MAX):
        return None
    test = "print mean and spread of each column that the networks see; branch with normalised observations"
    missing = (metrics.INPUT_RMS_MAX, metrics.SATURATED_SHARE)
    if normalised is False:
        fact = Evidence("observations are not normalised, by the settings", ("ppo.normalize_observations",))
        return Suspicion(HINTS, fact, test, missing)
    return Suspicion(OPEN, Evidence("whether observations are scaled is not on record"), test, missing)
