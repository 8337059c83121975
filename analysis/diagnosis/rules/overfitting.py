"""Overfitting to the training flows: memorised decisions do not hold for flows of the validation part."""

import math

from unstuck.analysis.diagnosis.direction import State
from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Kind, Remedy, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.words import number, percent
from unstuck.rl import metrics

GAP = 0.05
"""F1 on flows trained on minus F1 on others; a smaller gap is a little optimism."""

BY_HEART = 0.985
"""F1 on flows trained on that takes knowing the flows one by one, if F1 on others is lower."""

WIDE = 0.15
"""A gap that hurts by itself. Between the two, F1 on others must have fallen: healthy runs memorise some flows too, and
have been seen 0.09 apart while both rose."""

OFTEN, SLIGHT = 150.0, 0.015
"""Times that each flow has been seen, and the gap, from which more flows would close a slight gap."""

FEW_REPEAT = 0.2
"""Share of repeated observations from which the number of different ones is told well enough."""

FEW_SHOWN = 0.1
"""Share of the data's flows that training shows, below which the rest of the data is as good as not there."""

COUNTED = 512
"""Observations among which repeated ones are counted, at most (docs/metrics.md)."""


def examine(run: Signals) -> Finding | None:
    """Return a finding on whether F1 on training data is far above F1 on other data; None if not recorded."""
    ours, theirs = run.select_last(metrics.F1_TRAIN, share=0.0), run.select_last(metrics.F1, share=0.0)
    if ours is None or theirs is None:
        return None
    gap = ours.mean - theirs.mean
    noise = (ours.error**2 + theirs.error**2 + _chance(run, theirs.mean)) ** 0.5
    text = f"F1 {number(ours.mean, 3)} on flows trained on, {number(theirs.mean, 3)} on others {theirs.where}"
    fact = Evidence(text, (metrics.F1_TRAIN, metrics.F1), theirs.reach)
    seen, least = _times_seen(run), max(GAP, (2 if ours.mean > BY_HEART else 3) * noise)
    often = seen is not None and seen > OFTEN and gap > SLIGHT
    few = _few_shown(run)
    if few is not None:
        return _tell_few(run, few, fact)
    if gap < least and not often:
        return Finding(f"no overfitting: {text}", Kind.FINE, Sureness.SURE, "", (fact,))
    fallen = judge_standing(run).state is State.FALLING
    wide = gap > max(WIDE, 3 * noise) or ours.mean > BY_HEART or often
    return Finding(
        headline=f"Overfitting to the flows trained on: {text}",
        kind=Kind.FAULT if wide or fallen else Kind.SUSPECT,
        sureness=Sureness.SURE if wide else Sureness.LIKELY,
        why="both are measured on as many flows, by the same greedy policy; F1 on others "
        + ("has fallen since" if fallen else "has not fallen"),
        evidence=(fact, *_seen_again(seen, run), *_peak(run, theirs)),
        causes=_causes(run),
        remedies=_remedies(run),
        since=_since(run),
    )


def _few_shown(run: Signals) -> Evidence | None:
    """Return evidence that training shows a small part of the network flows over and over; None otherwise."""
    shown, flows, repeats = (
        _count_shown(run),
        run.read_number("data.num_flows"),
        run.select_all(metrics.OBSERVATION_REPEATS),
    )
    if run.setting("data.source") != "synthetic" or shown is None or not flows or repeats is None:
        return None  # how many a file holds is not on record
    if shown > FEW_SHOWN * flows:
        return None
    text = f"{percent(repeats.mean)} of a rollout's observations repeat others"
    return Evidence(
        f"{text}: some {number(shown, 2)} different flows are shown, of {number(flows)}",
        (metrics.OBSERVATION_REPEATS,),
        repeats.reach,
    )


def _tell_few(run: Signals, few: Evidence, gap: Evidence) -> Finding:
    return Finding(
        headline=f"Training shows few of its flows: {few.text}",
        kind=Kind.FAULT,
        sureness=Sureness.LIKELY,
        why="flows that are never shown cannot be learned from, whatever F1 on a sample of them says",
        evidence=(few, gap),
        causes=(
            Cause(
                "episodes that begin with the same seed each time, or a data set that was cut to a sample",
                "count the different observations of ten episodes: ten times as many as of one",
                Support.SUPPORTED,
                few.text,
            ),
        ),
        since=few.iterations[0] if few.iterations else None,
    )


def _seen_again(seen: float | None, run: Signals) -> list[Evidence]:
    repeats = run.select_all(metrics.OBSERVATION_REPEATS)
    if seen is None or repeats is None:
        return []
    text = (
        f"{percent(repeats.mean)} of a rollout's observations repeat others: each flow was seen {number(seen, 2)} times"
    )
    return [Evidence(text, (repeats.metric,), repeats.reach)]


def _chance(run: Signals, f1: float) -> float:
    """Compute the variance of the F1 gap (training data against other data) that a random choice of data explains."""
    counts = run.confusion
    if counts.empty or not 0 < f1 < 1:
        return 0.0
    threats = float((counts["tp"] + counts["fn"]).iloc[-1])
    return 2 * f1 * (1 - f1) / max(threats, 1.0)


def _rollout(run: Signals) -> float:
    return (run.read_number("ppo.num_envs") or 0) * (run.read_number("ppo.num_steps") or 0)


def _times_seen(run: Signals) -> float | None:
    """Estimate how often each network flow was seen in training, from repeated observations; None if few repeat."""
    shown = _count_shown(run)
    return None if shown is None else _rollout(run) * run.history.last_iteration / shown


def _count_shown(run: Signals) -> float | None:
    """Estimate how many different network flows training shows, from repeated observations; None if few repeat."""
    repeats, size = run.select_all(metrics.OBSERVATION_REPEATS), _rollout(run)
    if repeats is None or not size or not FEW_REPEAT <= repeats.mean < 1:
        return None  # of a share of 1 or more, as in a damaged record, no number of flows would do
    counted = size / math.ceil(size / COUNTED)
    distinct = (1 - repeats.mean) * counted
    least, most = distinct, counted / FEW_REPEAT
    while most - least > 1e-4 * least:  # as many flows as hold so many different ones among those counted
        flows = (least + most) / 2
        least, most = (flows, most) if flows * -math.expm1(-counted / flows) < distinct else (least, flows)
    return most


def _since(run: Signals) -> int | None:
    gap = (run.select_finite(metrics.F1_TRAIN) - run.select_finite(metrics.F1)).dropna()
    wide = gap[gap > GAP]
    return int(wide.index[0]) if len(wide) else None


def _peak(run: Signals, level: Window) -> list[Evidence]:
    curve = run.select_finite(metrics.F1)
    best = int(curve.index[int(curve.to_numpy().argmax())])
    if float(curve.max()) - level.mean < GAP / 2:
        return []
    return [
        Evidence(f"best F1 on others {number(float(curve.max()), 3)}, at iteration {best}", (metrics.F1,), (best, best))
    ]


def _causes(run: Signals) -> tuple[Cause, ...]:
    flows = run.read_number("data.num_flows")
    seen = _times_seen(run)
    if seen is None and flows and run.setting("data.source") == "synthetic":
        seen = _rollout(run) * run.history.last_iteration / flows
    return (
        Cause(
            "too few different flows for so many passes",
            "train on half of the flows: the gap grows",
            Support.SUPPORTED if seen and seen > 50 else Support.OPEN,
            f"each flow was seen some {number(seen, 2)} times" if seen else "",
        ),
        Cause(
            "a network wider than the data can fill",
            "halve hidden_sizes: the gap shrinks",
            Support.OPEN,
            f"hidden_sizes {run.setting('ppo.hidden_sizes')}" if run.setting("ppo.hidden_sizes") else "",
        ),
        Cause(
            "validation flows of another kind than those trained on (a split by time)",
            "split at random instead: the gap closes",
            Support.RULED_OUT if run.setting("data.order") == "shuffled" else Support.OPEN,
            "the split is random" if run.setting("data.order") == "shuffled" else "",
        ),
    )


def _remedies(run: Signals) -> tuple[Remedy, ...]:
    watch = "F1 on flows trained on within 0.05 of F1 on others, and the latter no lower than the control's"
    weight = run.read_number("ppo.entropy_coef") or 0.01
    return (
        Remedy({"ppo.hidden_sizes": (16, 16)}, "a smaller network has less room to memorise", watch),
        Remedy(
            {"ppo.entropy_coef": float(f"{weight * 3:.1g}")},
            "a softer policy commits itself less to single flows",
            watch,
        ),
    )


RULE = Rule(
    name="overfitting",
    title="Overfitting to training flows",
    stage=Stage.BEHAVIOUR,
    needs=((metrics.F1_TRAIN,), (metrics.F1,)),
    helps=(metrics.OBSERVATION_REPEATS,),
    explains=("greedy_vs_sampled",),
    says="memorised flows, or few of the data's flows shown",
    threshold=(
        "F1 on flows trained on 0.05 above F1 on others, beyond chance; a fault at 0.15, where F1 on others has "
        "fallen, flows are known by heart (0.985), or each was seen 150 times (then 0.015 is enough); or repeated "
        "observations that tell of less than a tenth of the data's flows"
    ),
    source="Cobbe et al. 2019, Quantifying generalization in RL (training and test levels apart)",
    examine=examine,
)
