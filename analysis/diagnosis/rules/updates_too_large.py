"""Updates are too large: the policy is thrown about faster than rollouts can tell good actions from bad ones."""

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
from unstuck.analysis.diagnosis.remedies import USUAL, change_rate, restore_usual
from unstuck.analysis.diagnosis.rules import entropy_collapsed
from unstuck.analysis.diagnosis.rules.policy_starved import directs_trunk
from unstuck.analysis.diagnosis.rules.updates_too_small import NEVER_USUAL, find_early_ends
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.slow_settings import DESCENT, EARLY
from unstuck.analysis.diagnosis.standing import Standing, judge_standing
from unstuck.analysis.diagnosis.throws import RUINOUS_KL, tell_throws
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.history.record import CLIP_RANGE
from unstuck.analysis.words import number, percent
from unstuck.rl import metrics

LARGE_KL, LARGE_CLIP = 0.05, 0.35
"""Mean over an update. 0.01 to 0.02 is usual; 0.03 to 0.05 and 0.3 to 0.4 are the borders in use. Alone they are no
fault: Stable-Baselines3's documentation shows 0.04 and 0.24 as nothing special."""

LARGE_CHANGE, WITH_KL = 0.08, 0.012
"""Relative change of the parameters by one update, and the KL that must come with it; healthy runs: 7e-3 to 4e-2."""

YOUNG = 20
"""Iterations of our own learner before which its parameters' change is no sign: Adam's first steps are all of full
size, and healthy runs at 2e-3 have been seen to change by 0.083 in each of their first three updates."""

USUAL_KL = 1e-3
"""Mean KL from which updates are shown to move the policy; Schulman 2017 calls 0.01 a small update."""

VERY_LARGE_KL = 0.06
"""Mean KL that is a fault for any score."""

NARROWED = 0.75
"""Share of its start below which a clip range is annealed: the ratios that it clips grow in number by that alone."""

USUAL_CLIP = 0.2
"""Clip range that these sizes belong to. A ratio clipped at 1 + c allows a KL of about c ** 2 / 2."""

FEW_CLIPPED = 0.2
"""Share of clipped ratios up to which a wide clip range on record accounts for a KL that grows with its square."""

REPLACED = 1.0
"""Mean KL, in nats, from which an update leaves hardly anything of a policy; where half of all updates are above
`LARGE_KL` as well, no single spike accounts for the mean, and the run is thrown about whatever it learns."""


HIGHEST_RATE = 1e-2
"""Learning rate from which on a run that has learned nothing has too large steps; 5e-3 has been seen to train."""

WIDE = 1.0
"""Clip range from which on a ratio may fall to 0: twice the widest usual one."""

GONE = 0.5
"""Share of its start to which entropy must have fallen to be shown beside an update that nothing bounds."""

SATURATED = 0.35
"""Share of the hidden units' activations beyond 0.97."""

MEMORISED = 0.1
"""Distance that a normalised value loss may lie below the floor: the loss is measured on samples in training."""


def examine(run: Signals) -> Finding | Blind | None:
    """Return a finding on whether updates are too large, by what they change or by the rate in force alone."""
    sized = run.has(metrics.APPROX_KL) or run.has(metrics.CLIP_FRACTION)
    by_size = _by_size(run) if sized else Blind(((metrics.APPROX_KL, metrics.CLIP_FRACTION),))
    wrong = by_size if isinstance(by_size, Finding) and by_size.kind is not Kind.FINE else None
    if wrong and wrong.kind is Kind.FAULT:
        return wrong
    return tell_throws(run) or wrong or _by_rate(run) or (None if sized else _unclipped(run)) or by_size


def _by_rate(run: Signals) -> Finding | None:
    """Return a finding if a run has learned nothing at a learning rate far above the usual ones; None otherwise."""
    standing, rate, logged = judge_standing(run), run.rate, run.select_last(metrics.LR)
    if run.is_ours or rate is None or rate < HIGHEST_RATE or not standing.is_poor:
        return None
    early = not run.has_ended and run.compute_progress(run.history.last_iteration) < EARLY
    if early or run.setting("ppo.optimizer") == DESCENT:
        return None
    text, usual = f"a learning rate of {number(rate)}", "1e-5 to 1e-2 is usual with Adam, most often 3e-4"
    watch = "a return that rises above its start"
    return Finding(
        headline=f"Updates are too large: {text}",
        kind=Kind.FAULT,
        sureness=Sureness.LIKELY,
        why=f"{usual}; {standing.brief}",
        evidence=(Evidence(f"{text}, where {usual}", (metrics.LR,) if logged else ("ppo.lr",)),),
        causes=(
            Cause(
                "learning rate too high, as in another unit",
                "branch from the start at 3e-4",
                Support.SUPPORTED,
                f"lr {number(rate)}",
            ),
        ),
        remedies=change_rate(run, (1 / 30, 1 / 100), "usual steps", watch),
        since=min(max(1, int(EARLY * run.history.length)), run.history.last_iteration),
        missing=tuple(name for name in (metrics.APPROX_KL, metrics.CLIP_FRACTION) if not run.has(name)),
        ground=Ground.PACE,
    )


def _unclipped(run: Signals) -> Finding | None:
    """Return a finding if nothing bounds an update of several epochs whose size is not on record; else None."""
    epochs, settings = run.read_number("ppo.num_epochs"), run.history.settings
    off = "ppo.clip_range" in settings and settings["ppo.clip_range"] in (None, False)
    width = None if off else _clip_range(run)
    if epochs is None or epochs < 2 or not (off or (width or 0.0) >= WIDE):
        return None
    if run.setting("ppo.target_kl"):
        return None
    standing = judge_standing(run)
    text = f"{number(epochs)} epochs of each rollout, and {f'a clip range of {number(width)}' if width else 'no clip'}"
    gone = run.select_first(metrics.ENTROPY, 1), run.select_last(metrics.ENTROPY)
    facts = [Evidence(text, ("ppo.num_epochs", "ppo.clip_range"))]
    if gone[0] and gone[1] and 0 < gone[1].median < GONE * gone[0].median:
        fell = f"entropy {number(gone[0].median, 2)} at first, {number(gone[1].median, 2)} of late"
        facts.append(Evidence(fell, (metrics.ENTROPY,), gone[1].reach))
    return Finding(
        headline=f"Nothing bounds the size of an update: {'; '.join(fact.text for fact in facts)}",
        kind=Kind.FAULT if standing.is_poor else Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why="from the second epoch on the data are another policy's, and without a clip or a target_kl each step goes "
        f"on in the same direction; {standing.brief}",
        evidence=tuple(facts),
        causes=(
            Cause(
                "the clip was switched off, or its range is so wide that no ratio meets it",
                "branch with clip_range 0.2: KL of an update falls below 0.02",
                Support.SUPPORTED,
                text,
            ),
        ),
        remedies=(Remedy({"ppo.clip_range": USUAL_CLIP}, "an update that ends where it was tried", "KL below 0.02"),),
        since=min(max(1, int(EARLY * run.history.length)), run.history.last_iteration),
        missing=tuple(name for name in (metrics.APPROX_KL, metrics.CLIP_FRACTION) if not run.has(name)),
    )


def _by_size(run: Signals) -> Finding | None:
    """Return a finding on whether updates are too large (KL, clip fraction, change); None if not recorded."""
    kl, clipped, change = (
        _worst(run, name) for name in (metrics.APPROX_KL, metrics.CLIP_FRACTION, metrics.UPDATE_NORM)
    )
    large = (kl and kl.mean > LARGE_KL) or (clipped and clipped.mean > LARGE_CLIP and not _is_narrow(run))
    thrown = kl and change and change.mean > LARGE_CHANGE and kl.mean > WITH_KL and _tells(run)
    if (not large and not thrown) or _is_allowed(run, kl, clipped):
        return _ended_early(run) or _fine(run)
    parts = [
        (kl, "KL {}"),
        (clipped, "{} of the ratios clipped"),
        (change, "the parameters changed by {} of their norm"),
    ]
    facts = [
        Evidence(words.format(_size(part)) + f" on average {part.where}", (part.metric,), part.reach)
        for part, words in parts
        if part
    ]
    standing, damage = judge_standing(run), [*_memorised(run), *_saturated(run)]
    if standing.has_learned and not damage and _is_over(run, kl):
        return _fine(run)
    very = kl is not None and kl.mean > VERY_LARGE_KL
    harm = [standing.brief] if standing.is_poor or standing.state is State.FALLING else []
    harm += [fact.text for fact in damage]
    return Finding(
        headline=f"Updates are too large: {facts[0].text}" + (f"; {facts[-1].text}" if thrown else ""),
        kind=Kind.FAULT if (harm or very) and not directs_trunk(run) else Kind.SUSPECT,
        sureness=Sureness.SURE if harm and large else Sureness.LIKELY,
        why=f"it does harm: {'; '.join(harm)}" if harm else f"no harm is visible: {standing.brief}",
        evidence=(*facts, *damage),
        causes=_causes(run),
        remedies=_remedies(run, standing),
        since=facts[0].iterations[1] if facts[0].iterations else None,
        missing=tuple(name for name in RULE.helps if not run.has(name)),
        ground=Ground.MEASURED
        if kl is not None and kl.mean > REPLACED and _are_all_large(run)
        else Ground.PACE
        if _may_be_young(standing, kl) and not damage
        else Ground.STATE,
    )


def _is_over(run: Signals, kl: Window | None) -> bool:
    """True if another program's updates were too large at first only, as where a task is learned at once."""
    late, clipped = run.select_last(metrics.APPROX_KL), run.select_last(metrics.CLIP_FRACTION)
    if run.is_ours or kl is None or kl.mean > RUINOUS_KL or late is None:
        return False
    return late.mean <= LARGE_KL and (clipped is None or clipped.mean <= LARGE_CLIP or _narrows(run))


def _narrows(run: Signals) -> bool:
    """True if the clip range is annealed, so that ever more ratios are clipped by updates that do not grow."""
    start, late = run.select_first(CLIP_RANGE), run.select_last(CLIP_RANGE)
    return start is not None and late is not None and late.mean < NARROWED * start.mean


def _ended_early(run: Signals) -> Finding | None:
    """Return a finding if most updates end in the first of several epochs; None otherwise."""
    early, limit = find_early_ends(run), run.read_number("ppo.target_kl")
    if early is None or (limit is not None and limit <= NEVER_USUAL):
        return None  # such a limit ends any update, however small
    standing = judge_standing(run)
    return Finding(
        headline=f"Updates are too large for target_kl: {early.text}",
        kind=Kind.FAULT if standing.is_poor or _has_collapsed(run) else Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why=f"what is left of a rollout is thrown away; {standing.brief}",
        evidence=(early,),
        causes=(
            Cause(
                "a learning rate too high for target_kl",
                "branch at a third of it: updates make more epochs",
                Support.OPEN,
                f"target_kl {number(limit)}" if limit else "",
            ),
            Cause("a target_kl far below the usual 0.01 to 0.05", "branch with target_kl 0.03"),
        ),
        remedies=change_rate(run, (1 / 3, 1 / 10), "smaller steps", "more than one epoch an update"),
        since=early.iterations[0] if early.iterations else None,
        ground=Ground.PACE,
    )


def _are_all_large(run: Signals) -> bool:
    """True if half of all updates or more were too large."""
    kl = run.select_all(metrics.APPROX_KL)
    return kl is not None and kl.median > LARGE_KL


def _tells(run: Signals) -> bool:
    """True if the parameters' change is a sign of harm: in our own networks, or if nothing is learned.

    Of other networks the first weights may be small, as those of a last layer are: 0.09 to 0.19 in healthy runs.
    """
    if run.is_ours:
        return run.history.last_iteration >= YOUNG
    return not judge_standing(run).has_learned


def were_large(run: Signals) -> bool:
    """True if the run's updates were too large for a while, at the start or at the end."""
    kl, clipped = _worst(run, metrics.APPROX_KL), _worst(run, metrics.CLIP_FRACTION)
    return (kl is not None and kl.mean > LARGE_KL) or (clipped is not None and clipped.mean > LARGE_CLIP)


def _is_allowed(run: Signals, kl: Window | None, clipped: Window | None) -> bool:
    """True if a KL fits the wide clip range of the settings, with few ratios clipped, in a run that learns."""
    clip_range = _clip_range(run)
    if kl is None or clipped is None or clip_range is None or clip_range <= USUAL_CLIP:
        return False
    within = kl.mean <= LARGE_KL * (clip_range / USUAL_CLIP) ** 2 and clipped.mean <= FEW_CLIPPED
    return within and judge_standing(run).has_learned and not _memorised(run) and not _saturated(run)


def _is_narrow(run: Signals) -> bool:
    """True if the clip range is so small that even small updates' ratios are clipped."""
    clip_range = _clip_range(run)
    return clip_range is not None and clip_range < USUAL["ppo.clip_range"].least


def _clip_range(run: Signals) -> float | None:
    """Return the smallest clip range that was logged; else the one in the settings; None without either."""
    logged = run.select_finite(CLIP_RANGE)
    return run.read_number("ppo.clip_range") if logged.empty else float(logged.min())


def _may_be_young(standing: Standing, kl: Window | None) -> bool:
    """True if a run with a flat score may only be too short to judge, since KL is not disastrous."""
    flat = standing.state in (State.FLAT, State.UNKNOWN) and standing.trivial is None
    return flat and (kl is None or kl.mean <= RUINOUS_KL)


def _worst(run: Signals, name: str) -> Window | None:
    """Return the first or last quarter of a metric's values, whichever has the larger mean; None if unrecorded."""
    size = max(3, len(run.select_finite(name)) // 4)
    return max(
        filter(None, (run.select_first(name, size), run.select_last(name))),
        key=lambda window: window.mean,
        default=None,
    )


def _has_collapsed(run: Signals) -> bool:
    """True if steps that end updates at once have ended exploration as well, before much was learned."""
    found = entropy_collapsed.examine(run)
    return run.is_ours and isinstance(found, Finding) and found.kind is Kind.FAULT


def _size(part: Window) -> str:
    return percent(part.mean) if part.metric == metrics.CLIP_FRACTION else number(part.mean, 2)


def _memorised(run: Signals) -> list[Evidence]:
    """Return evidence that the value loss is below its theoretical floor: the critic has memorised the rollout."""
    excess = run.select_last(metrics.VALUE_LOSS_EXCESS)
    if excess is None or not run.returns_normalised or excess.mean > -MEMORISED:
        return []
    text = f"the value loss lies {number(-excess.mean, 2)} below its floor: the critic learns each rollout by heart"
    return [Evidence(text, (excess.metric,), excess.reach)]


def _saturated(run: Signals) -> list[Evidence]:
    """Return evidence that many hidden units are saturated, which large steps can cause."""
    share = run.select_last(metrics.SATURATED_SHARE)
    if share is None or share.mean < SATURATED:
        return []
    return [Evidence(f"{percent(share.mean)} of the hidden units are saturated", (share.metric,), share.reach)]


def _fine(run: Signals) -> Finding | None:
    kl, clipped, change = (
        run.select_last(name) for name in (metrics.APPROX_KL, metrics.CLIP_FRACTION, metrics.UPDATE_NORM)
    )
    if kl is None or kl.mean < USUAL_KL:
        return None
    clip_range = _clip_range(run)
    wide = f" for a clip range of {number(clip_range, 2)}" if kl.mean > LARGE_KL and clip_range else ""
    text = f"updates are of a usual size{wide}: KL {number(kl.mean, 2)}"
    text += f", {percent(clipped.mean)} of the ratios clipped" if clipped else ""
    text += f", parameters changed by {number(change.mean, 2)} of their norm" if change else ""
    return Finding(text, Kind.FINE, Sureness.SURE, "", (Evidence(text, (kl.metric,), kl.reach),))


def _causes(run: Signals) -> tuple[Cause, ...]:
    rate, epochs, minibatch = (run.read_number(f"ppo.{name}") for name in ("lr", "num_epochs", "minibatch_size"))
    passes = [f"{name} {value:g}" for name, value in (("num_epochs", epochs), ("minibatch_size", minibatch)) if value]
    many = (epochs or 0) > 10 or (minibatch or 64) < 32
    normalised, spread = run.setting("ppo.normalize_advantage"), run.select_last(metrics.ADVANTAGE_STD)
    wide = normalised is False and spread is not None and spread.mean > 3
    return (
        Cause(
            "learning rate too high",
            "branch at a third of it: KL falls with it at once",
            Support.SUPPORTED if rate is not None and rate > 3e-3 else Support.OPEN,
            f"lr {number(rate)}" if rate is not None else "",
        ),
        Cause(
            "too many passes over a rollout, or minibatches too small",
            "KL that grows from epoch to epoch within an update; halve num_epochs",
            Support.SUPPORTED if many else Support.OPEN,
            ", ".join(passes),
        ),
        Cause(
            "advantages far from spread 1, not normalised",
            "log their spread; normalise them",
            Support.RULED_OUT if normalised else Support.SUPPORTED if wide else Support.OPEN,
            "advantages are normalised" if normalised else f"spread {number(spread.mean, 3)}" if spread else "",
        ),
    )


def _remedies(run: Signals, standing: Standing) -> tuple[Remedy, ...]:
    epochs = run.read_number("ppo.num_epochs")
    watch = (
        f"KL below 0.02 and the clip fraction below 0.3 within 5 iterations; then {standing.score} above the control's"
    )
    arms = list(restore_usual(run, ("ppo.clip_range",), watch, 1))
    if epochs and epochs > 10:
        arms.append(Remedy({"ppo.num_epochs": [4, 10]}, "fewer passes over the same rollout", watch))
    arms += change_rate(run, (1 / 3, 1 / 10), "smaller steps", watch)
    arms.append(Remedy({"ppo.target_kl": 0.02}, "an update that stops once it has moved the policy far enough", watch))
    return tuple(arms)


RULE = Rule(
    name="updates_too_large",
    title="Updates too large",
    stage=Stage.STEP,
    needs=((metrics.APPROX_KL, metrics.CLIP_FRACTION, metrics.TRAIN_RETURN, metrics.EVAL_RETURN),),
    helps=(metrics.APPROX_KL, metrics.CLIP_FRACTION, metrics.UPDATE_NORM, metrics.VALUE_LOSS_EXCESS),
    explains=(
        *(
            "entropy_collapsed",
            "units_saturated",
            "greedy_collapsed",
            "signal_lost",
            "greedy_vs_sampled",
            "oscillating",
        ),
        *("value_explosion", "seeds_bimodal", "critic_underfits", "normaliser_cold_start", "policy_frozen"),
        *("policy_starved", "updates_too_small", "learned_and_lost"),
    ),
    says="updates throw the policy about",
    threshold=(
        "KL > 0.05, clip fraction > 0.35, or parameters changed by 8 % with KL > 0.012 (in runs of others, if "
        "nothing is learned; in our own from 20 iterations on); a fault if it does harm or KL > 0.06, unless the "
        "gradient of a critic on raw returns is 1,000 times the policy's in our shared trunk; not in a run that learns "
        "where a clip range above 0.2 is on record, at most 20 % of the ratios are clipped, and KL is at most 0.05 "
        "(clip range / 0.2)²; or most of 8 updates or more end in their first epoch, of 3 or more that another one "
        "makes, or that "
        "are set; or, in runs of others that learned nothing, a learning rate from 0.01 on; or several epochs with "
        "the clip off, or a range of 1 and more, and no target_kl, where neither KL nor clip fraction are on "
        "record; or two updates of a KL above 0.3, each of which costs half of the return gained"
    ),
    source="Huang et al. 2022 (KL usually below 0.02); Schulman 2017 (KL 0.01 is a small update, a spike a drastic "
    "loss); Stable-Baselines3's documentation; the change of the parameters measured here",
    examine=examine,
)
