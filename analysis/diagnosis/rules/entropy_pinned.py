"""Entropy pinned at the maximum: the entropy bonus outweighs the advantages, or the advantages hold no signal.

Continuous actions have no largest entropy. There the policy's spread tells: a bonus that outweighs widens it.
"""

import math

from unstuck.analysis.diagnosis.bonus import Bonus, find_bonus
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
from unstuck.analysis.diagnosis.push import STEADY, measure_push
from unstuck.analysis.diagnosis.remedies import change_rate, find_unusual, restore_usual
from unstuck.analysis.diagnosis.rules import policy_frozen
from unstuck.analysis.diagnosis.rules.updates_too_large import USUAL_KL
from unstuck.analysis.diagnosis.rules.updates_too_small import SMALL_CHANGE, SMALL_KL
from unstuck.analysis.diagnosis.signals import ActionKind, Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.history.record import POLICY_STD
from unstuck.analysis.words import number, percent
from unstuck.rl import metrics

PINNED, HELD = 0.97, 0.75
"""Share of the largest entropy; the lower one counts under a bonus that is far above the usual."""

UPHELD, POINTS = 0.93, 20
"""The same share of an entropy that no longer falls in the second half of so many values, under updates that move the
policy: healthy runs fall through this range. Of our own learner, whose updates and bonus are known, the same is a fault
from `PATIENCE` on where nothing is learned: healthy runs of eight tasks are at 0.85 at most by then."""

FAR = 0.9
"""The same share late in a run, under a heavy bonus: a tenth is left for choice, whatever is learned."""

HEAVY = 0.2
"""An entropy_coef that can hold a policy by itself: advantages have spread 1, and 0.1 is the most in use."""

LARGE = 0.1
"""The most in use."""

UNSETTLED, SETTLING = 0.3, 0.9
"""Shares of the largest entropy between which a policy is seen to settle, and not to have settled yet."""

REGAINED, _REGAINED_AFTER = 0.05, 10
"""Share of itself by which an entropy must have risen from its lowest, and values on record: noise moves it by less."""

LEAST = 8
"""Iterations from which on a high entropy is a sign: every policy begins at its maximum, and needs updates to leave it.
Under a heavy bonus, which is known from the start, none is needed."""

GROWN = 2.0
"""Nats by which an entropy of actions of unknown kind must have grown to be of continuous ones whose spread grows: that
of discrete actions starts at its maximum."""

WIDENED = 2.0
"""Factor by which the spread of continuous actions must have grown: a bonus pushes each dimension's logarithm up at a
constant rate, and only advantages push it down. That it stays as it was is usual, and may be set."""

GRACE, PATIENCE = 0.08, 0.4
"""Shares of the run: before the first nothing is said, and from the second on it is a fault even in a run that gets
better, if its updates are large enough to move a policy. Under a heavy bonus the first is enough."""


def examine(run: Signals) -> Finding | Blind | None:
    """Return a finding on whether entropy (or action spread) stays too high; None if the record does not tell."""
    if run.action_kind is ActionKind.CONTINUOUS:
        return _widened(run)
    most, entropy = run.entropy_range, run.select_last(metrics.ENTROPY)
    if most is None and (grown := _grown(run)) is not None:
        return grown
    if most is None:
        return Blind((("env.actions", POLICY_STD),), "without the number of actions the largest entropy is not known")
    if entropy is None or run.compute_progress(run.history.last_iteration) < GRACE:
        return None
    share, bonus = entropy.mean / most, find_bonus(run)
    heavy = _is_heavy(run, bonus)
    if not heavy and run.history.last_iteration < LEAST:
        return None
    if share < (HELD if heavy else PINNED) and not _is_held_up(run, share):
        if UNSETTLED < share < SETTLING:
            going = "falling as a policy settles" if run.trend(metrics.ENTROPY).falls else "neither whole nor gone"
            text = f"entropy {number(entropy.mean, 3)} of {number(most, 3)}, {going}"
            return Finding(text, Kind.FINE, Sureness.SURE, "", (Evidence(text, (entropy.metric,), entropy.reach),))
        return None
    if policy_frozen.examine(run):
        return None  # then it is not the bonus that holds it
    kl, standing = run.select_last(metrics.APPROX_KL), judge_standing(run)
    change = run.select_last(metrics.UPDATE_NORM)
    moved = kl is not None and kl.mean > SMALL_KL and (change is None or change.mean > SMALL_CHANGE)
    late = not _is_young(run)
    lasts = heavy or (moved and late)
    upheld = run.is_ours and _is_held_up(run, share)
    pinned = share >= (HELD if heavy else PINNED) or upheld
    pinned = pinned and (heavy or late or not _leaves_in_time(run, share))
    return Finding(
        headline=f"Entropy is pinned at its maximum: {number(entropy.mean)} of {number(most)} {entropy.where}",
        kind=Kind.FAULT if pinned and (standing.is_poor or lasts) else Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why=(f"updates do move the policy (KL {number(kl.mean, 2)}), " if moved and kl else "") + standing.brief,
        evidence=(Evidence(f"entropy {entropy}, {percent(share)} of the largest", (entropy.metric,), entropy.reach),),
        causes=_causes(run, bonus),
        remedies=_remedies(run, bonus),
        since=max(int(run.history.length * GRACE), 1),
        missing=tuple(name for name in (metrics.APPROX_KL, metrics.ADVANTAGE_STD) if not run.has(name)),
        ground=_weigh(heavy, share >= (FAR if late else PINNED), Ground.STATE),
    )


def _weigh(heavy: bool, far: bool, otherwise: Ground) -> Ground:
    """Return the kind of reason (`Ground`) for which a high entropy is a fault, by bonus and entropy."""
    return Ground.MEASURED if heavy and far else otherwise if heavy else Ground.PACE


def _is_heavy(run: Signals, bonus: Bonus | None) -> bool:
    """True if an entropy bonus can hold a policy by itself: its coefficient, beside the spread of the advantages.

    Advantages that are normalised have spread 1; of others the spread must be on record.
    """
    if bonus is None:
        return False
    if run.setting("ppo.normalize_advantage") is not False:
        return bonus.weight >= HEAVY
    spread = run.select_last(metrics.ADVANTAGE_STD)
    return spread is not None and bonus.weight >= HEAVY * spread.median > 0


def _leaves_in_time(run: Signals, share: float) -> bool:
    """True if entropy, at the pace of its fall so far, leaves its maximum before it counts as pinned in any run."""
    trend, most = run.trend(metrics.ENTROPY), run.entropy_range
    progress = run.compute_progress(run.history.last_iteration)
    left = run.history.last_iteration * (PATIENCE / progress - 1)
    return most is not None and share + trend.slope / most * left < PINNED


def _is_held_up(run: Signals, share: float) -> bool:
    """True if a nearly maximal entropy no longer falls while updates move the policy; ours must be late and poor."""
    entropy, kl = run.select_finite(metrics.ENTROPY), run.select_last(metrics.APPROX_KL)
    if share < UPHELD or len(entropy) < POINTS or kl is None or kl.mean < USUAL_KL:
        return False
    if run.is_ours and (_is_young(run) or judge_standing(run).has_learned):
        return False
    return not run.trend(metrics.ENTROPY, int(entropy.index[len(entropy) // 2])).falls


def _is_young(run: Signals) -> bool:
    """True before `PATIENCE`: an entropy may still fall by itself."""
    return run.compute_progress(run.history.last_iteration) <= PATIENCE


def _widened(run: Signals) -> Finding | Blind | None:
    """Judge the spread of continuous actions: fault if it grows and the score is poor, fine if it falls, else None."""
    start, late = run.select_first(POLICY_STD), run.select_last(POLICY_STD)
    if start is None or late is None:
        blind = Blind(((POLICY_STD,),), "actions are continuous, and a differential entropy has no maximum")
        return _grown(run) or blind
    text = f"spread of the actions {number(start.mean, 3)} at first, {number(late.mean, 3)} {late.where}"
    facts = (Evidence(text, (POLICY_STD,), (start.iterations[0], late.iterations[-1])),)
    trend, standing, bonus = run.trend(POLICY_STD), judge_standing(run), find_bonus(run)
    heavy = _is_heavy(run, bonus)
    if (since := _widened_since(run)) is not None and (standing.is_poor or standing.state is not State.RISING):
        return _tell_widened(run, f"The actions' spread grows: {since.text}", (since,), heavy)
    if trend.falls and late.mean < start.mean:
        return Finding(f"{text}, falling as a policy settles", Kind.FINE, Sureness.SURE, "", facts)
    if not trend.rises or late.mean < WIDENED * start.mean:
        return None
    if not heavy and standing.state is State.RISING and not run.is_ours:
        return None  # actions are cut at their bounds in many tasks: a wide spread may be what pays
    return _tell_widened(run, f"The actions' spread grows: {text}", facts, heavy)


def _widened_since(run: Signals) -> Evidence | None:
    """Return evidence that another learner's spread doubled since its least on a level return; None otherwise."""
    spread, returns = run.select_finite(POLICY_STD), run.select_finite(metrics.TRAIN_RETURN)
    if run.is_ours or len(spread) < POINTS:
        return None
    smooth = spread.rolling(max(3, len(spread) // POINTS)).mean().dropna()
    least, late = int(smooth.index[int(smooth.to_numpy().argmin())]), float(smooth.iloc[-1])
    after = returns.loc[least:]
    if late < WIDENED * float(smooth.loc[least]) or not run.trend(POLICY_STD, least).rises or len(after) < POINTS:
        return None
    half = len(after) // 2
    if float(after.iloc[half:].mean() - after.iloc[:half].mean()) > float(after.std()) / 2:
        return None  # what is learned meanwhile may be to scatter
    then = number(float(smooth.loc[least]), 3)
    text = f"spread of the actions {then} at iteration {least}, {number(late, 3)} in the end"
    return Evidence(text, (POLICY_STD,), (least, int(smooth.index[-1])))


def _grown(run: Signals) -> Finding | None:
    """Return a finding if entropy has grown further than discrete actions' can, and the score has not; else None."""
    start, late, standing = run.select_first(metrics.ENTROPY), run.select_last(metrics.ENTROPY), judge_standing(run)
    if start is None or late is None or run.is_ours or not run.trend(metrics.ENTROPY).rises:
        return None
    if late.mean - start.mean < GROWN or not (standing.is_poor or standing.state is State.FALLING):
        return None
    text = f"entropy {number(start.mean, 3)} at first, {number(late.mean, 3)} {late.where}"
    facts = (Evidence(text, (metrics.ENTROPY,), (start.iterations[0], late.iterations[-1])),)
    bonus = find_bonus(run)
    return _tell_widened(run, f"The policy widens: {text}", facts, _is_heavy(run, bonus))


def widens(run: Signals) -> bool:
    """True if continuous actions scatter more and more: their spread doubles, or their entropy grows by 2 nats."""
    for name, least in ((POLICY_STD, math.log(WIDENED)), (metrics.ENTROPY, GROWN)):
        start, late = run.select_first(name), run.select_last(name)
        if start is None or late is None or (name == POLICY_STD and min(start.mean, late.mean) <= 0):
            continue
        grown = math.log(late.mean / start.mean) if name == POLICY_STD else late.mean - start.mean
        if grown >= least and run.trend(name).rises:
            return True
    return False


def _tell_widened(run: Signals, headline: str, facts: tuple[Evidence, ...], heavy: bool) -> Finding:
    """Return the finding of continuous actions that scatter more and more, under a heavy bonus or another one."""
    standing, bonus, push = judge_standing(run), find_bonus(run), measure_push(run) or 0.0
    pushed = push >= STEADY
    steady = f"its logarithm went {percent(push)} of the way that all steps could go; " if pushed else ""
    return Finding(
        headline=headline,
        kind=Kind.FAULT if standing.is_poor or heavy or pushed else Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why=steady + standing.brief,
        evidence=facts,
        causes=_causes(run, bonus),
        remedies=_remedies(run, bonus),
        since=facts[0].iterations[1] if facts[0].iterations else None,
        missing=() if run.has(metrics.APPROX_KL) else (metrics.APPROX_KL,),
        ground=_weigh(heavy or pushed, True, Ground.PACE),
    )


def _causes(run: Signals, bonus: Bonus | None) -> tuple[Cause, ...]:
    kl = run.select_last(metrics.APPROX_KL)
    return (
        Cause(
            "entropy_coef too high",
            "branch at a tenth of it: entropy falls within 20 iterations",
            *_weight(bonus),
        ),
        _stronger(run, bonus.weight if bonus else None),
        Cause(
            "steps too small for a run as short as this one",
            "branch at three times the learning rate: entropy falls earlier",
            Support.RULED_OUT if kl is not None and kl.mean > 1e-3 else Support.OPEN,
            f"KL of an update {number(kl.mean, 2)}" if kl else "",
        ),
        Cause(
            "no reward that depends on what the policy does (it has not been found yet, or is constant)",
            "look at the returns of single episodes: do they differ from each other at all?",
            *_reward(run),
        ),
        Cause(
            "a horizon too short for what the task rewards",
            "branch at gamma 0.95 and 0.99",
            *_horizon(run),
        ),
        Cause(
            "a policy gradient with the wrong sign, or for other actions than those taken",
            "train on a bandit with one paying action: it must be preferred within seconds",
        ),
    )


def _weight(bonus: Bonus | None) -> tuple[Support, str]:
    """Judge from its coefficient if the entropy bonus is too high; return yes, open or no, and the reason."""
    if bonus is None:
        return Support.OPEN, ""
    if bonus.weight >= LARGE:
        return Support.SUPPORTED, str(bonus)
    return (Support.RULED_OUT if bonus.recovered else Support.OPEN), str(bonus)


def _stronger(run: Signals, weight: float | None) -> Cause:
    """Return the cause that the entropy bonus acts more strongly than its coefficient says, judged by rising entropy.

    Advantages, even noise, only ever narrow a policy that starts at its widest: what widens it again is a bonus.
    """
    name = POLICY_STD if run.action_kind is ActionKind.CONTINUOUS else metrics.ENTROPY
    curve = run.select_finite(name)
    support, why = Support.OPEN, ""
    if weight == 0:
        support, why = Support.RULED_OUT, "entropy_coef 0"
    elif len(curve) >= _REGAINED_AFTER:
        least, late = float(curve.rolling(3).mean().min()), float(curve.iloc[-3:].mean())
        regained = late - least > REGAINED * max(abs(late), 1e-12)
        support = Support.SUPPORTED if regained else Support.OPEN
        why = f"{name} {number(least, 3)} at the lowest, {number(late, 3)} in the end" if regained else ""
    return Cause(
        "a bonus stronger in effect than its coefficient: summed over samples or dimensions instead of averaged, or "
        "weighed against advantages that are small and not normalised",
        "print the three terms of one minibatch's loss: the bonus must be a few percent of the policy's",
        support,
        why,
    )


def _reward(run: Signals) -> tuple[Support, str]:
    returns = run.select_all(metrics.TRAIN_RETURN)
    if returns is None or len(returns.values) < 3:
        return Support.OPEN, ""
    if returns.spread <= 1e-9 * max(1.0, abs(returns.mean)):
        return Support.SUPPORTED, f"every episode returns {number(returns.mean)}"
    return Support.RULED_OUT, f"returns vary: {returns}"


def _horizon(run: Signals) -> tuple[Support, str]:
    gamma = run.read_number("ppo.gamma")
    if gamma is None:
        return Support.OPEN, ""
    if run.steps_are_independent:
        return Support.RULED_OUT, "flows are independent: there is nothing ahead"
    return (Support.SUPPORTED if gamma < 0.9 else Support.OPEN), f"gamma {gamma:g}"


def _remedies(run: Signals, found: Bonus | None) -> tuple[Remedy, ...]:
    weight = found.weight if found and (not found.recovered or found.weight >= LARGE) else None
    watch = "entropy below 0.9 of its maximum within 20 iterations"
    arms = []
    if _horizon(run)[0] is Support.SUPPORTED:
        arms.append(Remedy({"ppo.gamma": [0.95, 0.99]}, "looks as far ahead as the task rewards", watch))
    bonus = [*restore_usual(run, ("ppo.entropy_coef",), watch, 1)]
    if weight:
        lower = [float(f"{weight / 3:.1g}"), float(f"{weight / 10:.1g}")]
        bonus.append(Remedy({"ppo.entropy_coef": lower}, "a smaller bonus lets the advantages decide", watch))
    rate = change_rate(run, (3,), "larger steps leave the uniform policy sooner", watch)
    heavy = find_unusual(run, "ppo.entropy_coef") is not None or (weight is not None and weight >= HEAVY)
    return (*bonus, *arms, *rate) if heavy else (*arms, *rate, *bonus)


RULE = Rule(
    name="entropy_pinned",
    title="Entropy at its maximum",
    stage=Stage.EXPLORATION,
    needs=((metrics.ENTROPY, POLICY_STD),),
    helps=(metrics.APPROX_KL, metrics.ADVANTAGE_STD),
    explains=("greedy_vs_sampled", "greedy_collapsed", "oscillating"),
    says="entropy at its maximum",
    threshold=(
        "above 97 % of it after 8 % of the run and 8 iterations; a fault if nothing is learned, or after two fifths; "
        "above 75 % at once with entropy_coef 0.2 or more, and above 90 % after two fifths even in a run that learns"
        " (the coefficient beside the spread of advantages that are not normalised); not before two fifths where it "
        "falls out of that range by then; continuous actions: a spread that doubles (of another learner, since its "
        "least), or an entropy that grows by 2 nats, while nothing is learned, or the first under such a bonus, or, "
        "of our own learner, by 75 % of all that steps can; a doubt above 93 % where entropy no longer falls in the "
        "second half under a KL of 0.001 and more (a fault after two fifths of a run of our own learner that learned "
        "nothing), and where a spread doubles in a run that learned and rises no more"
    ),
    source="Jones 2021 (relative entropy starts near 1, falls, flattens)",
    examine=examine,
)
