"""Entropy pinned at the maximum: the entropy bonus outweighs the advantages, or the advantages hold no signal."""

from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Kind, Remedy, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.rules import policy_frozen
from unstuck.analysis.diagnosis.rules.updates_too_small import SMALL_CHANGE, SMALL_KL
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.words import number, percent
from unstuck.rl import metrics

PINNED, HELD = 0.97, 0.75
"""Share of the largest entropy; the lower one counts under a bonus that is far above the usual."""

HEAVY = 0.2
"""An entropy_coef that can hold a policy by itself: advantages have spread 1, and 0.1 is the most in use."""

GRACE, PATIENCE = 0.08, 0.4
"""Shares of the run: before the first nothing is said, and from the second on it is a fault even in a run that gets
better, if its updates are large enough to move a policy. Under a heavy bonus the first is enough."""


def examine(run: Signals) -> Finding | None:
    """Return a finding if entropy stays near the maximum; a fine finding if entropy falls; None otherwise."""
    most = run.entropy_range
    entropy = run.select_last(metrics.ENTROPY)
    if entropy is None or most is None or run.compute_progress(run.history.last_iteration) < GRACE:
        return None
    share, weight = entropy.mean / most, run.read_number("ppo.entropy_coef")
    heavy = weight is not None and weight >= HEAVY and run.setting("ppo.normalize_advantage") is not False
    if share < (HELD if heavy else PINNED):
        if share > 0.3:
            text = f"entropy {number(entropy.mean, 3)} of {number(most, 3)}, falling as a policy settles"
            return Finding(text, Kind.FINE, Sureness.SURE, "", (Evidence(text, (entropy.metric,), entropy.reach),))
        return None
    if policy_frozen.examine(run):
        return None  # then it is not the bonus that holds it
    kl, standing = run.select_last(metrics.APPROX_KL), judge_standing(run)
    change = run.select_last(metrics.UPDATE_NORM)
    moved = kl is not None and kl.mean > SMALL_KL and (change is None or change.mean > SMALL_CHANGE)
    lasts = heavy or (moved and run.compute_progress(run.history.last_iteration) > PATIENCE)
    return Finding(
        headline=f"Entropy is pinned at its maximum: {number(entropy.mean)} of {number(most)} {entropy.where}",
        kind=Kind.FAULT if standing.is_poor or lasts else Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why=(f"updates do move the policy (KL {number(kl.mean, 2)}), " if moved and kl else "") + standing.brief,
        evidence=(Evidence(f"entropy {entropy}, {percent(share)} of the largest", (entropy.metric,), entropy.reach),),
        causes=_causes(run),
        remedies=_remedies(run, weight),
        since=int(run.history.length * GRACE),
        missing=tuple(name for name in (metrics.APPROX_KL, metrics.ADVANTAGE_STD) if not run.has(name)),
    )


def _causes(run: Signals) -> tuple[Cause, ...]:
    weight, kl = run.read_number("ppo.entropy_coef"), run.select_last(metrics.APPROX_KL)
    return (
        Cause(
            "entropy_coef too high",
            "branch at a tenth of it: entropy falls within 20 iterations",
            Support.SUPPORTED if weight is not None and weight >= 0.1 else Support.OPEN,
            "" if weight is None else f"entropy_coef {weight:g}",
        ),
        Cause(
            "steps too small for a run as short as this one",
            "branch at three times the learning rate: entropy falls earlier",
            Support.RULED_OUT if kl is not None and kl.mean > 1e-3 else Support.OPEN,
            f"KL of an update {number(kl.mean, 2)}" if kl else "",
        ),
        Cause(
            "no reward that depends on what the policy does (it has not been found yet, or is constant)",
            "look at the returns of single episodes: do they differ from each other at all?",
            *_reward(run),
        ),
        Cause(
            "a horizon too short for what the task rewards",
            "branch at gamma 0.95 and 0.99",
            *_horizon(run),
        ),
        Cause(
            "a policy gradient with the wrong sign, or for other actions than those taken",
            "train on a bandit with one paying action: it must be preferred within seconds",
        ),
    )


def _reward(run: Signals) -> tuple[Support, str]:
    returns = run.select_all(metrics.TRAIN_RETURN)
    if returns is None or len(returns.values) < 3:
        return Support.OPEN, ""
    if returns.spread <= 1e-9 * max(1.0, abs(returns.mean)):
        return Support.SUPPORTED, f"every episode returns {number(returns.mean)}"
    return Support.RULED_OUT, f"returns vary: {returns}"


def _horizon(run: Signals) -> tuple[Support, str]:
    gamma = run.read_number("ppo.gamma")
    if gamma is None:
        return Support.OPEN, ""
    if run.steps_are_independent:
        return Support.RULED_OUT, "flows are independent: there is nothing ahead"
    return (Support.SUPPORTED if gamma < 0.9 else Support.OPEN), f"gamma {gamma:g}"


def _remedies(run: Signals, weight: float | None) -> tuple[Remedy, ...]:
    watch = "entropy below 0.9 of its maximum within 20 iterations"
    arms = []
    if _horizon(run)[0] is Support.SUPPORTED:
        arms.append(Remedy({"ppo.gamma": [0.95, 0.99]}, "looks as far ahead as the task rewards", watch))
    rate = run.read_number("ppo.lr")
    if rate:
        arms.append(Remedy({"ppo.lr": float(f"{rate * 3:.1g}")}, "larger steps leave the uniform policy sooner", watch))
    if weight:
        lower = [float(f"{weight / 3:.1g}"), float(f"{weight / 10:.1g}")]
        arms.append(Remedy({"ppo.entropy_coef": lower}, "a smaller bonus lets the advantages decide", watch))
    return tuple(arms)


RULE = Rule(
    name="entropy_pinned",
    title="Entropy at its maximum",
    stage=Stage.EXPLORATION,
    needs=((metrics.ENTROPY,),),
    helps=(metrics.APPROX_KL, metrics.ADVANTAGE_STD),
    explains=("greedy_vs_sampled", "greedy_collapsed", "oscillating"),
    source="Jones 2021 (relative entropy starts near 1, falls, flattens)",
    examine=examine,
)
