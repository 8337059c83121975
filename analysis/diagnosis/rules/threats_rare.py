"""Threats are rare among the flows: a score rests on a few flows, and a policy that flags nothing earns nearly all."""

from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Kind, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.rewards import compute_rewards
from unstuck.analysis.diagnosis.rules.labels_differ import APART, TIMES, bound_trained_share
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.words import number, percent, pluralize
from unstuck.rl import metrics

RARE, FEW = 0.02, 30
"""Share of threats, and number of threats judged, below which a score says little: F1 of 0.9 on 30 threats is known to
0.1 either way (two standard errors)."""

HARDLY_ANY = 0.05
"""Share of threats among the flows trained on up to which they are rare there, if the flows judged hold many more."""

GOOD = 0.9
"""F1 from which the threats are found all the same."""


def examine(run: Signals) -> Finding | None:
    """Return a finding if few of the network flows judged, or trained on, are threats and F1 is low; None otherwise."""
    return _rare_in_training(run) or _rare_judged(run)


def _rare_in_training(run: Signals) -> Finding | None:
    """Return a fault if returns tell that training hardly shows a threat, and evaluation many; None otherwise."""
    judged, bounds, level = run.threats_judged, bound_trained_share(run), run.select_last(metrics.F1, share=0.0)
    if judged is None or bounds is None or level is None or level.mean >= GOOD or bounds[1] > HARDLY_ANY:
        return None
    if judged < TIMES * bounds[1] or judged - bounds[1] < APART:
        return None
    most, others = percent(bounds[1], 1), percent(judged, 1)
    text = f"by their returns {most} of the flows trained on at most, {others} of those judged"
    return Finding(
        headline=f"Threats are rare in training: {text}",
        kind=Kind.FAULT,
        sureness=Sureness.LIKELY,
        why=f"what is hardly shown cannot be learned, and no setting makes more of it; {judge_standing(run).brief}",
        evidence=bounds[2],
        causes=(
            Cause(
                "threats that were lost on the way to training: a filter, a limit of rows, a split by time",
                "count the labels of both parts, value by value",
                Support.SUPPORTED,
                text,
            ),
            Cause("threats that are labelled as benign in training", "compare labels of equal flows in both parts"),
        ),
        since=bounds[2][0].iterations[1] if bounds[2][0].iterations else None,
    )


def _rare_judged(run: Signals) -> Finding | None:
    """Return a suspect if few of the evaluated network flows are threats and F1 is not high; None otherwise."""
    counts, level = run.confusion, run.select_last(metrics.F1, share=0.0)
    if counts.empty or level is None or not run.is_triage or level.mean >= GOOD:
        return None
    last = counts.iloc[-1]
    threats, flows = float(last["tp"] + last["fn"]), float(last.sum())
    if threats / flows >= RARE and threats >= FEW:
        return None
    names = (metrics.TRUE_POSITIVES, metrics.FALSE_NEGATIVES)
    text = f"{pluralize(int(threats), 'threat')} among {number(flows)} flows judged, {percent(threats / flows, 1)}"
    facts, rewards = [Evidence(text, names, (int(counts.index[0]), int(counts.index[-1])))], compute_rewards(run)
    if rewards:
        least = f"always the same action earns {number(rewards.best_constant, 3)} a flow"
        facts.append(Evidence(f"{least}, a perfect policy {number(rewards.perfect, 3)}", ("env.reward_threat",)))
    return Finding(
        headline=f"Threats are rare: {text}",
        kind=Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why=f"no setting makes more of them; {judge_standing(run).brief}",
        evidence=tuple(facts),
        causes=(
            Cause(
                "threats that were lost on the way: a filter, a limit of rows, labels that count as benign",
                "count the labels of the file, value by value, before and after each step",
            ),
            Cause(
                "threats that are as rare where the policy is to work",
                "count them there; if so, judge by precision and recall on more flows, or pay more for a threat found",
            ),
        ),
        since=int(counts.index[0]),
    )


RULE = Rule(
    name="threats_rare",
    title="Threats are rare",
    stage=Stage.CEILING,
    needs=((metrics.TRUE_POSITIVES,), (metrics.F1,)),
    explains=(
        *("labels_differ", "entropy_collapsed", "greedy_collapsed", "greedy_vs_sampled", "oscillating", "overfitting"),
        *("seeds_bimodal", "signal_lost", "paid_otherwise"),
    ),
    curable=False,
    says=(
        "few of the flows judged, or trained on, are threats, and they are not found: what to check in the data, since "
        "no setting helps"
    ),
    threshold=(
        "less than 2 % of the flows judged, or fewer than 30, are threats, with F1 below 0.9; or by the returns at "
        "most 5 % of the flows trained on, and twice as many of those judged"
    ),
    source=("the binomial error of a score on few threats; Axelsson 2000, The base-rate fallacy (rare intrusions)"),
    examine=examine,
)
