"""The critic predicts the same for every observation: what it is shown does not vary, or its units pass nothing on.

Explained variance is 1 - Var(error) / Var(target). Predictions that are all the same leave Var(error) = Var(target), so
that it is 0 up to rounding, again and again: a critic that merely knows nothing misses 0 by its noise.
"""

from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Kind, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.rules.reward_scale import LARGE_ERROR
from unstuck.analysis.diagnosis.rules.updates_too_large import REPLACED
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.words import number, pluralize
from unstuck.rl import metrics

ROUNDING = 1e-6
"""Explained variance that is 0 up to the rounding of float32."""

VARIED = 0.5
"""Share of observations that are one of the others again up to which observations vary, where that is measured."""

POINTS, MOSTLY = 8, 0.8
"""Values on record before anything is said, and the share of them that must be 0."""


def examine(run: Signals) -> Finding | None:
    """Return a finding if explained variance is almost always exactly 0 although returns vary; None otherwise."""
    explained, loss = run.select_all(metrics.EXPLAINED_VARIANCE), run.select_all(metrics.VALUE_LOSS)
    if explained is None or len(explained.values) < POINTS:
        return None
    zeros = sum(abs(value) < ROUNDING for value in explained.values)
    if zeros < MOSTLY * len(explained.values) or (loss and loss.median > LARGE_ERROR**2):
        return None  # beside returns that are too large any prediction varies too little to show
    kl = run.select_first(metrics.APPROX_KL)
    if kl is not None and max(kl.values) > REPLACED:
        return None  # steps so large have saturated the units, whatever is shown
    returns = run.select_all(metrics.TRAIN_RETURN)
    if returns is not None and returns.spread <= ROUNDING * max(1.0, abs(returns.mean)):
        return None
    repeats = run.select_all(metrics.OBSERVATION_REPEATS)
    if repeats is not None and repeats.median < VARIED:
        return None  # what is shown differs from step to step, so something behind makes the critic a constant
    standing = judge_standing(run)
    text = f"explained variance is 0 up to rounding in {zeros} of {pluralize(len(explained.values), 'value')}"
    facts = [Evidence(text, (explained.metric,), explained.reach)]
    if loss:
        facts.append(Evidence(f"value loss {number(loss.median, 3)} in the median", (loss.metric,), loss.reach))
    clips = run.select_all(metrics.CLIP_FRACTION)
    return Finding(
        headline=f"The networks see the same in every step: {text}",
        kind=Kind.SUSPECT if standing.has_learned else Kind.FAULT,
        sureness=Sureness.LIKELY,
        why=f"a critic that merely knows nothing misses 0 by its noise; {standing.brief}",
        evidence=tuple(facts),
        causes=(
            Cause(
                "observations that do not vary: a wrapper that returns zeros, a buffer that is not filled, an array "
                "that is shared and overwritten",
                "print mean and spread of each column of one rollout's observations: no spread may be 0",
                Support.SUPPORTED if clips and max(clips.values) == 0 else Support.OPEN,
                "no ratio was ever clipped either" if clips and max(clips.values) == 0 else "",
            ),
            Cause(
                "inputs so large that every unit is saturated",
                "log the largest input and the share of units beyond 0.97",
            ),
            Cause(
                "values that are overwritten by a constant before they are stored",
                "print the values of one rollout beside those of the critic called once more",
            ),
        ),
        since=explained.iterations[POINTS - 1],
        missing=tuple(name for name in RULE.helps if not run.has(name)),
    )


RULE = Rule(
    name="observations_constant",
    title="Observations do not vary",
    stage=Stage.BUG,
    needs=((metrics.EXPLAINED_VARIANCE,),),
    helps=(metrics.INPUT_RMS_MAX, metrics.SATURATED_SHARE, metrics.OBSERVATION_REPEATS),
    explains=(
        *("critic_underfits", "updates_too_small", "entropy_pinned", "oscillating", "signal_lost", "policy_frozen"),
        *("greedy_collapsed", "greedy_vs_sampled", "inputs_unscaled", "units_saturated"),
    ),
    curable=False,
    says="the critic predicts the same for every observation: what it is shown does not vary",
    threshold=(
        "explained variance below 1e-6 either way in 80 % of the values, at least 8; returns that vary, a "
        "value loss below 10,000, and no KL above 1 in the first updates; not where it is measured that "
        "half of the observations are seen once"
    ),
    source="the definition of explained variance; measured here (observations replaced by zeros)",
    examine=examine,
)
