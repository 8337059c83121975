"""Returns too large for the critic: errors in the hundreds from the start, and next to nothing explained.

Steps, clips and bonuses are meant for targets of size 1 to 10. The gradient of a squared error grows with the error, so
where rewards come in thousands the value loss has the shared clip, and a shared trunk, to itself.
"""

import math
from typing import NamedTuple

from unstuck.analysis.diagnosis.finding import (
    Blind,
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
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.history.record import EPISODE_LENGTH, EVAL_LENGTH, TOTAL_LOSS
from unstuck.analysis.words import number
from unstuck.rl import metrics

LARGE_ERROR = 100.0
"""Root of the value loss, at the start and in the end: ten times the largest target that settings in use are meant for
(Jones 2021: hand-scale returns to -10 to 10)."""

NOTHING = 0.1
"""Explained variance below which the critic explains next to nothing."""

RUINOUS_ERROR, POINTS = 3000.0, 8
"""The same root, from which nothing explained is a fault whatever the return does (300 times the largest target that is
meant), and values on record."""

WEIGHT = 0.5
"""Weight of the value loss in a loss of the whole update, where not on record; what else is in that loss is small."""

FALLEN = 0.5
"""Share of its first value to which a loss must have fallen to show that the critic learns, without other evidence."""


AHEAD = 100.0
"""Steps that targets look ahead where gamma is not on record: the usual one is 0.99."""


def examine(run: Signals) -> Finding | Blind | None:
    """Return a finding if raw returns are far too large for the critic, by its loss, or by their size; else None.

    Gradient norms tell more, and another rule reads them.
    """
    if not (run.has(metrics.VALUE_LOSS) or run.has(TOTAL_LOSS)):
        return _by_returns(run) or Blind(((metrics.VALUE_LOSS, TOTAL_LOSS),))
    return _by_loss(run)


def _by_loss(run: Signals) -> Finding | None:
    """Return a finding if the critic's error is in the hundreds at the start and in the end; None otherwise."""
    name = metrics.VALUE_LOSS if run.has(metrics.VALUE_LOSS) else TOTAL_LOSS
    start, late, explained = run.select_first(name), run.select_last(name), run.select_last(metrics.EXPLAINED_VARIANCE)
    if start is None or late is None or run.returns_normalised or run.has(metrics.GRAD_NORM_POLICY):
        return None  # policy_starved compares the gradients themselves
    weight = 1.0 if name == metrics.VALUE_LOSS else run.read_number("ppo.value_coef") or WEIGHT
    if min(start.median, late.median) < weight * LARGE_ERROR**2:
        return None
    if explained.median >= NOTHING if explained else late.median < FALLEN * start.median:
        return None
    facts = tuple(_facts(late, explained))
    since = "from the start" if run.holds_start(name) else "where the record begins and where it ends"
    if len(run.select_finite(name)) == 1:
        since = f"at iteration {late.iterations[-1]}, the only one on record"
    standing = judge_standing(run)
    ruinous = explained is not None and min(start.median, late.median) >= RUINOUS_ERROR**2
    ruinous = ruinous and len(run.select_finite(name)) >= POINTS
    return Finding(
        headline=f"Returns are too large for the critic: {' and '.join(fact.text for fact in facts)}",
        kind=Kind.FAULT if standing.is_poor or ruinous else Kind.SUSPECT,
        sureness=Sureness.LIKELY if explained else Sureness.POSSIBLE,
        why=f"its error is about {number(math.sqrt(late.median), 2)} a prediction, {since}; {standing.brief}",
        evidence=facts,
        causes=(
            _suppose_raw(run),
            Cause(
                "a critic whose move is clipped, in a unit that is small beside its targets",
                "branch with clip_range_vf off",
                Support.RULED_OUT if run.setting("ppo.clip_range_vf", "") in (None, False) else Support.OPEN,
                "it is off" if run.setting("ppo.clip_range_vf", "") in (None, False) else "",
            ),
            Cause(
                "returns that nothing observed foretells",
                "regress the return, on held-out rollouts, on the observation: it explains nothing either",
            ),
        ),
        remedies=_REMEDIES,
        since=start.iterations[-1],
        missing=() if explained else (metrics.EXPLAINED_VARIANCE,),
        ground=Ground.MEASURED if ruinous else Ground.PACE,
    )


def _by_returns(run: Signals) -> Finding | None:
    """Return a suspect if a run ended with nothing learned, and its returns ask for targets in thousands; else None."""
    aim, standing = measure_target(run), judge_standing(run)
    if aim is None or run.returns_normalised or not (run.has_ended and standing.is_poor):
        return None
    if aim.size < RUINOUS_ERROR:
        return None
    return Finding(
        headline=f"Returns may be too large for the critic: {aim.fact.text}",
        kind=Kind.SUSPECT,
        sureness=Sureness.POSSIBLE,
        why=f"nothing of the critic is on record, nor whether returns are normalised; {standing.brief}",
        evidence=(aim.fact,),
        causes=(
            _suppose_raw(run),
            Cause("anything else that keeps a run from learning", "log the value loss, KL and entropy of updates"),
        ),
        remedies=_REMEDIES,
        since=aim.since,
        missing=(metrics.VALUE_LOSS, metrics.EXPLAINED_VARIANCE),
        ground=Ground.PACE,
    )


class Aim(NamedTuple):
    """Size of what a critic is to predict, by the returns: size, evidence, and the iteration at which that is told."""

    size: float
    fact: Evidence
    since: int


def measure_target(run: Signals) -> Aim | None:
    """Estimate what the critic is to predict from returns and lengths of episodes; None if few are on record."""
    pairs = ((metrics.TRAIN_RETURN, EPISODE_LENGTH), (metrics.EVAL_RETURN, EVAL_LENGTH))
    whose = next((pair for pair in pairs if all(len(run.select_finite(name)) >= POINTS for name in pair)), None)
    if whose is None:
        return None
    returns, lengths = (run.select_finite(name) for name in whose)
    steps = lengths.clip(lower=1.0)
    paid = float((returns.abs() / steps).dropna().median())
    gamma = run.read_number(HORIZON)
    ahead = min(float(steps.median()), 1 / (1 - gamma) if gamma is not None and gamma < 1 else AHEAD)
    text = f"a step pays {number(paid, 2)} on average, so that the critic is to predict some {number(paid * ahead, 2)}"
    fact = Evidence(text, whose, (int(returns.index[0]), int(returns.index[-1])))
    return Aim(paid * ahead, fact, int(returns.index[POINTS - 1]))


def _suppose_raw(run: Signals) -> Cause:
    """Return the cause `large units that are not normalised`; supported if the settings say that they are not."""
    return Cause(
        "rewards, or returns, in large units that are not normalised",
        "branch with normalize_returns=batch, or rewards divided so that returns lie within 10: explained "
        "variance rises within 20 iterations",
        Support.SUPPORTED if run.returns_normalised is False else Support.OPEN,
        "returns are not normalised" if run.returns_normalised is False else "",
    )


_REMEDIES = (
    Remedy(
        {"ppo.normalize_returns": "batch"},
        "gives the critic targets of spread 1",
        "explained variance above 0.1 within 20 iterations",
    ),
)


def _facts(loss: Window, explained: Window | None) -> list[Evidence]:
    title = "value loss" if loss.metric == metrics.VALUE_LOSS else "loss"
    found = [Evidence(f"{title} {number(loss.median, 3)} {loss.where}", (loss.metric,), loss.reach)]
    if explained:
        text = f"explained variance {number(explained.median, 2)}"
        found.append(Evidence(text, (explained.metric,), explained.reach))
    return found


RULE = Rule(
    name="reward_scale",
    title="Returns too large for the critic",
    stage=Stage.SCALE,
    needs=((metrics.VALUE_LOSS, TOTAL_LOSS, metrics.TRAIN_RETURN, metrics.EVAL_RETURN),),
    helps=(metrics.VALUE_LOSS, metrics.EXPLAINED_VARIANCE, EPISODE_LENGTH, EVAL_LENGTH),
    explains=(
        *("critic_underfits", "entropy_pinned", "updates_too_small", "oscillating", "greedy_vs_sampled"),
        *("signal_lost", "value_explosion", "learns_backwards"),
    ),
    says="returns too large for the critic, where gradients are not on record: normalise them",
    threshold=(
        "value loss above 10,000 at the start and in the end, with explained variance below 0.1; without that, a "
        "loss that has not halved; without a loss a doubt in a run that has ended with nothing learned, where what a "
        "step pays makes 3,000 within the horizon (100 steps where gamma is not on record)"
    ),
    source="Jones 2021, Debugging RL without the agonizing pain (scale returns to -10 to 10); Engstrom et al. 2020; "
    "CleanRL issue 441 (large rewards swamp the policy loss)",
    examine=examine,
)
