"""The horizon is too short: rewards that come much later than 1 / (1 - gamma) steps hardly count.

A short horizon is right where each step pays for itself, so gamma alone is no fault: the run must have little to show.
"""

from unstuck.analysis.diagnosis.direction import State
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
from unstuck.analysis.diagnosis.remedies import HORIZON
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import is_solved, judge_standing, reaches_best
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.diagnosis.wrapped import read_fact
from unstuck.analysis.history.record import (
    EPISODE_LENGTH,
    NEXT_BY_STEP,
    RETURN_VALUES,
    REWARD_AFTER,
    REWARD_BY_OBSERVATION,
    REWARD_BY_STEP,
)
from unstuck.analysis.words import number
from unstuck.rl import metrics

SHORT = 0.9
"""gamma below which a horizon is short: 10 steps. 0.9 itself trains Pendulum, whose swing takes about as long."""

LONGER = 3.0
"""Horizons that an episode must last, where its length is on record: what is left is then discounted to a twentieth."""

DOUBTED, MUCH_LONGER = 0.8, 6.0
"""gamma below which a horizon (5 steps) is a doubt even in a run that learns, and the horizons that an episode must
last then: few tasks of many steps are so short-sighted."""

LEAST, ALONE, TEN = 0.6, 0.1, 10.0
"""gamma up to which a horizon (2.5 steps) is a fault where episodes last so many of them, unless steps are known to pay
at once; gamma up to which each step is meant to stand alone, as in a bandit; and these horizons."""

TOLD = 0.25
"""Share of the rewards that observation and action of a step foretell up to which steps do not pay for themselves: 0
where a parcel is paid at its end, and 0.3 to 0.99 where each step pays for where it leads."""

FEW = 3
"""Different returns of long episodes up to which an episode is paid once: it is reached or missed."""

FORGOTTEN, GONE = 0.05, 0.001
"""Share of a reward that is left at the episode's start, or at the reward before, where rewards come seldom; and the
share that is a fault even in a run that has learned, unless its task is known to be solved: a critic's error is larger.
With 0.004, a game whose next reward is near was learned as well as with 0.8."""

AT_ONCE = 0.2
"""Share of the rewards that an action must foretell beyond the observation to pay at once: 0.6 in a bandit, and 0.15 at
most where actions move what pays."""

GRACE = 0.25
"""Share of the run before anything is said."""

SAME, MOVED, POINTS = 0.05, 1.3, 4
"""Spread of the reward of a step, relative to its mean, up to which each step pays the same; the factor by which
episodes become longer or shorter meanwhile; and the values on record before both are asked."""

REACHED = 0.5
"""Share of the best return of a known task below which a run that has risen may still be short-sighted."""


def examine(run: Signals) -> Finding | None:
    """Return a finding if gamma is small, episodes are long and the run has achieved little; None otherwise."""
    gamma = run.read_number(HORIZON)
    if gamma is None or gamma >= SHORT or run.is_triage or run.steps_are_independent:
        return None
    horizon, lengths, late = 1 / (1 - gamma), run.select_all(EPISODE_LENGTH), _comes_late(run, gamma)
    if lengths is not None and lengths.median < LONGER * horizon and not late:
        return None  # most episodes may be lost early, and a goal still lie far ahead
    if run.compute_progress(run.history.last_iteration) < GRACE:
        return None
    standing, far_below = judge_standing(run), reaches_best(run, REACHED) is False
    suffers = standing.is_poor or standing.state is State.FALLING or far_below
    doubted = gamma < DOUBTED and lengths and lengths.median >= MUCH_LONGER * horizon
    doubted = doubted and (not run.is_ours or _pays_late(run))
    if not suffers and not late and (not doubted or _pays_at_once(run)):
        return None
    blind = (
        (late is not None and (not standing.has_learned or _is_gone(run, gamma)))
        or (bool(doubted) and (_pays_late(run) or _pays_for_lasting(run)))
        or (bool(doubted) and _is_very_short(run, gamma, lengths))
    )
    text = f"gamma {number(gamma)} looks {number(horizon, 2)} steps ahead"
    long = f", and episodes last {number(lengths.median, 3)}" if lengths else ""
    facts = [Evidence(text + long, (HORIZON, *((EPISODE_LENGTH,) if lengths else ())))]
    if lengths is None:
        facts.append(Evidence("how long episodes last is not on record"))
    facts += [late] if late else []
    return Finding(
        headline=f"The horizon may be too short: {text}{long}",
        kind=Kind.FAULT if suffers or blind else Kind.SUSPECT,
        sureness=Sureness.LIKELY if (suffers or blind) and (lengths or far_below) else Sureness.POSSIBLE,
        why=f"a reward {number(3 * horizon, 2)} steps ahead counts for less than a twentieth; {standing.brief}",
        evidence=tuple(facts),
        causes=(
            Cause(
                "rewards that come long after the action that earned them",
                "branch at gamma 0.95 and 0.99: the return rises above the control's",
                Support.SUPPORTED if lengths else Support.OPEN,
                f"episodes last {number(lengths.median / horizon, 2)} horizons" if lengths else "",
            ),
            Cause(
                "a task in which each step pays for itself: there a short horizon is right",
                "look at when the rewards of one episode come: at once, or in the end",
            ),
        ),
        remedies=(
            Remedy({HORIZON: [0.99, 0.95]}, "looks as far ahead as the task rewards", "the score above the control's"),
        ),
        since=max(1, int(GRACE * run.history.length)),
        missing=() if lengths else (EPISODE_LENGTH,),
        ground=Ground.MEASURED if blind else Ground.PACE,
    )


def _comes_late(run: Signals, gamma: float) -> Evidence | None:
    """Return evidence that rewards come seldom, and so late that the discount leaves nothing of them; else None."""
    after = _find_delay(run, gamma)
    if after is None or gamma**after > FORGOTTEN or is_solved(run):
        return None
    text = (
        f"rewards come seldom, {number(after, 2)} steps after the start or the last one on average, so that "
        f"{number(gamma**after, 1)} of one is left"
    )
    return Evidence(text, (REWARD_AFTER, HORIZON))


def _is_gone(run: Signals, gamma: float) -> bool:
    """True if the discount leaves a thousandth of a rare reward at most."""
    after = _find_delay(run, gamma)
    return after is not None and gamma**after <= GONE


def _find_delay(run: Signals, gamma: float) -> float | None:
    """Return the steps after which a rare reward comes; None if not measured, or if gamma is no discount."""
    after = read_fact(run, REWARD_AFTER)
    return after if after is not None and after >= 0 and 0 <= gamma < 1 else None


def _is_very_short(run: Signals, gamma: float, lengths: Window | None) -> bool:
    """True if gamma is meant to look ahead and looks 2.5 steps ahead at most, in episodes of ten horizons."""
    long = lengths is not None and lengths.median * (1 - gamma) >= TEN
    return ALONE < gamma <= LEAST and long and not is_solved(run)


def _pays_at_once(run: Signals) -> bool:
    """True if a probe (logger) measured that actions change the reward of the same step, as in a bandit."""
    seen, told = run.select_first(REWARD_BY_OBSERVATION), run.select_first(REWARD_BY_STEP)
    return seen is not None and told is not None and told.median - seen.median >= AT_ONCE


def _pays_late(run: Signals) -> bool:
    """True if a step's reward depends on neither state nor action by a probe's measure, or episodes are paid once.

    Rewards that are all the same have no variance to foretell: only how long an episode lasts counts. Where long
    episodes have two or three different returns, no sum of many rewards makes them.
    """
    values = run.select_last(RETURN_VALUES)
    if values is not None and 1 < values.values[-1] <= FEW:
        return True
    told = run.select_first(REWARD_BY_STEP)
    return run.has(NEXT_BY_STEP) and (told is None or told.median < TOLD)


def _pays_for_lasting(run: Signals) -> bool:
    """True if each step pays the same, and episodes become longer or shorter: what counts is how long they last.

    A task that is known to be solved shows that the horizon was long enough.
    """
    lengths, returns = run.select_finite(EPISODE_LENGTH), run.select_finite(metrics.TRAIN_RETURN)
    early, late = run.select_first(EPISODE_LENGTH), run.select_last(EPISODE_LENGTH)
    if early is None or late is None or min(early.mean, late.mean) <= 0:
        return False
    if is_solved(run):
        return False
    paid = (returns / lengths).dropna()
    same = len(paid) >= POINTS and float(paid.std(ddof=0)) <= SAME * abs(float(paid.mean()))
    return same and max(early.mean / late.mean, late.mean / early.mean) >= MOVED


RULE = Rule(
    name="horizon_short",
    title="Horizon too short",
    stage=Stage.CEILING,
    needs=((metrics.TRAIN_RETURN, metrics.EVAL_RETURN),),
    helps=(EPISODE_LENGTH,),
    explains=(
        *("entropy_collapsed", "entropy_pinned", "greedy_collapsed", "greedy_vs_sampled", "oscillating"),
        *("signal_lost", "critic_underfits", "return_frozen", "reward_not_found", "updates_too_small"),
    ),
    says=("gamma looks less far ahead than rewards come, in a run that has little to show: gamma is offered first"),
    threshold=(
        "gamma below 0.9, outside triage; episodes longer than 3 / (1 - gamma) steps where their length is on"
        " record; after a quarter of the run; return no better than at the start, or below half of a known "
        "task's best; below 0.8 with episodes of 6 horizons a doubt in any run of another program, and a fault (in "
        "our own by the first of these alone) where observation and action foretell less than 25 % of a step's reward, "
        "the last 100 episodes have two or three different returns, or, in a task that is not known to be solved, each "
        "step pays the same and episodes become 1.3 times as long or short, or gamma is 0.1 to 0.6 and episodes last "
        "10 horizons; a fault where "
        "rewards come seldom, and the discount leaves a twentieth of one at an episode's start, or at the reward "
        "before; a doubt if the run has learned, unless a thousandth is left"
    ),
    source=(
        "Jones 2021 (effective horizon); Schulman 2017, nuts and bolts (gamma in steps of the task); measured here"
    ),
    examine=examine,
)
