"""The critic underfits: the observation predicts the returns, and the critic does not.

The counterpart of `value_floor`: the part of the loss above the floor is the critic's own, and can be removed.
"""

import math

import pandas as pd
from unstuck.analysis.diagnosis.curves import LATE_SHARE
from unstuck.analysis.diagnosis.finding import (
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
from unstuck.analysis.diagnosis.remedies import HORIZON, change_rate, restore_usual
from unstuck.analysis.diagnosis.rules.reward_not_found import KNOWN_AT_MOST
from unstuck.analysis.diagnosis.rules.value_floor import FITTED, compute_target_variance
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.words import number, percent
from unstuck.rl import metrics

GRACE = 0.25
"""Share of the run that a critic may take to catch up."""

EXCESS = 0.15
"""Share of the targets' variance by which the value loss lies above the floor."""

MISSED = 0.2
"""Share of the Monte Carlo return by which a regression from the observation explains more than the critic."""

BLIND = 0.5
"""Share of what the regression explains below which the critic may be why a run is where it started."""

DIVERGED, SOON = 1.8, 0.08
"""A normalised value loss from which the critic is a fault whatever the score, and the share of the run that it has to
get over a first shock; 1 is the loss of a constant, and healthy runs lie below that."""

SMALL_ERROR = 0.02
"""Share of an episode's return that the critic's error must reach to be worth a word."""

STILL = 0.1
"""Share of their largest spread below which targets hardly vary any more: all episodes return the same."""

SETTLED = 0.1
"""Share of its start to which a value loss has fallen where the critic has learned most of what there is."""

NOTHING, POINTS = 0.05, 10
"""Explained variance that is about 0, and values on record before that is said."""

LATE, HARDLY, MOST, OF_THAT = 0.3, 0.15, 0.62, 0.3
"""Share of the run from which, explained variance below which for half of the run, what a regression must explain of
the Monte Carlo return, and the share of that which the critic explains at most, for a critic that sees nothing of what
is there: a quarter of the run trained on the targets of other steps leaves 0.05, healthy critics reach 0.2 and more."""

REGRESSIONS, SOMETHING, CONSTANT, NEARLY_ALL = 5, 0.18, 0.1, 0.9
"""Regressions since that share of the run, what they must explain on average, and the most by which the critic may be
better or worse than a constant in nine evaluations of ten: 0.03 to 0.09 where targets are those of other steps, beside
0.2 to 0.26; healthy critics that explain as little lie beside regressions of 0.15 at most."""

USUAL, BEYOND = 10.0, 10.0
"""Times the largest return of an iteration, up to sign, that the spread of targets may be at first, and from which on
late targets are no sums of rewards: 20 to 1e13 where a critic takes steps 1,000 times too long, and 1.2 at most in
healthy runs at any iteration."""

_OF_RETURNS = (metrics.EXPLAINED_VARIANCE_MC, metrics.PROBE_EXPLAINED_VARIANCE_MC)

WORSE_THAN_NOTHING = -0.2
"""An explained variance below this is a critic that is worse than a constant, and not by chance."""


def examine(run: Signals) -> Finding | None:
    """Return a finding on whether the critic predicts as well as a regression; None if the record does not tell."""
    critic, probe = (_select_grown_up(run, name) for name in _OF_RETURNS)
    excess, explained = _select_grown_up(run, metrics.VALUE_LOSS_EXCESS), run.select_last(metrics.EXPLAINED_VARIANCE)
    above = excess.mean / compute_target_variance(run) if excess else 0.0
    missed = probe.mean - critic.mean if probe and critic else 0.0
    worse = explained is not None and explained.median < WORSE_THAN_NOTHING and not _nothing_to_explain(run)
    facts = tuple(_facts(critic, probe, excess, explained))
    grown_up = run.compute_progress(run.history.last_iteration) > GRACE
    loss = run.select_last(metrics.VALUE_LOSS)
    lost = bool(
        worse
        and run.returns_normalised
        and loss
        and loss.median > DIVERGED
        and run.compute_progress(loss.reach[1]) > SOON
    )
    if (away := _run_away(run)) is not None:
        return _lost_its_targets(run, away)
    if not lost and not worse and _explains_nothing(run):
        return _nothing_explained(run, facts)
    if not lost and not worse and _sees_nothing(run):
        return _nothing_seen(run, facts)
    if not lost and (not grown_up or (not (above > EXCESS and missed > MISSED) and not worse)):
        return _fine(critic, probe, facts)
    standing = judge_standing(run)
    if not lost and not worse and not run.is_ours and standing.has_learned:
        return None  # it lags behind, and serves all the same
    headline = f"The critic is worse than a constant: {facts[-1].text}"
    if critic and probe and not worse:
        headline = (
            f"The critic underfits: it explains {number(critic.mean, 2)} of the variance of Monte Carlo returns, and a "
            f"regression from the same observations {number(probe.mean, 2)}"
        )
    blind = worse or critic is None or probe is None or critic.mean < BLIND * probe.mean
    room = f"{percent(above)} of the targets' variance lies above the floor; " if excess and above > 0 else ""
    return Finding(
        headline=headline,
        kind=Kind.FAULT if lost or (standing.is_untaught and blind) else Kind.SUSPECT,
        sureness=Sureness.LIKELY,
        why=room + standing.brief,
        evidence=facts,
        causes=_causes(run),
        remedies=_remedies(run),
        since=facts[0].iterations[0] if facts and facts[0].iterations else None,
        missing=tuple(name for name in RULE.helps if not run.has(name)),
        ground=Ground.STATE if lost else Ground.PACE,
    )


def _run_away(run: Signals) -> Evidence | None:
    """Return evidence that our critic's targets, of a usual size at first, are far beyond all returns; else None.

    Targets hold the critic's own word on what follows: one whose steps are too long chases what it says.
    """
    first, late = run.select_first(metrics.TARGET_STD, 1), run.select_last(metrics.TARGET_STD)
    returns = run.select_all(metrics.TRAIN_RETURN)
    if not run.is_ours or first is None or late is None or returns is None or not run.returns_normalised:
        return None
    most = max(map(abs, returns.values))
    if run.compute_progress(late.iterations[-1]) <= SOON or first.mean > USUAL * most or late.median <= BEYOND * most:
        return None
    text = (
        f"targets have a spread of {number(first.mean, 2)} at first and {number(late.median, 2)} {late.where}, and no "
        f"iteration returned more than {number(most, 2)}, up to sign"
    )
    return Evidence(text, (metrics.TARGET_STD, metrics.TRAIN_RETURN), late.reach)


def _lost_its_targets(run: Signals, away: Evidence) -> Finding:
    """Return the fault of a critic that chases its own word, whatever the run learns."""
    return Finding(
        headline=f"The critic chases its own word: {away.text}",
        kind=Kind.FAULT,
        sureness=Sureness.SURE,
        why=f"what follows a step is worth no more than an episode returns; {judge_standing(run).brief}",
        evidence=(away,),
        causes=(Cause("a rate of the critic that is too high", "branch at a tenth of the rate"), *_causes(run)),
        remedies=_remedies(run),
        since=away.iterations[1] if away.iterations else None,
        ground=Ground.MEASURED,
    )


def _sees_nothing(run: Signals) -> bool:
    """True if our critic has explained hardly any variance for half of the run, and a regression explains most."""
    told = run.select_last(metrics.EXPLAINED_VARIANCE, share=0.5)
    if not run.is_ours or told is None:
        return False
    if run.compute_progress(run.history.last_iteration) < LATE or told.median >= HARDLY:
        return False
    both = _select_together(run)
    if both is None:
        return False
    return (both[1] >= MOST and both[0] <= OF_THAT * both[1]) or _says_one_number(run, told)


def _says_one_number(run: Signals, told: Window) -> bool:
    """True if our critic explains nothing, and misses nothing, at each evaluation, and regressions explain something.

    One that lags behind is now better than a constant, and now worse.
    """
    critic, probe = (run.select_finite(name) for name in _OF_RETURNS)
    late = critic[[run.compute_progress(int(at)) >= LATE for at in critic.index]]
    made = probe[probe.diff() != 0].index.intersection(late.index)
    if len(made) < REGRESSIONS or abs(told.median) > NOTHING or float(late.abs().quantile(NEARLY_ALL)) > CONSTANT:
        return False
    return float(probe.loc[made].mean()) >= SOMETHING


def _select_together(run: Signals) -> tuple[float, float] | None:
    """Return what critic and regression explain of the Monte Carlo return, of late, in the rollouts that both saw.

    The regression is made at a few evaluations, and logged again until the next one, while the critic is measured at
    each: a rollout between may hold next to nothing to explain, or all. None before the first.
    """
    critic, probe = (run.select_finite(name) for name in _OF_RETURNS)
    made = probe[probe.diff() != 0].index.intersection(critic.index)
    late = made[-max(1, math.ceil(LATE_SHARE * len(made))) :]
    return (float(critic.loc[late].mean()), float(probe.loc[late].mean())) if len(late) else None


def _nothing_seen(run: Signals, facts: tuple[Evidence, ...]) -> Finding:
    """Return the fault of a critic that does not see what a regression on one rollout sees, whatever the run learns."""
    told = run.select_last(metrics.EXPLAINED_VARIANCE, share=0.5)
    text = f"explained variance {number(told.median, 2)} in the median {told.where}" if told else facts[0].text
    return Finding(
        headline=f"The critic explains next to nothing of what a regression explains: {facts[0].text}",
        kind=Kind.FAULT,
        sureness=Sureness.LIKELY,
        why=f"{text}; {judge_standing(run).brief}",
        evidence=facts,
        causes=(
            Cause(
                "targets that belong to other steps than the observations (a shuffle of one of them)",
                "fit the critic to one rollout's targets until its loss falls: must it not reach 0?",
            ),
            *_causes(run),
        ),
        remedies=_remedies(run),
        since=facts[0].iterations[0] if facts[0].iterations else None,
        ground=Ground.MEASURED,
    )


def _select_grown_up(run: Signals, name: str) -> Window | None:
    """Return a metric's last values; in another program's run, None before the critic has had time to learn.

    A probe looks at the critic every few iterations, and the last looks of a short run may lie at its start.
    """
    found = run.select_last(name)
    if found is None or run.is_ours:
        return found
    kept = [
        (at, value)
        for at, value in zip(found.iterations, found.values, strict=True)
        if run.compute_progress(at) > GRACE
    ]
    return Window(name, *map(tuple, zip(*kept, strict=True))) if kept else None


def _nothing_to_explain(run: Signals) -> bool:
    """True if the critic's error is tiny beside returns that hardly vary, so that explained variance means nothing.

    Or if targets hardly vary any more, beside what they did.
    """
    if not run.is_ours:
        spreads = _infer_spreads(run) if not run.has(metrics.TARGET_STD) else run.select_finite(metrics.TARGET_STD)
        late = spreads.iloc[-max(3, math.ceil(LATE_SHARE * len(spreads))) :]
        if len(late) and float(late.median()) < STILL * float(spreads.max()):
            return True
    loss, returns = run.select_last(metrics.VALUE_LOSS), run.select_last(metrics.TRAIN_RETURN)
    if loss is None or returns is None or run.returns_normalised:
        return False
    return loss.median < (SMALL_ERROR * returns.median) ** 2


def _infer_spreads(run: Signals) -> "pd.Series[float]":
    """Infer the spread of the critic's targets by iteration: their variance is the error over the share not explained.

    Where hardly an episode is paid, targets are all the same in most rollouts, and each error is many times nothing.
    """
    loss, explained = run.select_finite(metrics.VALUE_LOSS), run.select_finite(metrics.EXPLAINED_VARIANCE)
    return (loss.clip(lower=0.0) / (1 - explained.clip(upper=KNOWN_AT_MOST))).dropna() ** 0.5


def _explains_nothing(run: Signals) -> bool:
    """True if the critic explains almost none of the returns' variance, in a run of another program's learner.

    Of our own the regression tells, and the floor, whether there is anything to explain.
    """
    explained = run.select_last(metrics.EXPLAINED_VARIANCE)
    if run.is_ours or explained is None or len(run.select_finite(metrics.EXPLAINED_VARIANCE)) < POINTS:
        return False
    return max(explained.median, explained.mean) < NOTHING and not _nothing_to_explain(run) and not _has_settled(run)


def _has_settled(run: Signals) -> bool:
    """True if the value loss has fallen far in a run that learns, so that only noise is left to explain."""
    start, late = run.select_first(metrics.VALUE_LOSS), run.select_last(metrics.VALUE_LOSS)
    fallen = start is not None and late is not None and late.median < SETTLED * start.median
    return fallen and judge_standing(run).has_learned


def _nothing_explained(run: Signals, facts: tuple[Evidence, ...]) -> Finding:
    standing = judge_standing(run)
    return Finding(
        headline=f"The critic explains nothing: {facts[-1].text}",
        kind=Kind.FAULT if standing.is_poor and run.has_ended else Kind.SUSPECT,
        sureness=Sureness.POSSIBLE,
        why="whether there is anything to foresee was not measured; " + standing.brief,
        evidence=facts,
        causes=(
            Cause(
                "returns that nothing observed foretells: independent steps, or a horizon too long",
                "regress the return, on held-out rollouts, on the observation: it explains nothing either",
            ),
            *_causes(run),
        ),
        remedies=_remedies(run),
        since=facts[-1].iterations[0] if facts[-1].iterations else None,
        missing=tuple(name for name in RULE.helps if not run.has(name)),
        ground=Ground.PACE,
    )


def _fine(critic: Window | None, probe: Window | None, facts: tuple[Evidence, ...]) -> Finding | None:
    if critic is None or probe is None or probe.mean - critic.mean > MISSED / 2:
        return None
    text = f"the critic explains {number(critic.mean, 2)} of the variance of Monte Carlo returns, a regression "
    return Finding(text + f"{number(probe.mean, 2)}", Kind.FINE, Sureness.LIKELY, "", facts)


def _facts(*windows: Window | None) -> list[Evidence]:
    return [
        Evidence(f"{w.metric} {number(w.mean, 2)} {w.where}{_below(w)}", (w.metric,), w.reach) for w in windows if w
    ]


def _below(window: Window) -> str:
    """Return a note that explains why a value loss is below its theoretical floor; empty if it is not."""
    return f" (below 0, {FITTED})" if window.metric == metrics.VALUE_LOSS_EXCESS and window.mean < 0 else ""


def _causes(run: Signals) -> tuple[Cause, ...]:
    clip, spread = run.setting("ppo.clip_range_vf", "not recorded"), run.select_last(metrics.TARGET_STD)
    weight, shared, rate = run.read_number("ppo.value_coef"), run.setting("ppo.shared_trunk"), run.rate
    clipped = isinstance(clip, int | float)
    scaled = spread is not None and not 0.1 < spread.mean < 10
    return (
        Cause(
            "the critic's move is clipped, in a unit that is small beside its targets",
            "branch with clip_range_vf off",
            Support.SUPPORTED if clipped else Support.RULED_OUT if clip in (None, False) else Support.OPEN,
            f"clip_range_vf {clip:g}" if clipped else "it is off" if clip in (None, False) else "",
        ),
        Cause(
            "targets in a scale that steps of this size take long to reach",
            "branch with normalize_returns=batch",
            Support.RULED_OUT if run.returns_normalised else Support.SUPPORTED if scaled else Support.OPEN,
            "returns are normalised"
            if run.returns_normalised
            else f"targets have a spread of {number(spread.mean, 3)}"
            if spread
            else "",
        ),
        Cause(
            "too few or too small steps for the critic",
            "branch at three times the learning rate, and with twice the epochs",
            Support.SUPPORTED if rate is not None and rate < 1e-4 else Support.OPEN,
            f"lr {number(rate)}" if rate is not None else "",
        ),
        Cause(
            "a trunk that serves the policy alone (value_coef small beside it)",
            "branch with shared_trunk=false, and with value_coef three times as large",
            Support.RULED_OUT
            if shared is False
            else Support.SUPPORTED
            if shared and weight is not None and weight < 0.1
            else Support.OPEN,
            ", ".join(
                text.format(value)
                for text, value in (("value_coef {:g}", weight), ("shared_trunk {}", shared))
                if value is not None
            ),
        ),
        Cause(
            "targets that are not returns (wrong ends of episodes, values of other steps)",
            "compare one rollout's targets with a brute-force sum of rewards",
        ),
    )


def _remedies(run: Signals) -> tuple[Remedy, ...]:
    watch = "explained variance above 0.3 after 20 iterations"
    if run.has(metrics.PROBE_EXPLAINED_VARIANCE_MC):
        watch = "train/explained_variance_mc within 0.1 of the probe's after 20 iterations"
    arms = list(restore_usual(run, (HORIZON,), watch, 1))
    if run.setting("ppo.clip_range_vf") is not None:
        arms.append(Remedy({"ppo.clip_range_vf": None}, "lets the critic move", watch))
    if not run.returns_normalised:
        arms.append(Remedy({"ppo.normalize_returns": "batch"}, "gives it targets of spread 1", watch))
    arms += restore_usual(run, ("ppo.value_coef",), watch, -1)
    if run.setting("ppo.shared_trunk"):
        arms.append(Remedy({"ppo.shared_trunk": False}, "gives it layers of its own", watch))
    return (*arms, *change_rate(run, (3,), "larger steps", watch))


RULE = Rule(
    name="critic_underfits",
    title="Critic underfits",
    stage=Stage.CRITIC,
    needs=((metrics.PROBE_EXPLAINED_VARIANCE_MC, metrics.EXPLAINED_VARIANCE),),
    helps=(metrics.VALUE_LOSS_EXCESS, metrics.EXPLAINED_VARIANCE_MC, metrics.PROBE_EXPLAINED_VARIANCE_MC),
    explains=("oscillating", "signal_lost", "normaliser_cold_start"),
    says="returns could be foreseen from the observation, and the critic does not",
    threshold=(
        "a regression explains 20 % more of the Monte Carlo return, and the excess is 15 % of the variance; "
        "or explained variance < −0.2, unless the critic's error is below 2 % of the return (no variance to "
        "explain); a fault if the return is where it began and the critic explains less than half of that, or"
        " a normalised value loss is above 1.8; in runs of others a doubt where it is below 0.05, since "
        "nothing there tells whether there is more to explain; not in a run that learns and whose value loss "
        "has fallen to a tenth; a fault in runs of our own learner from three tenths of the run on where explained "
        "variance is below 0.15 for half of it, and the critic explains at most 0.3 of the 62 % that regressions "
        "explain, or no more than 10 % up to sign in nine evaluations of ten, beside five regressions that explain "
        "18 %; or the spread of targets grows from 10 times the largest return at most to more than that"
    ),
    source="docs/metrics.md (the probe); Schulman 2017 (explained variance below 0: overfitting or noise)",
    examine=examine,
)
