"""The signal is lost: advantages tell the policy little or nothing about the actions taken.

Measured where a learner records the signal: do updates follow the advantages, do rewards depend on observations.
Elsewhere the result tells: a policy moved by a signal gets better within few updates; a policy moved as far by noise
walks at random, or settles on the action that pays best on average, blind to observations. Reported only where sizes
and scales are in order, since all other causes show there.
"""

import math

from unstuck.analysis.diagnosis.bonus import find_bonus
from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Ground, Kind, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.rewards import compute_rewards
from unstuck.analysis.diagnosis.rules.entropy_pinned import HEAVY
from unstuck.analysis.diagnosis.rules.updates_too_large import LARGE_CLIP, LARGE_KL, were_large
from unstuck.analysis.diagnosis.rules.updates_too_small import SMALL_KL
from unstuck.analysis.diagnosis.signal_signs import (
    POINTS,
    compute_f1_error,
    find_unpredicted_rewards,
    find_unrelated_observations,
    find_wrong_labels,
    is_followed,
    updates_go_both_ways,
    updates_ignore_advantages,
)
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import TRIVIAL_MARGIN, is_solved, judge_standing
from unstuck.analysis.words import number, percent
from unstuck.rl import metrics

MOVED = 0.03
"""Sum of the KL of all updates; healthy runs have learned something visible by then (measured here)."""

LEAST_KL = 1e-4
"""Mean KL of an update: a policy that hardly moves is another rule's."""

GRACE = 0.09
"""Share of the run, and `POINTS` returns, before anything is said."""

PATIENCE = 0.25
"""The same share where only the return tells, whose noise hides the first of a rise: at a fifth of its run a courier
that learns, and is paid at the end alone, has been seen where it began."""

LEARNED = 0.3
"""Share of the way from the best trivial F1 to 1 that a sum of KL as large must have brought, up to this one: a sum of
0.1 has been seen to bring healthy runs half of the way."""

COLLAPSED, AT_ONCE = 0.1, 0.12
"""Share of the largest entropy below which, and share of the run within which, entropy collapsed at once."""

PAID = 0.3
"""Share of the way from the best constant action to a perfect policy that the return must not have gone: where it has,
something is learned, and F1 is measured wrongly."""

FORESEEN = 0.05
"""Share of the returns' variance that must be foreseen from observations to say that observations carry something."""


def examine(run: Signals) -> Finding | None:
    """Return a fault if updates move the policy but advantages hold no signal, or nothing is learned; else None."""
    kl, lately = run.select_all(metrics.APPROX_KL), run.select_last(metrics.APPROX_KL)
    returns = run.select_all(metrics.TRAIN_RETURN)
    if kl is None or lately is None or returns is None or len(returns.values) < POINTS or is_solved(run):
        return None
    clipped = run.select_last(metrics.CLIP_FRACTION)
    moved = math.fsum(kl.values)
    orderly = SMALL_KL < lately.mean < LARGE_KL and (clipped is None or clipped.mean < LARGE_CLIP)
    if not orderly or run.compute_progress(run.history.last_iteration) < GRACE:
        return None
    followed = updates_ignore_advantages(run) or updates_go_both_ways(run)
    unforeseen = find_unpredicted_rewards(run) or find_unrelated_observations(run)
    direct = [fact for fact in (followed, unforeseen, find_wrong_labels(run)) if fact]
    far = kl.mean > LEAST_KL and moved > MOVED
    seen = _unlearned(run, moved) if far and not (direct or _collapsed(run) or is_followed(run)) else None
    found = direct or ([seen] if seen else [])
    if not found:
        return None
    text = f"updates have moved the policy by a KL of {number(moved, 2)} in all, {number(lately.mean, 2)} each of late"
    unlearned = f"Nothing is learned from updates of a usual size{' of late' if were_large(run) else ''}"
    return Finding(
        headline=f"{'The signal is lost' if direct else unlearned}: {found[0].text}",
        kind=Kind.FAULT,
        sureness=Sureness.SURE
        if direct and (run.is_triage or not judge_standing(run).has_learned)
        else Sureness.LIKELY,
        why=text if direct else f"{text}, and it has nothing to show for it",
        evidence=(*found, Evidence(text, (metrics.APPROX_KL,), kl.reach)),
        causes=_causes(run),
        since=returns.iterations[POINTS - 1],
        missing=tuple(name for name in RULE.helps if not run.has(name)),
        ground=Ground.STATE if direct else Ground.PACE,
    )


def _unlearned(run: Signals, moved: float) -> Evidence | None:
    """Return evidence that updates changed the policy but nothing was learned; None otherwise."""
    if run.is_triage and run.has(metrics.F1):
        return _blind(run, moved)
    bonus = find_bonus(run)
    if bonus is not None and bonus.weight >= HEAVY:
        return None  # then the bonus moves the policy
    return _flat(run) if run.compute_progress(run.history.last_iteration) >= PATIENCE else None


def _collapsed(run: Signals) -> bool:
    """True if entropy was lost so early that this alone explains why nothing is learned."""
    most, curve = run.entropy_range, run.select_finite(metrics.ENTROPY)
    if most is None:
        return False
    low = curve.index[(curve < COLLAPSED * most).to_numpy()]
    return len(low) > 0 and run.compute_progress(int(low[0])) < AT_ONCE


def _blind(run: Signals, moved: float) -> Evidence | None:
    """Return evidence that F1 and return are hardly better than without seeing the network flows; else None."""
    level, returns = run.select_last(metrics.F1, share=0.0), run.select_last(metrics.TRAIN_RETURN)
    if level is None or returns is None or not run.trivial_f1:
        return None
    trivial = max(run.trivial_f1.values())
    little = max(TRIVIAL_MARGIN, compute_f1_error(run, trivial), min(LEARNED, moved) * (1 - trivial))
    if max(level.values) > trivial + little:
        return None
    text = f"F1 {number(level.mean, 3)}, of policies that do not look at the flows {number(trivial, 3)} at best"
    rewards, flows = compute_rewards(run), run.read_number("env.flows_per_episode")
    if rewards and flows:
        gone = rewards.compute_gain(returns.mean / flows, rewards.best_constant)
        if gone is not None and gone > PAID:
            return None
        best = number(rewards.best_constant * flows)
        text += f"; return {number(returns.mean)}, of always the same action {best} at best"
    elif run.trend(metrics.TRAIN_RETURN).rises:
        return None
    return Evidence(text, (metrics.F1, metrics.TRAIN_RETURN), level.reach)


def _flat(run: Signals) -> Evidence | None:
    """Return evidence that neither sampled nor greedy return has risen since the start; None otherwise."""
    returns, is_flat = run.select_all(metrics.TRAIN_RETURN), not run.is_ours and judge_standing(run).is_untaught
    for name in (metrics.TRAIN_RETURN, metrics.EVAL_RETURN):
        start, late, curve = run.select_first(name, 4), run.select_last(name), run.trend(name)
        if start is None or late is None:
            continue
        noise = max(curve.noise, 1e-9)
        rose = late.mean - start.mean > 2 * noise / math.sqrt(len(late.values))
        if curve.rises or (rose and not is_flat):  # means over 100 episodes wander by more than their own noise
            return None
    if returns is None or max(returns.values) - min(returns.values) <= 1e-6 * max(1.0, abs(returns.mean)):
        return None  # no reward has been found: another rule's
    level = returns.way if returns.went_down else str(returns)
    return Evidence(f"the return has not risen: {level}", (returns.metric,), returns.reach)


def _causes(run: Signals) -> tuple[Cause, ...]:
    probe, unforeseen, why = run.select_last(metrics.PROBE_EXPLAINED_VARIANCE_MC), Support.OPEN, ""
    carried = Support.OPEN
    if run.is_triage and run.has(metrics.REWARD_FORESEEN):
        probe = run.select_all(metrics.REWARD_FORESEEN)
    if probe is not None:
        what = "rewards'" if probe.metric == metrics.REWARD_FORESEEN else "returns'"
        why = f"a regression from the observations foresees {percent(probe.mean)} of the {what} variance"
        seen = probe.mean > FORESEEN
        unforeseen = Support.RULED_OUT if seen else Support.SUPPORTED
        carried = Support.SUPPORTED if seen else Support.OPEN
    return (
        Cause(
            "rewards or observations that belong to another step, lane or row",
            "act by a rule that knows what pays: the reward must be that of the step just made",
            unforeseen,
            why,
        ),
        Cause(
            "advantages that belong to other steps than the actions (a shuffle that missed one array)",
            "compare one rollout's advantages with a brute-force sum of rewards, step by step, behind the shuffle",
            carried,
            why,
        ),
        Cause(
            "actions that do not reach the environment",
            "step it by hand with two actions: what follows must differ",
        ),
        Cause(
            "nothing in the observation that says which action pays",
            "fit a classifier to the best action in hindsight: it must beat a constant",
            Support.RULED_OUT if carried is Support.SUPPORTED else Support.OPEN,
            why if carried is Support.SUPPORTED else "",
        ),
    )


RULE = Rule(
    name="signal_lost",
    title="Signal lost",
    stage=Stage.CRITIC,
    needs=((metrics.APPROX_KL,), (metrics.TRAIN_RETURN,)),
    helps=(
        *(metrics.ADVANTAGE_FOLLOWED, metrics.REWARD_FORESEEN, metrics.PROBE_EXPLAINED_VARIANCE_MC),
        *(metrics.CLIP_FRACTION, metrics.F1_TRAIN),
    ),
    explains=(
        *("entropy_collapsed", "greedy_collapsed", "greedy_vs_sampled", "oscillating", "entropy_pinned"),
        "updates_too_small",
    ),
    says="what reaches the policy says little about its actions, in a task that is not solved",
    threshold=(
        "updates hardly follow their advantages: correlation below 0.085 over the first 8 evaluations (0.06 over "
        "4), or unsteady, while the policy is undecided, or below -0.1 in 3 evaluations and 5 % of them; observations "
        "of training foresee less than 1 % of the rewards, while F1 is above trivial; elsewhere, in runs of "
        "our own learner, 3 % of rewards and returns together in half of 15 evaluations; or F1 on flows trained on "
        "clearly below that on others. Without these: KL of 0.03 in all, and F1 hardly above a trivial policy's, with "
        "a return no better than always the same action's; elsewhere a return that has not risen"
    ),
    source="Jones 2021, Debugging RL without the agonizing pain (probe environments); Schulman 2017 (KL without "
    "progress); measured here",
    examine=examine,
)
