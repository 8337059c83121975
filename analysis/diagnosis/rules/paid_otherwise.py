"""Training is paid for something else than evaluations, or the environment, count: another sign, or a cost.

Training's return rises, so nothing seems wrong with the learner; evaluations show that what it learns is not wanted.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from unstuck.analysis.diagnosis.direction import compute_stretches
from unstuck.analysis.diagnosis.evaluations import Way, find_paid_otherwise
from unstuck.analysis.diagnosis.finding import (
    Blind,
    Cause,
    Evidence,
    Finding,
    Ground,
    Kind,
    Rule,
    Stage,
    Support,
    Sureness,
)
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.diagnosis.wrapped import make_evidence, read_fact
from unstuck.analysis.history.record import (
    EPISODE_LENGTH,
    EVAL_LENGTH,
    EVAL_STEP_PAY,
    EVAL_SUCCESS_RATE,
    STEP_PAY,
    SUCCESS_RATE,
    WRAPPED_REWARD_COST,
    WRAPPED_REWARD_SIGN,
    WRAPPED_REWARD_STEP,
)
from unstuck.analysis.history.step_pay import measure_step_pay
from unstuck.analysis.words import number, percent, pluralize
from unstuck.rl import metrics

OPPOSITE = -0.95
"""Correlation of what is paid with the environment's own rewards up to which the sign is turned."""

COSTLY, RUINOUS = 3.0, 10.0
"""Spreads of the environment's own returns that an untrained policy's actions cost in an episode: what the environment
pays is then a tenth of the variance at most; and a hundredth, where the cost is a fault whatever training gains."""

AGAINST = 2.0
"""What wrappers pay a step over what a step more brings an untrained policy by itself, with the other sign: from 1 on
it pays best to end at once, or to go on for ever."""

_SAYS = {
    Way.MIRRORED: "Training is paid with the other sign than evaluations count",
    Way.OPPOSED: "Training is paid for something else than evaluations count",
    Way.COST: "Training is paid for what evaluations do not count, such as avoiding a cost",
}

POINTS = 12
"""Returns, and success rates, on record before both are compared."""

START, RISE = 3, 3.0
"""Returns that are the start, and spreads of the last quarter by which they must rise where no episode succeeds."""

MET, LOST, KEPT = 0.1, 0.5, 0.8
"""Success rate that must once have been met, share of it that is left, and share of the best return that is kept."""

JUDGED, STILL = 6, 0.1
"""Evaluations before training's pay by the step is compared with theirs, and the share of their range that they may
have gained where that pay leads elsewhere."""

_OF_STEP_PAY = {
    STEP_PAY: (metrics.TRAIN_RETURN, EPISODE_LENGTH),
    EVAL_STEP_PAY: (metrics.EVAL_RETURN, EVAL_LENGTH),
}
"""Means of returns and of lengths that tell what a step more brings, where single episodes are not on record."""

_TEST = "play one episode with one policy in both, and print the rewards of each step side by side"

_SIGN = Cause("a reward, or a cost, whose sign is turned in training alone", _TEST)
_COST = Cause(
    "a cost, penalty or shaping in training alone, beside which the task's own reward is small",
    "log the cost apart from the task's reward: which of the two has training gained?",
)
_STEP = Cause(
    "a reward or a cost of each step, for which it pays best to end an episode at once, or never",
    "add up by hand what an episode that ends at once, and one that never ends, are paid beside a good one",
)
_NOISE = Cause(
    "the noise of exploration costs, and a policy that was as good at the start (taken over from another run)",
    "compare the first evaluation with that of an untrained policy",
)
_GENERAL = Cause(
    "episodes of training that are not those of evaluations (levels known by heart, other starts)",
    "evaluate on the episodes of training: that return rises as training's does",
)
_CAUSES = {
    Way.MIRRORED: (_SIGN, _COST),
    Way.OPPOSED: (_SIGN, _COST, _GENERAL),
    Way.COST: (_COST, _SIGN, _NOISE),
}


def examine(run: Signals) -> Finding | Blind | None:
    """Return a finding if training's return rises by what neither evaluations nor successes count; None otherwise."""
    told = (metrics.EVAL_RETURN, SUCCESS_RATE, WRAPPED_REWARD_SIGN, WRAPPED_REWARD_COST, WRAPPED_REWARD_STEP)
    if not any(run.has(name) for name in told):
        return Blind(((metrics.EVAL_RETURN,),))
    apart = find_paid_otherwise(run)
    if apart is None:
        return _wrapped(run) or _by_length(run) or _by_success(run)
    first, *others = _CAUSES[apart.way]
    fact = Evidence(apart.text, (metrics.TRAIN_RETURN, metrics.EVAL_RETURN), apart.iterations)
    return Finding(
        headline=f"{_SAYS[apart.way]}: {apart.text}",
        kind=Kind.FAULT,
        sureness=Sureness.LIKELY,
        why="both returns are of one policy, and differ by more than chance and greediness explain",
        evidence=(fact,),
        causes=(Cause(first.what, first.test, Support.SUPPORTED, apart.text), *others),
        since=apart.iterations[1],
    )


class _Pay(NamedTuple):
    """What wrappers pay otherwise than the environment: text, metric, cause, and how many times as much."""

    text: str
    metric: str
    cause: Cause
    times: float


def _wrapped(run: Signals) -> Finding | None:
    """Return a finding if wrappers pay the opposite of what the environment pays, or far more; None otherwise."""
    pay = _find_pay(run)
    if pay is None:
        return None
    still = pay.metric == WRAPPED_REWARD_SIGN and _stay(run)
    return Finding(
        headline=f"Training is paid for something else than the environment pays: {pay.text}",
        kind=Kind.FAULT,
        sureness=Sureness.LIKELY,
        why=f"right only where the environment's own reward is a cost, or is not wanted; {judge_standing(run).brief}",
        evidence=(make_evidence(run, pay.text, pay.metric),),
        causes=(Cause(pay.cause.what, pay.cause.test, Support.SUPPORTED, pay.text), _GENERAL),
        since=int(run.select_finite(pay.metric).index[0]),
        ground=Ground.MEASURED if pay.times >= RUINOUS or still else Ground.PACE,
    )


def _find_pay(run: Signals) -> _Pay | None:
    """Find what wrappers pay otherwise than the environment; a turned sign has the size 0; None if nothing."""
    sign, cost = read_fact(run, WRAPPED_REWARD_SIGN), read_fact(run, WRAPPED_REWARD_COST)
    step = read_fact(run, WRAPPED_REWARD_STEP)
    if sign is not None and sign <= OPPOSITE:
        return _Pay("a wrapper pays the opposite of what the environment pays", WRAPPED_REWARD_SIGN, _SIGN, 0.0)
    if cost is not None and cost >= COSTLY:
        text = (
            f"a wrapper takes off a cost of actions: in an untrained policy's episode {number(cost, 2)} times the "
            "spread of what the environment returns"
        )
        return _Pay(text, WRAPPED_REWARD_COST, _COST, cost)
    if step is not None and step >= AGAINST:
        text = (
            f"a wrapper pays each step {number(step, 2)} times what a step more brings by the environment's reward, "
            "with the other sign"
        )
        return _Pay(text, WRAPPED_REWARD_STEP, _STEP, step)
    return None


def _by_length(run: Signals) -> Finding | None:
    """Return a finding if a step more is paid in training alone, or against what evaluations count; None otherwise.

    Where evaluations gain, what training pays leads to what they count all the same.
    """
    paid, counted = _read_step_pay(run, STEP_PAY), _read_step_pay(run, EVAL_STEP_PAY)
    lengths, curve = run.select_all(EPISODE_LENGTH), run.select_finite(metrics.EVAL_RETURN)
    values = np.asarray(curve, dtype=np.float64)
    if paid is None or counted is None or lengths is None or len(values) < JUDGED or _gains(values):
        return None
    outweighs = counted == 0 and abs(paid) * max(lengths.values) >= AGAINST * float(np.ptp(values)) > 0
    outweighs = outweighs and not _meets_the_better_end(values)
    if not paid or (paid * counted >= 0 and not outweighs):
        return None
    text = f"a step more brings an episode of training {number(paid)}, and one of evaluations {number(counted)}"
    return Finding(
        headline=f"Training is paid by the step for something else than evaluations count: {text}",
        kind=Kind.FAULT,
        sureness=Sureness.LIKELY,
        why="returns follow the lengths of episodes exactly, in both; evaluations have gained nothing",
        evidence=(Evidence(text, (STEP_PAY, EVAL_STEP_PAY)),),
        causes=(Cause(_STEP.what, _STEP.test, Support.SUPPORTED, text), _SIGN),
        since=int(curve.index[JUDGED - 1]),
        ground=Ground.MEASURED if paid * counted < 0 else Ground.PACE,
    )


def _meets_the_better_end(values: npt.NDArray[np.float64]) -> bool:
    """True if late evaluations lie nearer to their best than to their worst, both measured from 0 where steps pay 0.

    Evaluations that pay for the end alone return next to nothing, or their worst, where training's pay leads elsewhere.
    A price of time beside a goal leads to the goal, and evaluations that mostly meet it have nothing left to gain.
    """
    late = float(values[-(len(values) // 3) :].mean())
    return late > (min(float(values.min()), 0.0) + max(float(values.max()), 0.0)) / 2


def _read_step_pay(run: Signals, name: str) -> float | None:
    """Return what a step more brings an episode, from single ones on record, or else from means; None if unknown."""
    recorded = run.select_finite(name)
    if not recorded.empty:
        return float(recorded.iloc[-1])
    returns, lengths = _OF_STEP_PAY[name]
    table = run.history.table
    if returns not in table or lengths not in table:
        return None
    return measure_step_pay(*(table[column].to_numpy(dtype=np.float64) for column in (returns, lengths)))


def _stay(run: Signals) -> bool:
    """True if evaluations were made, and neither gain nor lose: where a cost is turned into a reward they do either.

    Evaluations of training's own sign are paid by the same wrapper, and may have been level from the first one on.
    """
    values = np.asarray(run.select_finite(metrics.EVAL_RETURN), dtype=np.float64)
    if len(values) < JUDGED or values.mean() * run.select_finite(metrics.TRAIN_RETURN).mean() > 0:
        return False
    return not _gains(values) and not _gains(-values)


def _gains(values: npt.NDArray[np.float64]) -> bool:
    """True if the last third of a curve is higher than the first by a tenth of the curve's range."""
    size = len(values) // 3
    return float(values[-size:].mean() - values[:size].mean()) > STILL * float(np.ptp(values))


def _by_success(run: Signals) -> Finding | None:
    """Return a finding if the return rises or holds while fewer episodes succeed, or none ever did; None otherwise."""
    pairs = ((metrics.TRAIN_RETURN, SUCCESS_RATE), (metrics.EVAL_RETURN, EVAL_SUCCESS_RATE))
    whose = next((pair for pair in pairs if all(len(run.select_finite(name)) >= POINTS for name in pair)), None)
    if whose is None:
        return None
    returns, rates = (run.select_finite(name) for name in whose)
    paid, met = (
        compute_stretches(np.asarray(curve, dtype=np.float64), max(2, len(curve) // 4)) for curve in (returns, rates)
    )  # first, best and last
    start, spread = float(returns.iloc[:START].mean()), float(returns.iloc[-len(returns) // 4 :].std())
    never = judge_standing(run).failed > 0 and paid[2] > max(start + RISE * spread, 0.0)
    fewer = met[1] >= MET and met[2] <= LOST * met[1] and paid[2] >= KEPT * paid[1] > 0
    if not never and not fewer:
        return None
    way = f"from {number(start, 3)} to {number(paid[2], 3)}" if never else f"stays at {number(paid[2], 3)}"
    share = f"no episode succeeds, in {pluralize(len(rates), 'value')} of the success rate"
    share = share if never else f"successes fall from {percent(met[1])} to {percent(met[2])}"
    text = f"the return goes {way}, and {share}" if never else f"the return {way}, and {share}"
    return Finding(
        headline=f"The reward pays for something else than success: {text}",
        kind=Kind.FAULT if run.has_ended else Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why="the return and the success rate are of the same episodes",
        evidence=(Evidence(text, whose, (int(returns.index[0]), int(returns.index[-1]))),),
        causes=(
            Cause(
                "a part of the reward (for staying alive, for each attempt, for being near) that can be had without "
                "success, again and again",
                "log each part of the reward apart: which of them has the policy gained?",
                Support.SUPPORTED,
                text,
            ),
            Cause(
                "a success that comes late, towards which the reward leads: then the return alone rises first",
                "let a policy by hand succeed: it must return more than the policy learned",
            ),
            Cause(
                "a success rate that is counted wrongly",
                "let a policy by hand succeed once, and read the rate",
            ),
        ),
        since=int(returns.index[-1]),
        ground=Ground.MEASURED,
    )


RULE = Rule(
    name="paid_otherwise",
    title="Training is paid for something else",
    stage=Stage.BUG,
    needs=((metrics.TRAIN_RETURN,),),
    helps=(metrics.EVAL_RETURN, SUCCESS_RATE, EVAL_SUCCESS_RATE, STEP_PAY, EVAL_STEP_PAY),
    explains=(
        *(
            "learns_backwards",
            "greedy_vs_sampled",
            "oscillating",
            "signal_lost",
            "critic_underfits",
            "entropy_collapsed",
        ),
        *("doing_nothing_pays", "greedy_collapsed", "learned_and_lost", "targets_beyond", "return_frozen"),
        *("reward_sparse", "reward_not_found"),
    ),
    curable=False,
    says=(
        "training's return rises while evaluations fall, has the other sign, or climbs from far below to where "
        "evaluations were from the start; or it rises or holds while episodes succeed less and less, or never did"
    ),
    threshold=(
        "6 evaluations; other sign in 90 % of them and of one size a step (factor 4), or in our own run's last third "
        "(factor 1.5), as they fall from their best by what training gains; or training rises, evaluations "
        "gain less than a tenth of that, and fall by half of their range, with starts apart by half of the gain; or "
        "training closes half of its first distance from below, which is 3 times what evaluations count and 5 times "
        "their range, with 0.4 of it left once the logged mean holds no episode from before the first evaluation; both "
        "in runs of our own learner only where a cost of the actions' squares explains 0.2 of what rewards vary; or "
        "a return above 0 that rose by three spreads of its last quarter with no success in 20 values, or that keeps "
        "0.8 of its best while a success rate of 0.1 or more was halved; or "
        "what wrappers pay correlates with the environment's rewards at -0.95 or less, or a cost of actions is 3 "
        "spreads of the environment's returns, or each step is paid twice what a step more brings, with the other "
        "sign, where nothing is learned; 10, or a turned sign beside 6 evaluations that neither gain nor lose, and "
        "have not training's sign, are a fault in any run; or a step more brings episodes of training exactly so much "
        "in half of the pairs, those of evaluations so much with the other sign, or nothing where all steps of "
        "an episode make twice the range of evaluations, which end nearer to their worst than to their best, and 6 "
        "evaluations have not gained"
    ),
    source="Jones 2021 (compare with simple policies; look at single rewards); Ng et al. 1999 (shaping); measured here",
    examine=examine,
)
