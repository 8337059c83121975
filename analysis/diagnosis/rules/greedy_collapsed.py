"""The greedy policy collapsed: one action for all observations, and the F1 of a policy that learned nothing."""

import pandas as pd
from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Kind, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.rewards import judge_constant_policies
from unstuck.analysis.diagnosis.signals import Signals, select_columns
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.words import join_words, number, percent, pluralize
from unstuck.rl import metrics

SAME = 0.995
"""Share of the greedy decisions that are one action."""

EVALUATIONS = 3
"""Number of evaluations in a row, up to the last."""


def examine(run: Signals) -> Finding | None:
    """Return a finding on whether the greedy policy takes one action only; None if unknown, or scores are good."""
    standing = judge_standing(run)
    collapsed = _by_counts(run) or _by_shares(run)
    if collapsed is None:
        share = _largest(run)
        if share is None:
            return None
        text = f"the greedy policy uses its actions: the most frequent one has {percent(share)}"
        return Finding(text, Kind.FINE, Sureness.SURE, "", (Evidence(text, (f"{metrics.GREEDY_PREFIX}<action>",)),))
    if not standing.is_poor:
        return None
    does, facts, since = collapsed
    return Finding(
        headline=f"The greedy policy {does}, whatever it sees: {facts[0].text}",
        kind=Kind.FAULT,
        sureness=Sureness.SURE,
        why=standing.brief,
        evidence=facts,
        causes=_causes(run),
        since=since,
        missing=tuple(
            name for name in (metrics.ENTROPY, f"{metrics.ACTION_PREFIX}<action>") if not _recorded(run, name)
        ),
    )


def _recorded(run: Signals, name: str) -> bool:
    return bool(run.actions) if name.endswith("<action>") else run.has(name)


def _by_counts(run: Signals) -> tuple[str, tuple[Evidence, ...], int] | None:
    """Check by confusion counts if a greedy policy flags none or all of the network flows; None if neither."""
    counts = run.confusion
    if len(counts) < EVALUATIONS:
        return None
    for does, columns in (("allows everything", ["tp", "fp"]), ("flags everything", ["tn", "fn"])):
        empty = select_columns(counts, columns).sum(axis=1) == 0
        if empty[-EVALUATIONS:].all():
            begin = len(empty) - int(empty[::-1].cumprod().sum())
            part = counts.iloc[begin:]
            last = {name: int(value) for name, value in part.iloc[-1].items()}
            text = (
                f"TP {last['tp']}, FP {last['fp']}, TN {last['tn']}, FN {last['fn']} in "
                f"{'all' if begin == 0 else 'the last'} {pluralize(len(part), 'evaluation')}"
            )
            reach = (int(part.index[0]), int(part.index[-1]))
            names = (metrics.TRUE_POSITIVES, metrics.FALSE_POSITIVES, metrics.TRUE_NEGATIVES, metrics.FALSE_NEGATIVES)
            return (
                does,
                (Evidence(text, names, reach), *_trivial(run)),
                int(part.index[min(EVALUATIONS, len(part)) - 1]),
            )
    return None


def _by_shares(run: Signals) -> tuple[str, tuple[Evidence, ...], int] | None:
    shares = run.shares(metrics.GREEDY_PREFIX)
    if len(shares) < EVALUATIONS or run.compute_dominance(metrics.GREEDY_PREFIX).iloc[-EVALUATIONS:].min() < SAME:
        return None
    names = [str(shares.iloc[-1][group].idxmax()) for group in run.group_shares(metrics.GREEDY_PREFIX)]
    part = shares[(shares[names].min(axis=1) >= SAME)[::-1].cumprod()[::-1].astype(bool)]
    if len(part) < EVALUATIONS:
        return None
    always = join_words(names)
    text = f"{percent(float(part[names].to_numpy().min()), 1)} or more of the greedy actions are {always}"
    told = tuple(map(metrics.greedy_metric, names))
    fact = Evidence(text, told, (int(part.index[0]), int(part.index[-1])))
    return f"chooses {always}", (fact, *_trivial(run)), int(part.index[EVALUATIONS - 1])


def _largest(run: Signals) -> float | None:
    shares = run.shares(metrics.GREEDY_PREFIX)
    if len(shares):
        return float(run.compute_dominance(metrics.GREEDY_PREFIX).iloc[-1])
    counts = run.confusion
    if counts.empty:
        return None
    last: pd.Series[float] = counts.iloc[-1]
    flagged = float(last["tp"] + last["fp"]) / float(last.sum())
    return max(flagged, 1 - flagged)


def _trivial(run: Signals) -> list[Evidence]:
    level = run.select_last(metrics.F1, share=0.0)
    if level is None or not run.trivial_f1:
        return []
    policies = join_words([f"{name.replace('_', ' ')} {number(value, 3)}" for name, value in run.trivial_f1.items()])
    return [
        Evidence(
            f"F1 {number(level.mean, 3)}; policies that have learned nothing: {policies}", (metrics.F1,), level.reach
        )
    ]


def _causes(run: Signals) -> tuple[Cause, ...]:
    entropy, most = run.select_last(metrics.ENTROPY), run.entropy_range
    share = entropy.mean / most if entropy and most else None
    shares = run.compute_dominance(metrics.ACTION_PREFIX)
    sampled = float(shares.iloc[-1]) if len(shares) else None
    even = sampled is not None and sampled < 0.5
    best = judge_constant_policies(run)
    return (
        Cause(
            "a policy that is still all but uniform: the most probable action is the same everywhere by a hair",
            "look at entropy and at the sampled shares: both near their maximum",
            Support.SUPPORTED if even else Support.OPEN if sampled is None else Support.RULED_OUT,
            f"the most frequent sampled action has {percent(sampled, 1)}" if sampled is not None else "",
        ),
        Cause(
            "a policy that has settled on one action",
            "look at entropy: near 0, and the sampled actions are that one as well",
            Support.OPEN
            if share is None and sampled is None
            else Support.SUPPORTED
            if (share is not None and share < 0.2) or (sampled or 0) > 0.95
            else Support.RULED_OUT,
            f"entropy {percent(share)} of its maximum"
            if share is not None
            else "sampled actions are spread"
            if even
            else "",
        ),
        Cause(
            "rewards under which one action pays best whatever is observed",
            "compute what each action earns when always taken, beside a perfect policy",
            *best,
        ),
        Cause(
            "reward or label of another step than the one acted on, so that one action is the best that can be learned",
            "act by a rule that knows the label: the reward must be the table's, step by step",
        ),
    )


RULE = Rule(
    name="greedy_collapsed",
    title="Greedy policy collapsed to one action",
    stage=Stage.BEHAVIOUR,
    needs=((f"{metrics.GREEDY_PREFIX}<action>", metrics.TRUE_POSITIVES),),
    helps=(metrics.ENTROPY, f"{metrics.ACTION_PREFIX}<action>"),
    says="the greedy policy does the same whatever it sees",
    threshold="99.5 % one action in the last 3 evaluations, with nothing learned",
    source="docs/metrics.md (trivial policies); Jones 2021 (compare with random and constant policies)",
    examine=examine,
)
