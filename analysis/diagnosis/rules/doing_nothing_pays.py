"""Doing nothing pays best: the policy has learned to avoid what costs, and never meets what pays.

Where actions cost and the reward lies behind them, the first thing to be learned is to do nothing: the return climbs
from below 0 to 0 and stays, entropy goes, the value loss vanishes. It looks like success, and is the best return there
is only where no reward can be positive.
"""

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
from unstuck.analysis.diagnosis.signals import ActionKind, Signals
from unstuck.analysis.diagnosis.standing import TRIED, judge_standing
from unstuck.analysis.history.record import EPISODE_LENGTH, POLICY_STD, SUCCESS_RATE
from unstuck.analysis.words import number, percent, pluralize
from unstuck.rl import metrics

LAST = 10
"""Returns at the end that must be at the level."""

NOTHING = 0.01
"""Share of the way from the worst return by which the level may miss 0, and the returns may differ: what is left of the
costs while single actions are still tried."""

SETTLED = 0.25
"""Share of the largest entropy, or of the spread's start, below which a policy has settled on what it does."""


BY_CHANCE, GIVEN_UP = 0.05, 0.25
"""Success rate of an untrained policy from which success is within reach, and share of that which is left where it is
given up."""

HALF = 0.5
"""Share of the costs at the start that must be avoided in the end by a policy that never succeeds."""

SHORTER, FEW, TREND = 0.25, 30.0, 12
"""Share of their longest, and number of steps, to which episodes must shrink to be ended for the sake of an end; and
points from which on that is told."""

LONGER = 2.0
"""Factor by which episodes must have grown to be put off in their end; each step must cost `HALF` of what it did, so
that a goal which is no longer reached, at an even cost of the steps, is not meant."""

EVEN = 0.02
"""Spread of the cost of a step, in its mean, up to which each step costs the same, as on the way to a goal."""

GOALS = ("Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0")
"""Known tasks that cost until a goal ends the episode: short episodes are what is wanted."""


def examine(run: Signals) -> Finding | None:
    """Return a finding if costs are avoided and nothing is earned: at 0, without a success, by an early or late end."""
    return _at_zero(run) or _without_success(run) or _by_ending(run) or _by_lasting(run)


def find_put_off(run: Signals) -> Evidence | None:
    """Return evidence that the return falls as episodes grow, while a step costs less and less; None otherwise.

    What ends an episode costs more than a step, and is put off at the price of more steps.
    """
    returns, lengths = run.select_finite(metrics.TRAIN_RETURN), run.select_finite(EPISODE_LENGTH)
    shared = returns.index.intersection(lengths.index)
    if len(shared) < TREND or run.is_ours or float(returns.max()) >= 0:
        return None
    size = max(3, len(shared) // 10)
    paid = returns.loc[shared] / lengths.loc[shared]
    (first, last), (short, long), (cost, less) = (
        (float(curve.iloc[:size].mean()), float(curve.iloc[-size:].mean()))
        for curve in (returns.loc[shared], lengths.loc[shared], paid)
    )
    if last >= first or long < LONGER * short or less < HALF * cost or not run.trend(EPISODE_LENGTH).rises:
        return None
    text = (
        f"the return goes from {number(first, 3)} to {number(last, 3)} as episodes grow from {number(short, 3)} to "
        f"{number(long, 3)} steps, of which each costs {number(-cost, 2)} at first and {number(-less, 2)} of late"
    )
    return Evidence(text, (metrics.TRAIN_RETURN, EPISODE_LENGTH), (int(shared[0]), int(shared[-1])))


def _by_lasting(run: Signals) -> Finding | None:
    """Return a finding if the end of an episode is put off at the price of the steps until then; None otherwise."""
    fact = find_put_off(run)
    if fact is None:
        return None
    return Finding(
        headline=f"To put off the end of an episode may be what pays best: {fact.text}",
        kind=Kind.FAULT if run.has_ended else Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why="costs far ahead count for less than the end that is put off, and no iteration ever returned more than 0",
        evidence=(fact,),
        causes=(
            Cause(
                "an end (a failure, a collision) that costs more than the steps of a horizon, and nothing earned",
                "watch an episode: the policy goes in circles, or waits",
                Support.SUPPORTED,
                fact.text,
            ),
            Cause(
                "a reward that is met too seldom to be worth the risk",
                "let a uniform policy play a thousand episodes, and count those that return more than 0",
            ),
        ),
        remedies=_remedies(run, "a return above 0 within a tenth of the run"),
        since=fact.iterations[1] if fact.iterations else None,
        ground=Ground.PACE,
    )


def _without_success(run: Signals) -> Finding | None:
    """Return a fault if returns below 0 rose by half of what they cost, and no episode succeeds by then; else None."""
    success = _tell_no_success(run)
    start, late = run.select_first(metrics.TRAIN_RETURN), run.select_last(metrics.TRAIN_RETURN)
    returns = run.select_finite(metrics.TRAIN_RETURN)
    if not success or start is None or late is None or len(returns) < TREND:
        return None
    most, least = float(returns.max()), float(returns.min())
    if most > NOTHING * abs(least) or start.median >= 0 or late.median < HALF * start.median:
        return None
    bound = "never above 0" if most <= 0 else f"{number(most, 2)} at most"
    text = f"return {number(start.median, 3)} at first and {number(late.median, 3)} of late, {bound}"
    return Finding(
        headline=f"Doing nothing pays best: {text}, and {success}",
        kind=Kind.FAULT if run.has_ended else Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why="the policy has learned to avoid what costs, and what it avoids is on the way to success",
        evidence=(
            Evidence(text, (metrics.TRAIN_RETURN,), (start.iterations[0], late.iterations[-1])),
            Evidence(success, (SUCCESS_RATE,)),
        ),
        causes=(
            Cause(
                "an attempt that fails costs so much that it is no longer made",
                "count how often the action that can succeed is taken: the share falls as the return rises",
                Support.SUPPORTED,
                text,
            ),
            Cause(
                "a success that chance hardly reaches",
                "let a uniform policy play a thousand episodes, and count the successes",
            ),
        ),
        remedies=_remedies(run, "a success rate above 0 within a tenth of the run"),
        since=late.iterations[-1],
        ground=Ground.MEASURED,
    )


def _tell_no_success(run: Signals) -> str:
    """Say in words that no episode has succeeded, or that successes went as the run learned; "" if neither holds."""
    failed = judge_standing(run).failed
    if failed:
        return f"no episode has succeeded in {pluralize(failed, 'value')} of the success rate"
    first, late = run.select_first(SUCCESS_RATE), run.select_last(SUCCESS_RATE)
    if (
        first is None
        or late is None
        or len(run.select_finite(SUCCESS_RATE)) < TRIED
        or not run.holds_start(SUCCESS_RATE)
    ):
        return ""
    went = first.mean >= BY_CHANCE and late.mean <= GIVEN_UP * first.mean
    return f"the success rate falls from {percent(first.mean)} to {percent(late.mean)}" if went else ""


def _by_ending(run: Signals) -> Finding | None:
    """Return a suspect if returns below 0 rise as episodes shrink to a few steps, in no known task; None otherwise."""
    lengths, returns = run.select_finite(EPISODE_LENGTH), run.select_finite(metrics.TRAIN_RETURN)
    success = run.select_last(SUCCESS_RATE)
    shared = lengths.index.intersection(returns.index)
    if len(shared) < TREND or run.setting("env.id") in GOALS:
        return None
    lengths, returns = lengths.loc[shared], returns.loc[shared]
    if float(returns.max()) >= 0 or (success is not None and success.mean > 0):
        return None
    size = max(3, len(lengths) // 10)
    stretches = lengths.rolling(size).mean().dropna()
    longest, shortest = float(stretches.max()), float(stretches.iloc[-1])
    if shortest > SHORTER * longest or shortest > FEW or longest < 2 * FEW:
        return None
    costs = returns / lengths
    if float(costs.std()) < EVEN * abs(float(costs.mean())):
        return None
    then = returns.loc[: int(stretches.index[int(stretches.argmax())])].iloc[-size:]
    now = returns.iloc[-size:]
    if float(now.min()) <= float(then.max()):
        return None
    text = (
        f"episodes shrink from {number(longest, 3)} to {number(shortest, 3)} steps as the return goes from "
        f"{number(float(then.mean()), 3)} to {number(float(now.mean()), 3)}"
    )
    return Finding(
        headline=f"To end the episode early may be what pays best: {text}",
        kind=Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why="every step costs, an end costs nothing more, and no iteration ever returned more than 0",
        evidence=(Evidence(text, (EPISODE_LENGTH, metrics.TRAIN_RETURN), (int(then.index[0]), int(now.index[-1]))),),
        causes=(
            Cause(
                "an episode that ends by failure (a fall, a limit of the state) costs less than to go on",
                "log how episodes end; make a failure cost more than the steps that it saves, or pay for each step",
                Support.SUPPORTED,
                text,
            ),
            Cause(
                "a goal that ends the episode, and is reached sooner: then nothing is wrong",
                "count the episodes that end at the goal",
            ),
        ),
        since=int(now.index[-1]),
    )


def _at_zero(run: Signals) -> Finding | None:
    """Return a suspect if the return rose from below 0 to 0 and no further, as by doing nothing; None otherwise."""
    curve = run.select_finite(metrics.TRAIN_RETURN)
    if len(curve) < 2 * LAST or run.is_triage:
        return None
    values = np.asarray(curve, dtype=np.float64)
    worst, late = float(np.sort(values[:LAST])[: LAST // 2].mean()), values[-LAST:]
    if worst >= 0 or float(values.max()) > NOTHING * abs(worst):
        return None
    if float(np.abs(late).max()) > NOTHING * abs(worst) or not _has_settled(run):
        return None
    reached = curve.index[(np.abs(values) <= NOTHING * abs(worst))]
    since = int(reached[0])
    text = (
        f"return {number(worst, 3)} at first, within {number(NOTHING * abs(worst), 1)} of 0 from iteration {since} on"
    )
    facts = [Evidence(text, (metrics.TRAIN_RETURN,), (since, int(curve.index[-1])))]
    facts.append(Evidence(f"no iteration returned more than {number(float(values.max()), 2)}", (metrics.TRAIN_RETURN,)))
    return Finding(
        headline=f"Doing nothing may be what pays best: {text}",
        kind=Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why="costs are avoided and nothing is ever earned; that is the best there is only where no reward is above 0",
        evidence=tuple(facts),
        causes=(
            Cause(
                "a reward that is met too seldom beside what each action costs",
                "let a policy that reaches the goal by hand play an episode: it returns more than 0",
                Support.SUPPORTED,
                "no mean of an iteration was ever above 0",
            ),
            Cause(
                "a task without rewards above 0, which is solved",
                "compute the largest return of an episode: it is 0",
            ),
            Cause(
                "exploration that ended before a reward was met",
                "branch from the start with three times the entropy_coef: the return leaves 0, upwards",
            ),
        ),
        remedies=_remedies(run, "a return above 0 within a tenth of the run"),
        since=int(curve.index[min(len(curve) - 1, list(curve.index).index(since) + LAST - 1)]),
        missing=() if run.has(metrics.ENTROPY) else (metrics.ENTROPY,),
    )


def _has_settled(run: Signals) -> bool:
    """True if entropy, or the spread of continuous actions, is low; also if neither is recorded."""
    if run.action_kind is ActionKind.CONTINUOUS:
        return True  # a policy whose mean is to do nothing may keep its spread
    entropy, most = run.select_last(metrics.ENTROPY), run.entropy_reference
    return entropy is None or most is None or entropy.mean < SETTLED * most


def _remedies(run: Signals, watch: str) -> tuple[Remedy, ...]:
    weight = run.read_number("ppo.entropy_coef")
    more = [0.01, 0.03] if not weight or weight < 0.01 else float(f"{min(weight * 3, 0.1):.1g}")
    return (Remedy({"ppo.entropy_coef": more}, "tries costly actions for longer, until one of them pays", watch),)


RULE = Rule(
    name="doing_nothing_pays",
    title="Doing nothing pays best",
    stage=Stage.CEILING,
    needs=((metrics.TRAIN_RETURN,),),
    helps=(metrics.ENTROPY, POLICY_STD, SUCCESS_RATE, EPISODE_LENGTH),
    explains=(
        "reward_sparse",
        "updates_too_large",
        "entropy_collapsed",
        "return_frozen",
        "oscillating",
        "greedy_collapsed",
        "critic_underfits",
        "signal_lost",
    ),
    says=(
        "the return rose from below 0 to 0 and stays there, or stays below 0 while no episode succeeds, or rises as "
        "episodes shrink, or falls as they grow: the policy avoids costs and never meets what pays"
    ),
    threshold=(
        "the last ten returns within 1 % of the way from the worst to 0, none ever above; discrete actions: entropy "
        "below a quarter of its maximum; or no success in 20 values or more, or a success rate that falls from 0.05 "
        "or more to a quarter, returns below 0, and half of the costs at the start avoided; or episodes of 30 steps "
        "at most, a quarter of their longest, returns never above 0, steps that do not all cost the same, in no known"
        " task with a goal; or a return that falls, never above 0, as episodes grow to twice their length and a step "
        "comes to cost half"
    ),
    source=(
        "Jones 2021 (compare with the policy that does nothing); Gymnasium's MountainCarContinuous (its "
        "policy learns not to move)"
    ),
    examine=examine,
)
