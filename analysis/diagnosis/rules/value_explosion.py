"""The value loss explodes or is not finite; or the loss did explode, and normalised returns ended the explosion.

A loss on raw returns grows with the square of what episodes return, in a healthy run too. So growth counts only beyond
that, and only where the critic does not explain most of it.
"""

import math

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
from unstuck.analysis.diagnosis.remedies import HORIZON, change_rate, restore_usual
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.history.record import TOTAL_LOSS
from unstuck.analysis.words import number
from unstuck.rl import metrics

START = 3
"""Iterations whose median is the start."""

FACTOR = 20.0
"""Factor by which the value loss must end above the start."""

RUINOUS = 1e5
"""The same of the last loss alone: such an update ends what was learned."""

FLOOR = 1.0
"""Explosions are measured from at least this level: on raw returns whose rewards are rare a loss starts near 0."""

EXPLAINS = 0.5
"""Explained variance from which the critic accounts for most of what grows: its error is the smaller part."""

KEEPS_UP = 0.25
"""Share of the returns' growth by which the critic's error, the root of its loss, must have grown as well: a unit that
grows keeps the two in step, and the error of a critic that learns falls behind."""

STEADY = 2.0
"""Factor of the median within which the largest value of a steady value loss lies."""


def examine(run: Signals) -> Finding | None:
    """Return a finding on whether the value loss explodes or is not finite; None if the record does not tell."""
    for name in (metrics.VALUE_LOSS, metrics.POLICY_LOSS, metrics.GRAD_NORM, TOTAL_LOSS):
        curve, finite = run.history.curve(name), run.select_finite(name)
        if len(finite) < len(curve):
            return _not_finite(run, name, int(curve.index.difference(finite.index)[0]))
    curve = run.select_finite(metrics.VALUE_LOSS)
    if len(curve) < 2 * START:
        return None
    start, late = float(curve.iloc[:START].median()), run.select_last(metrics.VALUE_LOSS)
    if float(curve.iloc[-1]) > RUINOUS * max(start, FLOOR):
        late = run.select_last(metrics.VALUE_LOSS, share=0.0, least=1)  # the end of what could be trained
    if late is None:
        return None
    if late.median <= FACTOR * max(start, FLOOR):
        return _steady(run)
    if _grows_with_returns(run, start, late.median):
        return None
    above = curve[curve > FACTOR * max(start, FLOOR)]
    growth = run.trend(metrics.VALUE_LOSS)
    text = f"value loss {number(start)} at first, {number(late.median)} in the end"
    return Finding(
        headline=f"The value loss explodes: {text}",
        kind=Kind.FAULT if growth.rises or late.median > 5 * FACTOR * max(start, FLOOR) else Kind.SUSPECT,
        sureness=Sureness.SURE if growth.rises else Sureness.LIKELY,
        why=f"it rises by {number(growth.slope, 2)} an iteration (p {number(growth.p, 2)}); "
        + judge_standing(run).brief,
        evidence=(
            Evidence(f"{text}, {late}", (metrics.VALUE_LOSS,), (int(curve.index[0]), late.iterations[-1])),
            *_targets(run),
        ),
        causes=_causes(run),
        remedies=_remedies(run),
        since=int(above.index[0]),
        missing=tuple(name for name in RULE.helps if not run.has(name)),
        ground=Ground.PACE if _is_within_returns(run, late.median) else Ground.STATE,
    )


def _is_within_returns(run: Signals, loss: float) -> bool:
    """True if the critic's error is no larger than the range of returns, as if it predicted a constant."""
    returns = run.select_all(metrics.TRAIN_RETURN)
    if returns is None or run.returns_normalised:
        return False
    return loss <= (max(returns.values) - min(returns.values)) ** 2


def _not_finite(run: Signals, name: str, iteration: int) -> Finding:
    before = run.select_finite(name).loc[: iteration - 1].tail(3)
    path = f", after {', '.join(number(x) for x in before)}" if len(before) else ""
    text = f"{name} is not finite at iteration {iteration}{path}"
    return Finding(
        headline=f"Diverged: {text}",
        kind=Kind.FAULT,
        sureness=Sureness.SURE,
        why="nothing can be learned from a loss that is not finite",
        evidence=(Evidence(text, (name,), (iteration, iteration)),),
        causes=(
            *_causes(run),
            Cause(
                "a division by a spread of 0, or the logarithm of 0",
                "find the first operation that gives a number not finite",
            ),
        ),
        remedies=_remedies(run),
        since=iteration,
        ground=Ground.PROOF,
    )


def _grows_with_returns(run: Signals, start: float, end: float) -> bool:
    """True if the value loss grew no faster than returns that do not fall, or the critic explains most of them."""
    explained, first, last = run.select_last(metrics.EXPLAINED_VARIANCE), *_sizes_of_returns(run)
    if explained is not None and explained.median >= EXPLAINS:
        return True
    if run.returns_normalised or first is None or last is None:
        return False
    if not run.is_ours and judge_standing(run).state is State.FALLING:
        return False  # costs that run away are no larger rewards
    error, size = math.sqrt(end / max(start, FLOOR)), last / max(first, FLOOR)
    return error < KEEPS_UP * size


def _sizes_of_returns(run: Signals) -> tuple[float | None, float | None]:
    """Return the absolute size of episode returns at start and end; `(None, None)` if not recorded."""
    early, late = run.select_first(metrics.TRAIN_RETURN, START), run.select_last(metrics.TRAIN_RETURN)
    return (abs(early.median), abs(late.median)) if early and late else (None, None)


def _steady(run: Signals) -> Finding | None:
    """Return a finding that the value loss is steady, with a note on normalised returns; None if it is not.

    Steady is no good by itself: either the loss has a unit (normalised returns), or the critic explains its targets.
    """
    whole, explained = run.select_all(metrics.VALUE_LOSS), run.select_last(metrics.EXPLAINED_VARIANCE)
    if whole is None or max(whole.values) > STEADY * max(whole.median, 1e-12):
        return None
    if not run.returns_normalised and (explained is None or explained.median < EXPLAINS):
        return None
    text = f"the value loss is steady: {whole}"
    facts = [Evidence(text, (whole.metric,), whole.reach)]
    note = run.history.comments.get("ppo.normalize_returns", "")
    if run.returns_normalised:
        text += ", with normalised returns"
    if note and run.returns_normalised:
        facts.append(Evidence(f'the settings note of normalised returns: "{note}"'))
        text += f'. Its owner noted: "{note}". Normalisation ended that explosion, by rescaling what is predicted'
    return Finding(text[0].upper() + text[1:], Kind.FINE, Sureness.SURE, "", tuple(facts))


def _targets(run: Signals) -> list[Evidence]:
    spread = run.select_all(metrics.TARGET_STD)
    if spread is None or len(spread.values) < 2:
        return []
    text = f"spread of the targets {number(spread.values[0], 3)} at first, {number(spread.values[-1], 3)} in the end"
    return [Evidence(text, (spread.metric,), spread.reach)]


def _causes(run: Signals) -> tuple[Cause, ...]:
    raw, gamma, rate = run.returns_normalised is False, run.read_number("ppo.gamma"), run.rate
    spread = run.trend(metrics.TARGET_STD)
    return (
        Cause(
            "targets in raw units that grow as returns do",
            "branch with normalize_returns=batch: the value loss stays near 1",
            Support.SUPPORTED
            if raw and spread.rises
            else Support.RULED_OUT
            if run.returns_normalised
            else Support.OPEN,
            "returns are not normalised" if raw else "returns are normalised" if run.returns_normalised else "",
        ),
        Cause(
            "a critic that bootstraps on its own growing predictions (gamma near 1, steps too large)",
            "branch at a third of the learning rate, and at gamma 0.95: growth slows with either",
            Support.SUPPORTED if (gamma or 0) > 0.995 or (rate or 0) > 3e-3 else Support.OPEN,
            ", ".join(
                f"{name} {number(value)}" for name, value in (("gamma", gamma), ("lr", rate)) if value is not None
            ),
        ),
        Cause("rewards that are outliers", "look at the largest reward of each rollout"),
    )


def _remedies(run: Signals) -> tuple[Remedy, ...]:
    watch = "value loss within twice its start after 20 iterations"
    smaller = (*restore_usual(run, (HORIZON,), watch, 1), *change_rate(run, (1 / 3,), "smaller steps", watch))
    if run.returns_normalised:
        return smaller
    return (Remedy({"ppo.normalize_returns": "batch"}, "gives the critic targets of spread 1", watch), *smaller)


RULE = Rule(
    name="value_explosion",
    title="Value loss exploding",
    stage=Stage.CRITIC,
    needs=((metrics.VALUE_LOSS, TOTAL_LOSS),),
    helps=(metrics.TARGET_STD, metrics.GRAD_NORM_VALUE),
    explains=(
        "learns_backwards",
        "policy_starved",
        "updates_too_small",
        "critic_underfits",
        "greedy_collapsed",
        "oscillating",
        "reward_sparse",
    ),
    says="the value loss explodes, or is no number",
    threshold=(
        "20 times its start, the start counted as 1 at least; not where the critic explains half of the returns, "
        "nor where its error (the loss's root) grew less than a quarter as much as they did"
    ),
    source="docs/early_stopping.md (explosion against the run's own start); Engstrom et al. 2020 (reward scaling)",
    examine=examine,
)
