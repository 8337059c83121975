"""Inputs are not scaled: units are saturated before any training, and the networks hardly tell observations apart."""

from unstuck.analysis.diagnosis.finding import (
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
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.words import number, percent
from unstuck.rl import metrics

SATURATED = 0.5
"""Share of the hidden units' activations beyond 0.97 at the first evaluation; inputs of spread 1 give some percent."""

LARGE_INPUT = 20.0
"""Root mean square of the largest input; scaled ones have about 1, rare one-hot columns up to some 10."""

SMALL_INPUT = 0.02
"""The same, below which inputs are hardly seen: 0.3 has been seen to train, and a gradient is as small as its input."""

FAR_TOO_LARGE = 100.0
"""The same, from which a layer of saturated units is a fault whatever the run learns: `LARGE_INPUT` five times over."""


def examine(run: Signals) -> Finding | None:
    """Return a finding on whether inputs are large or units saturated at the start; None if the record is unclear."""
    largest, saturated = run.select_first(metrics.INPUT_RMS_MAX, 2), run.select_first(metrics.SATURATED_SHARE, 2)
    facts = []
    if saturated:
        text = f"{percent(saturated.mean)} of the hidden units are saturated {saturated.where}"
        facts.append(Evidence(text, (saturated.metric,), saturated.reach))
    if largest:
        text = f"the largest input has a root mean square of {number(largest.mean, 3)}"
        facts.append(Evidence(text, (largest.metric,), largest.reach))
    if largest is not None and largest.mean < SMALL_INPUT:
        return _too_small(run, largest)
    wide = largest is not None and largest.mean > LARGE_INPUT
    full = saturated is not None and saturated.mean > SATURATED and (wide or largest is None)
    if not full and not wide:
        text = "inputs are scaled: " + " and ".join(fact.text for fact in facts)
        return Finding(text, Kind.FINE, Sureness.SURE, "", tuple(facts))
    standing = judge_standing(run)
    unseen = saturated is None and largest is not None and largest.mean > FAR_TOO_LARGE
    if not full and not standing.is_poor and not unseen:
        return None
    normalised = run.setting("ppo.normalize_observations")
    return Finding(
        headline="Inputs are not scaled: " + " and ".join(fact.text for fact in facts),
        kind=Kind.FAULT if full or standing.is_poor else Kind.SUSPECT,
        sureness=Sureness.SURE if full and wide else Sureness.LIKELY,
        why="a saturated unit passes on less than 6 % of a gradient, and says the same for all observations; "
        + standing.brief,
        evidence=tuple(facts),
        causes=_causes(largest, wide),
        remedies=()
        if normalised
        else (
            Remedy(
                {"ppo.normalize_observations": True},
                "running mean and spread of each input",
                "fewer than 10 % of the units saturated at the first evaluation",
            ),
        ),
        since=facts[0].iterations[0] if facts[0].iterations else None,
        missing=tuple(name for name in RULE.helps if not run.has(name)),
        ground=Ground.MEASURED if full and largest and largest.mean > FAR_TOO_LARGE else Ground.STATE,
    )


def _too_small(run: Signals, largest: Window) -> Finding:
    """Return a finding on inputs so small that networks hardly see them; a fault only if nothing is learned."""
    standing = judge_standing(run)
    text = f"the largest input has a root mean square of {number(largest.mean, 2)}"
    return Finding(
        headline=f"Inputs are far too small: {text}",
        kind=Kind.FAULT if standing.is_poor else Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why=f"weights would have to grow a hundredfold before a unit tells two observations apart; {standing.brief}",
        evidence=(Evidence(text, (largest.metric,), largest.reach),),
        causes=(
            Cause(
                "observations in a unit that makes them tiny, or divided twice",
                "print mean and spread of each column that the networks see",
                Support.SUPPORTED,
                text,
            ),
        ),
        remedies=()
        if run.setting("ppo.normalize_observations")
        else (
            Remedy(
                {"ppo.normalize_observations": True},
                "running mean and spread of each input",
                "explained variance above 0 within 20 updates",
            ),
        ),
        since=largest.iterations[0],
        ground=Ground.STATE,
    )


def _causes(largest: Window | None, wide: bool) -> tuple[Cause, ...]:
    return (
        Cause(
            "observations in raw units",
            "print mean and spread of each column that the networks see",
            Support.SUPPORTED if wide else Support.OPEN,
            f"the largest has {number(largest.mean, 3)}" if largest else "",
        ),
        Cause(
            "weights initialised too large",
            "saturation that stays when inputs have spread 1",
            Support.OPEN if not largest else Support.RULED_OUT if wide else Support.SUPPORTED,
            f"the largest input has {number(largest.mean, 3)}" if largest else "",
        ),
    )


RULE = Rule(
    name="inputs_unscaled",
    title="Inputs not scaled",
    stage=Stage.SCALE,
    needs=((metrics.SATURATED_SHARE, metrics.INPUT_RMS_MAX),),
    helps=(metrics.SATURATED_SHARE, metrics.INPUT_RMS_MAX),
    explains=(
        *("units_saturated", "policy_frozen", "updates_too_small", "updates_too_large", "critic_underfits"),
        *("entropy_collapsed", "greedy_collapsed", "signal_lost", "entropy_pinned", "oscillating"),
        "learns_backwards",
    ),
    says="inputs in raw units saturate the units that see them",
    threshold=(
        "root mean square of the largest input > 20 where nothing is learned; > 100 is a doubt where it is not known "
        "how many units are saturated; < 0.02 is one, and a fault where nothing is learned"
    ),
    source="Andrychowicz et al. 2021 (observation normalisation); Schulman 2017 (rescale observations)",
    examine=examine,
)
