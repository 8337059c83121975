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
    Kind,
    Remedy,
    Rule,
    Stage,
    Support,
    Sureness,
)
from unstuck.analysis.diagnosis.signals import ActionKind, Signals
from unstuck.analysis.history.record import POLICY_STD
from unstuck.analysis.words import number
from unstuck.rl import metrics

LAST = 10
"""Returns at the end that must be at the level."""

NOTHING = 0.01
"""Share of the way from the worst return by which the level may miss 0, and the returns may differ: what is left of the
costs while single actions are still tried."""

SETTLED = 0.25
"""Share of the largest entropy, or of the spread's start, below which a policy has settled on what it does."""


def examine(run: Signals) -> Finding | None:
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
        remedies=_remedies(run),
        since=int(curve.index[min(len(curve) - 1, list(curve.index).index(since) + LAST - 1)]),
        missing=() if run.has(metrics.ENTROPY) else (metrics.ENTROPY,),
    )


def _has_settled(run: Signals) -> bool:
    """True if entropy, or the spread of continuous actions, is low; also if neither is recorded."""
    if run.action_kind is ActionKind.CONTINUOUS:
        return True  # a policy whose mean is to do nothing may keep its spread
    entropy, most = run.select_last(metrics.ENTROPY), run.entropy_reference
    return entropy is None or most is None or entropy.mean < SETTLED * most


def _remedies(run: Signals) -> tuple[Remedy, ...]:
    weight = run.read_number("ppo.entropy_coef")
    watch = "a return above 0 within a tenth of the run"
    more = [0.01, 0.03] if not weight or weight < 0.01 else float(f"{min(weight * 3, 0.1):.1g}")
    return (Remedy({"ppo.entropy_coef": more}, "tries costly actions for longer, until one of them pays", watch),)


RULE = Rule(
    name="doing_nothing_pays",
    title="Doing nothing pays best",
    stage=Stage.CEILING,
    needs=((metrics.TRAIN_RETURN,),),
    helps=(metrics.ENTROPY, POLICY_STD),
    explains=(
        "entropy_collapsed",
        "return_frozen",
        "oscillating",
        "greedy_collapsed",
        "critic_underfits",
        "signal_lost",
    ),
    says=("the return rose from below 0 to 0 and stays there: the policy avoids costs and never meets what pays"),
    threshold=(
        "the last ten returns within 1 % of the way from the worst to 0, none ever above; discrete actions: "
        "entropy below a quarter of its maximum"
    ),
    source=(
        "Jones 2021 (compare with the policy that does nothing); Gymnasium's MountainCarContinuous (its "
        "policy learns not to move)"
    ),
    examine=examine,
)
