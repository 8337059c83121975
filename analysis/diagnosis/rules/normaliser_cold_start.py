"""Normaliser's cold start: statistics of the first few samples make the first targets far too large."""

import numpy as np
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
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.words import number, percent
from unstuck.rl import metrics

BEGINNING = 0.1
"""Share of the run, 3 iterations at least and 20 at most."""

SPIKE, NATURAL = 5.0, 1.0
"""Factor by which the value loss must have exceeded its later level; a normalised loss starts at 1 by nature, and a
critic that learns brings the loss down from there."""

LOST_ENTROPY = 0.3
"""Share of the largest entropy that the policy must have lost meanwhile to have been harmed."""


def examine(run: Signals) -> Finding | None:
    """Return a finding on whether the value loss peaks early; None without normalised returns or enough values."""
    curve = run.select_finite(metrics.VALUE_LOSS)
    if not run.returns_normalised or len(curve) < 10 or int(curve.index.min()) > 2:
        return None
    size = int(np.clip(round(BEGINNING * len(curve)), 3, 20))
    first, later = curve.iloc[:size], curve.iloc[size : 4 * size]
    last = int(first.index.max())
    level, peak = float(later.median()), float(first.max())
    reach = (int(first.index.min()), int(later.index.max()))
    if peak < SPIKE * max(level, NATURAL):
        text = f"no cold start: value loss {number(peak, 3)} at most up to iteration {last}, {number(level, 3)} after"
        return Finding(text, Kind.FINE, Sureness.LIKELY, "", (Evidence(text, (metrics.VALUE_LOSS,), reach),))
    lost, standing = _lost_entropy(run, last), judge_standing(run)
    text = f"value loss up to {number(peak)} until iteration {last}, {number(level)} in the median after it"
    return Finding(
        headline=f"Normaliser's cold start: {text}",
        kind=Kind.FAULT if standing.is_poor or lost > LOST_ENTROPY else Kind.SUSPECT,
        sureness=Sureness.LIKELY if lost > LOST_ENTROPY else Sureness.POSSIBLE,
        ground=Ground.STATE if lost > LOST_ENTROPY else Ground.PACE,
        why=(f"the policy lost {percent(lost)} of its entropy meanwhile; " if lost > 0.05 else "") + standing.brief,
        evidence=(Evidence(text, (metrics.VALUE_LOSS,), reach),),
        causes=_causes(run),
        remedies=(
            Remedy(
                {"ppo.normalize_returns": "batch"},
                "each rollout's own statistics have no past to get rid of",
                "value loss of the first iterations within twice its later level",
            ),
        ),
        since=reach[1],
        missing=tuple(name for name in RULE.helps if not run.has(name)),
    )


def _lost_entropy(run: Signals, until: int) -> float:
    """Compute the entropy lost up to iteration `until`, as a share of the largest possible entropy."""
    most, curve = run.entropy_range, run.select_finite(metrics.ENTROPY).loc[:until]
    return float(curve.iloc[0] - curve.iloc[-1]) / most if most and len(curve) > 1 else 0.0


def _causes(run: Signals) -> tuple[Cause, ...]:
    kind = run.setting("ppo.normalize_returns")
    return (
        Cause(
            "running statistics that begin with too few samples, or with a spread of 1 that is far from the true one",
            "print the normaliser's mean and spread after each of the first rollouts",
            Support.SUPPORTED if kind == "running" else Support.RULED_OUT if kind == "batch" else Support.OPEN,
            f"normalize_returns={kind}",
        ),
        Cause(
            "a first rollout unlike the later ones (all lanes start in the same state)",
            "collect rollouts without an update first: the spike stays",
        ),
        Cause("a learning rate too high for the critic at the start", "branch at a third of it from the start"),
    )


RULE = Rule(
    name="normaliser_cold_start",
    title="Normaliser's cold start",
    stage=Stage.SCALE,
    needs=((metrics.VALUE_LOSS,),),
    helps=(metrics.TARGET_STD, metrics.ENTROPY),
    explains=("entropy_collapsed", "value_explosion", "greedy_collapsed"),
    says="first statistics made the first targets far too large",
    threshold="value loss of the first tenth > 5 and > 5 times its later level",
    source="Engstrom et al. 2020, Implementation matters (reward scaling by running statistics); measured here",
    examine=examine,
)
