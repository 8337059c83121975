"""Measurements of the signal by the learner: do updates follow advantages, and rewards depend on observations."""

import math

import pandas as pd
from unstuck.analysis.diagnosis.direction import AT_FIRST
from unstuck.analysis.diagnosis.finding import Evidence
from unstuck.analysis.diagnosis.rules.entropy_pinned import HEAVY
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import TRIVIAL_MARGIN, judge_standing
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.words import number, percent
from unstuck.rl import metrics

FOLLOWED, WITH_FEW = 0.085, 0.06
"""Correlation of advantages with what becomes of their actions' log-probabilities, over the first `EARLY` evaluations,
or `ENOUGH`: 0.10 to 0.53 in healthy runs, whatever the task and its horizon."""

EARLY, ENOUGH = 8, 4

UNSTEADY = 2.0
"""Spreads that the mean of the correlations must reach in triage: 3 to 25 in healthy runs. Where actions change
what comes next they vary more."""

UNDECIDED = 0.2
"""Share of the largest entropy up to which evaluations count: a policy that has decided follows nothing."""

UNRELATED, RELATED = 0.01, 0.015
"""Share of the rewards' variance that observations must foresee: less, and the two do not belong together; more, and
they do. Healthy runs: 0.05 to 0.5."""

RISEN = 0.8
"""Share of the way to a run's best return up to which evaluations count: at an optimum no action pays more than
another, and advantages are noise."""

LEARNED_WELL = 0.25
"""Share of the way from the best trivial F1 to 1 from which F1 itself shows that training's observations tell rewards:
0.2 at most where one reward in ten is that of its observation, and 0.26 to 0.8 in healthy runs on noisy labels whose
regressions failed at three looks."""

AGAINST, TIMES, OFTEN = -0.1, 3, 0.05
"""Correlation below which an update went against its advantages: 2 standard errors below 0, of 512 samples, where an
update that is fitted to these very samples is above 0; and evaluations, and their share, in which it must have been."""

NEITHER, LOOKS, ALL_ALIKE = 0.03, 15, 0.99
"""Share of the rewards' variance and of the returns', together, that observations must foresee in half of at least so
many evaluations: 0 to 0.025 where lanes are shown each other's observations, 0.09 and more in healthy runs of ten
tasks. And share of observations that repeat from which on there is nothing to see, and nothing that others show."""

POINTS = 8
"""Evaluations, or returns, before anything is said."""


def updates_ignore_advantages(run: Signals) -> Evidence | None:
    """Return evidence that updates do not make actions with positive advantage more likely; None if they do."""
    followed, bonus = _while_undecided(run), run.read_number("ppo.entropy_coef")
    if followed is None or len(followed.values) < ENOUGH or (bonus is not None and bonus >= HEAVY):
        return None  # a heavy bonus moves the policy elsewhere
    whole = len(followed.values) == EARLY
    unsteady = run.is_triage and whole and followed.mean < UNSTEADY * followed.spread
    if followed.mean > (FOLLOWED if whole else WITH_FEW) and not unsteady:
        return None
    text = (
        f"what paid hardly becomes more likely: the correlation of advantages with the change of their actions' "
        f"log-probabilities is {followed.level} {followed.where}; above {FOLLOWED:g} in runs that learn"
    )
    return Evidence(text, (followed.metric,), followed.reach)


def updates_go_both_ways(run: Signals) -> Evidence | None:
    """Return evidence that some updates make actions with positive advantage clearly less likely; None otherwise.

    An update that is fitted to a rollout follows even advantages that are noise. Of our own learner alone, where it is
    known how many samples a correlation is of.
    """
    curve, entropy, most = (
        run.select_finite(metrics.ADVANTAGE_FOLLOWED),
        run.select_finite(metrics.ENTROPY),
        run.entropy_range,
    )
    bonus, decided = run.read_number("ppo.entropy_coef"), entropy.index[:0]
    if most:
        decided = entropy.index[(entropy < UNDECIDED * most).to_numpy()]
    curve = curve[~curve.index.isin(decided)]
    against = curve[curve < AGAINST]
    if not run.is_ours or len(against) < max(TIMES, OFTEN * len(curve)) or (bonus is not None and bonus >= HEAVY):
        return None
    text = (
        f"in {len(against)} of {len(curve)} evaluations the update has made less likely what paid: the correlation of "
        f"advantages with the change of their actions' log-probabilities is {number(float(against.min()), 2)} at "
        f"least, and {number(float(curve.mean()), 2)} on average"
    )
    return Evidence(text, (metrics.ADVANTAGE_FOLLOWED,), (int(against.index[0]), int(against.index[-1])))


def _while_undecided(run: Signals) -> Window | None:
    """Return early values of how far updates follow advantages, before the policy settled; None if unrecorded."""
    if len(run.actions) < 2:
        return None
    curve, entropy, most = (
        run.select_finite(metrics.ADVANTAGE_FOLLOWED),
        run.select_finite(metrics.ENTROPY),
        run.entropy_range,
    )
    low = entropy.index[(entropy < UNDECIDED * most).to_numpy()] if most else entropy.index[:0]
    ends = [int(index[0]) for index in (low, _find_risen(run)) if len(index)]
    curve = (curve.loc[: min(ends)] if ends else curve).iloc[:EARLY]
    return Window(metrics.ADVANTAGE_FOLLOWED, tuple(curve.index), tuple(curve)) if len(curve) else None


def _find_risen(run: Signals) -> "pd.Index[int]":
    """Find the iterations at which a risen return is near its best; empty if the run has not learned.

    A return that rises slowly gets there late: updates that ignore most of their advantages are still seen.
    """
    returns = run.select_finite(metrics.TRAIN_RETURN).rolling(AT_FIRST, min_periods=1).mean()
    if run.is_triage or len(returns) < POINTS or not judge_standing(run).has_learned:
        return returns.index[:0]
    first, best = float(returns.iloc[AT_FIRST - 1]), float(returns.max())
    return returns.index[(returns >= first + RISEN * (best - first)).to_numpy()]


def find_unpredicted_rewards(run: Signals) -> Evidence | None:
    """Return evidence that observations do not predict triage's rewards although F1 is good; None otherwise."""
    foreseen, level = run.select_all(metrics.REWARD_FORESEEN), run.select_last(metrics.F1, share=0.0)
    if foreseen is None or level is None or not run.is_triage or not run.trivial_f1:
        return None
    trivial = max(run.trivial_f1.values())
    told = level.mean > trivial + max(TRIVIAL_MARGIN, compute_f1_error(run, trivial))
    if level.mean > trivial + LEARNED_WELL * (1 - trivial):
        return None  # nobody learns so much from observations that tell nothing: what is left varies by chance
    if not told or len(foreseen.values) < POINTS or _foreseen(run) > UNRELATED:
        return None
    text = (
        f"from observations of training a regression foresees {percent(foreseen.mean, 1)} of the rewards' variance, "
        f"while F1 {number(level.mean, 3)} shows that those of the evaluation tell threats"
    )
    return Evidence(text, (foreseen.metric, level.metric), foreseen.reach)


def is_followed(run: Signals) -> bool:
    """True if, in a run that triages network flows, updates follow advantages and observations predict rewards."""
    followed = _while_undecided(run)
    return run.is_triage and followed is not None and followed.mean > FOLLOWED and _foreseen(run) > RELATED


def _foreseen(run: Signals) -> float:
    """Return the share of the rewards' variance that observations predict: the run's, or half of the early one.

    The early share is the noisier figure. A policy that makes no more errors may leave no variance to predict.
    """
    early, whole = run.select_first(metrics.REWARD_FORESEEN, EARLY), run.select_all(metrics.REWARD_FORESEEN)
    return max(early.mean / 2, whole.mean) if early and whole else 0.0


def find_wrong_labels(run: Signals) -> Evidence | None:
    """Return evidence of wrong labels, as F1 on training data is far below F1 on other data; None otherwise."""
    ours, theirs = run.select_last(metrics.F1_TRAIN, share=0.0), run.select_last(metrics.F1, share=0.0)
    if ours is None or theirs is None or not run.is_triage or len(run.select_finite(metrics.F1_TRAIN)) < POINTS:
        return None
    if _foreseen(run) > RELATED:
        return None  # rewards go with the flows: those of the evaluation are easier
    if theirs.mean - ours.mean < max(0.05, 2 * compute_f1_error(run, theirs.mean)):
        return None
    text = (
        f"F1 {number(ours.mean, 3)} on flows trained on, {number(theirs.mean, 3)} on others: labels are not the flows'"
    )
    return Evidence(text, (metrics.F1_TRAIN, metrics.F1), theirs.reach)


def find_unrelated_observations(run: Signals) -> Evidence | None:
    """Return evidence that observations foresee neither rewards nor returns in a run of our own; None otherwise.

    Of another task than triage, where flows do not tell what comes later.
    """
    rewards, returns = (
        run.select_finite(name) for name in (metrics.REWARD_FORESEEN, metrics.PROBE_EXPLAINED_VARIANCE_MC)
    )
    both = (rewards + returns).dropna()
    paid, repeats = run.select_all(metrics.TRAIN_RETURN), run.select_last(metrics.OBSERVATION_REPEATS)
    if not run.is_ours or run.is_triage or len(both) < LOOKS or paid is None or not paid.spread:
        return None
    if float(both.median()) > NEITHER or (repeats is not None and repeats.median >= ALL_ALIKE):
        return None
    text = (
        f"observations foresee {percent(float(both.median()), 1)} of what rewards and returns vary in the median of "
        f"{len(both)} evaluations; 9 % and more in healthy runs"
    )
    reach = (int(both.index[0]), int(both.index[-1]))
    return Evidence(text, (metrics.REWARD_FORESEEN, metrics.PROBE_EXPLAINED_VARIANCE_MC), reach)


def compute_f1_error(run: Signals, f1: float) -> float:
    """Compute twice the standard error of an F1 score, from the number of threats in the evaluation.

    0 for an F1 of 0 or 1, and without confusion counts.
    """
    counts = run.confusion
    if counts.empty or not 0 < f1 < 1:
        return 0.0
    return 2 * math.sqrt(f1 * (1 - f1) / max(1.0, float((counts["tp"] + counts["fn"]).iloc[-1])))
