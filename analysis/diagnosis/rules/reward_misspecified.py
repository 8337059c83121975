"""The return is good and F1 is bad: the reward table pays for something else than F1."""

from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Kind, Remedy, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.rewards import Rewards, compute_rewards
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import TRIVIAL_MARGIN, judge_standing
from unstuck.analysis.words import format_uncertain, number, percent
from unstuck.rl import metrics

NEARLY_ALL = 0.9
"""Share of the way from drawing evenly to a perfect policy that the return must have gone to count as good."""

CERTAIN = 0.9
"""Probability of a threat that flagging must not demand."""

MISSES = 0.1
"""Gap of recall below precision at which such a demand is met, at the cost of F1."""


def examine(run: Signals) -> Finding | None:
    """Return a finding on whether the reward table pays for something else than F1; None if unclear."""
    f1, returns = run.select_last(metrics.F1, share=0.0), run.select_last(metrics.EVAL_RETURN, share=0.0)
    if f1 is None or not run.trivial_f1:
        return None
    rewards = compute_rewards(run)
    level = max(run.trivial_f1.values())
    bad = f1.mean <= level + TRIVIAL_MARGIN
    gone = _gone(run, rewards)
    contradicts = rewards is not None and (rewards.best_benign == rewards.best_threat or rewards.certainty > CERTAIN)
    cautious = _overcautious(run) if rewards is not None and rewards.certainty > CERTAIN else None
    bad = bad or cautious is not None
    rising = run.trend(metrics.TRAIN_RETURN)
    learned = rising.rises and gone is not None and gone > NEARLY_ALL
    if not bad or not (contradicts or learned):
        return _fine(f1.mean, level, rewards) if not bad and not contradicts else None
    facts = [
        Evidence(
            f"F1 {number(f1.mean, 3)}, of policies that have learned nothing {number(level, 3)} at best",
            (f1.metric,),
            f1.reach,
        )
    ]
    if returns:
        facts.append(
            Evidence(
                f"greedy return {format_uncertain(returns.mean, returns.spread)}", (returns.metric,), returns.reach
            )
        )
    if cautious:
        facts.append(cautious)
    if rewards:
        facts.append(_table(rewards))
    standing = judge_standing(run)
    return Finding(
        headline="The reward pays for something else than F1: " + (facts[-1].text if rewards else facts[0].text),
        kind=Kind.FAULT,
        sureness=Sureness.SURE if contradicts else Sureness.LIKELY,
        why=("by the table itself; " if contradicts else "the return is nearly the best there is; ") + standing.brief,
        evidence=tuple(facts),
        causes=_causes(contradicts, facts[-1].text),
        remedies=(
            Remedy(
                {"env.reward_threat": (-10.0, 8.0, 5.0, 2.0), "env.reward_benign": (0.5, -5.0, -3.0, -1.0)},
                "no setting of PPO mends a reward: pay more for a threat flagged than for one allowed",
                "F1 above that of flagging everything within 40 iterations, recall near precision",
            ),
        ),
        since=f1.iterations[0],
    )


def _overcautious(run: Signals) -> Evidence | None:
    """Return evidence that the policy gives few false alarms but misses many threats; None otherwise."""
    precision, recall = (run.select_last(name, share=0.0) for name in (metrics.PRECISION, metrics.RECALL))
    if precision is None or recall is None or recall.mean > precision.mean - MISSES:
        return None
    text = (
        f"recall {number(recall.mean, 2)}, precision {number(precision.mean, 2)}: few false alarms, many missed threats"
    )
    return Evidence(text, (recall.metric, precision.metric), recall.reach)


def _causes(contradicts: bool, table: str) -> tuple[Cause, ...]:
    return (
        Cause(
            "a reward table under which missing threats pays",
            "compute what a perfect policy and each constant action earn",
            Support.SUPPORTED if contradicts else Support.OPEN,
            table if contradicts else "",
        ),
        Cause(
            "rewards of other steps than those acted on",
            "act by a rule that knows the label: the reward must be the table's, step by step",
        ),
    )


def _gone(run: Signals, rewards: Rewards | None) -> float | None:
    """Rate the last return from a random policy's (0) to a perfect policy's (1); None if unknown."""
    returns, flows = run.select_last(metrics.EVAL_RETURN, share=0.0), run.read_number("env.flows_per_episode")
    if rewards is None or returns is None or not flows:
        return None
    return rewards.compute_gain(returns.mean / flows, rewards.uniform)


def _table(rewards: Rewards) -> Evidence:
    if rewards.best_benign == rewards.best_threat:
        text = f"the reward table pays most for {rewards.best_threat} on threats as on benign flows"
    elif rewards.certainty > CERTAIN:
        text = f"under the table {rewards.best_threat} pays only from {percent(min(1, rewards.certainty))} certainty on"
    else:
        text = (
            f"a perfect policy earns {number(rewards.perfect, 3)} a flow, drawing evenly {number(rewards.uniform, 3)}"
        )
    return Evidence(text, ("env.reward_benign", "env.reward_threat"))


def _fine(f1: float, level: float, rewards: Rewards | None) -> Finding | None:
    if rewards is None:
        return None
    text = (
        f"the reward agrees with F1: {rewards.best_threat} pays where a threat is {percent(rewards.certainty)} likely"
    )
    return Finding(text, Kind.FINE, Sureness.SURE, "", (Evidence(text, ("env.reward_benign", "env.reward_threat")),))


RULE = Rule(
    name="reward_misspecified",
    title="Reward and F1 disagree",
    stage=Stage.CEILING,
    needs=((metrics.F1,), (metrics.EVAL_RETURN, metrics.TRAIN_RETURN)),
    helps=(metrics.EVAL_RETURN, metrics.PRECISION, metrics.RECALL),
    explains=("greedy_collapsed", "entropy_collapsed", "greedy_vs_sampled", "signal_lost"),
    says="the reward pays for something else than F1",
    threshold=(
        "F1 at a trivial policy's, while the table pays most for the same action on threats and benign flows, "
        "asks for more than 90 % certainty, or the return is 90 % of the best; or the table asks for that "
        "certainty, and recall is 0.1 below precision"
    ),
    source="Jones 2021 (compare with simple policies); cost-sensitive decisions: Elkan 2001",
    examine=examine,
)
