"""Log-probabilities of other actions: KL stays as large while the learning rate falls to nothing.

What an update moves falls with the rate, and its KL with the rate's square. A KL that does not is no movement: the old
log-probabilities are not those of the actions stored beside them.

A rate that follows KL is no test: it falls where the policy has become so sensitive that a step of the old size would
move it too far, and so holds KL at its target, whatever the rate.
"""

import pandas as pd
from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Ground, Kind, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.words import number, percent
from unstuck.rl import metrics

LOW, HIGH = 0.1, 0.5
"""Shares of the largest rate below and above which updates are compared: KL falls to a 25th at least."""

POINTS = 3
"""Updates at either rate."""

KEPT = 0.5
"""Share of the KL at a high rate that is left at a low one."""

VISIBLE = 2e-3
"""KL from which updates are no rounding."""


def examine(run: Signals) -> Finding | None:
    """Return a fault if KL is still half as large when the learning rate is a tenth; None otherwise."""
    rates, kl = run.select_finite(metrics.LR), run.select_finite(metrics.APPROX_KL)
    if rates.empty or rates.to_numpy().min() >= LOW * rates.to_numpy().max() or run.rate_follows_kl:
        return None
    both = rates.index.intersection(kl.index)
    if len(both) < 2 * POINTS or run.kl_is_signed:
        return None
    most = float(rates.loc[both].max())
    high = kl.loc[both[(rates.loc[both] > HIGH * most).to_numpy()]]
    low = kl.loc[both[(rates.loc[both] < LOW * most).to_numpy()]]
    if len(high) < POINTS:
        return None
    low = low.loc[int(high.index[POINTS - 1]) :]  # after a warm-up, whose policy is another one
    if len(low) < POINTS:
        return None
    then, now = float(high.median()), float(low.median())
    if now < VISIBLE or now < KEPT * then or _falls_at_last(kl, rates.loc[low.index]):
        return None
    left = percent(float(rates.loc[low.index].median()) / most, 1)
    text = f"KL {number(now, 2)} at {left} of the learning rate, {number(then, 2)} at the whole rate"
    expected = f"about {number(then * LOW**2, 1)} or less were to be expected"
    return Finding(
        headline=f"Log-probabilities may be of other actions: {text}",
        kind=Kind.FAULT,
        sureness=Sureness.LIKELY,
        why=f"what an update moves falls with the rate, and KL with its square: {expected}",
        evidence=(Evidence(text, (metrics.APPROX_KL, metrics.LR), (int(high.index[0]), int(low.index[-1]))),),
        causes=(
            Cause(
                "the log-probability stored is that of another action than the one stored (clipped or replaced behind "
                "the policy, of another sample, of other weights)",
                "compute the log-probabilities of one rollout before any update: the ratios must be 1 to 1e-5",
                Support.SUPPORTED,
                text,
            ),
            Cause(
                "inputs that differ between acting and updating (a normaliser, dropout, a mask)",
                "switch them off: the ratio must be 1 again",
            ),
            Cause(
                "another rate than the one logged moves the policy",
                "log the size of each update's change of the parameters",
            ),
        ),
        since=int(low.index[min(POINTS, len(low)) - 1]),
        missing=() if run.has(metrics.RATIO_DEVIATION) else (metrics.RATIO_DEVIATION,),
        ground=Ground.PROOF,
    )


def _falls_at_last(kl: "pd.Series[float]", rates: "pd.Series[float]") -> bool:
    """True if the updates of the least rates hardly move the policy: KL falls with the rate, later than expected."""
    least = kl.loc[rates.sort_values(kind="stable").index[: max(1, len(rates) // POINTS)]]
    return float(least.median()) < VISIBLE / 2


RULE = Rule(
    name="kl_outlives_rate",
    title="Log-probabilities of other actions",
    stage=Stage.BUG,
    needs=((metrics.LR,), (metrics.APPROX_KL,)),
    helps=(metrics.RATIO_DEVIATION,),
    explains=(
        *("updates_too_large", "signal_lost", "entropy_collapsed", "oscillating", "learned_and_lost"),
        *("critic_underfits", "entropy_pinned", "value_explosion"),
    ),
    curable=False,
    says=("KL stays as large while the learning rate falls to nothing: the log-probabilities are of other actions"),
    threshold=(
        "below a tenth of the largest logged rate a KL of half of that above half of the rate, and 0.002 at "
        "least, over three updates each; a rate that changes its direction four times follows KL (once, of "
        "rl_games and skrl; of rsl_rl any that changes), and is not judged"
    ),
    source=(
        "Schulman 2020, Approximating KL divergence (KL is quadratic in a small step); Huang et al. 2022 "
        "(first ratio is 1)"
    ),
    examine=examine,
)
