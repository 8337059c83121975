"""The policy does not move: not a lack of exploration, but updates that do not arrive.

A policy in training leaves its first, nearly uniform, behaviour within tens of iterations. A policy whose action
shares, entropy and greedy decisions stay the same through a whole run is not updated, even if the losses change.
"""

from functools import lru_cache
from itertools import combinations

import numpy as np
from unstuck.analysis.diagnosis.examining import is_recorded
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
from unstuck.analysis.diagnosis.remedies import RATE, USUAL, USUAL_RATES, restore_step_limits
from unstuck.analysis.diagnosis.signals import GONE, STILL_KL, ActionKind, Signals, format_shares
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.diagnosis.updates_missing import MOVING, find_missing_updates, tell_untrained
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.history.record import PARAMETERS_UNMOVED
from unstuck.analysis.words import number, percent, pluralize
from unstuck.rl import metrics

STILL_SHARES = 0.06
"""Total variation distance within which action shares of a thousand samples stay by chance and slow drift alone."""

RECENT = 4
"""So many updates in a row, up to the last, that moved nothing are no accident."""

SETTLED = 0.1
"""Share of the largest entropy below which a policy has settled on actions: then nothing is left to move."""

MANY_ITERATIONS = 20
"""Iterations needed without KL: healthy runs have left the uniform policy by then (measured on triage, lr 3e-4)."""


def _examine_known(run: Signals) -> Finding | Blind | None:
    """Return what is found; blind where nothing is, and none of the metrics that would show it is on record."""
    found = examine(run)
    return found if found or any(is_recorded(run, name) for name in MOVING) else Blind((MOVING,))


@lru_cache(maxsize=16)
def examine(run: Signals) -> Finding | None:
    """Return a fault if the policy stays unchanged over many updates (by KL, actions, entropy); None otherwise."""
    unmoved = run.select_last(PARAMETERS_UNMOVED)
    if unmoved is not None and unmoved.values[-1] == 1.0:
        return tell_untrained(unmoved)
    if (waiting := find_missing_updates(run)) is not None:
        return waiting
    kl = run.select_last(metrics.APPROX_KL, share=0.0, least=RECENT)
    if kl is not None and len(kl.values) < RECENT:
        return _glimpse(run, kl)
    if kl is None and (run.history.last_iteration < MANY_ITERATIONS or not judge_standing(run).is_poor):
        return None
    if kl is not None and (max(map(abs, kl.values)) > STILL_KL or _has_settled(run) or run.kl_is_cut_off):
        return None
    if run.rate_is_annealed or run.kl_precedes_step:
        return None  # a schedule that has come to its end, or a KL that says nothing
    evidence = [*_kl(run), *_shares(run), *_greedy(run), *_entropy(run)]
    still = kl is not None or bool(_shares(run)) or bool(_entropy(run))
    if not still:
        return None
    return Finding(
        headline=f"The policy is not being updated: {evidence[0].text}",
        kind=Kind.FAULT,
        sureness=Sureness.SURE if kl is not None else Sureness.LIKELY,
        why="KL of every update is on record"
        if kl is not None
        else "KL was not recorded; a policy that is being trained does not keep its behaviour for "
        f"{pluralize(run.history.last_iteration, 'iteration')}. Balanced actions are no sign of good exploration here",
        evidence=tuple(evidence),
        causes=_suspects(run),
        remedies=_remedies(run),
        since=_since(run),
        missing=tuple(name for name in RULE.helps if not run.has(name)),
        ground=Ground.PACE if kl is None else Ground.MEASURED if _has_never_moved(run) else Ground.STATE,
    )


def _glimpse(run: Signals, kl: Window) -> Finding | None:
    """Return a suspect if only few updates were recorded and none changed the policy; None otherwise."""
    clipped = run.select_all(metrics.CLIP_FRACTION)
    if max(map(abs, kl.values)) > STILL_KL or kl.iterations[0] <= 1:
        return None
    if run.kl_precedes_step or _has_settled(run) or run.rate_is_annealed:
        return None
    if clipped is None or max(clipped.values) > 0:
        return None
    text = f"KL of an update {number(kl.median, 2)} {kl.where}, and no ratio was clipped"
    return Finding(
        headline=f"Nothing moves the policy: {text}",
        kind=Kind.SUSPECT,
        sureness=Sureness.POSSIBLE,
        why=f"only {pluralize(len(kl.values), 'update')} on record, and a learning rate at the end of its schedule "
        "looks the same",
        evidence=(Evidence(text, (metrics.APPROX_KL, metrics.CLIP_FRACTION), kl.reach),),
        causes=_suspects(run),
        since=kl.iterations[-1],
        missing=tuple(name for name in RULE.helps if not run.has(name)),
    )


def _has_never_moved(run: Signals) -> bool:
    """True if no recorded update changed the policy, so that changes of the return are chance."""
    return float(run.select_finite(metrics.APPROX_KL).abs().max()) <= STILL_KL


def _has_settled(run: Signals) -> bool:
    """True if entropy is so low that the policy has settled and needs no further updates."""
    entropy, most = run.select_last(metrics.ENTROPY, share=0.0, least=RECENT), run.entropy_reference
    gone = entropy is not None and run.action_kind is ActionKind.DISCRETE and max(entropy.values) < GONE
    return gone or (entropy is not None and most is not None and entropy.mean < SETTLED * most)


def _since(run: Signals) -> int:
    """Find the first iteration from which the metrics show that the policy is frozen."""
    curve = run.select_finite(metrics.APPROX_KL)
    if curve.empty:
        return MANY_ITERATIONS
    moved = curve.index[(curve.abs() > STILL_KL).to_numpy()]
    still = curve.loc[int(moved[-1]) + 1 :] if len(moved) else curve
    return int(still.index[min(RECENT, len(still)) - 1])


def _kl(run: Signals) -> list[Evidence]:
    curve = run.select_finite(metrics.APPROX_KL)
    if curve.empty:
        return []
    moved = curve.index[(curve.abs() > STILL_KL).to_numpy()]
    still = curve.loc[int(moved[-1]) + 1 :] if len(moved) else curve
    reach = int(still.index[0]), int(still.index[-1])
    text = f"KL of an update {number(float(still.median()), 2)} in the median over iterations {reach[0]} to {reach[1]}"
    return [Evidence(text, (metrics.APPROX_KL,), reach)]


def _shares(run: Signals) -> list[Evidence]:
    """Return evidence that the shares of sampled actions hardly change through half of the run or more."""
    shares = run.shares(metrics.ACTION_PREFIX)
    if len(shares) < 3:
        return []
    first, last = int(shares.index[0]), int(shares.index[-1])
    if run.compute_progress(last) - run.compute_progress(first) < 0.5:
        return []
    rows, sums = shares.to_numpy(), 2 * max(1, len(run.choices))
    apart = max(float(np.abs(one - other).sum()) / sums for one, other in combinations(rows[:: -(-len(rows) // 40)], 2))
    if apart > STILL_SHARES:
        return []
    text = (
        f"sampled action shares ({', '.join(shares.columns)}) are {format_shares(rows[0])} at iteration {first} and "
        f"{format_shares(rows[-1])} at {last}: at most {percent(apart, 1)} of the actions differ between any two"
    )
    return [Evidence(text, tuple(f"{metrics.ACTION_PREFIX}{name}" for name in shares.columns), (first, last))]


def _greedy(run: Signals) -> list[Evidence]:
    counts = run.confusion
    if len(counts) < 3 or len(counts.drop_duplicates()) > 1:
        return []
    first = {name: int(value) for name, value in counts.iloc[0].items()}
    text = (
        f"all {pluralize(len(counts), 'greedy evaluation')} have exactly the same counts (TP {first['tp']}, "
        f"TN {first['tn']}, FP {first['fp']}, FN {first['fn']}): the most probable action has changed for no flow"
    )
    names = (metrics.TRUE_POSITIVES, metrics.TRUE_NEGATIVES, metrics.FALSE_POSITIVES, metrics.FALSE_NEGATIVES)
    return [Evidence(text, names, (int(counts.index[0]), int(counts.index[-1])))]


def _entropy(run: Signals) -> list[Evidence]:
    entropy, most = run.select_all(metrics.ENTROPY), run.entropy_range
    if entropy is None or most is None or len(entropy.values) < 3 or min(entropy.values) < 0.995 * most:
        return []
    return [Evidence(f"entropy {entropy}, of {number(most)} at most", (entropy.metric,), entropy.reach)]


def _suspects(run: Signals) -> tuple[Cause, ...]:
    return (
        _rate(run),
        _early_stop(run),
        _ratio(run),
        _advantages(run),
        Cause(
            "a reward taken from the next step, so that advantages carry nothing about the action",
            "act by a rule that knows what pays: the reward must be that of the step just made, step by step; or "
            "train on a bandit whose reward follows from the observation, which must be solved in seconds",
        ),
        _inputs(run),
        _gradient(run),
    )


def _rate(run: Signals) -> Cause:
    rate, wanted = run.select_all(metrics.LR), run.read_number("ppo.lr")
    support, why = Support.OPEN, ""
    if rate is not None:
        support = Support.SUPPORTED if rate.median < 1e-7 else Support.RULED_OUT
        why = f"learning rate in force {rate}"
    elif wanted is not None:
        why = f"lr {number(wanted)} was set; the rate in force was not recorded"
    return Cause(
        "learning rate annealed to nothing, or never applied (lost when a checkpoint was restored)",
        "log the learning rate in force and the size of each update's change of the parameters",
        support,
        why,
    )


def _early_stop(run: Signals) -> Cause:
    support, why = Support.OPEN, ""
    if "ppo.target_kl" in run.history.settings:
        limit = run.setting("ppo.target_kl")
        support = Support.RULED_OUT if limit is None else Support.OPEN
        why = "target_kl is off" if limit is None else f"target_kl {limit}"
    return Cause(
        "an early stop on KL that fires at once",
        "count the minibatches of each update; switch target_kl off",
        support,
        why,
    )


def _ratio(run: Signals) -> Cause:
    ratio = run.select_all(metrics.RATIO_DEVIATION)
    support, why = Support.OPEN, ""
    if ratio is not None:
        support = Support.SUPPORTED if max(ratio.values) > 1e-3 else Support.RULED_OUT
        why = f"the first ratio is off 1 by {number(max(ratio.values), 2)} at most"
    return Cause(
        "a ratio that is not 1 on the first minibatch (stale log-probabilities), so that the clip zeroes the gradient",
        "log the largest |ratio - 1| of the first minibatch: it must be 0 up to rounding",
        support,
        why,
    )


def _advantages(run: Signals) -> Cause:
    spread = run.select_last(metrics.ADVANTAGE_STD)
    support, why = Support.OPEN, ""
    if spread is not None:
        if spread.mean < 1e-6:
            support, why = Support.SUPPORTED, f"advantages are constant (spread {number(spread.mean, 2)})"
        else:
            why = f"advantages have a spread of {number(spread.mean, 3)}, so they are not constant"
    return Cause(
        "advantages that are constant, or belong to the wrong step",
        "compare one rollout's advantages with a brute-force sum of rewards, step by step",
        support,
        why,
    )


def _inputs(run: Signals) -> Cause:
    saturated, largest = run.select_all(metrics.SATURATED_SHARE), run.select_all(metrics.INPUT_RMS_MAX)
    support, why = Support.OPEN, ""
    if saturated is not None:
        support = Support.SUPPORTED if saturated.mean > 0.5 else Support.RULED_OUT
        why = f"{percent(saturated.mean)} of the hidden units are saturated"
    if largest is not None:
        why += f"{', ' if why else ''}largest input {number(largest.mean, 2)}"
    return Cause(
        "inputs that are not scaled: every unit is saturated, and every observation looks the same",
        "log the share of hidden units beyond 0.97 and the spread of each input; scale inputs to mean 0, spread 1",
        support,
        why,
    )


def _gradient(run: Signals) -> Cause:
    gradient, change = run.select_all(metrics.GRAD_NORM_POLICY), run.select_all(metrics.UPDATE_NORM)
    support, why = Support.OPEN, ""
    if gradient is not None and change is not None:
        lost = gradient.median > 1e-6 and change.median < 1e-7
        support = Support.SUPPORTED if lost else Support.RULED_OUT
        why = f"policy gradient {number(gradient.median, 2)}, change of the parameters {number(change.median, 2)}"
    return Cause(
        "a gradient that never reaches the policy's parameters (not in the optimiser, detached, clipped away)",
        "log the policy's own gradient norm and the change of its parameters by one update",
        support,
        why,
    )


def _remedies(run: Signals) -> tuple[Remedy, ...]:
    """Propose usual values for settings so small that updates have no effect; none if no setting is."""
    watch = "KL of an update above 1e-5, and action shares that leave the uniform ones within 20 iterations"
    limits, rate = restore_step_limits(run, watch), run.read_number(RATE)
    if rate is None or rate >= USUAL[RATE].least:
        return limits
    why = f"lr {number(rate)} is below what moves a policy at all"
    return (Remedy({RATE: list(USUAL_RATES)}, why, watch), *limits)


RULE = Rule(
    name="policy_frozen",
    title="Policy not moving",
    stage=Stage.STEP,
    needs=((*MOVING, metrics.TRAIN_RETURN, metrics.EVAL_RETURN),),
    helps=(
        *(metrics.APPROX_KL, metrics.CLIP_FRACTION, metrics.LR, metrics.RATIO_DEVIATION, metrics.GRAD_NORM_POLICY),
        *(metrics.UPDATE_NORM, metrics.ADVANTAGE_STD, metrics.SATURATED_SHARE, metrics.ENTROPY),
    ),
    explains=(
        "reward_not_found",
        "greedy_collapsed",
        "greedy_vs_sampled",
        "entropy_pinned",
        "updates_too_small",
        "oscillating",
        "seeds_bimodal",
    ),
    says="the policy is not being updated",
    threshold=(
        "KL < 1e-9 four times in a row, entropy above a tenth of its maximum (not where entropy changes by 5 "
        "% all the same: then KL was taken before an update's only step; a doubt where fewer updates are on "
        "record, none the first, and no ratio was clipped); without KL: action shares within 6 % of each "
        "other for half of the run, and nothing learned; or a saved optimiser without a gradient of any of the "
        "policy's parameters; or fewer steps in all than fill one rollout, with no loss on record, "
        "and nothing learned (where returns alone are on record: if so few steps were planned)"
    ),
    source=(
        "Jones 2021 (relative entropy starts near 1 and falls); Schulman 2017 (watch KL of updates); measured here"
    ),
    examine=_examine_known,
)
