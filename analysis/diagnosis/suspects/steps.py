"""Suspect the size of the steps: too large, too small, or none at all.

Each function returns a suspicion with its numbers, or None where the record speaks against the cause.
"""

import math
from dataclasses import replace

import numpy as np
from unstuck.analysis.diagnosis.chance import scatters_by_chance
from unstuck.analysis.diagnosis.direction import State
from unstuck.analysis.diagnosis.finding import Evidence
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.diagnosis.suspects.suspicion import (
    HARDLY,
    HINTS,
    OPEN,
    SPEAKS,
    VALUES,
    Suspicion,
    build_evidence,
    select_returns,
)
from unstuck.analysis.history.record import ENV_STEPS, POLICY_STD
from unstuck.analysis.words import number, percent
from unstuck.rl import metrics

WIDE_KL, WIDE_CLIP = 0.02, 0.2
"""KL and share of clipped ratios at the upper end of the usual: target_kl is set to 0.01 to 0.03."""

NARROW_KL, NARROW_CLIP = 1e-3, 0.005
"""The same at the lower end."""

HIGH_RATE, RAISED_RATE, USUAL_RATE, LOW_RATE = 1e-3, 5e-4, 1e-4, 5e-5
"""Learning rates: high, above the usual 3e-4, the least usual, and low."""

PASSES, NOISY_BATCH = 10, 32
"""Epochs above which, and samples of a minibatch below which, one rollout moves the policy far."""

STIRS = 0.01
"""Share of itself by which an entropy must have changed to show that the policy moved."""

FEW_UPDATES = 10
"""Updates of a whole run that are few: the first ones settle the critic."""

PLENTY = 200
"""Returns from which on it tells that they scatter, and stay, as those of one policy do."""


def suspect_large_steps(run: Signals) -> Suspicion | None:
    """Suspect steps too large: by KL and clip fraction, else by the learning rate; more if the score has fallen."""
    test = "branch at a third of the learning rate, and with target_kl 0.02: the return rises above the control's"
    missing = tuple(name for name in (metrics.APPROX_KL, metrics.CLIP_FRACTION) if not run.has(name))
    falls = judge_standing(run).state is State.FALLING
    fell, since = (HINTS, ", and the score had been better") if falls else (1.0, "")
    kl, clipped = _measure_peak(run, metrics.APPROX_KL), _measure_peak(run, metrics.CLIP_FRACTION)
    if kl is not None or clipped is not None:
        if (kl or 0.0) < WIDE_KL and (clipped or 0.0) < WIDE_CLIP:
            return None
        words = [f"KL {number(kl, 2)}"] if kl is not None else []
        words += [f"{percent(clipped)} of the ratios clipped"] if clipped is not None else []
        text = f"{' and '.join(words)} at first or in the median, at the upper end of the usual{since}"
        fact = build_evidence(text, run.select_all(metrics.APPROX_KL), run.select_all(metrics.CLIP_FRACTION))
        return Suspicion(HINTS * fell, fact, test, missing)
    rated = _weigh_rate(run)
    if rated is None:
        return None
    fact = replace(rated[1], text=rated[1].text + since)
    return Suspicion(rated[0] * fell, fact, test, (*missing, metrics.LR))


def _measure_peak(run: Signals, name: str) -> float | None:
    """Return the larger of a metric's first values and its median; None if not on record, or of either sign."""
    start, whole = run.select_first(name), run.select_all(name)
    if start is None or whole is None or (name == metrics.APPROX_KL and run.kl_is_signed):
        return None
    return max(start.mean, whole.median)


def _weigh_rate(run: Signals) -> tuple[float, Evidence] | None:
    """Return how far learning rate, epochs and minibatches speak for large steps, with the numbers; None if small."""
    rate, epochs = run.rate, run.read_number("ppo.num_epochs") or 0.0
    minibatch = run.read_number("ppo.minibatch_size") or math.inf
    if rate is None:
        return OPEN, build_evidence("neither KL, nor clip fraction, nor the learning rate is on record")
    if rate < USUAL_RATE:
        return None
    factor = SPEAKS if rate >= HIGH_RATE else HINTS if rate >= RAISED_RATE else HARDLY
    text = f"a learning rate of {number(rate)}, most often 3e-4"
    if epochs > PASSES or minibatch < NOISY_BATCH:
        factor = max(factor, HINTS)
        text += f", with {number(epochs)} epochs" if epochs > PASSES else f", with minibatches of {number(minibatch)}"
    return factor, Evidence(text, ("ppo.lr",))


def suspect_small_steps(run: Signals) -> Suspicion | None:
    """Suspect steps too small: by KL and clip fraction, else by the learning rate or an entropy that stays."""
    if run.rate_is_annealed or run.kl_precedes_step or judge_standing(run).state is State.FALLING:
        return None  # what was learned and lost was moved
    kl = None if run.kl_is_signed else run.select_all(metrics.APPROX_KL)
    clipped, entropy = run.select_all(metrics.CLIP_FRACTION), run.select_all(metrics.ENTROPY)
    test = "branch at three times the learning rate: KL and return rise"
    missing = tuple(name for name in (metrics.APPROX_KL, metrics.UPDATE_NORM) if not run.has(name))
    if (few := _count_few_updates(run)) is not None:
        return Suspicion(SPEAKS, few, "branch with a rollout of 2,048 steps, or train ten times as long", missing)
    if kl or clipped:
        small = (kl is None or kl.median < NARROW_KL) and (clipped is None or clipped.median < NARROW_CLIP)
        if not small:
            return None
        text = f"KL {number(kl.median, 2)} in the median" if kl else ""
        text += f"{', and ' if kl else ''}{percent(clipped.median, 1)} of the ratios clipped" if clipped else ""
        return Suspicion(SPEAKS, build_evidence(f"{text}: updates hardly move the policy", kl, clipped), test, missing)
    if run.rate is not None and run.rate <= LOW_RATE:
        text = f"a learning rate of {number(run.rate)}, most often 3e-4"
        return Suspicion(SPEAKS, Evidence(text, ("ppo.lr",)), test, missing)
    if entropy is None and run.rate is None and (scatter := find_one_policy(run)) is not None:
        return Suspicion(HINTS, scatter, test, (*missing, metrics.LR))
    if entropy is None or len(entropy.values) < VALUES or np.ptp(entropy.values) == 0:
        return None  # an entropy that is set tells nothing
    if np.ptp(entropy.values) > STIRS * abs(entropy.median):
        return None
    return Suspicion(HINTS, build_evidence(f"entropy stays at {number(entropy.median)}", entropy), test, missing)


def _count_few_updates(run: Signals) -> Evidence | None:
    """Return evidence that the whole run had few updates, by its steps and the size of a rollout; None otherwise."""
    steps, rollout = run.select_finite(ENV_STEPS), run.read_number("ppo.num_steps")
    if steps.empty or not rollout or run.history.unrecorded:
        return None
    updates = float(steps.iloc[-1]) / (rollout * (run.read_number("ppo.num_envs") or 1.0))
    if not 1 <= updates < FEW_UPDATES:
        return None
    text = f"{number(float(steps.iloc[-1]))} steps, of which {number(rollout)} a rollout, make {int(updates)} updates"
    return Evidence(text, (ENV_STEPS, "ppo.num_steps"), (int(steps.index[0]), int(steps.index[-1])))


def suspect_no_updates(run: Signals) -> Suspicion | None:
    """Suspect a policy that nothing updates, where nothing of the updates is on record: returns scatter, and stay."""
    if any(run.has(name) for name in (metrics.APPROX_KL, metrics.CLIP_FRACTION, metrics.ENTROPY, POLICY_STD)):
        return None
    scatter = find_one_policy(run)
    test = "compare the policy's parameters in the first and the last checkpoint, or before and after one update"
    returns, _ = select_returns(run)
    if scatter is None or returns is None:
        return None
    factor = SPEAKS if len(returns.values) >= PLENTY * run.averaged else HINTS
    return Suspicion(factor, scatter, test, (metrics.APPROX_KL, metrics.ENTROPY))


def find_one_policy(run: Signals) -> Evidence | None:
    """Return evidence that the returns are those of one policy, which nothing has moved; None otherwise."""
    returns, _ = select_returns(run)
    if returns is None or not scatters_by_chance(np.asarray(returns.values[:: run.averaged])):
        return None
    count = len(returns.values)
    return build_evidence(
        f"{count:,} returns scatter about {number(returns.mean, 3)} as those of one policy do", returns
    )
