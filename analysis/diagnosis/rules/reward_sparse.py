"""The reward is met too seldom: most episodes return the same, the others come by chance, and nothing builds on them.

A return that varies a little is no proof against it: its mean goes up and down with the episodes that met the reward.
"""

import numpy as np
from unstuck.analysis.diagnosis.direction import State
from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Ground, Kind, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.rules.return_frozen import find_few_values
from unstuck.analysis.diagnosis.rules.updates_too_large import LARGE_KL
from unstuck.analysis.diagnosis.rules.updates_too_small import SMALL_KL
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.history.record import SUCCESS_RATE
from unstuck.analysis.words import number, percent
from unstuck.rl import metrics

POINTS = 12
"""Returns on record before anything is said."""

SELDOM = 0.3
"""Mean success rate, or mean return where 0 is nothing and the goal pays about 1, below which it is seldom met."""

SAME = 0.3
"""Share of the returns that are the least there is, all the same, beside a few that are more."""


TRIED, EXPLORES = 3, 0.5
"""Entropies before the return came to stay, and the share of the largest from which the policy still explored."""


def examine(run: Signals) -> Finding | None:
    """Return a finding if most episodes seem to get no reward although updates work; None otherwise.

    A fault if the run is over and the number that tells is a rate of success, or a return near 0; else a suspect.
    """
    seldom, kl = find_seldom_met(run), run.select_all(metrics.APPROX_KL)
    if seldom is None or (kl is not None and not SMALL_KL < kl.median < LARGE_KL):
        return None
    entropy, most = run.select_last(metrics.ENTROPY), run.entropy_range
    facts = [seldom]
    if kl:
        facts.append(Evidence(f"KL of an update {number(kl.median, 2)} in the median", (kl.metric,), kl.reach))
    if entropy and most:
        text = f"entropy {percent(entropy.mean / most, 1)} of its maximum"
        facts.append(Evidence(text, (entropy.metric,), entropy.reach))
    return Finding(
        headline=f"The reward is met too seldom: {seldom.text}",
        kind=Kind.FAULT if run.has_ended and _is_told_by_size(run, seldom) else Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why=f"updates move the policy, and have next to nothing to follow; {judge_standing(run).brief}",
        evidence=tuple(facts),
        causes=(
            Cause(
                "a goal far away, and nothing on the way to it",
                "let a uniform policy play a thousand episodes, and count those that return more",
                Support.SUPPORTED,
                seldom.text,
            ),
            Cause(
                "a reward on the way that is missing: distance, progress, a part of the goal",
                "pay for progress (potential-based, so that the best policy stays the same), or start near the goal",
            ),
            Cause(
                "an entropy bonus that undoes what the few rewards teach",
                "branch at a tenth of entropy_coef: entropy falls after episodes that met the reward",
            ),
        ),
        since=seldom.iterations[0] + POINTS - 1 if seldom.iterations else None,
        ground=Ground.PACE,
    )


def _is_told_by_size(run: Signals, seldom: Evidence) -> bool:
    """True if few successes, or returns near 0, show that rewards are rare, in another program's run.

    Returns that are often the least there is, or no longer vary, may be those of a policy that always does the same: if
    they vary no more at 0, an entropy would tell; where none is on record, nothing else is told of the run.
    Returns that had been better are paid for more than successes, and that pay is not rare.
    """
    returns = run.select_all(metrics.TRAIN_RETURN)
    if run.is_ours or returns is None:
        return False
    standing = judge_standing(run)
    if standing.frozen and _froze_while_exploring(run, standing.frozen):
        return True
    if standing.state is State.FALLING and min(returns.values) != 0:
        return False
    if standing.frozen and (returns.values[-1] != 0 or run.has(metrics.ENTROPY)):
        return False
    return SUCCESS_RATE in seldom.metrics or min(returns.values) == 0


def _froze_while_exploring(run: Signals, frozen: int) -> bool:
    """True if the return came to stay at the least there is while the policy still tried most of its actions."""
    returns, entropy = run.select_finite(metrics.TRAIN_RETURN), run.select_finite(metrics.ENTROPY)
    most, least = run.entropy_reference, float(returns.min())
    if most is None or entropy.empty or float(returns.iloc[-1]) > least + 1e-6 * max(1.0, abs(least)):
        return False
    about = entropy.loc[: int(returns.index[-frozen])]
    return len(about) >= TRIED and float(about.iloc[-TRIED:].mean()) >= EXPLORES * most


def find_seldom_met(run: Signals) -> Evidence | None:
    """Return evidence that few episodes get a reward and that the run does not improve from them; None otherwise."""
    success, returns = run.select_all(SUCCESS_RATE), run.select_all(metrics.TRAIN_RETURN)
    if returns is None or len(returns.values) < POINTS or run.is_triage or judge_standing(run).has_learned:
        return None
    values = np.asarray(returns.values)
    least = float(values.min())
    if float(values.max()) - least <= 1e-6 * max(1.0, abs(least)):
        return None  # none was ever met: another rule's
    if success is not None and len(success.values) >= POINTS:
        met = success.mean < SELDOM and success.values[-1] < SELDOM
        text = f"{percent(success.mean, 1)} of the episodes succeed"
        return Evidence(text, (SUCCESS_RATE,), success.reach) if met else None
    if least == 0 and float(values.max()) < SELDOM:
        return Evidence(
            f"returns of 0 to {number(float(values.max()), 2)} on average", (returns.metric,), returns.reach
        )
    if find_few_values(run) is not None:
        return None  # another rule's: what is more is not much more
    same = float(np.mean(values <= least + 1e-6 * max(1.0, abs(least))))
    if same < SAME:
        return None
    text = f"{percent(same)} of the iterations return {number(least)}, the least there is"
    return Evidence(text, (returns.metric,), returns.reach)


RULE = Rule(
    name="reward_sparse",
    title="Reward met too seldom",
    stage=Stage.CEILING,
    needs=((metrics.TRAIN_RETURN,),),
    helps=(SUCCESS_RATE, metrics.APPROX_KL, metrics.ENTROPY),
    explains=(
        *("entropy_pinned", "signal_lost", "oscillating", "critic_underfits", "greedy_vs_sampled", "learned_and_lost"),
        *("greedy_collapsed", "updates_too_small", "return_frozen", "entropy_collapsed"),
    ),
    says="most episodes return the same, and the run does not build on the few that return more",
    threshold=(
        "success rate below 0.3 on average and in the end; or returns of 0 to 0.3; or 30 % of the returns at "
        "the least value there is; in a run that has not learned, with a KL between 1.5e-5 and 0.05"
    ),
    source=("Ng et al. 1999 (potential-based shaping); Stable-Baselines3's tips (sparse rewards); measured here"),
    examine=examine,
)
