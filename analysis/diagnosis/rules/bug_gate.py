"""Numbers that a correct PPO cannot show: a bug to mend before anything is tuned.

On the first minibatch of the first epoch the policy is still the one that acted, so every probability ratio is 1; KL
divergences are never negative; shares, entropies and explained variances have bounds; and the learning rate in force
is the one that was set.
"""

import math

from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Kind, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.rules.targets_beyond import ENDS_FORGOTTEN, NEVER_BEYOND, find_targets_beyond_returns
from unstuck.analysis.diagnosis.signals import Signals, Window
from unstuck.analysis.words import number
from unstuck.rl import metrics

ROUNDING = 1e-3
"""Ratios of float32 log-probabilities deviate from 1 by some 1e-6; a policy that is another one, by far more."""

NEGATIVE_KL = -1e-4
"""Below what rounding makes of a KL of 0."""


def examine(run: Signals) -> Finding | None:
    """Return a fault if a metric has a value that a correct PPO does not show; otherwise a fine finding or None."""
    targets = _targets(run)
    found = [fact for check in (_ratio, _negative_kl, _bounds, _learning_rate) for fact in check(run)] + targets
    missing = tuple(name for name in (metrics.RATIO_DEVIATION, metrics.APPROX_KL, metrics.LR) if not run.has(name))
    if not found:
        ratio = run.select_all(metrics.RATIO_DEVIATION)
        if ratio is None:
            return None
        text = f"ratio 1 on every update's first minibatch, within {number(max(ratio.values), 2)}; no impossible number"
        evidence = Evidence(text, (metrics.RATIO_DEVIATION,), ratio.reach)
        return Finding(
            text, Kind.FINE, Sureness.LIKELY, "some bugs leave these numbers alone", (evidence,), missing=missing
        )
    return Finding(
        headline=f"A bug, not a setting: {found[0].text}",
        kind=Kind.FAULT,
        sureness=Sureness.LIKELY if found == targets else Sureness.SURE,
        why="a correct PPO has not been seen to show this number"
        if found == targets
        else "a correct PPO cannot show this number",
        evidence=tuple(found),
        causes=_causes(run),
        since=min((fact.iterations[0] for fact in found if fact.iterations), default=None),
        missing=missing,
    )


def _ratio(run: Signals) -> list[Evidence]:
    curve = run.select_finite(metrics.RATIO_DEVIATION)
    off = curve[curve > ROUNDING]
    if off.empty:
        return []
    text = (
        f"the probability ratio is off 1 by up to {number(float(off.max()), 2)} before the update has moved the policy"
    )
    return [Evidence(text, (metrics.RATIO_DEVIATION,), (int(off.index[0]), int(off.index[-1])))]


def _negative_kl(run: Signals) -> list[Evidence]:
    curve = run.select_finite(metrics.APPROX_KL)
    below = curve[curve < NEGATIVE_KL]
    if below.empty:
        return []
    # The estimator -log r is negative at times where nothing is wrong, though not on the average of a whole run.
    if run.history.dialect in ("plain", "mapping") and float(curve.mean()) > 0:
        return []
    text = f"KL is negative, down to {number(float(below.min()), 2)}, in {len(below)} of {len(curve)} updates"
    return [Evidence(text, (metrics.APPROX_KL,), (int(below.index[0]), int(below.index[-1])))]


def _bounds(run: Signals) -> list[Evidence]:
    limits = {
        metrics.EXPLAINED_VARIANCE: (-math.inf, 1.0),
        metrics.CLIP_FRACTION: (0.0, 1.0),
        metrics.F1: (0.0, 1.0),
        metrics.SATURATED_SHARE: (0.0, 1.0),
    }
    if len(run.actions) > 1:
        limits[metrics.ENTROPY] = (0.0, math.log(len(run.actions)))
    found = []
    for name, (low, high) in limits.items():
        window = run.select_all(name)
        slack = 1e-4
        if window and not low - slack <= min(window.values) <= max(window.values) <= high + slack:
            text = f"{name} must lie in {number(low)} to {number(high)} and is {window}"
            found.append(Evidence(text, (name,), window.reach))
    return found


def _learning_rate(run: Signals) -> list[Evidence]:
    """Compare the rate in force with the setting: at the first iteration, and later if the schedule is constant."""
    wanted = run.read_number("ppo.lr")
    looked_at = [run.select_first(metrics.LR, 1)]
    if run.setting("ppo.lr_schedule") == "constant":
        looked_at.append(run.select_last(metrics.LR, share=0.0, least=1))
    for rate in filter(None, looked_at):
        at_first = rate is looked_at[0]
        if not wanted or (at_first and rate.iterations[0] > 2) or _is_as_set(run, rate, wanted):
            continue
        constant = "" if at_first else ", to be constant"
        text = f"the learning rate in force is {number(rate.mean)}, and {number(wanted)} was set{constant}"
        return [Evidence(text, (metrics.LR,), rate.reach)]
    return []


def _is_as_set(run: Signals, rate: Window, wanted: float) -> bool:
    """True if a rate equals the setting, or the part that a linear schedule has left after the rollout."""
    left = 1 - run.compute_progress(rate.iterations[0]) if run.setting("ppo.lr_schedule") == "linear" else 1.0
    return (left - 0.05) * wanted <= rate.mean <= 1.05 * wanted


def _targets(run: Signals) -> list[Evidence]:
    """Find targets beyond returns, in environments where the rest of an episode is never more than the whole."""
    fact = find_targets_beyond_returns(run) if run.setting("env.id") in NEVER_BEYOND else None
    return [fact] if fact else []


def _causes(run: Signals) -> tuple[Cause, ...]:
    normalised = run.setting("ppo.normalize_observations")
    return (
        Cause(
            "old log-probabilities from another policy than the one that acted (weights synchronised too early or too "
            "late, actions stored for other steps)",
            "compute the log-probabilities of one stored rollout twice before any update: they must agree to 1e-5",
        ),
        Cause(
            "inputs that differ between acting and updating (a normaliser moved in between, dropout, an action mask)",
            "switch the normaliser off: the ratio must be 1 again",
            Support.RULED_OUT if normalised is False else Support.OPEN,
            "observations are not normalised" if normalised is False else "",
        ),
        ENDS_FORGOTTEN,
        Cause(
            "settings that do not reach the optimiser, or are lost when a checkpoint is restored",
            "read learning rate, clip range and coefficients back from where the update reads them",
        ),
    )


RULE = Rule(
    name="bug_gate",
    title="Impossible numbers",
    stage=Stage.BUG,
    needs=((metrics.RATIO_DEVIATION, metrics.APPROX_KL, metrics.LR, metrics.EXPLAINED_VARIANCE),),
    helps=(metrics.RATIO_DEVIATION, metrics.APPROX_KL, metrics.LR),
    explains=(
        *("policy_frozen", "updates_too_large", "updates_too_small", "entropy_collapsed", "entropy_pinned"),
        *("critic_underfits", "greedy_collapsed", "oscillating"),
    ),
    source="Huang et al. 2022, The 37 implementation details of PPO (first ratio is 1, approximate KL); "
    "Jones 2021, Debugging RL without the agonizing pain (assume you have a bug)",
    examine=examine,
)
