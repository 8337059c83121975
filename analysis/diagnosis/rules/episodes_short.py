"""Episodes of training are cut off: all end at one small number of steps, and evaluations last longer, or nothing pays.

A limit of steps that is too low ends each episode before the reward, or before anything can go wrong.
"""

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Ground, Kind, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.rules.rewards_noisy import measure_scatter
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.history.derive import UNIT_ENTROPY
from unstuck.analysis.history.record import EPISODE_LENGTH, EVAL_LENGTH, POLICY_STD
from unstuck.analysis.words import number
from unstuck.rl import metrics

POINTS = 12
"""Lengths on record before anything is said."""

ALIKE = 0.05
"""Share of the largest mean length by which all others may lie below: hardly an episode ends by itself."""

LONGER = 1.1
"""Factor of training's largest length that evaluations must last, most of them."""

EVALUATIONS = 3

LATER, FAR_LONGER = 0.5, 2.0
"""Share of the run in which mean lengths are one and the same number after longer ones, or a single step, and the
factor of that number that evaluations must last: a limit that bites later, as a counter of steps that no reset sets
back. Where episodes end at a goal, chance makes mean lengths differ, and a greedy policy may go in circles."""

FEW = 10
"""Steps up to which an episode is short where no evaluation tells how long the task lasts."""

MUCH_MORE = 3.0
"""Factor of the largest return of such an episode, up to sign, that our own evaluations must return."""

SCATTERED = 2.0
"""Means by which single episodes scatter of which one in five is paid."""

SELDOM = 0.1
"""Largest mean return where 0 is nothing that says that episodes end before the reward: it is met by chance."""


SOON = 8
"""Lengths on record before episodes are said to end whatever the policy does."""

STILL = 0.05
"""Share of its size by which a return may differ in a run whose episodes all go the same way: 0.01 and 0.03 have been
seen. Means of 100 episodes of a bandit's, paid 1 or 0, differ by 0.2 and more."""


FELL, BODY = 5.0, 5.5
"""Steps up to which episodes of continuous control are over before an action can show; and the numbers of an action,
by its entropy, from which on a task is taken for control of a body (Walker2d has six) and not for a choice of a few."""


def examine(run: Signals) -> Finding | None:
    """Return a finding if training's episodes are cut off, or end at once whatever the policy does; None otherwise."""
    return _cut_off(run) or _end_anyhow(run) or _fall_at_once(run)


def _fall_at_once(run: Signals) -> Finding | None:
    """Return a suspect if the episodes of a body's control end after a few steps, early and late; None otherwise.

    Episodes of a choice of numbers, as of a design, have one length. These end at what the body does.
    """
    lengths, numbers = run.select_all(EPISODE_LENGTH), _count_numbers(run)
    if lengths is None or len(lengths.values) < POINTS or numbers is None or numbers < BODY or not run.has_ended:
        return None
    start, late = run.select_first(EPISODE_LENGTH, POINTS // 4), run.select_last(EPISODE_LENGTH)
    longest = max(lengths.values)
    if not start or not late or longest > FELL or min(lengths.values) > (1 - ALIKE) * longest:
        return None
    text = f"{number(start.mean, 2)} steps at first and {number(late.mean, 2)} of late, {number(longest, 2)} at most"
    return Finding(
        headline=f"Episodes end at once: {text}",
        kind=Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why=f"an action of about {number(numbers, 2)} numbers has hardly shown by then; {judge_standing(run).brief}",
        evidence=(Evidence(text, (EPISODE_LENGTH,), lengths.reach),),
        causes=(
            _BEYOND_LIMIT,
            Cause(
                "a task of so few steps, each of a different number",
                "ask the environment's author how long an episode lasts",
            ),
        ),
        since=lengths.iterations[POINTS - 1],
    )


def _count_numbers(run: Signals) -> float | None:
    """Estimate of how many numbers a continuous action is made, from the first entropy and spread; None if unknown."""
    entropy, spread = run.select_first(metrics.ENTROPY, 1), run.select_first(POLICY_STD, 1)
    if entropy is None or spread is None or spread.mean <= 0 or UNIT_ENTROPY + math.log(spread.mean) < UNIT_ENTROPY / 2:
        return None
    return entropy.mean / (UNIT_ENTROPY + math.log(spread.mean))


def _end_anyhow(run: Signals) -> Finding | None:
    """Return a finding if all episodes last as few steps and return the same, from first to last; None otherwise."""
    lengths, returns = run.select_all(EPISODE_LENGTH), run.select_all(metrics.TRAIN_RETURN)
    if lengths is None or returns is None or min(len(lengths.values), len(returns.values)) < SOON or run.is_triage:
        return None
    longest, size = max(lengths.values), max(map(abs, returns.values))
    if longest > FEW or min(lengths.values) < (1 - ALIKE) * longest:
        return None
    if judge_standing(run).has_learned:
        return None  # a clear rise, however small, is the policy's doing
    if max(returns.values) - min(returns.values) > STILL * size or max(returns.values) == min(returns.values):
        return None
    once = longest <= 1
    steps = "at its first step" if once else f"after {number(lengths.median, 2)} steps"
    text = f"each ends {steps}, and returns {number(returns.median, 3)}, {lengths.where}"
    return Finding(
        headline=f"Episodes end at once, whatever the policy does: {text}",
        kind=Kind.FAULT if once and run.has_ended else Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why="nothing that the policy has tried made an episode longer, or return more",
        evidence=(Evidence(text, (EPISODE_LENGTH, metrics.TRAIN_RETURN), lengths.reach),),
        causes=(
            replace(_BEYOND_LIMIT, support=Support.SUPPORTED, why=text),
            Cause(
                "actions too weak to matter before the end",
                "play ten episodes with the largest and ten with the smallest action: their lengths must differ",
            ),
            Cause(
                "a task of so few steps, whose actions all pay alike",
                "ask the environment's author how long an episode lasts",
            ),
        ),
        since=lengths.iterations[SOON - 1],
        ground=Ground.MEASURED if once else Ground.PACE,
    )


_BEYOND_LIMIT = Cause(
    "a start that is already beyond a limit that ends the episode (an angle, a distance, a collision)",
    "reset ten times, and print the first observation beside each limit",
)


def _cut_off(run: Signals) -> Finding | None:
    """Return a finding if all training episodes end at the same small number of steps; None otherwise."""
    lengths, returns = run.select_all(EPISODE_LENGTH), run.select_all(metrics.TRAIN_RETURN)
    late = run.select_last(EPISODE_LENGTH, LATER)
    if lengths is None or late is None or returns is None or len(lengths.values) < POINTS:
        return None
    limit = max(lengths.values)
    if limit > 1 and min(lengths.values) >= (1 - ALIKE) * limit:
        fact = _last_longer(run, limit, LONGER) or _return_more(run, limit, returns)
        fact = fact or _pay_nothing(limit, np.asarray(returns.values))
    else:
        longest, lengths, limit = limit, late, max(late.values)
        is_later = min(late.values) == limit and (limit < longest or limit <= 1)  # others grow up to their limit
        fact = _last_longer(run, limit, FAR_LONGER) if is_later else None
    if fact is None:
        return None
    standing = judge_standing(run)
    text = f"all end after {number(limit, 3)} step{'s' if limit > 1 else ''}, and {fact.text}"
    return Finding(
        headline=f"Episodes of training are cut off: {text}",
        kind=Kind.FAULT,
        sureness=Sureness.LIKELY if _is_beside_evaluations(fact) else Sureness.POSSIBLE,
        why=f"what lies behind the limit is never met in training; {standing.brief}",
        evidence=(Evidence(text, (EPISODE_LENGTH, *fact.metrics), lengths.reach),),
        causes=(
            Cause(
                "a limit of steps (TimeLimit, max_episode_steps, an option of the simulator) that is too low",
                "let a policy by hand play the task: how many steps does it take to the reward?",
                Support.SUPPORTED,
                text,
            ),
            Cause(
                "a task whose episodes are that short, and whose reward is rare",
                "ask the environment without wrappers how long an episode lasts",
            ),
        ),
        since=lengths.iterations[min(POINTS, len(lengths.iterations)) - 1],
        ground=Ground.MEASURED if _is_beside_evaluations(fact) or _stays_unpaid(run) else Ground.PACE,
    )


def _last_longer(run: Signals, limit: float, factor: float) -> Evidence | None:
    """Return evidence that evaluation episodes last longer, by a factor, than any training episodes; None otherwise."""
    tried = run.select_all(EVAL_LENGTH)
    if tried is None or len(tried.values) < EVALUATIONS or tried.median < factor * limit:
        return None
    return Evidence(f"evaluations last {number(tried.median, 3)}", (EVAL_LENGTH,))


def _return_more(run: Signals, limit: float, returns: Window) -> Evidence | None:
    """Return evidence that our learner's evaluations return, or lose, more than its short episodes ever can; or None.

    Lengths of our evaluations are not on record. A greedy policy may earn more a step, and so does training's in time.
    """
    judged, most = run.select_all(metrics.EVAL_RETURN), max(map(abs, returns.values))
    if not run.is_ours or limit > FEW or judged is None or len(judged.values) < EVALUATIONS:
        return None
    size = abs(judged.median)
    if size < MUCH_MORE * most or not most:
        return None
    text = f"evaluations return {number(judged.median, 3)}, training {number(most, 3)} at most, up to sign"
    return Evidence(text, (metrics.EVAL_RETURN,))


def _is_beside_evaluations(fact: Evidence) -> bool:
    return bool({EVAL_LENGTH, metrics.EVAL_RETURN} & set(fact.metrics))


def _pay_nothing(limit: float, returns: npt.NDArray[np.float64]) -> Evidence | None:
    """Return evidence that short episodes almost never get a reward; None otherwise."""
    if limit > FEW or float(returns.min()) < 0 or not float(returns.max()) > 0 or float(returns.mean()) > SELDOM:
        return None
    return Evidence(
        f"return {number(float(returns.mean()), 2)} on average, where 0 is nothing", (metrics.TRAIN_RETURN,)
    )


def _stays_unpaid(run: Signals) -> bool:
    """True if a run has ended and few episodes got a reward, as single returns scatter far beyond the mean.

    Of returns that are 0 but for a share p, the spread is sqrt((1 - p) / p) times the mean: 2 for one in five.
    """
    late, scatter = run.select_last(metrics.TRAIN_RETURN), measure_scatter(run)
    return run.has_ended and late is not None and scatter is not None and scatter >= SCATTERED * late.mean > 0


RULE = Rule(
    name="episodes_short",
    title="Episodes cut off",
    stage=Stage.CEILING,
    needs=((metrics.TRAIN_RETURN,),),
    helps=(EPISODE_LENGTH, EVAL_LENGTH, POLICY_STD),
    explains=(
        *("reward_sparse", "reward_not_found", "return_frozen", "oscillating", "greedy_vs_sampled", "entropy_pinned"),
        *("signal_lost", "critic_underfits", "entropy_collapsed", "updates_too_small", "greedy_collapsed"),
    ),
    curable=False,
    says=(
        "training's episodes all end at one length, and evaluations last longer, or hardly one is paid; or all end at "
        "once and return the same, whatever the policy does; or a body's all end after a few steps"
    ),
    threshold=(
        "mean lengths within 5 % of the largest, above 1 step; evaluations 1.1 times as long in the median, or "
        "twice as long where the second half's lengths are all one step, or one and the same after longer ones; "
        "of our own learner at most 10 steps, and evaluations that return 3 times what training ever does; "
        "without evaluations at most 10 steps and returns from 0 up of 0.1 at most on average; or at most 10 steps, "
        "and returns that differ by 5 % at most: a fault at one step, in a run that has ended; a doubt where actions "
        "have 6 continuous numbers or more, and mean lengths are 5 steps at most, and not all the same, to the end"
    ),
    source="Pardo et al. 2018, Time limits in reinforcement learning; Jones 2021 (compare with simple policies)",
    examine=examine,
)
