"""The value loss starves the policy: the value loss directs a shared trunk, or uses up a shared gradient clip.

Adam cancels a constant factor of a loss, so value_coef hardly acts in a critic with a network of its own. The factor
acts through what both losses share: the trunk, and the gradient clip, which with a large adam_eps leaves the policy no
step.
"""

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
from unstuck.analysis.diagnosis.remedies import HEAVY, USUAL, restore_usual
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.words import number, percent
from unstuck.rl import metrics

TRUNK_RATIO = 30.0
"""Value gradient over policy gradient from which the shared trunk hardly sees the policy."""

TRUNK_TAKEN = 60.0
"""Ratio of a shared trunk that is a fault for any score: healthy runs on a shared trunk stay below 20."""

BEYOND, USUAL_LIMIT = 10.0, 0.5
"""Times the clip of the gradient, and the clip that is usual, where only the whole gradient is on record."""

STILL_KL, POINTS = 1e-4, 5
"""KL below which such a policy hardly moves, and values on record."""

MOVES = 1e-3
"""KL from which updates of another program move a policy with a network of its own: Adam has made up for the ratio."""

USUAL_EPS = 1e-5
"""Epsilon of Adam, where it is not on record: a gradient that the clip leaves smaller than that moves nothing."""

CLIP_RATIO = 1000.0
"""Ratio with separate networks, where only the clip connects the two, and Adam makes up for most of the ratio: on raw
returns 600 has been seen in a run that learned, and 2,000 to 8,000 in runs that did not."""


def examine(run: Signals) -> Finding | None:
    """Return a finding on whether the value gradient outweighs the policy's; None if unrecorded or harmless."""
    # Of the whole run: the policy's gradient vanishes where it has learned all there is.
    policy, value = run.select_all(metrics.GRAD_NORM_POLICY), run.select_all(metrics.GRAD_NORM_VALUE)
    if policy is None or value is None:
        return _by_whole(run)
    if policy.median <= 0:
        return None
    ratio = value.median / policy.median
    shared = run.setting("ppo.shared_trunk")
    most = TRUNK_RATIO if shared is not False else CLIP_RATIO
    facts = (
        Evidence(
            f"median gradient norms {policy.where}: policy {number(policy.median, 2)}, value {number(value.median, 3)} "
            f"(weighted by value_coef), {number(ratio, 2)} to 1",
            (metrics.GRAD_NORM_POLICY, metrics.GRAD_NORM_VALUE),
            policy.reach,
        ),
        *_clipped(run),
    )
    if ratio < most:
        text = f"value gradient {number(ratio, 2)} times the policy's: neither is drowned"
        return Finding(text, Kind.FINE, Sureness.LIKELY, "", facts)
    standing, kl = judge_standing(run), run.select_last(metrics.APPROX_KL)
    slow = kl is not None and kl.mean < 2e-3
    taken = shared is True and ratio > TRUNK_TAKEN
    if not (standing.is_poor or slow or taken):
        return None
    if shared is False and not run.is_ours and kl is not None and kl.mean >= MOVES:
        return None
    where = "the shared trunk" if shared is not False else "the shared gradient clip"
    return Finding(
        headline=f"The value loss starves the policy in {where}: its gradient is {number(ratio, 2)} times the policy's",
        kind=Kind.FAULT,
        sureness=Sureness.LIKELY,
        why=(f"updates are small for it (KL {number(kl.mean, 2)}); " if slow and kl else "") + standing.brief,
        evidence=facts,
        causes=_causes(run),
        remedies=_remedies(run, ratio),
        since=policy.iterations[0],
        missing=() if kl else (metrics.APPROX_KL,),
        ground=Ground.MEASURED if slow and _leaves_nothing(run, value.median, ratio) else Ground.STATE,
    )


def directs_trunk(run: Signals) -> bool:
    """True if, on raw returns, the value loss alone moves our learner's shared trunk, and with it the policy.

    How far an update then throws the policy tells nothing of the size of its own steps.
    """
    policy, value = run.select_all(metrics.GRAD_NORM_POLICY), run.select_all(metrics.GRAD_NORM_VALUE)
    if not run.is_ours or run.setting("ppo.shared_trunk") is not True or run.returns_normalised is not False:
        return False
    return policy is not None and value is not None and value.median > CLIP_RATIO * policy.median > 0


def _leaves_nothing(run: Signals, value: float, ratio: float) -> bool:
    """True if the clip leaves the policy a gradient below Adam's epsilon, by which each of its steps then vanishes."""
    limit, eps = run.read_number("ppo.max_grad_norm"), run.read_number("ppo.adam_eps") or USUAL_EPS
    return limit is not None and value > limit and limit / ratio < eps


def _by_whole(run: Signals) -> Finding | None:
    """Return a suspect if the whole gradient is far above its clip while the policy hardly changes; None otherwise."""
    norm, kl = run.select_all(metrics.GRAD_NORM), run.select_all(metrics.APPROX_KL)
    limit = run.read_number("ppo.max_grad_norm")
    if norm is None or kl is None or len(kl.values) < POINTS or abs(kl.median) > STILL_KL or run.rate_is_annealed:
        return None
    times = norm.median / (limit or USUAL_LIMIT)
    if times < BEYOND:
        return None
    beside = f"max_grad_norm {limit:g}" if limit else f"a usual max_grad_norm of {USUAL_LIMIT:g}"
    text = f"the gradient is {number(norm.median, 3)} before it is clipped, {number(times, 2)} times {beside}"
    moved = f"KL of an update {number(kl.median, 2)}"
    return Finding(
        headline=f"The value loss may take the shared gradient clip: {text}, and {moved}",
        kind=Kind.SUSPECT,
        sureness=Sureness.POSSIBLE,
        why="the policy's gradient is 1 or less, since advantages are normalised: what is larger is the critic's",
        evidence=(
            Evidence(text, (metrics.GRAD_NORM,), norm.reach),
            Evidence(moved, (metrics.APPROX_KL,), kl.reach),
        ),
        causes=_causes(run),
        remedies=_remedies(run, times),
        since=kl.iterations[POINTS - 1],
        missing=(metrics.GRAD_NORM_POLICY, metrics.GRAD_NORM_VALUE),
    )


def _clipped(run: Signals) -> list[Evidence]:
    share, limit = run.select_last(metrics.GRAD_CLIPPED_SHARE), run.read_number("ppo.max_grad_norm")
    if share is None:
        return []
    text = f"the whole gradient is clipped{f' to {limit:g}' if limit else ''} in {percent(share.mean)} of the steps"
    return [Evidence(text, (metrics.GRAD_CLIPPED_SHARE,), share.reach)]


def _causes(run: Signals) -> tuple[Cause, ...]:
    raw, spread = run.returns_normalised is False, run.select_last(metrics.TARGET_STD)
    weight, shared = run.read_number("ppo.value_coef"), run.setting("ppo.shared_trunk")
    return (
        Cause(
            "targets far from spread 1, not normalised",
            "branch with normalize_returns=batch: the value gradient falls with the targets' spread",
            Support.SUPPORTED
            if raw and spread and spread.mean > 5
            else Support.RULED_OUT
            if run.returns_normalised
            else Support.OPEN,
            _describe_targets(run),
        ),
        Cause(
            "value_coef too high",
            "branch at a tenth of it: with a shared trunk KL rises, with separate networks little changes",
            Support.SUPPORTED if weight is not None and weight > HEAVY and shared else Support.OPEN,
            "" if weight is None else f"value_coef {weight:g}",
        ),
        Cause(
            "one trunk for two tasks",
            "branch with shared_trunk=false",
            Support.RULED_OUT if shared is False else Support.OPEN,
            "networks are separate" if shared is False else "",
        ),
    )


def _describe_targets(run: Signals) -> str:
    """Describe the critic's targets in words: normalised, or their spread; empty if neither is recorded."""
    if run.returns_normalised:
        return "targets are normalised"
    spread = run.select_last(metrics.TARGET_STD)
    return f"targets have a spread of {number(spread.mean, 3)}" if spread else ""


def _remedies(run: Signals, ratio: float) -> tuple[Remedy, ...]:
    watch = "KL between 0.002 and 0.02 within 5 iterations, value gradient below 10 times the policy's"
    arms = []
    weight, raw = run.read_number("ppo.value_coef"), run.returns_normalised is False
    scaled, why = {"ppo.normalize_returns": "batch"}, "brings the value gradient to the policy's scale"
    if raw and weight is not None and weight > HEAVY:  # either alone leaves the other at fault
        both = {**scaled, "ppo.value_coef": USUAL["ppo.value_coef"].value}
        arms.append(Remedy(both, f"{why}: neither does alone", watch))
    if raw:
        arms.append(Remedy(scaled, why, watch))
    arms += restore_usual(run, ("ppo.value_coef",), watch, 1)
    if weight:
        change = {"ppo.value_coef": float(f"{weight / min(ratio / 3, 100):.1g}")}
        arms.append(Remedy(change, "gives the policy its share of the trunk", watch))
    if run.setting("ppo.shared_trunk") is not False:
        arms.append(Remedy({"ppo.shared_trunk": False}, "a network each: nothing to share", watch))
    else:
        arms.append(Remedy({"ppo.adam_eps": 1e-8}, "a clipped gradient then keeps its direction in Adam", watch))
    return tuple(arms)


RULE = Rule(
    name="policy_starved",
    title="Policy starved by the value loss",
    stage=Stage.SCALE,
    needs=((metrics.GRAD_NORM_POLICY, metrics.GRAD_NORM), (metrics.GRAD_NORM_VALUE, metrics.APPROX_KL)),
    helps=(
        metrics.GRAD_NORM_POLICY,
        metrics.GRAD_NORM_VALUE,
        metrics.GRAD_CLIPPED_SHARE,
        metrics.APPROX_KL,
        metrics.TARGET_STD,
    ),
    explains=(
        "updates_too_small",
        "policy_frozen",
        "entropy_pinned",
        "greedy_collapsed",
        "signal_lost",
        "units_saturated",
        "oscillating",
        "greedy_vs_sampled",
    ),
    says="the value loss takes the shared trunk, or the shared gradient clip",
    threshold=(
        "value gradient, in the median of the run, 30 times the policy's in a shared trunk, 1,000 times with "
        "separate networks, and KL < 0.002 or nothing learned (of other programs' separate networks KL < 0.001 in "
        "any case); in a shared trunk 60 times is enough; a fault whatever is learned where the clip leaves the "
        "policy less than Adam's epsilon; where only the whole gradient is on record a doubt: 10 times its clip, "
        "with a KL below 1e-4"
    ),
    source=(
        "docs/algorithms/ppo.md (what value_coef does), measured here; Andrychowicz et al. 2021 (separate "
        "networks); CleanRL issue 441 (large rewards swamp the policy loss)"
    ),
    examine=examine,
)
