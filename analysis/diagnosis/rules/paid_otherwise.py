"""Training is paid for something else than evaluations, or the environment, count: another sign, or a cost.

Training's return rises, so nothing seems wrong with the learner; evaluations show that what it learns is not wanted.
"""

from unstuck.analysis.diagnosis.evaluations import Way, find_paid_otherwise
from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Ground, Kind, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.diagnosis.wrapped import make_evidence, read_fact
from unstuck.analysis.history.record import WRAPPED_REWARD_COST, WRAPPED_REWARD_SIGN
from unstuck.analysis.words import number
from unstuck.rl import metrics

OPPOSITE = -0.95
"""Correlation of what is paid with the environment's own rewards up to which the sign is turned."""

COSTLY = 3.0
"""Spreads of the environment's own returns that an untrained policy's actions cost in an episode: what the environment
pays is then a tenth of the variance at most."""

_SAYS = {
    Way.MIRRORED: "Training is paid with the other sign than evaluations count",
    Way.OPPOSED: "Training is paid for something else than evaluations count",
    Way.COST: "Training is paid for what evaluations do not count, such as avoiding a cost",
}

_TEST = "play one episode with one policy in both, and print the rewards of each step side by side"

_SIGN = Cause("a reward, or a cost, whose sign is turned in training alone", _TEST)
_COST = Cause(
    "a cost, penalty or shaping in training alone, beside which the task's own reward is small",
    "log the cost apart from the task's reward: which of the two has training gained?",
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


def examine(run: Signals) -> Finding | None:
    """Return a fault if training's return rises by something that evaluations do not count; None otherwise."""
    apart = find_paid_otherwise(run)
    if apart is None:
        return _wrapped(run)
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


def _wrapped(run: Signals) -> Finding | None:
    """Return a finding if a wrapper turns the sign of the rewards, or a cost outweighs them; None otherwise."""
    sign, cost = read_fact(run, WRAPPED_REWARD_SIGN), read_fact(run, WRAPPED_REWARD_COST)
    turned = sign is not None and sign <= OPPOSITE
    if turned:
        text = "a wrapper pays the opposite of what the environment pays"
        fact, cause = make_evidence(run, text, WRAPPED_REWARD_SIGN), _SIGN
    elif cost is not None and cost >= COSTLY:
        text = (
            f"a wrapper takes off a cost of actions: in an untrained policy's episode {number(cost, 2)} times the "
            "spread of what the environment returns"
        )
        fact, cause = make_evidence(run, text, WRAPPED_REWARD_COST), _COST
    else:
        return None
    return Finding(
        headline=f"Training is paid for something else than the environment pays: {text}",
        kind=Kind.FAULT,
        sureness=Sureness.LIKELY,
        why=f"right only where the environment's own reward is a cost, or is not wanted; {judge_standing(run).brief}",
        evidence=(fact,),
        causes=(Cause(cause.what, cause.test, Support.SUPPORTED, text), _GENERAL),
        since=int(run.select_finite(fact.metrics[0]).index[0]),
        ground=Ground.PACE if turned else Ground.STATE,
    )


RULE = Rule(
    name="paid_otherwise",
    title="Training is paid for something else",
    stage=Stage.BUG,
    needs=((metrics.TRAIN_RETURN,), (metrics.EVAL_RETURN,)),
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
    ),
    curable=False,
    says=(
        "training's return rises while evaluations fall, has the other sign, or climbs from far below to where "
        "evaluations were from the start"
    ),
    threshold=(
        "6 evaluations; other sign in 90 % of them and of one size a step (factor 4); or training rises, evaluations "
        "gain less than a tenth of that, and fall by half of their range, with starts apart by half of the gain; or "
        "training closes half of its first distance from below, which is 3 times what evaluations count and 5 times "
        "their range, with 0.4 of it left once the logged mean holds no episode from before the first evaluation"
    ),
    source="Jones 2021 (compare with simple policies; look at single rewards); Ng et al. 1999 (shaping); measured here",
    examine=examine,
)
