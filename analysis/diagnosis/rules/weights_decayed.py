"""Weight decay pulls the networks to zero: a decay that Adam takes for a part of the gradient is scaled up with it."""

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
from unstuck.analysis.diagnosis.rules.reward_scale import LARGE_ERROR
from unstuck.analysis.diagnosis.signals import ActionKind, Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.history.record import PARAMETER_NORM
from unstuck.analysis.words import number, percent
from unstuck.rl import metrics

SHRUNK = 0.7
"""Share of its first value to which the parameters' norm falls: in healthy training it stays or grows."""

GONE = 0.3
"""The same share, below which hardly anything is left of what the networks were: a fault whatever the run learns."""

CONSTANT, ONCE = 2e-3, 3.0
"""Explained variance of a critic that is a constant, at every update of the second half of the run (0.006 and more
where a critic still tells anything apart), and the factor by which the critic once explained more."""

WIDEST, POINTS = 0.999, 16
"""Share of the largest entropy of a policy without a preference, and values of the explained variance on record before
anything is said."""

DECOUPLED = "AdamW"
"""Optimiser whose decay is a fraction of the learning rate, and no part of the gradient."""

LARGE = 1e-2
"""Weight decay on record above which a small gradient is less than the decay: 0 is usual, and 1e-4 is much."""


def examine(run: Signals) -> Finding | Blind | None:
    """Return a finding if the norm of all parameters has shrunk far, as by weight decay; None otherwise."""
    start, late = run.select_first(PARAMETER_NORM, 1), run.select_last(PARAMETER_NORM)
    if start is None or late is None or start.iterations == late.iterations:
        unknown = start is None and not run.has(metrics.EXPLAINED_VARIANCE)
        nothing = Blind(((PARAMETER_NORM, metrics.EXPLAINED_VARIANCE),)) if unknown else None
        return _say_nothing(run) or _by_setting(run) or nothing
    if start.mean <= 0:
        return None
    share, decay, standing = late.mean / start.mean, run.read_number("ppo.weight_decay"), judge_standing(run)
    shrunk = share < SHRUNK
    if not shrunk and not (decay is not None and decay > LARGE and share < 1):
        return _by_setting(run) if standing.is_poor else None
    text = f"the parameters' norm fell from {number(start.mean, 3)} to {number(late.mean, 3)} ({percent(share)})"
    return Finding(
        headline=f"Weight decay shrinks the networks: {text}",
        kind=Kind.FAULT if shrunk or standing.is_poor else Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why=f"no loss of PPO pulls parameters to zero; {standing.brief}",
        evidence=(Evidence(text, (PARAMETER_NORM,), (start.iterations[0], late.iterations[-1])),),
        causes=_causes(decay),
        remedies=() if decay is None else _restore(),
        since=late.iterations[0],
        ground=Ground.MEASURED if share < GONE else Ground.STATE,
    )


def _by_setting(run: Signals) -> Finding | None:
    """Return a finding if the weight decay on record is large and Adam takes the decay for a part of the gradient."""
    decay, standing = run.read_number("ppo.weight_decay"), judge_standing(run)
    if decay is None or decay <= LARGE or run.setting("ppo.optimizer") == DECOUPLED:
        return None
    text = f"a weight decay of {number(decay)}"
    return Finding(
        headline=f"Weight decay may shrink the networks: {text}",
        kind=Kind.FAULT if standing.is_poor else Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why=f"0 is usual, and 1e-4 much; {standing.brief}",
        evidence=(Evidence(text, ("ppo.weight_decay",)),),
        causes=_causes(decay),
        remedies=_restore(),
        since=1,
        missing=(PARAMETER_NORM,),
        ground=Ground.STATE,
    )


def _restore() -> tuple[Remedy, ...]:
    return (Remedy({"ppo.weight_decay": 0.0}, "no pull to zero", "the parameters' norm no longer falls"),)


def _say_nothing(run: Signals) -> Finding | None:
    """Return a finding if critic and policy no longer tell observations apart, but once did; else None.

    Weights of 0 leave a critic that is a constant, whose explained variance is 0 but for rounding, and a policy without
    a preference. One of both alone has other causes.
    """
    explained, loss = run.select_finite(metrics.EXPLAINED_VARIANCE), run.select_last(metrics.VALUE_LOSS)
    if run.is_ours or len(explained) < POINTS or loss is None or loss.median >= LARGE_ERROR**2:
        return None  # beside errors in the hundreds any critic that starts is a constant
    late = explained.iloc[len(explained) // 2 :].abs()
    told = float(explained.iloc[: len(explained) // 2].abs().max())
    widest = _describe_widest(run)
    if widest is None or float(late.max()) >= CONSTANT or told < ONCE * float(late.max()) or told < CONSTANT:
        return None
    reach = int(late.index[0]), int(late.index[-1])
    text = f"explained variance within {number(float(late.max()), 1)} of 0 over iterations {reach[0]} to {reach[1]}"
    return Finding(
        headline=f"Both networks say the same of every observation: {text}, and {widest.text}",
        kind=Kind.FAULT,
        sureness=Sureness.LIKELY,
        why=f"a critic that sees anything explains a little, or too much; this one did, up to {number(told, 2)}",
        evidence=(Evidence(text, (metrics.EXPLAINED_VARIANCE,), reach), widest),
        causes=(
            *_causes(run.read_number("ppo.weight_decay")),
            Cause("observations that are all the same", "print ten observations of one rollout"),
        ),
        since=reach[1],
        missing=(PARAMETER_NORM,),
        ground=Ground.MEASURED,
    )


def _describe_widest(run: Signals) -> Evidence | None:
    """Return evidence that entropy is at its maximum, so the policy prefers no action; None otherwise.

    Of continuous actions nothing tells: they begin with the spread of 1 that weights of 0 leave.
    """
    entropy = run.select_last(metrics.ENTROPY)
    most = run.entropy_range if run.action_kind is ActionKind.DISCRETE else None
    if entropy is None or most is None or min(entropy.values) < WIDEST * most:
        return None
    return Evidence(f"entropy {number(entropy.median)} of {number(most)}", (entropy.metric,), entropy.reach)


def _causes(decay: float | None) -> tuple[Cause, ...]:
    return (
        Cause(
            "a weight decay that is no fraction of the learning rate: Adam scales it up as it does the gradient",
            "print weight_decay of the optimiser's parameter groups; take AdamW, or 0",
            Support.OPEN if decay is None else Support.SUPPORTED,
            "" if decay is None else f"weight_decay {number(decay)}",
        ),
        Cause("a penalty on the weights in the loss", "print the parts of the loss"),
    )


RULE = Rule(
    name="weights_decayed",
    title="Weights decayed",
    stage=Stage.SCALE,
    needs=((PARAMETER_NORM, metrics.EXPLAINED_VARIANCE, metrics.TRAIN_RETURN, metrics.EVAL_RETURN),),
    explains=(
        *("updates_too_small", "policy_frozen", "entropy_pinned", "critic_underfits", "signal_lost", "oscillating"),
        *("greedy_collapsed", "greedy_vs_sampled", "observations_constant", "learned_and_lost", "updates_too_large"),
        *("policy_starved", "value_explosion", "return_frozen", "learns_backwards"),
    ),
    says="the parameters' norm shrinks far: a decay pulls the networks to zero",
    threshold=(
        "the norm of all parameters falls below 70 % of its first value; a doubt where it falls at all under a weight "
        "decay above 0.01; where the norm is not on record, explained variance within 0.002 of 0 at every update of "
        "the second half, that was three times as far from 0 before, beside entropy above 99.9 % of its maximum; or "
        "a weight decay above 0.01 alone (a fault where nothing is learned), unless it is AdamW's"
    ),
    source="Loshchilov and Hutter 2019, Decoupled weight decay regularization; measured here",
    helps=(metrics.UPDATE_NORM,),
    examine=examine,
)
