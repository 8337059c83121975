"""Suspect the rewards: returns too large for the critic, attempts that only cost, a reward that is met too seldom.

Each function returns a suspicion with its numbers, or None where the record speaks against the cause.
"""

import math

import numpy as np
from unstuck.analysis.diagnosis.finding import Evidence
from unstuck.analysis.diagnosis.rules.reward_scale import AHEAD, WEIGHT, measure_target
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.suspects.suspicion import (
    HARDLY,
    HINTS,
    OPEN,
    SPEAKS,
    VALUES,
    Suspicion,
    build_evidence,
    select_returns,
)
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.history.record import SUCCESS_RATE, TOTAL_LOSS
from unstuck.analysis.words import number, percent
from unstuck.rl import metrics

COSTS = 1.25
"""Factor of returns that were never above 0: where all costs, to do nothing costs least."""

TALL, LOW, CRAMPED = 10.0, 3.0, 10.0
"""Root of the value loss from which returns are larger than settings are meant for (Jones 2021: scale returns to -10 to
10), and below which they are not; size of the targets below which they are not, and ten times which they are."""

LONGEST = 1000.0
"""Steps of an episode whose length is not on record, at most: most of those that time limits allow are shorter."""

EXPLAINED = 0.8
"""Explained variance from which the critic copes with returns of any size."""

AT_LIMIT, LONG, NEXT_TO_NOTHING = 0.95, 50.0, 0.01
"""Share of the longest episodes' length at which the usual ones end, steps of the longest from which that tells, and
cost of a step below which nothing seems to be done."""

EVEN = 0.02
"""Spread of what a step pays, in its mean, up to which each step pays the same."""

MANY = 8
"""Returns on record before what a step pays is compared."""

BAND = 0.03
"""Share of their level within which returns keep (standard deviation) where nothing that is done changes them."""

MOVED_FAR = 1.0
"""Sum of the updates' KL from which on they have moved the policy far."""


def suspect_raw_returns(run: Signals) -> Suspicion | None:
    """Suspect returns too large for the critic: by its error, else by what it is to predict."""
    explained = run.select_last(metrics.EXPLAINED_VARIANCE)
    test = "branch with normalised returns, or with rewards divided so that returns lie within 10"
    if run.returns_normalised or (explained is not None and explained.median >= EXPLAINED):
        return None
    name = metrics.VALUE_LOSS if run.has(metrics.VALUE_LOSS) else TOTAL_LOSS
    if (loss := run.select_all(name)) is not None:
        weight = 1.0 if name == metrics.VALUE_LOSS else run.read_number("ppo.value_coef") or WEIGHT
        error = math.sqrt(max(loss.median, 0.0) / weight)
        if error < LOW:
            return None
        title = "value loss" if name == metrics.VALUE_LOSS else "loss"
        text = f"the critic's error is about {number(error, 2)} a prediction ({title} {number(loss.median, 3)})"
        missing = () if explained else (metrics.EXPLAINED_VARIANCE,)
        return Suspicion(SPEAKS if error >= TALL else HARDLY, build_evidence(text, loss), test, missing)
    size, fact = _measure_aim(run)
    if fact is None or size < CRAMPED:
        return None
    factor = HINTS if size >= TALL * CRAMPED else OPEN
    return Suspicion(factor, fact, test, (metrics.VALUE_LOSS, metrics.EXPLAINED_VARIANCE))


def _measure_aim(run: Signals) -> tuple[float, Evidence | None]:
    """Return how much a critic is to predict at least, by returns and lengths, or by returns of unknown length."""
    aim, (returns, lengths) = measure_target(run), select_returns(run)
    if aim is not None:
        return aim.size, aim.fact
    if returns is None or lengths is not None or len(returns.values) < MANY:
        return 0.0, None
    size = abs(returns.median) * AHEAD / LONGEST
    text = f"returns of {number(returns.median, 3)}: some {number(size, 2)} to predict, or more, in episodes of unknown"
    return size, build_evidence(f"{text} length", returns)


def suspect_idling(run: Signals) -> Suspicion | None:
    """Suspect that doing nothing pays best: no return above 0, more so where long episodes cost next to nothing."""
    returns, lengths = select_returns(run)
    success = run.select_last(SUCCESS_RATE)
    if returns is None or max(returns.values) > 0 or (success is not None and success.mean > 0):
        return None
    test = "look at what the policy does; let a policy that reaches the goal by hand play an episode"
    longest = max(lengths.values) if lengths else 0.0
    lasts = lengths is not None and longest >= LONG and lengths.median >= AT_LIMIT * longest
    if lengths is None or not lasts or abs(returns.median) >= NEXT_TO_NOTHING * lengths.median:
        return Suspicion(COSTS, build_evidence("no return was ever above 0", returns), test, (metrics.ENTROPY,))
    text = (
        f"no return was ever above 0, episodes last {number(lengths.median)} of {number(longest)} steps, and a "
        f"step costs {number(abs(returns.median) / lengths.median, 2)}"
    )
    return Suspicion(SPEAKS, build_evidence(text, returns, lengths), test)


def suspect_rare_reward(run: Signals) -> Suspicion | None:
    """Suspect a reward that is met too seldom: more so where each step pays the same, whatever was done."""
    returns, lengths = select_returns(run)
    if returns is None or run.has(SUCCESS_RATE):
        return None  # another rule has judged that
    test = "let a uniform policy play a thousand episodes, and count those that return more"
    if lengths and len(lengths.values) == len(returns.values) >= MANY:
        paid = np.asarray(returns.values) / np.maximum(lengths.values, 1.0)
        mean = float(paid.mean())
        if mean != 0 and float(paid.std()) < EVEN * abs(mean) and np.ptp(lengths.values) > 0:
            text = f"each step pays {number(mean, 2)}, in every iteration: nothing else was met"
            return Suspicion(SPEAKS, build_evidence(text, returns, lengths), test, (SUCCESS_RATE,))
    if (band := _find_band(run, returns)) is not None:
        return Suspicion(HINTS, band, test, (SUCCESS_RATE,))
    text = "whether a reward was met, and how often, is not on record"
    return Suspicion(OPEN, build_evidence(text, returns), test, (SUCCESS_RATE,))


def _find_band(run: Signals, returns: Window) -> Evidence | None:
    """Return evidence that the returns keep to a narrow band though updates move the policy; None otherwise."""
    kl, level = run.select_all(metrics.APPROX_KL), abs(returns.median)
    if len(returns.values) < VALUES or kl is None or run.kl_is_signed or math.fsum(kl.values) < MOVED_FAR:
        return None
    if level == 0 or returns.spread > BAND * level:
        return None
    text = f"returns keep within {percent(returns.spread / level)} of {number(returns.median, 3)}"
    return build_evidence(
        f"{text} while updates move the policy by a KL of {number(math.fsum(kl.values), 2)}", returns, kl
    )
