"""Advantages of the wrong scale: far from spread 1 without normalisation, or so small that noise is amplified."""

import math

from unstuck.analysis.diagnosis.bonus import find_bonus
from unstuck.analysis.diagnosis.finding import (
    Blind,
    Cause,
    Evidence,
    Finding,
    Ground,
    Kind,
    Remedy,
    Rule,
    Stage,
    Support,
    Sureness,
)
from unstuck.analysis.diagnosis.rules.entropy_pinned import HEAVY
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.history.record import POLICY_STD
from unstuck.analysis.words import number
from unstuck.rl import metrics

LARGE, SMALL = 10.0, 0.1
"""Spread of advantages that are not normalised, beyond which settings of the policy's loss mean something else."""

USUAL_BONUS = 0.01
"""Usual coefficient of the entropy bonus: where this one would not have the say, one in force that has is at fault."""

WIDENED = 2.0
"""Factor by which the spread of continuous actions has grown where the entropy bonus decides alone."""

UNDECIDED, SETTLED = 0.9, 0.1
"""Shares of the largest entropy: above the first the entropy bonus decides alone, below the second the advantages."""

LOSSES = 12
"""Losses on record before their size says anything."""

NOTHING = 1e-6
"""Spread below which advantages are constant up to rounding."""

FAR = 1000.0
"""Times the spread of the advantages that a policy's loss may be: it is a mean over samples of ratio times advantage,
with ratios near 1. A loop that logs the sum over some hundred minibatches stays below."""


def examine(run: Signals) -> Finding | Blind | None:
    """Return a finding on the advantages' spread (zero, too large, too small or fine), or on the policy's loss."""
    spread = run.select_last(metrics.ADVANTAGE_STD)
    if spread is None:
        return _by_loss(run) or Blind(((metrics.ADVANTAGE_STD,),))
    normalised = run.setting("ppo.normalize_advantage")
    text = f"advantages have a spread of {number(spread.mean, 3)} {spread.where}"
    facts = (Evidence(text, (spread.metric,), spread.reach), *_offset(run))
    if spread.mean < NOTHING:
        return _constant(run, facts)
    if normalised is not False or SMALL <= spread.mean <= LARGE:
        ending = ", normalised" if normalised else ""
        return Finding(text + ending, Kind.FINE, Sureness.SURE, "", facts)
    standing = judge_standing(run)
    side = "large" if spread.mean > LARGE else "small"
    bonus = side == "small" and _is_the_bonus(run, spread.mean)
    clipped = run.select_last(metrics.CLIP_FRACTION)
    return Finding(
        headline=f"Advantages are {side} and not normalised: {text}",
        kind=Kind.FAULT if (standing.is_poor or _outweighs(run, side)) and not bonus else Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why=f"entropy_coef and the clip of the gradient assume a spread of about 1; {standing.brief}",
        evidence=facts,
        causes=(
            Cause(
                "rewards in large units" if side == "large" else "rewards in small units",
                "branch with normalised advantages",
                Support.SUPPORTED,
                f"spread {number(spread.mean, 3)}" + (f", clip fraction {number(clipped.mean, 2)}" if clipped else ""),
            ),
        ),
        remedies=(
            Remedy(
                {"ppo.normalize_advantage": True},
                "gives the policy's loss its usual scale",
                "clip fraction between 0.05 and 0.3 within 5 iterations",
            ),
        ),
        since=int(run.select_finite(metrics.ADVANTAGE_STD).index[0]),
    )


def _by_loss(run: Signals) -> Finding | None:
    """Return a finding if the policy's loss is far beyond the advantages that it can be made of; None otherwise.

    Their spread is 1 if they are normalised, and else about that of the critic's errors, as the value loss tells.
    """
    loss, errors = run.select_finite(metrics.POLICY_LOSS).abs(), run.select_all(metrics.VALUE_LOSS)
    if len(loss) < LOSSES or errors is None:
        return None
    size, spread = float(loss.median()), max(1.0, math.sqrt(2 * max(errors.median, 0.0)))
    if size <= FAR * spread:
        return None
    standing, normalised = judge_standing(run), run.setting("ppo.normalize_advantage")
    watch = "a policy's loss below 1 within 5 iterations"
    reach = (int(loss.index[0]), int(loss.index[-1]))
    text = f"the policy's loss is {number(size, 2)} in the median, beside a value loss of {number(errors.median, 2)}"
    return Finding(
        headline=f"Advantages or ratios are far too large: {text}",
        kind=Kind.FAULT if standing.is_poor else Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why=f"it is a mean of ratios, near 1, times advantages, of a spread of about {number(spread, 2)}; "
        + standing.brief,
        evidence=(Evidence(text, (metrics.POLICY_LOSS, metrics.VALUE_LOSS), reach),),
        causes=(
            Cause(
                "ratios far beyond the clip, as where an advantage is negative nothing bounds them",
                "print the largest ratio of one minibatch: it must stay below 10",
            ),
            Cause(
                "advantages in the units of large rewards, while the critic's targets are scaled",
                "print the spread of the advantages of one minibatch: it must be near 1",
                Support.OPEN if normalised is None else Support.RULED_OUT if normalised else Support.SUPPORTED,
                "" if normalised is None else f"they are {'' if normalised else 'not '}normalised",
            ),
            Cause("a loss that is logged as a sum over samples", "divide it by the samples of an update"),
        ),
        remedies=()
        if normalised
        else (Remedy({"ppo.normalize_advantage": True}, "gives the policy's loss its usual scale", watch),),
        since=int(loss.index[LOSSES - 1]),
        missing=(metrics.ADVANTAGE_STD,),
        ground=Ground.PACE,
    )


def _is_the_bonus(run: Signals, spread: float) -> bool:
    """True if an entropy bonus above the usual one has the say, and a usual one would not have it beside a spread."""
    bonus = find_bonus(run)
    return bonus is not None and USUAL_BONUS < HEAVY * spread <= bonus.weight


def _outweighs(run: Signals, side: str) -> bool:
    """True if entropy is so extreme that only the bonus (side `small`) or the advantages (side `large`) act.

    Continuous actions have no largest entropy: under a bonus alone their spread has grown.
    """
    entropy, most = run.select_last(metrics.ENTROPY), run.entropy_range
    first, late = run.select_first(POLICY_STD), run.select_last(POLICY_STD)
    if most is None and side == "small" and first is not None and late is not None:
        return late.mean > WIDENED * first.mean
    if entropy is None or most is None:
        return False
    return entropy.mean > UNDECIDED * most if side == "small" else entropy.mean < SETTLED * most


def _offset(run: Signals) -> list[Evidence]:
    mean, spread = run.select_last(metrics.ADVANTAGE_MEAN), run.select_last(metrics.ADVANTAGE_STD)
    if mean is None or spread is None or abs(mean.mean) <= spread.mean:
        return []
    text = f"their mean is {number(mean.mean, 3)}: the critic is off by more than advantages differ"
    return [Evidence(text, (mean.metric,), mean.reach)]


def _constant(run: Signals, facts: tuple[Evidence, ...]) -> Finding:
    return Finding(
        headline=f"Advantages are constant: {facts[0].text}",
        kind=Kind.FAULT,
        sureness=Sureness.SURE,
        why="nothing tells one action from another, and normalising blows rounding errors up to spread 1",
        evidence=facts,
        causes=(
            Cause("a reward that never varies", "look at the rewards of one rollout"),
            Cause("advantages overwritten, or computed from values alone", "compare with a brute-force sum of rewards"),
        ),
        since=facts[0].iterations[0] if facts[0].iterations else None,
    )


RULE = Rule(
    name="advantage_scale",
    title="Scale of the advantages",
    stage=Stage.SCALE,
    needs=((metrics.ADVANTAGE_STD, metrics.POLICY_LOSS),),
    helps=(metrics.ADVANTAGE_MEAN, metrics.CLIP_FRACTION),
    explains=(
        *("updates_too_large", "updates_too_small", "policy_frozen", "entropy_collapsed", "entropy_pinned"),
        *("greedy_collapsed", "signal_lost", "oscillating"),
    ),
    says="advantages not normalised and far from spread 1, or constant, or a policy's loss far beyond them",
    threshold=(
        "spread > 10 or < 0.1; a fault if nothing is learned, or entropy is above 90 or below 10 % of its maximum"
        " for it, or the spread of continuous actions has doubled under small ones, and no more than a doubt where an "
        "entropy bonus above 0.01 is at fault; where the spread is not on record, a policy's loss beyond 1,000 times 1 "
        "and the critic's error"
    ),
    source="Huang et al. 2022 (advantage normalisation per minibatch); Schulman 2017 (rescale rewards)",
    examine=examine,
)
