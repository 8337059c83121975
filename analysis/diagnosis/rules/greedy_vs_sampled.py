"""Greedy and sampled behaviour differ: the policy that is evaluated is not the policy that is trained."""

import math

import numpy as np
import pandas as pd
from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Ground, Kind, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.signals import Signals, select_columns
from unstuck.analysis.diagnosis.standing import evaluates_apart, judge_standing
from unstuck.analysis.diagnosis.window import QUARTERS
from unstuck.analysis.words import number, percent
from unstuck.rl import metrics

APART = 0.3
"""Share of actions, or of flagged flows, by which the two differ."""

BEHIND = 0.25
"""Share of the sampled return's gain since the start by which the greedy return must lie below the sampled one."""

EVALUATIONS = 20
"""Evaluations, and returns of training, on record before quarters of them are compared."""

LASTS = 3
"""Evaluations in a row that must be so where each decision stands alone, as in triage."""

SHIFTED = 0.5
"""Spreads by which a usual column's mean and spread must differ between training and evaluation: 0.1 among shuffled
flows, up to 0.31 in a stream."""

SCALED = 2.5
"""Factor by which first observations must differ in size, in the usual column: of 4 and 5 episodes 0.8 to 1.3."""

PATIENCE, MOST = 0.25, 0.75
"""Elsewhere the share of the run, and of its evaluations within it: a greedy policy that is still unsure goes in
circles where chance gets the sampled one out, and in time gets over it."""

EARLIEST = 0.5
"""Share of the run before which such a policy is young."""

SURE, BESIDE = 0.1, 3.0
"""Share of its largest below which an entropy leaves greedy and sampled policy one; and spreads of single returns by
which evaluations of that policy must then lie below training, and may have risen, where both should be the same."""

CATCHES_UP = 0.5
"""Share of what it lies behind by which a greedy return must have risen within that time to be catching up."""


def examine(run: Signals) -> Finding | None:
    """Return a finding on whether evaluation's actions or returns differ from training's; None if not recorded."""
    facts = [*_flagged(run), *_shares(run)]
    apart = [fact for fact, distance in facts if distance > APART]
    returns = _returns(run)
    if not facts and returns is None:
        return None
    standing, shifted = judge_standing(run), _shifted(run)
    elsewhere = None if returns is not None and returns[1] else _earns_nothing_elsewhere(run)
    returns = elsewhere or returns
    worse = returns is not None and returns[1]
    same = _begins_alike(run)
    if not worse and not shifted and not (apart and standing.is_poor):
        return _fine(run, [fact for fact, _ in facts], returns)
    evidence = [*([shifted] if shifted else []), *apart, *([returns[0]] if returns else []), *([same] if same else [])]
    entropy, most = run.select_last(metrics.ENTROPY), run.entropy_range
    return Finding(
        headline=f"Greedy and sampled behaviour are apart: {evidence[0].text}",
        kind=Kind.FAULT
        if (worse and not same and not elsewhere) or (shifted and (apart or standing.is_poor or not run.is_triage))
        else Kind.SUSPECT,
        sureness=Sureness.SURE,
        why=standing.brief,
        evidence=tuple(evidence),
        causes=(
            Cause(
                "a policy close to uniform, whose most probable action wins by a hair",
                "look at entropy: near its maximum",
                *_near_uniform(entropy.mean / most if entropy and most else None),
            ),
            *([_LEARNED_BY_HEART] if elsewhere else []),
            Cause(
                "a policy that relies on chance, since different situations look the same to it",
                "add history to the observation; evaluate the sampled policy as well",
            ),
            Cause(
                "evaluation that is shown other inputs than training (another unit, a wrapper, another split)",
                "compare mean and spread of both, column by column",
                Support.SUPPORTED if shifted else Support.RULED_OUT if same else Support.OPEN,
                shifted.text if shifted else same.text if same else "",
            ),
            Cause(
                "a normaliser that is left out of evaluation, or goes on learning there",
                "evaluate the sampled policy by the evaluation's own code: its return must be that of training",
            ),
        ),
        since=evidence[0].iterations[0] if evidence[0].iterations else None,
        missing=() if entropy else (metrics.ENTROPY,),
        ground=Ground.PACE,  # others evaluate with other wrappers, and a young greedy policy goes in circles
    )


def _shifted(run: Signals) -> Evidence | None:
    """Return evidence that evaluation shows observations of another size, or shifted ones, than training; else None.

    Of network flows all are compared, elsewhere those that begin an episode: later ones depend on the policy.
    """
    alike = run.select_all(metrics.STARTS_ALIKE)
    if alike is not None and len(alike.values) >= LASTS and alike.median == 1:
        text = "all episodes of the evaluation begin with one observation, and training's do not"
        return Evidence(text, (alike.metric,), alike.reach)
    scale = run.select_all(metrics.START_SCALE)
    if scale is not None and len(scale.values) >= LASTS and not 1 / SCALED <= scale.median <= SCALED:
        text = (
            f"episodes of the evaluation begin with observations {number(scale.median, 2)} times as large as training's"
        )
        return Evidence(text, (scale.metric,), scale.reach)
    shift = run.select_all(metrics.OBSERVATION_SHIFT)
    if shift is None or not run.is_triage or len(shift.values) < LASTS or shift.median < SHIFTED:
        return None
    text = (
        f"what the evaluation shows is {number(shift.median, 2)} spreads from what training shows, in the usual column"
    )
    return Evidence(text, (shift.metric,), shift.reach)


def _begins_alike(run: Signals) -> Evidence | None:
    """Return evidence that our evaluation shows what training shows: as varied, and of one size; None otherwise.

    A greedy policy then earns less by what it does: it goes in circles that chance gets the sampled one out of.
    """
    scale, alike = run.select_all(metrics.START_SCALE), run.select_all(metrics.STARTS_ALIKE)
    if not run.is_ours or scale is None or alike is None or min(len(scale.values), len(alike.values)) < LASTS:
        return None
    text = f"episodes of the evaluation begin as training's do: {number(scale.median, 2)} times as large, and as varied"
    return Evidence(text, (scale.metric, alike.metric), scale.reach)


def _near_uniform(share: float | None) -> tuple[Support, str]:
    if share is None:
        return Support.OPEN, ""
    return (Support.SUPPORTED if share > 0.9 else Support.RULED_OUT), f"entropy {percent(share)} of its maximum"


def _flagged(run: Signals) -> list[tuple[Evidence, float]]:
    """Compare how many network flows the sampled and the greedy policy allow; return evidence with the distance."""
    counts, shares = run.confusion, run.shares(metrics.ACTION_PREFIX)
    if counts.empty or "allow" not in shares:
        return []
    last = counts.iloc[-1]
    greedy, sampled = float(last["tn"] + last["fn"]) / float(last.sum()), float(shares["allow"].iloc[-1])
    text = f"the sampled policy allows {percent(sampled, 1)} of the flows, the greedy one {percent(greedy, 1)}"
    names = (f"{metrics.ACTION_PREFIX}allow", metrics.TRUE_NEGATIVES, metrics.FALSE_NEGATIVES)
    return [(Evidence(text, names, (int(shares.index[-1]), int(counts.index[-1]))), abs(greedy - sampled))]


def _shares(run: Signals) -> list[tuple[Evidence, float]]:
    greedy, sampled = run.shares(metrics.GREEDY_PREFIX), run.shares(metrics.ACTION_PREFIX)
    if greedy.empty or sampled.empty:
        return []
    both = [name for name in greedy.columns if name in sampled.columns]
    apart = np.abs(select_columns(greedy, both)[-1] - select_columns(sampled, both)[-1]) if both else np.zeros(1)
    difference = float(apart.sum()) / 2 / max(1, len(run.choices))
    text = f"{percent(difference)} of the actions differ between the greedy and the sampled policy"
    names = (f"{metrics.GREEDY_PREFIX}<action>", f"{metrics.ACTION_PREFIX}<action>")
    return [(Evidence(text, names, (int(greedy.index[-1]), int(greedy.index[-1]))), difference)]


def _returns(run: Signals) -> tuple[Evidence, bool] | None:
    """Return evidence on greedy and sampled returns, and if greedy has long been lower; None if not recorded."""
    greedy, sampled = run.select_finite(metrics.EVAL_RETURN), run.select_finite(metrics.TRAIN_RETURN)
    if greedy.empty or len(sampled) < 3 or sampled.index[0] > greedy.index[-1] or not evaluates_apart(run):
        return None
    means = sampled.rolling(LASTS, min_periods=1).mean().to_numpy()
    before = np.searchsorted(sampled.index.to_numpy(), greedy.index.to_numpy(), side="right") - 1
    beside = np.where(before >= 0, means[before], math.nan)
    gained = float(beside[-1]) - float(sampled.iloc[:LASTS].mean())
    below = greedy.to_numpy() < beside - max(BEHIND * gained, _noise(sampled))
    length = max(run.planned or 0, run.history.length)
    lately = int((greedy.index > greedy.index[-1] - PATIENCE * length).sum())
    span = LASTS if run.is_triage or (not run.is_ours and lately < LASTS) else lately
    lasting = len(greedy) >= span >= LASTS and float(below[-span:].mean()) >= (1.0 if run.is_triage else MOST)
    if not run.is_triage and lasting:
        late, early = (float(part.mean()) for part in (greedy.iloc[-LASTS:], greedy.iloc[-span:].iloc[:LASTS]))
        catches_up = late - early > CATCHES_UP * (float(beside[-1]) - late)
        lasting = run.compute_progress(int(greedy.index[-1])) >= EARLIEST and not catches_up
    since = int(greedy.index[-span:][0])
    text = (
        f"return {number(float(greedy.iloc[-LASTS:].mean()))} of the greedy policy, {number(float(beside[-1]))} of the "
    )
    where = since, int(greedy.index[-1])
    return Evidence(f"{text}sampled one", (metrics.EVAL_RETURN, metrics.TRAIN_RETURN), where), lasting


def _earns_nothing_elsewhere(run: Signals) -> tuple[Evidence, bool] | None:
    """Return evidence that a policy without chance earns more in training than in evaluations, which never rose."""
    entropy, most = run.select_last(metrics.ENTROPY), run.entropy_reference
    greedy, sampled = run.select_finite(metrics.EVAL_RETURN), run.select_finite(metrics.TRAIN_RETURN)
    sure = entropy is not None and most is not None and entropy.mean < SURE * most
    if run.is_ours or not sure or min(len(greedy), len(sampled)) < EVALUATIONS or not evaluates_apart(run):
        return None
    size = len(greedy) // QUARTERS
    early, late = greedy.iloc[:size], greedy.iloc[-size:]
    beside = sampled.loc[int(late.index[0]) :]
    noise = BESIDE * max(float(early.std()), float(late.std()), float(beside.std()) if len(beside) > 1 else 0.0)
    least = noise / math.sqrt(size)
    if beside.empty or float(beside.mean() - late.mean()) < least or float(late.mean() - early.mean()) > least:
        return None
    if float(beside.mean() - sampled.iloc[:LASTS].mean()) < least:
        return None
    text = (
        f"with an entropy of {number(entropy.mean if entropy else 0.0, 2)} both policies are one, and training returns "
        f"{number(float(beside.mean()), 3)}, evaluations {number(float(late.mean()), 3)}, at first "
        f"{number(float(early.mean()), 3)}"
    )
    where = int(late.index[0]), int(late.index[-1])
    return Evidence(text, (metrics.EVAL_RETURN, metrics.TRAIN_RETURN, metrics.ENTROPY), where), True


_LEARNED_BY_HEART = Cause(
    "training's own data or levels learned by heart, which evaluations do not show",
    "evaluate on what training shows: the return must be that of training",
)


def _noise(curve: "pd.Series[float]") -> float:
    """Estimate a curve's noise from differences of neighbouring values, so that a trend does not count as noise.

    The median absolute difference of two normal values is 0.6745 * sqrt(2) times the spread of one value.
    """
    return float(np.median(np.abs(np.diff(curve.to_numpy())))) / 0.954 if len(curve) > 1 else 0.0


def _fine(run: Signals, facts: list[Evidence], returns: tuple[Evidence, bool] | None) -> Finding | None:
    shown = ([returns[0]] if returns else []) + facts
    text = f"greedy beside sampled: {shown[0].text}"
    return Finding(text, Kind.FINE, Sureness.LIKELY, "", tuple(shown))


RULE = Rule(
    name="greedy_vs_sampled",
    title="Greedy and sampled apart",
    stage=Stage.BEHAVIOUR,
    needs=(
        (metrics.EVAL_RETURN, metrics.TRUE_POSITIVES, f"{metrics.GREEDY_PREFIX}<action>"),
        (metrics.TRAIN_RETURN, f"{metrics.ACTION_PREFIX}<action>"),
    ),
    helps=(metrics.OBSERVATION_SHIFT, metrics.START_SCALE, metrics.STARTS_ALIKE, metrics.ENTROPY),
    explains=("greedy_collapsed",),
    says="what is evaluated is another policy than the one trained",
    threshold=(
        "in triage observations half a spread apart; elsewhere first observations 2.5 times "
        "as large, or as small, or all alike where training's are not; shares 30 % apart; a greedy return below the "
        "sampled one by a quarter of what that has gained: in 3 evaluations in a row for triage, else in most of a "
        "quarter of the run, after half of it, and not catching up; a suspect where an entropy below a tenth of its "
        "maximum leaves both one, training has risen, and 20 evaluations or more have not and lie 3 standard errors "
        "lower, and where our evaluation's episodes were "
        "measured to begin as training's do"
    ),
    source="Stable-Baselines3 issue 1063 and its tips (deterministic evaluation); Jones 2021",
    examine=examine,
)
