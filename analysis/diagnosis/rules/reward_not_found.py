"""No reward has been found: all episodes return the same, so nothing tells one action from the next.

Or no reward reaches the learner: episodes return this and that, and what the critic is to predict is all but constant.
"""

import math

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
from unstuck.analysis.diagnosis.remedies import RATE, USUAL, find_unusual
from unstuck.analysis.diagnosis.rules.updates_too_small import cannot_have_learned
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.diagnosis.wrapped import make_evidence, read_fact
from unstuck.analysis.history.record import EPISODE_LENGTH, WRAPPED_REWARD_LOST
from unstuck.analysis.words import number, percent, pluralize
from unstuck.rl import metrics

VALUES, WITH_LENGTHS = 12, 8
"""Returns on record before anything is said: one is carried over where no episode ends; and where lengths of episodes
show that episodes do end."""

GRACE = 0.1
"""Share of the run that exploration may take to find a reward."""

SAME = 1e-3
"""Share of their level by which the first return may miss the others, which are all the same; and within which late
returns are."""

STILL = 0.01
"""Spread of the critic's targets that is next to nothing: normalised ones have about 1, and rewards of a usual unit as
much as they differ from step to step."""

SEEN = 0.2
"""Share of the difference that returns make to a step (their spread over the length of an episode) below which the
targets hold nothing of it: a critic that looks only one step ahead is to predict all of that difference."""

VARIES = 0.02
"""Share of its size by which the return must vary."""

KNOWN_AT_MOST = 0.95
"""Explained variance that is believed at most where the targets' spread is inferred from the critic's error."""

LOST = 0.99
"""Share of the variance of the environment's rewards that is gone behind the wrappers: all are paid as one number."""

GONE = 0.05
"""Share of the largest entropy below which a policy of discrete actions tries nothing."""


def examine(run: Signals) -> Finding | None:
    """Return a fault if all training episodes have the same return, or the learner sees none; None otherwise."""
    lost = read_fact(run, WRAPPED_REWARD_LOST)
    if lost is not None and lost >= LOST:
        return _overwritten(run, lost)
    returns = run.select_all(metrics.TRAIN_RETURN)
    lengths = run.select_finite(EPISODE_LENGTH)
    least = WITH_LENGTHS if returns and not run.is_ours and len(lengths) >= len(returns.values) else VALUES
    if returns is None or len(returns.values) < least:
        return None
    if run.compute_progress(returns.iterations[-1]) < GRACE and not run.has_ended:
        return None
    last = returns.values[-1]
    if _varies(returns):  # what evaluations return is no reward: nobody learns from it
        return _not_heard(run, returns)
    text = f"every episode returns {number(last)} {returns.where}"
    normalised = run.setting("ppo.normalize_observations")
    watch = "a single episode that returns something else, within 20 iterations"
    remedies = [Remedy({"ppo.normalize_observations": True}, "scaled inputs make untrained policies differ", watch)]
    weight = run.read_number("ppo.entropy_coef") or 0.0
    remedies.append(Remedy({"ppo.entropy_coef": max(0.01, weight * 3)}, "more exploration", watch))
    return Finding(
        headline=f"No reward has been found: {text}",
        kind=Kind.SUSPECT if _never_tried(run) or _never_moved(run) else Kind.FAULT,
        sureness=Sureness.SURE,
        why=f"{pluralize(len(returns.values), 'iteration')} without a difference",
        evidence=(Evidence(text, (metrics.TRAIN_RETURN,), returns.reach),),
        causes=(
            Cause(
                "a reward that chance does not reach (a goal far away, and nothing on the way to it)",
                "let a uniform policy play a thousand episodes: does any of them return something else?",
            ),
            Cause(
                "inputs that make the untrained policy do the same all the time",
                "look at the shares of its actions, and at the inputs' scale",
                Support.RULED_OUT if normalised else Support.OPEN,
                "observations are normalised" if normalised else "",
            ),
            Cause("a reward that is constant by mistake", "step the environment by hand, and print its rewards"),
        ),
        remedies=() if run.is_triage else tuple(remedies[1:] if normalised else remedies),  # each flow pays there
        since=returns.iterations[least - 1],
        ground=Ground.PACE,
    )


def _overwritten(run: Signals, lost: float) -> Finding:
    """Return the fault of a wrapper that was seen to pay one number for all that the environment pays."""
    text = f"of the variance of what the environment pays {percent(lost)} is gone behind a wrapper"
    return Finding(
        headline=f"No reward reaches the learner: {text}",
        kind=Kind.FAULT,
        sureness=Sureness.SURE,
        why=f"rewards that differ are paid as one number; {judge_standing(run).brief}",
        evidence=(make_evidence(run, text, WRAPPED_REWARD_LOST),),
        causes=(
            Cause(
                "rewards that are clipped, overwritten or rounded away",
                "print what `step` pays inside and outside of each wrapper, for ten steps",
                Support.SUPPORTED,
                text,
            ),
        ),
        since=int(run.select_finite(WRAPPED_REWARD_LOST).index[0]),
        ground=Ground.MEASURED,
    )


def _not_heard(run: Signals, returns: Window) -> Finding | None:
    """Return a fault if returns vary but the critic's targets do not, in a run that has not learned; None otherwise."""
    spread, lengths = _measure_spread(run), run.select_last(EPISODE_LENGTH)
    if spread is None or lengths is None or judge_standing(run).has_learned:
        return None
    late = run.select_last(metrics.TRAIN_RETURN)
    if late is None or _relative(returns) < VARIES or _relative(late) < SAME:
        return None  # episodes that go alike have targets that do not vary
    value, source = spread
    if value >= STILL or value >= SEEN * returns.spread / max(lengths.median, 1.0):
        return None
    least, most = min(returns.values), max(returns.values)
    text = (
        f"episodes return {number(least, 3)} to {number(most, 3)} on average, and what the critic is to predict has a "
        f"spread of {number(value, 2)}"
    )
    return Finding(
        headline=f"No reward reaches the learner: {text}",
        kind=Kind.FAULT,
        sureness=Sureness.LIKELY,
        why=f"rewards that make returns differ so would make targets differ; {judge_standing(run).brief}",
        evidence=(Evidence(text, (metrics.TRAIN_RETURN, *source), returns.reach),),
        causes=(
            Cause(
                "rewards that are clipped, overwritten or scaled away behind the point where returns are counted",
                "print what the rollout buffer holds beside what the environment paid, for one episode",
                Support.SUPPORTED,
                f"targets of spread {number(value, 2)}",
            ),
            Cause(
                "a return that counts what is no reward (a monitor of another quantity)",
                "sum the rewards of one episode by hand, and compare with the return that is logged",
            ),
        ),
        since=returns.iterations[VALUES - 1],
        ground=Ground.PACE,
    )


def _relative(window: Window) -> float:
    """Return the spread of a window's values as a share of their mean's size."""
    return window.spread / max(abs(window.mean), 1e-12)


def _measure_spread(run: Signals) -> tuple[float, tuple[str, ...]] | None:
    """Return the late spread of the critic's targets, measured or inferred, with the metrics read; None if unknown.

    The variance of the targets is the critic's squared error over the share that the critic does not explain.
    """
    logged = run.select_last(metrics.TARGET_STD)
    if logged is not None:
        return logged.median, (metrics.TARGET_STD,)
    loss, explained = run.select_last(metrics.VALUE_LOSS), run.select_last(metrics.EXPLAINED_VARIANCE)
    if loss is None or explained is None:
        return None
    missed = 1 - min(explained.median, KNOWN_AT_MOST)
    return math.sqrt(max(loss.median, 0.0) / missed), (metrics.VALUE_LOSS, metrics.EXPLAINED_VARIANCE)


def _never_tried(run: Signals) -> bool:
    """True if the policy has taken the same actions from the start, so that no reward could be found."""
    entropy, most = run.select_first(metrics.ENTROPY, VALUES), run.entropy_reference
    return entropy is not None and most is not None and entropy.median < GONE * most


def _never_moved(run: Signals) -> bool:
    """True if the learning rate is so low that no update has changed the policy, which then was hardly tried out."""
    rate = find_unusual(run, RATE)
    return rate is not None and rate < USUAL[RATE].least and run.has(metrics.APPROX_KL) and cannot_have_learned(run)


def _varies(window: Window) -> bool:
    """True if returns differ, but for the first one, which may hold an episode that began otherwise."""
    values = window.values[1:]
    return max(values) - min(values) > 1e-6 * max(1.0, abs(values[-1])) or _differs(window.values[0], values[-1])


def _differs(first: float, later: float) -> bool:
    return abs(first - later) > SAME * max(1.0, abs(later))


RULE = Rule(
    name="reward_not_found",
    title="No reward found",
    stage=Stage.CEILING,
    needs=((metrics.TRAIN_RETURN,),),
    helps=(metrics.TARGET_STD, EPISODE_LENGTH),
    explains=(
        *("policy_starved", "updates_too_small", "entropy_pinned", "oscillating", "critic_underfits"),
        *("greedy_vs_sampled", "advantage_scale", "signal_lost", "learned_and_lost"),
    ),
    says="every episode of training returns the same, or returns vary and what the critic is to predict does not",
    threshold=(
        "returns equal over a tenth of the run, but for the first one by a thousandth; or, with nothing learned, "
        "targets of a spread below 0.01 and below a fifth of the returns' spread over an episode's length, returns "
        "varying by 2 %; or, in any run, a wrapper pays what varies as one number (99 % of the variance)"
    ),
    source="CleanRL's benchmark (MountainCar-v0 stays at -200 by its defaults); Jones 2021 (look at single episodes)",
    examine=examine,
)
