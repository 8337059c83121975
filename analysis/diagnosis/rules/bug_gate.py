"""Numbers that a correct PPO cannot show: a bug to mend before anything is tuned.

Each check is a theorem under every estimator and in every environment, so each asks first whether the number is what
the theorem is about. Not checked, since a correct PPO may show it: a KL below 0 of another learner (the estimate by the
difference of log-probabilities is signed), a learning rate off its setting under a schedule that is not on record
(others say whether their rate is annealed, not how: a warm-up or a rate that follows KL may come with either word), a
share outside 0 to 1 under a name that others use for percent, targets beyond returns (`targets_beyond`).
"""

import math

from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Ground, Kind, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.rates import leaves_schedule
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.words import number
from unstuck.rl import metrics

OURS = "unstuck"
"""Dialect in which a name means what docs/metrics.md says."""

ROUNDING = 1e-3
"""Ratios of float32 log-probabilities deviate from 1 by some 1e-6; a policy that is another one, by far more."""

SETTLED = 10
"""Logged rates of another learner within which a warm-up shows."""

NEGATIVE_KL = -1e-4
"""Below what rounding makes of a KL of 0."""


def examine(run: Signals) -> Finding | None:
    """Return a fault if a metric has a value that no correct PPO shows, else that all is well, or None if unknown."""
    found = [fact for check in (_ratio, _negative_kl, _bounds, _learning_rate) for fact in check(run)]
    missing = tuple(name for name in (metrics.RATIO_DEVIATION, metrics.APPROX_KL, metrics.LR) if not run.has(name))
    if not found:
        ratio = run.select_all(metrics.RATIO_DEVIATION)
        if ratio is None or run.history.dialect != OURS:
            return None
        text = f"ratio 1 on every update's first minibatch, within {number(max(ratio.values), 2)}; no impossible number"
        evidence = Evidence(text, (metrics.RATIO_DEVIATION,), ratio.reach)
        return Finding(
            text, Kind.FINE, Sureness.LIKELY, "some bugs leave these numbers alone", (evidence,), missing=missing
        )
    scaled = not run.is_ours and all(fact.metrics == (metrics.LR,) for fact in found)
    return Finding(
        headline=f"A bug, not a setting: {found[0].text}",
        kind=Kind.FAULT,
        sureness=Sureness.LIKELY if scaled else Sureness.SURE,
        why="the setting is not in force, unless the script scales it"
        if scaled
        else "a correct PPO cannot show this number",
        evidence=tuple(found),
        causes=_causes(run),
        since=min((fact.iterations[0] for fact in found if fact.iterations), default=None),
        missing=missing,
        ground=Ground.PROOF,
    )


def _ratio(run: Signals) -> list[Evidence]:
    """Check that the first minibatch's probability ratios are 1, since no update has changed the policy; return faults.

    Under our name alone (docs/metrics.md): a ratio of others may be that of a whole update.
    """
    if run.history.dialect != OURS:
        return []
    curve = run.select_finite(metrics.RATIO_DEVIATION)
    off = curve[curve > ROUNDING]
    if off.empty:
        return []
    text = (
        f"the probability ratio is off 1 by up to {number(float(off.max()), 2)} before the update has moved the policy"
    )
    return [Evidence(text, (metrics.RATIO_DEVIATION,), (int(off.index[0]), int(off.index[-1])))]


def _negative_kl(run: Signals) -> list[Evidence]:
    """Check that no KL that our code measured is negative, as a mean of (r - 1) - log r cannot be; return faults."""
    curve = run.select_finite(metrics.APPROX_KL)
    below = curve[curve < NEGATIVE_KL]
    if below.empty or not run.is_measured_by_us:
        return []
    text = f"KL is negative, down to {number(float(below.min()), 2)}, in {len(below)} of {len(curve)} updates"
    return [Evidence(text, (metrics.APPROX_KL,), (int(below.index[0]), int(below.index[-1])))]


def _bounds(run: Signals) -> list[Evidence]:
    """Check that metrics that our code measured lie within mathematical limits, e.g. F1 from 0 to 1; return faults.

    Explained variance, 1 - Var(error) / Var(target), is at most 1, a share lies within 0 to 1, the entropy of n actions
    within 0 to ln n, that of an action of several choices within 0 to the sum of these. Other programs may log percent,
    or an entropy in bits, under the same names: not checked.
    """
    if not run.is_measured_by_us:
        return []
    limits = {
        metrics.EXPLAINED_VARIANCE: (-math.inf, 1.0),
        metrics.CLIP_FRACTION: (0.0, 1.0),
        metrics.F1: (0.0, 1.0),
        metrics.SATURATED_SHARE: (0.0, 1.0),
    }
    if len(run.actions) > 1 and run.entropy_range is not None:
        limits[metrics.ENTROPY] = (0.0, run.entropy_range)
    found = []
    for name, (low, high) in limits.items():
        window = run.select_all(name)
        slack = 1e-4
        if window and not low - slack <= min(window.values) <= max(window.values) <= high + slack:
            text = f"{name} must lie in {number(low)} to {number(high)} and is {window}"
            found.append(Evidence(text, (name,), window.reach))
    return found


def _learning_rate(run: Signals) -> list[Evidence]:
    """Compare the logged learning rate with the setting, at the start and, if constant, at the end; return faults.

    Without a schedule on record the two may differ by right: by a warm-up, or a rate that follows KL. And a linear one
    of a record that begins in mid-run has fallen by a share that only a plan tells.
    """
    wanted, schedule = run.read_number("ppo.lr"), run.setting("ppo.lr_schedule")
    untold = schedule == "linear" and run.history.unrecorded and run.planned is None
    if schedule not in ("constant", "linear") or untold:
        return []
    rates = run.select_finite(metrics.LR).to_numpy()
    if not run.is_ours and (len(rates) < SETTLED or leaves_schedule(rates, schedule)):
        return []
    looked_at = [run.select_first(metrics.LR, 1)]
    if schedule == "constant":
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
    """True if the logged learning rate equals the setting, multiplied by a linear schedule if there is one."""
    left = 1 - run.compute_progress(rate.iterations[0]) if run.setting("ppo.lr_schedule") == "linear" else 1.0
    return (left - 0.05) * wanted <= rate.mean <= 1.05 * wanted


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
    says=(
        "numbers that no correct PPO can show, in any environment: a first ratio that is not 1; of our "
        "learner, whose estimators are known, a negative KL (each term of (r − 1) − log r is at least 0), a "
        "share outside 0 to 1, an explained variance above 1 or an entropy above ln n (of an action of "
        "several choices, above the sum of their ln n); a learning rate in force that is not the one set, "
        "under a schedule on record, unless another learner's rate warms up or follows KL. Others' KL may be "
        "signed, and their shares in percent: these are not judged"
    ),
    threshold="abs(ratio − 1) > 0.001; KL < −0.0001",
    source=(
        "Huang et al. 2022, The 37 implementation details of PPO (first ratio is 1, approximate KL); Jones "
        "2021, Debugging RL without the agonizing pain (assume you have a bug)"
    ),
    examine=examine,
)
