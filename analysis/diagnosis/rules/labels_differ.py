"""Flows trained on hold another share of threats than flows judged: a fault of the data, which no setting cures.

What an episode returned, beside the shares of the actions taken and the reward table, bounds the share of threats among
the flows trained on. An untrained policy is blind to the flows, so its return gives the share itself; later any policy
lies between the best and the worst way to deal its actions out to benign flows and threats.
"""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Kind, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.signals import Signals, select_columns
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.words import percent
from unstuck.rl import metrics
from unstuck.rl.metrics import ACTIONS

BLIND, EARLY = 0.97, 8
"""Share of the largest entropy from which a policy cannot have learned which flows are threats, and iterations that it
may count as untrained."""

LATE = 0.25
"""Last share of a run whose return must fit as well."""

ERRORS = 4.0
"""Standard errors of the mean return by which a share may miss it: of a healthy run one look in 16,000 misses it."""

APART, TIMES = 0.05, 2.0
"""Distance of the two shares, and factor between them, from which they differ: parts of a stream drift by less."""

DRAWN = 1.3
"""The same factor where the parts are drawn at random, so that shares of threats differ by chance alone."""

SHARES = np.linspace(0.0, 1.0, 1001)

Array = npt.NDArray[np.float64]


def examine(run: Signals) -> Finding | None:
    """Return a finding on whether training and evaluation have equal shares of threats; None if unknown."""
    judged, bounds = run.threats_judged if run.is_triage else None, bound_trained_share(run)
    if judged is None or bounds is None:
        return None
    low, high, facts = bounds
    reach = f"{percent(low, 1)} to {percent(high, 1)}"
    nearest = min(max(judged, low), high)
    more, less = max(nearest, judged), min(nearest, judged)
    times = DRAWN if run.setting("data.order") == "shuffled" else TIMES
    if more - less < APART or more < times * less:
        text = f"the returns fit the evaluation's share of threats, {percent(judged, 1)}"
        return Finding(text, Kind.FINE, Sureness.LIKELY, "", facts) if high - low < 2 * APART else None
    standing = judge_standing(run)
    return Finding(
        headline=f"Training and evaluation hold different flows: by their returns {reach} of the flows trained on are "
        f"threats, and {percent(judged, 1)} of those judged",
        kind=Kind.SUSPECT if standing.has_learned else Kind.FAULT,
        sureness=Sureness.SURE,
        why=f"at {percent(judged, 1)} no policy with these actions earns this under the reward table; "
        f"{standing.brief}. No setting can cure it",
        evidence=(*facts, _show_judged(run, judged)),
        causes=_causes(nearest < judged),
        since=facts[0].iterations[1] if facts[0].iterations else None,
    )


@lru_cache(maxsize=16)
def bound_trained_share(run: Signals) -> tuple[float, float, tuple[Evidence, ...]] | None:
    """Return bounds of the share of threats among the flows trained on, with evidence; None if nothing tells."""
    table, paid = _rewards(run), run.select_finite(metrics.TRAIN_RETURN)
    if table is None or paid.empty or float(paid.min()) == float(paid.max()):
        return None  # rewards that never differ tell nothing of the flows
    told = [part for part in (_early(run, *table), _late(run, *table)) if part is not None]
    if not told:
        return None
    fits = np.logical_and.reduce([fit for fit, _ in told])
    shares = SHARES[fits] if fits.any() else SHARES[told[0][0]]
    return float(shares.min()), float(shares.max()), tuple(fact for _, fact in told)


def _show_judged(run: Signals, share: float) -> Evidence:
    counts = run.confusion
    names = (metrics.TRUE_POSITIVES, metrics.TRUE_NEGATIVES, metrics.FALSE_POSITIVES, metrics.FALSE_NEGATIVES)
    text = f"{percent(share, 1)} of the flows judged are threats"
    return Evidence(text, names, (int(counts.index[0]), int(counts.index[-1])))


def _rewards(run: Signals) -> tuple[Array, Array] | None:
    """Return the rewards of the actions on benign and on threat flows, each `[4]`; None if not recorded."""
    rows = [run.setting("env.reward_benign"), run.setting("env.reward_threat")]
    if not all(isinstance(row, tuple | list) and len(row) == len(ACTIONS) for row in rows):
        return None
    if not run.read_number("env.flows_per_episode") or tuple(run.actions) != ACTIONS:
        return None
    return np.asarray(rows[0], dtype=np.float64), np.asarray(rows[1], dtype=np.float64)


def _early(run: Signals, benign: Array, threat: Array) -> tuple[npt.NDArray[np.bool_], Evidence] | None:
    """Return as booleans which threat shares fit the first returns (policy ignores flows), and evidence; or None."""
    entropy, most = run.select_finite(metrics.ENTROPY).iloc[:EARLY], run.entropy_range
    if most is None or entropy.empty:
        return None
    blind = int(np.logical_and.accumulate(entropy.to_numpy() > BLIND * most).sum())
    last = int(entropy.index[blind - 1]) if blind else 0
    window = _window(run, 1, last)
    if window is None or abs(float((threat - benign).mean())) < 1e-9:
        return None
    paid, taken, text, reach = window
    expected = np.outer(1 - SHARES, [taken @ benign]).ravel() + SHARES * (taken @ threat)
    error = ERRORS * _error(run, SHARES, benign, threat, paid)
    fits = np.abs(expected - paid.mean()) <= error
    return (fits, Evidence(f"{text}, of a policy that cannot tell flows yet", _NAMES, reach)) if fits.any() else None


def _late(run: Signals, benign: Array, threat: Array) -> tuple[npt.NDArray[np.bool_], Evidence] | None:
    """Return as booleans which threat shares fit the last returns (any use of actions), and evidence; or None."""
    last = run.history.last_iteration
    window = _window(run, last - math.floor(LATE * last), last)
    if window is None:
        return None
    paid, taken, text, reach = window
    gain = threat - benign
    best, worst = (_deal_out(taken, gain, order) for order in (np.argsort(-gain), np.argsort(gain)))
    base, error = float(taken @ benign), ERRORS * _error(run, SHARES, benign, threat, paid)
    fits = (paid.mean() <= base + best + error) & (paid.mean() >= base + worst - error)
    return (fits, Evidence(text, _NAMES, reach)) if fits.any() else None


def _deal_out(taken: Array, gain: Array, order: npt.NDArray[np.int64]) -> Array:
    """Compute a flow's mean reward from threats, for each share of threats, if these get actions in order.

    Args:
        taken: Shares of the actions, `[4]`.
        gain: Reward of each action on a threat less that on a benign flow, `[4]`.
        order: Actions, the first of which threats get first.
    """
    before = np.concatenate([[0.0], np.cumsum(taken[order])[:-1]])
    dealt = np.clip(SHARES[:, None] - before, 0.0, taken[order])
    return np.asarray(dealt @ gain[order])


def _window(run: Signals, first: int, last: int) -> tuple[Array, Array, str, tuple[int, int]] | None:
    """Return a window's rewards of a flow `[n]`, action shares `[4]`, text and iterations; None if not recorded."""
    flows = run.read_number("env.flows_per_episode") or math.nan
    returns = run.select_finite(metrics.TRAIN_RETURN).loc[first:last]
    shares = run.shares(metrics.ACTION_PREFIX).loc[first:last]
    if len(returns) < 2 or shares.empty or not set(ACTIONS) <= set(shares):
        return None
    paid = np.asarray(returns / flows, dtype=np.float64)
    taken = np.asarray(select_columns(shares, ACTIONS).mean(axis=0), dtype=np.float64)
    reach = int(returns.index[0]), int(returns.index[-1])
    allowed = percent(float(taken[0]), 1)
    text = f"a flow paid {paid.mean():.3g} with {allowed} allowed over iterations {reach[0]} to {reach[1]}"
    return paid, np.asarray(taken / taken.sum()), text, reach


def _error(run: Signals, shares: Array, benign: Array, threat: Array, paid: Array) -> Array:
    """Compute the standard error of a network flow's mean reward, for each share of threats.

    The larger of two: that of independent flows, and that of the iterations' own spread, since flows come in bursts.
    """
    squares = (1 - shares) * (benign**2).mean() + shares * (threat**2).mean()
    means = (1 - shares) * benign.mean() + shares * threat.mean()
    lanes, steps = (run.read_number(f"ppo.{name}") or 1.0 for name in ("num_envs", "num_steps"))
    independent = np.sqrt(np.maximum(squares - means**2, 0.0) / (lanes * steps * len(paid)))
    return np.asarray(np.maximum(independent, float(np.std(paid, ddof=1)) / math.sqrt(len(paid))))


_NAMES = (metrics.TRAIN_RETURN, f"{metrics.ACTION_PREFIX}<action>")


def _causes(fewer: bool) -> tuple[Cause, ...]:
    return (
        Cause(
            "threats that are labelled benign in the part trained on" if fewer else "benign flows labelled as threats",
            "count the labels of both parts, value by value; look up ten of the rare ones by hand",
        ),
        Cause(
            "a filter, or a limit of rows, that takes out threats" if fewer else "a filter that takes out benign flows",
            "count rows and labels before and after each step from the file to the flows",
            Support.OPEN,
        ),
        Cause(
            "parts split by time, between which the traffic changed",
            "count threats by day: the share must change where the split lies",
        ),
    )


RULE = Rule(
    name="labels_differ",
    title="Labels differ between parts",
    stage=Stage.BUG,
    needs=((metrics.TRAIN_RETURN,), (metrics.TRUE_POSITIVES,), (f"{metrics.ACTION_PREFIX}<action>",)),
    helps=(metrics.ENTROPY,),
    explains=(
        *("overfitting", "greedy_collapsed", "greedy_vs_sampled", "entropy_collapsed", "oscillating", "signal_lost"),
        *("learns_backwards", "reward_misspecified", "critic_underfits", "seeds_bimodal", "entropy_pinned"),
    ),
    curable=False,
    says=(
        "flows trained on hold another share of threats than flows judged, by what episodes returned: no "
        "setting cures it, and what to check in the data is listed"
    ),
    threshold=(
        "no share of threats within 0.05, and within a factor of 2 (1.3 where flows are shuffled), of the evaluation's "
        "gives the returns: of"
        " an untrained policy within 4 standard errors, later between the best and the worst use of its "
        "actions"
    ),
    source=(
        "the reward table, by arithmetic; Northcutt et al. 2021, Confident learning (labels are a usual fault of data)"
    ),
    examine=examine,
)
