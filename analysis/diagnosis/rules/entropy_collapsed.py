"""Entropy collapsed early: the policy stopped exploring before the policy had learned which actions pay.

The entropy of discrete actions is measured against its largest value. A differential entropy has no zero to collapse
to, so continuous actions are judged by their spread, measured against its start.
"""

import math

import pandas as pd
from unstuck.analysis.diagnosis.direction import State
from unstuck.analysis.diagnosis.finding import (
    Blind,
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
from unstuck.analysis.diagnosis.language import OWN_LOOPS
from unstuck.analysis.diagnosis.push import STEADY, measure_push
from unstuck.analysis.diagnosis.remedies import change_rate
from unstuck.analysis.diagnosis.rewards import compute_rewards
from unstuck.analysis.diagnosis.rules.return_frozen import suppose_solved
from unstuck.analysis.diagnosis.signals import ActionKind, Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.history.record import POLICY_STD
from unstuck.analysis.words import number, percent, pluralize
from unstuck.rl import metrics
from unstuck.rl.metrics import FINAL_EVALUATIONS

COLLAPSED = 0.1
"""Share of the largest entropy below which hardly anything but one action is tried."""

EARLY = 0.2
"""Share of the run."""

LASTING = 8
"""Values since entropy fell from which on a low entropy is named beside an all-clear."""

MOSTLY = 0.75
"""Share of these that must be low."""

REGAINED = 0.4
"""Share of what had been gained when entropy fell by which the return rises afterwards: exploration ended too soon."""

DOMINANT = 0.95
"""Share of the sampled actions."""

ENOUGH = 0.01
"""Usual weight of the bonus: from there on more of a bonus is not what is lacking."""

HALVED = 0.5
"""Share of the spread at first to which it must have fallen where each step pushed it down."""

LARGE_KL = 0.03
"""Mean KL of an update above which steps are large enough to end exploration."""

PAID = 0.6
"""Share of the way from the best constant action to a perfect policy that the greedy return of triage must have gone
when entropy falls early; healthy runs have gone 0.87 to 0.95 of it, on real flows too."""


def examine(run: Signals) -> Finding | Blind | None:
    """Return a finding if entropy fell early, before the policy learned much; None otherwise."""
    if run.action_kind is ActionKind.CONTINUOUS:
        return _narrowed(run)
    most, curve = run.entropy_reference, run.select_finite(metrics.ENTROPY)
    if most is None:
        return Blind((("env.actions", POLICY_STD),), "it is not known whether the entropy is one of discrete actions")
    if len(curve) < 4:
        return None
    low = curve[curve < COLLAPSED * most]
    from_first = not low.empty and low.index[0] == curve.index[0] and len(low) >= MOSTLY * len(curve)
    if low.empty or (float(curve.iloc[-1]) > COLLAPSED * most and not from_first):
        return None
    when = int(low.index[0])
    standing = judge_standing(run)
    shares = run.shares(metrics.ACTION_PREFIX)
    dominant = float(run.compute_dominance(metrics.ACTION_PREFIX).iloc[-1]) if len(shares) else 0.0
    early = run.compute_progress(when) <= EARLY
    settled = standing.trivial is None and dominant > DOMINANT and standing.state is not State.RISING
    bad = standing.is_poor or (standing.trivial is True and dominant > DOMINANT and standing.state is not State.RISING)
    bad = bad or (settled and not standing.has_learned)
    gone, evaluated = (_gone(run, when) if early else None) or (1.0, when)
    unpaid = gone < PAID
    frozen = standing.frozen > 0 and not standing.at_best
    lost = bad or unpaid or _too_soon(run, when) or (early and _hardly_better(run)) or frozen
    if not lost and not (settled and early):
        return None
    late = run.select_last(metrics.ENTROPY)
    progress = percent(run.compute_progress(when))
    since = f"below {percent(COLLAPSED)} of its maximum from iteration {when} ({progress} of the run)"
    facts = [Evidence(f"entropy {since}, {late} since", (metrics.ENTROPY,), (when, int(curve.index[-1])))]
    if dominant > DOMINANT:
        facts.append(_show_dominant_action(shares))
    solved = (frozen or settled) and standing.has_learned
    well_above = not bad and not unpaid and standing.trivial is False and not _hardly_better(run)
    but = "while much of the return was still to come" if well_above else "before the run had much to show for it"
    if unpaid:
        way = "of the way from one action for all to a perfect policy"
        text = f"by then the return had gone {percent(max(0.0, gone))} {way}"
        facts.append(Evidence(text, (metrics.EVAL_RETURN,), (evaluated, evaluated)))
    if frozen:
        but = "and episodes return the same since"
        text = f"{pluralize(standing.frozen, 'return')} in a row are the same up to few"
        facts.append(Evidence(text, (metrics.TRAIN_RETURN,), (when, int(curve.index[-1]))))
    return Finding(
        headline=f"Entropy has collapsed: {since}, {but}",
        # A run that had earned its due, and went on to an F1 well above trivial, may have lost nothing by it.
        # Nor need one whose return no longer varies, or that always does the same: so does one that is solved.
        kind=Kind.FAULT if not (well_above or solved) and (early or dominant > DOMINANT or not bad) else Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why=standing.brief,
        evidence=tuple(facts),
        causes=_causes(run, when),
        remedies=_remedies(run, when),
        since=when,
        missing=tuple(name for name in (metrics.APPROX_KL, metrics.ADVANTAGE_STD) if not run.has(name)),
    )


def _show_dominant_action(shares: pd.DataFrame) -> Evidence:
    """Return evidence that nearly all actions sampled in the last iteration are the same one.

    Args:
        shares: Share of each action in the sampled actions, a column each, by iteration.
    """
    last, iteration = shares.iloc[-1], int(shares.index[-1])
    name = str(last.idxmax())
    text = f"{percent(float(last.max()), 1)} of the sampled actions are {name}"
    return Evidence(text, (f"{metrics.ACTION_PREFIX}{name}",), (iteration, iteration))


def describe_low_entropy(run: Signals) -> str:
    """Return a phrase about an entropy that fell early and stayed low while the return rises; "" if it did not."""
    most, curve = run.entropy_range, run.select_finite(metrics.ENTROPY)
    if run.is_ours or run.action_kind is not ActionKind.DISCRETE or most is None or len(curve) < LASTING:
        return ""
    low = curve < COLLAPSED * most
    if not low.any():
        return ""
    when = int(low.index[low.to_numpy()][0])
    since = low.loc[when:]
    if len(since) < LASTING or float(since.mean()) < MOSTLY or run.compute_progress(when) > EARLY:
        return ""
    since_then = f"entropy mostly below {percent(COLLAPSED)} of its maximum from iteration {when} on"
    return f"{since_then}: solved, or no longer exploring"


def _narrowed(run: Signals) -> Finding | Blind | None:
    """Judge the spread of continuous actions: fault if almost gone in a run that has learned nothing, else None."""
    start, late = run.select_first(POLICY_STD), run.select_last(POLICY_STD)
    if start is None or late is None:
        return Blind(((POLICY_STD,),), "actions are continuous, and a differential entropy has no zero to collapse to")
    standing = judge_standing(run)
    if (penalty := _penalised(run, start, late)) is not None:
        return penalty
    if late.mean >= COLLAPSED * start.mean or not standing.is_poor:
        return None
    curve = run.select_finite(POLICY_STD)
    when = int(curve.index[(curve < COLLAPSED * start.mean).to_numpy()][0])
    text = f"spread of the actions {number(start.mean, 3)} at first, {number(late.mean, 2)} {late.where}"
    return Finding(
        headline=f"Exploration has collapsed: {text}, before the run had much to show for it",
        kind=Kind.FAULT,
        sureness=Sureness.LIKELY,
        why=standing.brief,
        evidence=(Evidence(text, (POLICY_STD,), (when, late.iterations[-1])),),
        causes=_causes(run, when),
        remedies=_remedies(run, when),
        since=when,
        missing=() if run.has(metrics.APPROX_KL) else (metrics.APPROX_KL,),
    )


def _penalised(run: Signals, start: Window, late: Window) -> Finding | None:
    """Return a fault if each step narrowed the actions as far as a step can, and that pays nothing; None otherwise.

    Where noise costs, narrowing pays, and the return rises with it.
    """
    push, returns = measure_push(run), run.select_finite(metrics.TRAIN_RETURN)
    if push is None or push > -STEADY or late.mean > HALVED * start.mean or returns.empty:
        return None
    if run.trend(metrics.TRAIN_RETURN, int(returns.index[-(len(returns) // 3) or -1])).rises:
        return None
    text = (
        f"spread of the actions {number(start.mean, 3)} at first, {number(late.mean, 2)} {late.where}: its logarithm "
        f"went {percent(-push)} of the way that all steps could go"
    )
    fact = Evidence(text, (POLICY_STD, metrics.LR), (start.iterations[0], late.iterations[-1]))
    return Finding(
        headline=f"Exploration is pushed down at each step: {text}",
        kind=Kind.FAULT,
        sureness=Sureness.LIKELY,
        why="advantages are noisy, and move the spread by less; the return has not risen with it since two thirds of "
        f"the record; {judge_standing(run).brief}",
        evidence=(fact,),
        causes=(
            Cause(
                "an entropy bonus whose sign is wrong, so that it is a penalty",
                "branch with entropy_coef 10: the spread must grow, or the sign is wrong",
                Support.SUPPORTED,
                text,
            ),
            Cause(
                "a reward that pays for small actions alone",
                "log the reward's parts: does a cost of the actions outweigh the others?",
            ),
        ),
        remedies=_remedies(run, late.iterations[0]),
        since=late.iterations[-1],
        ground=Ground.MEASURED,
    )


def _frozen_causes(run: Signals) -> tuple[Cause, ...]:
    """Return two possible causes of a return that no longer varies; none if it still varies."""
    standing = judge_standing(run)
    if not standing.frozen or standing.at_best:
        return ()
    return (
        Cause(
            "a policy that does nothing, or always the same, since that pays best of what it has tried",
            "compute what the simplest policies earn (do nothing, one action): the run's return is theirs",
        ),
        suppose_solved(standing),
    )


def _gone(run: Signals, when: int) -> tuple[float, int] | None:
    """Compute where the greedy return lies between constant (0) and perfect policy (1), and when; None if unknown.

    The return of the sampled policy lags behind: an episode may take many iterations, of policies that were worse.

    Returns:
        Share and iteration of the evaluation; None without the reward table.
    """
    rewards, flows = compute_rewards(run), run.read_number("env.flows_per_episode")
    by_then = run.select_finite(metrics.EVAL_RETURN).loc[when:]
    if rewards is None or not flows or by_then.empty or not run.is_triage:
        return None
    gone = rewards.compute_gain(float(by_then.iloc[0]) / flows, rewards.best_constant)
    return None if gone is None else (gone, int(by_then.index[0]))


def _too_soon(run: Signals, when: int) -> bool:
    """True if much of the return was gained only after entropy fell slowly, by a policy that hardly explored.

    Not where our greedy policy was as good by then: what the sampled one gains is what chance no longer costs.
    """
    curve = run.select_finite(metrics.TRAIN_RETURN)
    if run.is_ours and not run.is_triage and not _greedy_rose(run, when):
        return False
    before, since = curve.loc[:when], curve.loc[when:]
    if len(before) < 4 or len(since) < 8:
        return False
    then, noise = float(before.iloc[-4:].mean()), run.trend(metrics.TRAIN_RETURN, when).noise
    gained, later = then - float(before.iloc[:3].mean()), float(since.iloc[-len(since) // 4 :].mean()) - then
    return later > max(REGAINED * gained, 1.5 * noise)


def _greedy_rose(run: Signals, when: int) -> bool:
    """True if the greedy policy gained much of its return only after an iteration; False if unknown."""
    greedy = run.select_finite(metrics.EVAL_RETURN)
    before, since = greedy.loc[:when], greedy.loc[when:]
    if before.empty or len(since) < FINAL_EVALUATIONS:
        return False
    then, late = float(before.iloc[-FINAL_EVALUATIONS:].max()), float(since.iloc[-FINAL_EVALUATIONS:].mean())
    return late - then > REGAINED * max(then - float(greedy.iloc[0]), 0.0) and late - then > 0


def _hardly_better(run: Signals) -> bool:
    """True if F1 differs from that of policies that have learned nothing by no more than chance."""
    level, counts = run.select_last(metrics.F1, share=0.0), run.confusion
    if level is None or not run.trivial_f1 or counts.empty:
        return False
    trivial = max(run.trivial_f1.values())
    threats = max(1.0, float((counts["tp"] + counts["fn"]).iloc[-1]))
    return level.mean < trivial + 3 * math.sqrt(max(0.0, trivial * (1 - trivial)) / threats)


def _causes(run: Signals, when: int) -> tuple[Cause, ...]:
    weight = run.read_number("ppo.entropy_coef")
    kl = run.select_finite(metrics.APPROX_KL).loc[:when]
    start, most = run.select_first(metrics.ENTROPY, 1), run.entropy_range
    large = len(kl) > 0 and _were_large(run, when)
    biased = start is not None and most is not None and start.mean < 0.9 * most and start.iterations[0] <= 2
    return (
        *_frozen_causes(run),
        Cause(
            "steps too large while it fell (learning rate, epochs)",
            "branch at a third of the learning rate from the start: entropy falls later, and the return rises first",
            Support.SUPPORTED if large else Support.RULED_OUT if len(kl) else Support.OPEN,
            f"mean KL {number(float(kl.mean()), 2)} up to iteration {when}" if len(kl) else "",
        ),
        Cause(
            "no bonus against it, or one whose sign is wrong",
            "branch with entropy_coef 0.01 to 0.03; with 10 entropy must stay at its maximum, or the sign is wrong",
            Support.SUPPORTED if weight is not None and weight < 1e-3 else Support.OPEN,
            "" if weight is None else f"entropy_coef {weight:g}",
        ),
        Cause(
            "an untrained policy that prefers actions (its last layer was not initialised small)",
            "look at the entropy of the first iteration: it must be all but the largest",
            Support.SUPPORTED if biased else Support.RULED_OUT if start and most else Support.OPEN,
            f"it began at {number(start.mean, 3)} of {number(most, 3)}" if start and most else "",
        ),
        Cause(
            "rewards that favour one action whatever is observed",
            "compute what each action earns when always taken, and compare it with the run's return",
        ),
    )


def _remedies(run: Signals, when: int) -> tuple[Remedy, ...]:
    weight = run.read_number("ppo.entropy_coef") or 0.0
    watch = "entropy above a third of its maximum until the return has risen"
    arms = [0.01, 0.03] if weight < ENOUGH else [float(f"{weight * 3:.1g}")]
    bonus = Remedy({"ppo.entropy_coef": arms}, "a larger bonus keeps other actions in play", watch)
    rate = change_rate(run, (1 / 3,), "smaller steps leave time to see what pays", watch)
    if weight < ENOUGH:
        return (bonus, *rate)
    if _were_large(run, when) or run.history.program not in OWN_LOOPS:
        return (*rate, bonus)
    # A usual bonus and small steps do not end exploration: a bonus whose sign is wrong does.
    none = Remedy({"ppo.entropy_coef": 0.0}, "without a bonus entropy stays, if the bonus's sign is wrong", watch)
    return (none, *rate, bonus)


def _were_large(run: Signals, when: int) -> bool:
    """True if updates were large on average while the entropy fell, or if their size is not recorded."""
    kl = run.select_finite(metrics.APPROX_KL).loc[:when]
    return kl.empty or float(kl.mean()) > LARGE_KL


RULE = Rule(
    name="entropy_collapsed",
    title="Entropy collapsed",
    stage=Stage.EXPLORATION,
    needs=((metrics.ENTROPY, POLICY_STD),),
    helps=(metrics.APPROX_KL, metrics.ADVANTAGE_STD, metrics.EVAL_RETURN, f"{metrics.ACTION_PREFIX}<action>"),
    explains=("greedy_collapsed", "updates_too_small", "oscillating", "value_floor"),
    says="exploration ended before much was learned",
    threshold=(
        "below 10 % of its maximum, with nothing to show; within a fifth of the run before the greedy return of "
        "triage has gone 60 % of the way from the best constant action to a perfect policy; with 40 % of what had"
        " been gained still to come, a suspect where F1 is well above trivial, or where the return froze above "
        "its start; continuous actions: a spread below 10 % of its start, with nothing to show"
    ),
    source="Jones 2021 (entropy that collapses early; value loss to 0 with a poor return is a collapsed policy)",
    examine=examine,
)
