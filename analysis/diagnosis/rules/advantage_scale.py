"""Advantages of the wrong scale: far from spread 1 without normalisation, or so small that noise is amplified."""

from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Kind, Remedy, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.words import number
from unstuck.rl import metrics

LARGE, SMALL = 10.0, 0.1
"""Spread of advantages that are not normalised, beyond which settings of the policy's loss mean something else."""

UNDECIDED, SETTLED = 0.9, 0.1
"""Shares of the largest entropy: above the first the entropy bonus decides alone, below the second the advantages."""

NOTHING = 1e-6
"""Spread below which advantages are constant up to rounding."""


def examine(run: Signals) -> Finding | None:
    """Return a finding on the advantages' spread (zero, too large, too small or fine); None if not recorded."""
    spread = run.select_last(metrics.ADVANTAGE_STD)
    if spread is None:
        return None
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
    clipped = run.select_last(metrics.CLIP_FRACTION)
    return Finding(
        headline=f"Advantages are {side} and not normalised: {text}",
        kind=Kind.FAULT if standing.is_poor or _outweighs(run, side) else Kind.SUSPECT,
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


def _outweighs(run: Signals, side: str) -> bool:
    """True if entropy is so extreme that only the bonus (side `small`) or the advantages (side `large`) act."""
    entropy, most = run.select_last(metrics.ENTROPY), run.entropy_range
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
    needs=((metrics.ADVANTAGE_STD,),),
    helps=(metrics.ADVANTAGE_MEAN, metrics.CLIP_FRACTION),
    explains=(
        *("updates_too_large", "updates_too_small", "policy_frozen", "entropy_collapsed", "entropy_pinned"),
        *("greedy_collapsed", "signal_lost", "oscillating"),
    ),
    says="advantages not normalised and far from spread 1, or constant",
    threshold=(
        "spread > 10 or < 0.1; a fault if nothing is learned, or entropy is above 90 or below 10 % of its maximum"
        " for it"
    ),
    source="Huang et al. 2022 (advantage normalisation per minibatch); Schulman 2017 (rescale rewards)",
    examine=examine,
)
