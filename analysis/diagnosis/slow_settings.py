"""Tell settings, and schedules, that make steps too small for a run to learn anything."""

from typing import NamedTuple

from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Ground, Kind, Remedy, Support, Sureness
from unstuck.analysis.diagnosis.remedies import RATE, restore_usual
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.words import number
from unstuck.rl import metrics

LOWEST_RATE, LARGE_EPS = 1e-5, 1e-3
"""Learning rate up to which, and epsilon of Adam from which on, steps are too small where nothing was learned: 2e-5 and
1e-4 have been seen to train, and a gradient clipped to 0.5 has some 5e-3 in each of 10,000 parameters."""

DESCENT, LEAST_OF_DESCENT = "SGD", 0.01
"""Name of plain gradient descent, whose steps are as small as the gradient, and the least rate usual with it."""

MOVED_KL = 1e-3
"""Mean KL from which updates do move the policy, so that no step is too small."""

EARLY = 0.25
"""Share of the run before settings alone say anything."""

UNPLANNED = 0.75
"""Share of the logged rates that are next to nothing from which on a schedule is a fault whatever was learned."""

RATES = 8
"""Rates on record before a schedule is told from them."""

SPENT = 0.01
"""Share of the largest learning rate below which the rate in force moves nothing; a schedule's last percent."""


def tell_slow_setting(run: Signals) -> Finding | None:
    """Return a fault if a run has learned nothing, at a setting that makes steps too small to; None otherwise.

    Where KL shows that updates move the policy, something else keeps the run from learning.
    """
    moved, standing, spent = run.select_all(metrics.APPROX_KL), judge_standing(run), _find_spent_rate(run)
    ended_early = spent is not None and spent.share >= UNPLANNED and run.has_ended
    poor = standing.is_poor or ended_early
    if run.is_ours or not poor or (moved and abs(moved.median) > MOVED_KL):
        return None
    if not run.has_ended and run.compute_progress(run.history.last_iteration) < EARLY:
        return None
    found = _find_slow_setting(run)
    if found is None:
        return None
    text, why, names, remedies = found
    return Finding(
        headline=f"Updates are too small: {text}",
        kind=Kind.FAULT,
        sureness=Sureness.LIKELY,
        why=f"{why}; {standing.brief}",
        evidence=(Evidence(f"{text}, where {why}", names),),
        causes=(
            Cause(
                "steps that are too small to learn anything in this time",
                "branch at usual steps (a learning rate of 3e-4, Adam, its epsilon 1e-5)",
                Support.SUPPORTED,
                text,
            ),
        ),
        remedies=remedies,
        since=min(max(1, int(EARLY * run.history.length)), run.history.last_iteration),
        missing=tuple(name for name in (metrics.APPROX_KL, metrics.UPDATE_NORM) if not run.has(name)),
        ground=Ground.MEASURED if ended_early and names == (metrics.LR,) else Ground.PACE,
    )


def _find_slow_setting(run: Signals) -> tuple[str, str, tuple[str, ...], tuple[Remedy, ...]] | None:
    """Return a setting that makes steps too small in words, what is usual, names and remedies; None without one."""
    rate, eps, spent = run.rate, run.read_number("ppo.adam_eps"), _find_spent_rate(run)
    watch = "KL of an update above 1e-3, and a return that leaves its start"
    if run.setting("ppo.optimizer") == DESCENT and rate is not None and rate < LEAST_OF_DESCENT:
        adam = Remedy({"ppo.optimizer": "Adam"}, "scales each step by the gradient's own size", watch)
        text, why = f"plain gradient descent at a rate of {number(rate)}", "which was made for Adam: 0.01 to 1 is usual"
        return text, why, ("ppo.optimizer", RATE), (adam,)
    if rate is not None and rate <= LOWEST_RATE:
        text, why = f"a learning rate of {number(rate)}", "1e-5 to 1e-2 is usual with Adam, most often 3e-4"
        return text, why, (RATE,), restore_usual(run, (RATE,), watch, -1)
    if spent is not None:
        text = f"the learning rate fell from {number(spent.most)} to {number(spent.least)} by iteration {spent.since}"
        constant = Remedy({"ppo.lr_schedule": "constant"}, "the schedule has brought the rate to nothing", watch)
        return text, "a schedule reaches its end with the run's, not before", (metrics.LR,), (constant,)
    if eps is not None and eps >= LARGE_EPS:
        text, why = f"Adam's epsilon is {number(eps)}", "1e-8 to 1e-5 is usual; it outweighs a clipped gradient"
        return text, why, ("ppo.adam_eps",), restore_usual(run, ("ppo.adam_eps",), watch, 1)
    return None


class _Spent(NamedTuple):
    """Largest and last learning rate, and since when, and in which share of the values, there is next to nothing."""

    most: float
    least: float
    since: int
    share: float


def _find_spent_rate(run: Signals) -> _Spent | None:
    """Return a learning rate that is next to nothing for more than half of what is logged; None otherwise."""
    rates = run.select_finite(metrics.LR)
    if len(rates) < RATES:
        return None
    most = float(rates.max())
    alive = rates.index[rates > SPENT * most]
    later = rates[rates.index > alive[-1]] if len(alive) else rates
    if len(later) <= len(rates) / 2:
        return None
    return _Spent(most, float(later.iloc[-1]), int(later.index[0]), len(later) / len(rates))
