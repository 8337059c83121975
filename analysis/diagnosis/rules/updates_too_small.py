"""Updates are too small: the policy improves far slower than the data allow, if at all.

Two sizes tell: how far an update moves the parameters, and how far it moves the policy. Both small: steps are small.
Only the second small: the steps serve the other loss, as where the value loss has the whole gradient.
Where neither is on record, settings and schedules tell (`analysis/diagnosis/slow_settings.py`).
"""

import numpy as np
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
from unstuck.analysis.diagnosis.remedies import (
    RATE,
    USUAL,
    change_rate,
    find_unusual,
    restore_step_limits,
    restore_usual,
)
from unstuck.analysis.diagnosis.rules import policy_frozen
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.slow_settings import LOWEST_RATE, MOVED_KL, tell_slow_setting
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.history.record import EPOCHS_DONE
from unstuck.analysis.words import number, percent
from unstuck.rl import metrics

SMALL_KL = 1.5e-5
"""Mean KL of an update. Untrained policies on noisy advantages have been seen at 2e-5 and have learned all the same;
later, and on other tasks, 1e-3 to 1e-2 is usual."""

SMALL_CHANGE, WITH_KL = 2e-3, 5e-5
"""Relative change of the parameters by one update, and the KL that must be as small: healthy runs change by 7e-3 to
4e-2, and by 3e-3 with few epochs and parameters that have grown."""

LOW_LIMIT = 1e-3
"""target_kl below the usual KL of updates; where KL lies at the limit, the limit keeps updates small."""

NEVER_USUAL = 3e-4
"""target_kl so low that the limit is a fault even where the policy has decided."""

AT_LIMIT = 0.25
"""Share of target_kl from which the mean KL of an update lies at the limit; 0 where the second step exceeded it."""

AT_MOST = 0.97
"""Share of the largest entropy from which a heavy bonus on record holds the policy there."""

SETTLED_ENTROPY = 0.5
"""Share of the largest entropy below which a policy has decided, and small updates are to be expected."""

ONE_UPDATE = 0.01
"""KL of one update of a usual size: where all updates together cannot have come as far, nothing was learned by them."""

UPDATES, SEVERAL = 8, 3.0
"""Updates, and epochs of the longest update, on record before most updates are said to end in their first epoch."""

UNDECIDED = 0.9
"""Share of the largest entropy from which the policy of a run that has ended is nearly uniform still."""

GRACE = 8
"""Iterations that say nothing yet."""


def examine(run: Signals) -> Finding | Blind | None:
    """Return a fault if updates are too small by what they change, or by settings if nothing is learned."""
    by_limit = _by_limit(run)
    if by_limit is not None:
        return by_limit
    by_size = _by_size(run) if run.has(metrics.APPROX_KL) else Blind(((metrics.APPROX_KL,),))
    return by_size if isinstance(by_size, Finding) else _by_setting(run) or _undecided(run) or by_size


def _by_size(run: Signals) -> Finding | Blind | None:
    """Return a fault if updates hardly change an undecided policy, or target_kl cuts most short; else None."""
    entropy, most = run.select_last(metrics.ENTROPY), run.entropy_reference
    settled = entropy is not None and most is not None and entropy.mean < SETTLED_ENTROPY * most
    kl, change = run.select_last(metrics.APPROX_KL), run.select_last(metrics.UPDATE_NORM)
    if kl is None or len(run.select_finite(metrics.APPROX_KL)) < GRACE or policy_frozen.examine(run):
        return None
    if run.kl_is_signed and not run.is_ours:
        return Blind(
            ((metrics.UPDATE_NORM,),), "KL is a signed estimate here, whose mean is near 0 whatever updates do"
        )
    if run.kl_is_cut_off and abs(kl.median) < MOVED_KL:
        return Blind(((metrics.UPDATE_NORM,),), "KL was printed short: one below the last digit is printed as 0")
    if run.kl_precedes_step:
        return Blind(((metrics.UPDATE_NORM,),), "KL is 0 though entropy changes: it is taken before the only step")
    held = _held(run, kl, NEVER_USUAL if settled else LOW_LIMIT)
    if run.rate_is_annealed or (settled and not held):
        return None
    if (not run.is_ours and not _always_small(run)) or (not held and _is_held_by_bonus(run, entropy, most)):
        return None
    unmoved, small = (
        abs(kl.median) < SMALL_KL or held,
        change is not None and change.median < SMALL_CHANGE and abs(kl.median) < WITH_KL,
    )
    if not unmoved and not small:
        return None
    words = [f"KL {number(kl.median, 2)}"] + (
        [f"the parameters changed by {number(change.median, 2)} of their norm"] if change else []
    )
    unsettled = f" (entropy {number(entropy.mean, 3)} of {number(most, 3)})" if entropy and most else ""
    return Finding(
        headline=f"Updates are too small: {' and '.join(words)} in the median {kl.where}",
        kind=Kind.FAULT,
        sureness=Sureness.SURE if unmoved and small else Sureness.LIKELY,
        why=f"most updates end at target_kl; {judge_standing(run).brief}"
        if settled
        else f"the policy has not settled{unsettled}, so there is something left to learn; {judge_standing(run).brief}",
        evidence=tuple(
            Evidence(text, (part.metric,), part.reach) for part, text in zip((kl, change), words, strict=False) if part
        ),
        causes=(_rate(run), _clip(run), _few_steps(run), _elsewhere(change)),
        remedies=_remedies(run),
        since=int(run.select_finite(metrics.APPROX_KL).index[GRACE - 1]),
        missing=tuple(name for name in RULE.helps if not run.has(name)),
        ground=Ground.MEASURED if not held and cannot_have_learned(run) else Ground.STATE,
    )


def _by_setting(run: Signals) -> Finding | None:
    """Return a fault if a setting keeps a run from learning, unless the policy stands still altogether; else None."""
    slow = tell_slow_setting(run)
    return None if slow is None or policy_frozen.examine(run) else slow


def _undecided(run: Signals) -> Finding | None:
    """Return a doubt if another learner's run ended with a nearly uniform policy after small steps; None otherwise.

    Whatever was learned by then, most of what a policy can do was left undone.
    """
    entropy, most, rate = run.select_last(metrics.ENTROPY), run.entropy_range, run.rate
    kl, clipped = run.select_all(metrics.APPROX_KL), run.select_all(metrics.CLIP_FRACTION)
    if run.is_ours or not run.has_ended or entropy is None or most is None or entropy.mean < UNDECIDED * most:
        return None
    if judge_standing(run).state is State.FALLING or run.history.last_iteration < GRACE or run.kl_precedes_step:
        return None
    if kl is not None and not run.kl_is_signed:
        if kl.median >= MOVED_KL or (clipped is not None and clipped.median > 0):
            return None
        text, metric = f"KL of an update {number(kl.median, 2)} in the median", metrics.APPROX_KL
    elif rate is not None and rate <= LOWEST_RATE:
        text, metric = f"a learning rate of {number(rate)}", metrics.LR
    else:
        return None
    text += f", and entropy is still {percent(entropy.mean / most)} of its maximum {entropy.where}"
    return Finding(
        headline=f"Updates may be too small: {text}",
        kind=Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why=f"the run has ended, and its policy has hardly decided on anything; {judge_standing(run).brief}",
        evidence=(Evidence(text, (metric, metrics.ENTROPY), entropy.reach),),
        causes=(_rate(run), _clip(run), _few_steps(run)),
        remedies=_remedies(run),
        since=entropy.iterations[0],
        ground=Ground.STATE,
    )


def find_early_ends(run: Signals) -> Evidence | None:
    """Return evidence that most updates end in the first of several epochs; None otherwise."""
    done = run.select_finite(EPOCHS_DONE)
    apart = done.diff()[np.diff(done.index.to_numpy(), prepend=-1) == 1].dropna()
    most = max(float(apart.max()) if len(apart) else 0.0, run.read_number("ppo.num_epochs") or 0.0)
    ended = int((apart <= 1).sum())
    if len(apart) < UPDATES or most < SEVERAL or 2 * ended <= len(apart):
        return None
    text = f"{ended} of {len(apart)} updates end in their first epoch, of {number(most)}"
    return Evidence(text, (EPOCHS_DONE,), (int(apart.index[UPDATES - 1]), int(apart.index[-1])))


def _by_limit(run: Signals) -> Finding | None:
    """Return a fault if a target_kl far below any usual one ends most updates in their first epoch; else None."""
    early, limit = find_early_ends(run), run.read_number("ppo.target_kl")
    if run.is_ours or early is None or limit is None or limit > NEVER_USUAL:
        return None
    return Finding(
        headline=f"Updates are too small: at a target_kl of {number(limit)} {early.text}",
        kind=Kind.FAULT,
        sureness=Sureness.LIKELY,
        why=f"0.01 to 0.05 is usual: a first step of a usual size exceeds the limit; {judge_standing(run).brief}",
        evidence=(early,),
        causes=(_few_steps(run),),
        remedies=restore_step_limits(run, "more than one epoch an update"),
        since=early.iterations[0] if early.iterations else None,
        ground=Ground.MEASURED,
    )


def cannot_have_learned(run: Signals) -> bool:
    """True if all updates together have changed the policy by less than one usual update does.

    KL grows with the square of the way: n updates of KL k, all in one direction, come to n² k.
    """
    kl = run.select_finite(metrics.APPROX_KL).clip(lower=0.0)
    return float(np.sqrt(kl).sum()) ** 2 < ONE_UPDATE


def _is_held_by_bonus(run: Signals, entropy: Window | None, most: float | None) -> bool:
    """True if an unusually large entropy bonus holds entropy at the maximum, and nothing else makes steps small.

    A policy at its widest has no gradient from the bonus and hardly one from advantages: it stays, whatever the step.
    """
    if entropy is None or most is None or entropy.mean < AT_MOST * most:
        return False
    heavy, rate = find_unusual(run, "ppo.entropy_coef"), find_unusual(run, RATE)
    return heavy is not None and (rate is None or rate > USUAL[RATE].most) and not restore_step_limits(run, "")


def _held(run: Signals, kl: Window, most: float) -> bool:
    """True if target_kl, at most `most`, ends more than half of the updates early.

    The KL of a trial is the mean over seeds, of which one at the limit beside others at 0 is enough.
    """
    limit = run.read_number("ppo.target_kl")
    if limit is None or limit > most:
        return False
    least = AT_LIMIT * limit / (run.read_number("sweep.seeds") or 1)
    return sum(one == 0 or least < one < 2 * limit for one in kl.values) > len(kl.values) / 2


def _always_small(run: Signals) -> bool:
    """True if updates were small from the start, not only later as under an unrecorded schedule."""
    kl, first = run.select_all(metrics.APPROX_KL), run.select_first(metrics.APPROX_KL, GRACE)
    return kl is not None and first is not None and max(abs(kl.median), abs(first.median)) < WITH_KL


def _rate(run: Signals) -> Cause:
    rate = run.select_last(metrics.LR)
    value = rate.mean if rate else run.read_number("ppo.lr")
    return Cause(
        "learning rate too low, or annealed too soon",
        "branch at three times and ten times the rate: the change of the parameters rises with it",
        Support.SUPPORTED if value is not None and value < 1e-4 else Support.OPEN,
        "" if value is None else f"lr {number(value)}" + (" in force" if rate else " was set"),
    )


def _clip(run: Signals) -> Cause:
    share, norm, limit = (
        run.select_last(metrics.GRAD_CLIPPED_SHARE),
        run.select_last(metrics.GRAD_NORM),
        run.read_number("ppo.max_grad_norm"),
    )
    support, why = Support.OPEN, ""
    if share is not None:
        strong = norm is not None and limit is not None and norm.mean > 50 * limit
        support = Support.RULED_OUT if share.mean < 0.5 else Support.SUPPORTED if strong else Support.OPEN
        why = f"the gradient is clipped in {percent(share.mean)} of the steps"
        why += f", from {number(norm.mean, 3)} to {limit:g}" if norm and limit else ""
    return Cause(
        "the gradient's clip scales it so far down that Adam's epsilon swallows the policy's part",
        "branch with adam_eps 1e-8, or normalised returns: KL rises if so",
        support,
        why,
    )


def _few_steps(run: Signals) -> Cause:
    limit = run.read_number("ppo.target_kl")
    return Cause(
        "too few gradient steps an update (epochs, minibatches, an early stop on KL)",
        "count them; double num_epochs, or switch target_kl off",
        Support.SUPPORTED if limit is not None and limit < 0.003 else Support.OPEN,
        "" if limit is None else f"target_kl {limit:g}",
    )


def _elsewhere(change: Window | None) -> Cause:
    support, why = Support.OPEN, ""
    if change is not None:
        hardly = change.median < SMALL_CHANGE
        support = Support.RULED_OUT if hardly else Support.SUPPORTED
        why = "the parameters hardly move either" if hardly else "the parameters move, and the policy does not"
    return Cause("steps that serve the critic alone", "compare the two gradients' norms", support, why)


def _remedies(run: Signals) -> tuple[Remedy, ...]:
    watch = "the parameters change by 0.01 to 0.03 an update within 5 iterations, and entropy falls"
    rate = change_rate(run, (3, 10), "larger steps", watch)
    arms = list(restore_step_limits(run, watch))
    if _clip(run).support is Support.SUPPORTED:
        arms.append(Remedy({"ppo.adam_eps": 1e-8}, "a clipped gradient then keeps its direction in Adam", watch))
    return (*rate, *arms) if restore_usual(run, (RATE,), watch, -1) else (*arms, *rate)


RULE = Rule(
    name="updates_too_small",
    title="Updates too small",
    stage=Stage.STEP,
    needs=((metrics.APPROX_KL, metrics.TRAIN_RETURN, metrics.EVAL_RETURN),),
    helps=(
        metrics.APPROX_KL,
        metrics.UPDATE_NORM,
        metrics.LR,
        metrics.GRAD_CLIPPED_SHARE,
        metrics.GRAD_NORM,
        metrics.ENTROPY,
    ),
    explains=("entropy_pinned", "greedy_collapsed", "greedy_vs_sampled", "oscillating"),
    says="updates move parameters or policy too little while the policy has not settled",
    threshold=(
        "parameters changed by < 0.2 % with KL < 5e-5, or KL < 1.5e-5, at an entropy above half of its maximum; or KL"
        " held at a target_kl of 0.001 or less; at any entropy held at one of 0.0003 or less; not once the rate in "
        "force has fallen below 30 %; in runs of others, only if the first updates were below 5e-5 too; not where an "
        "entropy_coef above 0.1 holds entropy above 97 % of its maximum, at usual steps; in runs of others that "
        "learned nothing also a learning rate of 1e-5 or less, or one below 1 % of its largest for more than half of "
        "the run, plain gradient descent below 0.01, or an epsilon of Adam from 0.001 on, unless KL is above 0.001; "
        "in any run, a target_kl of 0.0003 or less that ends most updates in their first epoch; in any run that has "
        "ended, a rate that was below 1 % of its largest for three quarters; as a doubt in another learner's run that"
        " has ended, a KL below 0.001 in the median without a ratio clipped, or a learning rate of 1e-5, and an "
        "entropy above 90 % of its maximum in the end"
    ),
    source=(
        "measured here (healthy runs beside ones with a lowered rate, clip or target_kl); "
        "docs/algorithms/ppo.md (what the clip and adam_eps do together)"
    ),
    examine=examine,
)
