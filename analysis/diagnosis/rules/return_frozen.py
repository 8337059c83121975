"""The return no longer varies: the policy always does the same, whether that is the best there is or nothing at all."""

import math

import numpy as np
from unstuck.analysis.diagnosis.direction import State
from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Ground, Kind, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import FROZEN, Standing, judge_standing
from unstuck.analysis.words import join_words, number, percent
from unstuck.rl import metrics

START, REACHED, LASTS = 3, 0.2, 40
"""Returns that are the start, share of the run within which a return has come to where it stays, and values since."""

ALIKE = 1e-3
"""Share of its level by which the return of evaluations may differ: the scatter of starts, where nothing else acts."""

MANY_RETURNS, FEW_VALUES, MOSTLY = 50, 4, 0.9
"""Returns on record, the values that they take, and the share of the returns with one of these values."""

NEAR, DIGITS, MOVED = 0.25, 5, 1.0
"""Share of their size within which the values lie, digits to which they are the same, and sum of KL by which updates
must have moved the policy."""

HARDLY, LEFT = 0.02, 0.5
"""Share of its level within which a return hardly varies from there on; and share of the costs at the start that is
left of it, above which little was gained."""


def examine(run: Signals) -> Finding | None:
    """Return a finding if the return no longer varies, takes few values, or hardly varies in the red; else None."""
    return _same(run) or _takes_few_values(run) or _level_in_the_red(run) or _evaluated_alike(run)


def find_few_values(run: Signals) -> Evidence | None:
    """Return evidence that returns take few values, near each other, though updates move the policy; else None."""
    curve, kl = run.select_finite(metrics.TRAIN_RETURN), run.select_all(metrics.APPROX_KL)
    if len(curve) < MANY_RETURNS or kl is None or math.fsum(map(abs, kl.values)) < MOVED:
        return None
    values = curve.map(lambda value: float(f"{value:.{DIGITS}g}"))
    counts = values.value_counts().iloc[:FEW_VALUES]
    near = float(counts.index.max() - counts.index.min()) <= NEAR * float(np.abs(counts.index).max())
    if len(counts) < 2 or not near or float(counts.sum()) < MOSTLY * len(values):
        return None
    named = join_words([number(float(value), DIGITS) for value in sorted(counts.index)])
    text = (
        f"{percent(float(counts.sum()) / len(values))} of the returns are {named}, while updates move the policy by a "
        f"KL of {number(math.fsum(map(abs, kl.values)), 2)}"
    )
    return Evidence(text, (metrics.TRAIN_RETURN, metrics.APPROX_KL), (int(curve.index[0]), int(curve.index[-1])))


def _takes_few_values(run: Signals) -> Finding | None:
    """Return a suspect if returns take few values whatever the policy does, and nothing is learned; None otherwise."""
    few, standing = find_few_values(run), judge_standing(run)
    if few is None or standing.has_learned or standing.at_best or run.is_ours or run.is_triage:
        return None
    return Finding(
        headline=f"The return takes few values: {few.text}",
        kind=Kind.SUSPECT,
        sureness=Sureness.POSSIBLE,
        why="a policy that changes, and episodes that do not: what is done seems not to matter",
        evidence=(few,),
        causes=(
            Cause(
                "actions that do not reach the environment, or do nothing there",
                "step it by hand with two actions: what follows must differ",
            ),
            Cause(
                "episodes that end before an action can matter",
                "print why episodes end; loosen the condition",
            ),
            Cause(
                "a reward that does not depend on what the policy does",
                "let a uniform policy play a hundred episodes: it earns the same",
            ),
        ),
        since=few.iterations[1] if few.iterations else None,
        ground=Ground.PACE,
    )


def _evaluated_alike(run: Signals) -> Finding | None:
    """Return a suspect if all evaluations return one number, not above 0, and no training is on record; else None.

    A policy that changes is evaluated otherwise. One that is solved from its first evaluation on is seldom.
    """
    curve, standing = run.select_finite(metrics.EVAL_RETURN), judge_standing(run)
    if run.has(metrics.TRAIN_RETURN) or len(curve) < FROZEN or standing.at_best or standing.trivial is not None:
        return None
    if not run.holds_start(metrics.EVAL_RETURN):
        return None  # it may have come there by learning
    level = float(curve.median())
    if level > 0 or float((curve - level).abs().max()) > ALIKE * abs(level):
        return None
    first, last = int(curve.index[0]), int(curve.index[-1])
    text = f"return {number(level)} in each of {len(curve)} evaluations"
    return Finding(
        headline=f"Evaluations do not vary: {text}",
        kind=Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why="what the greedy policy does has not changed from the first evaluation to the last",
        evidence=(Evidence(text, (metrics.EVAL_RETURN,), (first, last)),),
        causes=(
            _ALWAYS_THE_SAME,
            Cause(
                "a policy that is not being updated, or an evaluation of another policy than the one in training",
                "compare the policy's parameters in the first and the last checkpoint",
            ),
            suppose_solved(standing),
        ),
        since=int(curve.index[FROZEN - 1]),
        missing=(metrics.TRAIN_RETURN,),
        ground=Ground.PACE,
    )


def _level_in_the_red(run: Signals) -> Finding | None:
    """Return a suspect if a return below 0 rose at once, and has hardly moved since, most costs left; else None.

    A policy that stands still, or does always the same, has such a return, whatever the chance of an episode.
    """
    curve, standing = run.select_finite(metrics.TRAIN_RETURN), judge_standing(run)
    if standing.trivial is not None or standing.begins_late or not standing.has_learned or float(curve.max()) >= 0:
        return None
    start, size = float(curve.iloc[:START].mean()), math.ceil(REACHED * len(curve))
    late = curve.iloc[size:]
    level = float(late.median())
    if len(late) < LASTS or level > LEFT * start or float((late - level).abs().max()) > HARDLY * abs(level):
        return None
    since, last = int(late.index[0]), int(late.index[-1])
    text = (
        f"return {number(start, 3)} at first, and {number(float(late.min()))} to {number(float(late.max()))} over "
        f"iterations {since} to {last}"
    )
    return Finding(
        headline=f"The return hardly varies below 0: {text}",
        kind=Kind.SUSPECT,
        sureness=Sureness.POSSIBLE,
        why=f"{percent(level / start)} of the costs at the start are left, and nothing has changed them since",
        evidence=(Evidence(text, (metrics.TRAIN_RETURN,), (int(curve.index[0]), last)),),
        causes=(_ALWAYS_THE_SAME, suppose_solved(standing)),
        since=int(late.index[LASTS - 1]),
        missing=() if run.has(metrics.ENTROPY) else (metrics.ENTROPY,),
        ground=Ground.PACE,
    )


def _same(run: Signals) -> Finding | None:
    """Return a finding if the return no longer varies: a fault if no better than at the start; None if it varies.

    Fine if the return is the best that the task allows; a suspect if the return is above the start; None if it varies.
    """
    standing, returns = judge_standing(run), run.select_finite(metrics.TRAIN_RETURN)
    if not standing.frozen:  # of the returns of training
        return None
    since, last = int(returns.index[-standing.frozen]), int(returns.index[-1])
    text = f"return {number(float(returns.iloc[-1]))} in all but few iterations from {since} to {last}"
    facts = (Evidence(text, (metrics.TRAIN_RETURN,), (since, last)),)
    if standing.at_best:
        return Finding(f"{text}, the most that the task allows", Kind.FINE, Sureness.SURE, "", facts)
    fell = standing.state is State.FALLING
    open_ended = standing.has_learned or (standing.begins_late and not standing.failed and not fell)
    whence = "the record begins in mid-run" if standing.begins_late else "it is above the start"
    return Finding(
        headline=f"The return no longer varies: {text}",
        kind=Kind.SUSPECT if open_ended else Kind.FAULT,
        sureness=Sureness.POSSIBLE if open_ended else Sureness.LIKELY,
        why=f"{whence}: either the task is solved, or the policy has settled on always doing the same"
        if open_ended
        else "episodes that all return the same tell no action from another, and "
        + ("no episode has succeeded" if standing.failed else _SINCE[fell]),
        evidence=facts,
        causes=(
            Cause(
                "a reward that does not depend on what the policy does",
                "let a uniform policy play a hundred episodes: it earns the same",
            ),
            _ALWAYS_THE_SAME,
            suppose_solved(standing),
        ),
        since=int(returns.index[min(len(returns) - standing.frozen + FROZEN, len(returns)) - 1]),
        missing=() if run.has(metrics.ENTROPY) else (metrics.ENTROPY,),
        ground=Ground.STATE if fell else Ground.PACE,
    )


_ALWAYS_THE_SAME = Cause(
    "a policy that does nothing, or always the same, since that pays best of what it has tried",
    "look at the entropy, and at what the simplest policies earn",
)

_SINCE = {True: "it had been better", False: "it is no better than at the start"}
"""Words for a return that froze, by whether it had fallen."""


def suppose_solved(standing: Standing) -> Cause:
    """Return the cause `the task is solved` for a return that does not vary; ruled out if no episode succeeds."""
    return Cause(
        "a task that is solved: the return is the largest there is",
        "compare it with the largest return that the task allows",
        Support.RULED_OUT if standing.failed else Support.OPEN,
        f"success rate 0 in all {standing.failed:,} values" if standing.failed else "",
    )


RULE = Rule(
    name="return_frozen",
    title="Return no longer varies",
    stage=Stage.BEHAVIOUR,
    needs=((metrics.TRAIN_RETURN, metrics.EVAL_RETURN),),
    helps=(metrics.ENTROPY,),
    explains=("oscillating", "critic_underfits"),
    says=(
        "episodes return the same, and did not always: a fault no higher than the start, or where no episode "
        "succeeds; else solved or stuck, which the record does not tell, unless it is the best return of a known "
        "task; or take four values at most while the policy moves; or hardly vary below 0, with most of the costs "
        "left; or all evaluations return one number, and training is not on record"
    ),
    threshold=(
        "95 % of the last 20 returns or more the same; or, as a doubt, 90 % of 50 returns or more with one of four "
        "values within a quarter of their size, under a sum of KL of 1; or 40 returns or more from the first fifth of"
        " the run on within 2 % of their level, none above 0, with half of the first costs left or more; or 20 "
        "evaluations or more within a thousandth of one level that is not above 0"
    ),
    source="Jones 2021 (an easily predicted value is a collapsed policy; compare with simple policies)",
    examine=examine,
)
