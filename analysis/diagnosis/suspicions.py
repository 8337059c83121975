"""What a run's numbers say for and against each usual suspect: what runs that learn nothing most often suffer from.

Each function returns a suspicion with its numbers, or None where the record speaks against the cause.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from unstuck.analysis.diagnosis.bonus import find_bonus
from unstuck.analysis.diagnosis.chance import scatters_by_chance
from unstuck.analysis.diagnosis.direction import State
from unstuck.analysis.diagnosis.finding import Evidence
from unstuck.analysis.diagnosis.remedies import HORIZON
from unstuck.analysis.diagnosis.rules.reward_scale import AHEAD, WEIGHT, measure_target
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.standing import judge_standing
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.history.record import (
    ENV_STEPS,
    EPISODE_LENGTH,
    EVAL_LENGTH,
    POLICY_STD,
    SUCCESS_RATE,
    TOTAL_LOSS,
)
from unstuck.analysis.words import number, percent
from unstuck.rl import metrics

SPEAKS, HINTS, OPEN, HARDLY = 4.0, 2.0, 1.0, 0.25
"""Factors of a suspect's frequency: the run's numbers speak for the cause, hint at it, leave it open, or hardly allow
it."""

COSTS = 1.25
"""The same of returns that were never above 0: where all costs, to do nothing costs least."""

WIDENS = 6.0
"""The same of a policy that widens while nothing is learned: advantages alone never widen one that is at its widest."""

TALL, LOW, CRAMPED = 10.0, 3.0, 10.0
"""Root of the value loss from which returns are larger than settings are meant for (Jones 2021: scale returns to -10 to
10), and below which they are not; size of the targets below which they are not, and ten times which they are."""

LONGEST = 1000.0
"""Steps of an episode whose length is not on record, at most: most of those that time limits allow are shorter."""

EXPLAINED = 0.8
"""Explained variance from which the critic copes with returns of any size."""

WIDE_KL, WIDE_CLIP = 0.02, 0.2
"""KL and share of clipped ratios at the upper end of the usual: target_kl is set to 0.01 to 0.03."""

NARROW_KL, NARROW_CLIP = 1e-3, 0.005
"""The same at the lower end."""

HIGH_RATE, RAISED_RATE, USUAL_RATE, LOW_RATE = 1e-3, 5e-4, 1e-4, 5e-5
"""Learning rates: high, above the usual 3e-4, the least usual, and low."""

PASSES, NOISY_BATCH = 10, 32
"""Epochs above which, and samples of a minibatch below which, one rollout moves the policy far."""

STIRS, VALUES = 0.01, 20
"""Share of itself by which an entropy must have changed to show that the policy moved; values on record."""

WIDER, HEAVY = 0.05, 0.05
"""Nats by which an entropy, or the logarithm of a spread, must have grown; coefficient of a bonus that may do it."""

SETTLED, FAR = 0.35, 1.0
"""Share of its largest below which an entropy has fallen far; nats, where the largest is not known."""

AT_LIMIT, LONG, NEXT_TO_NOTHING = 0.95, 50.0, 0.01
"""Share of the longest episodes' length at which the usual ones end, steps of the longest from which that tells, and
cost of a step below which nothing seems to be done."""

EVEN = 0.02
"""Spread of what a step pays, in its mean, up to which each step pays the same."""

MANY = 8
"""Returns on record before what a step pays is compared."""

SHORT_SIGHT, HORIZONS, SHORTEST_SIGHT = 0.95, 2.0, 0.9
"""gamma up to which, and horizons in an episode from which on, what comes later is hardly seen; gamma of which that is
told by itself."""

FEW_UPDATES = 10
"""Updates of a whole run that are few: the first ones settle the critic."""

BAND = 0.03
"""Share of their level within which returns keep (standard deviation) where nothing that is done changes them."""

PLENTY = 200
"""Returns from which on it tells that they scatter, and stay, as those of one policy do."""

MOVE = ("updates_too_large", "reward_scale", "doing_nothing_pays")
"""Suspects that move a policy, for worse: its returns would wander, or have changed."""

FEW_STEPS, SMALL_ROLLOUT = 10.0, 512.0
"""Steps of an episode, and of a rollout, that are few."""


@dataclass(frozen=True)
class Suspicion:
    """A cause that a run's record allows: how far its numbers speak for it, the numbers, and the test that would tell.

    Attributes:
        factor: How far the numbers speak for the cause: `SPEAKS` to `HARDLY`.
        fact: The numbers in words.
        test: Test that tells the cause from its rivals.
        missing: Metrics that would have told.
    """

    factor: float
    fact: Evidence
    test: str
    missing: tuple[str, ...] = ()


def _say(text: str, *windows: Window | None) -> Evidence:
    """Return evidence with the metrics of windows, and the iterations of the first one."""
    shown = [window for window in windows if window]
    return Evidence(text, tuple(window.metric for window in shown), shown[0].reach if shown else None)


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
        fact = _say(text, run.select_all(metrics.APPROX_KL), run.select_all(metrics.CLIP_FRACTION))
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
        return OPEN, _say("neither KL, nor clip fraction, nor the learning rate is on record")
    if rate < USUAL_RATE:
        return None
    factor = SPEAKS if rate >= HIGH_RATE else HINTS if rate >= RAISED_RATE else HARDLY
    text = f"a learning rate of {number(rate)}, most often 3e-4"
    if epochs > PASSES or minibatch < NOISY_BATCH:
        factor = max(factor, HINTS)
        text += f", with {number(epochs)} epochs" if epochs > PASSES else f", with minibatches of {number(minibatch)}"
    return factor, Evidence(text, ("ppo.lr",))


def suspect_raw_returns(run: Signals) -> Suspicion | None:
    """Suspect returns too large for the critic: by its error, else by what it is to predict."""
    explained = run.select_last(metrics.EXPLAINED_VARIANCE)
    test = "branch with normalised returns, or with rewards divided so that returns lie within 10"
    if run.returns_normalised or (explained is not None and explained.median >= EXPLAINED):
        return None
    name = metrics.VALUE_LOSS if run.has(metrics.VALUE_LOSS) else TOTAL_LOSS
    if (loss := run.select_all(name)) is not None:
        weight = 1.0 if name == metrics.VALUE_LOSS else run.read_number("ppo.value_coef") or WEIGHT
        error = math.sqrt(max(loss.median, 0.0) / weight)
        if error < LOW:
            return None
        title = "value loss" if name == metrics.VALUE_LOSS else "loss"
        text = f"the critic's error is about {number(error, 2)} a prediction ({title} {number(loss.median, 3)})"
        missing = () if explained else (metrics.EXPLAINED_VARIANCE,)
        return Suspicion(SPEAKS if error >= TALL else HARDLY, _say(text, loss), test, missing)
    size, fact = _measure_aim(run)
    if fact is None or size < CRAMPED:
        return None
    factor = HINTS if size >= TALL * CRAMPED else OPEN
    return Suspicion(factor, fact, test, (metrics.VALUE_LOSS, metrics.EXPLAINED_VARIANCE))


def _measure_aim(run: Signals) -> tuple[float, Evidence | None]:
    """Return how much a critic is to predict at least, by returns and lengths, or by returns of unknown length."""
    aim, (returns, lengths) = measure_target(run), _select_returns(run)
    if aim is not None:
        return aim.size, aim.fact
    if returns is None or lengths is not None or len(returns.values) < MANY:
        return 0.0, None
    size = abs(returns.median) * AHEAD / LONGEST
    text = f"returns of {number(returns.median, 3)}: some {number(size, 2)} to predict, or more, in episodes of unknown"
    return size, _say(f"{text} length", returns)


def suspect_idling(run: Signals) -> Suspicion | None:
    """Suspect that doing nothing pays best: no return above 0, more so where long episodes cost next to nothing."""
    returns, lengths = _select_returns(run)
    success = run.select_last(SUCCESS_RATE)
    if returns is None or max(returns.values) > 0 or (success is not None and success.mean > 0):
        return None
    test = "look at what the policy does; let a policy that reaches the goal by hand play an episode"
    longest = max(lengths.values) if lengths else 0.0
    lasts = lengths is not None and longest >= LONG and lengths.median >= AT_LIMIT * longest
    if lengths is None or not lasts or abs(returns.median) >= NEXT_TO_NOTHING * lengths.median:
        return Suspicion(COSTS, _say("no return was ever above 0", returns), test, (metrics.ENTROPY,))
    text = (
        f"no return was ever above 0, episodes last {number(lengths.median)} of {number(longest)} steps, and a "
        f"step costs {number(abs(returns.median) / lengths.median, 2)}"
    )
    return Suspicion(SPEAKS, _say(text, returns, lengths), test)


def suspect_rare_reward(run: Signals) -> Suspicion | None:
    """Suspect a reward that is met too seldom: more so where each step pays the same, whatever was done."""
    returns, lengths = _select_returns(run)
    if returns is None or run.has(SUCCESS_RATE):
        return None  # another rule has judged that
    test = "let a uniform policy play a thousand episodes, and count those that return more"
    if lengths and len(lengths.values) == len(returns.values) >= MANY:
        paid = np.asarray(returns.values) / np.maximum(lengths.values, 1.0)
        mean = float(paid.mean())
        if mean != 0 and float(paid.std()) < EVEN * abs(mean) and np.ptp(lengths.values) > 0:
            text = f"each step pays {number(mean, 2)}, in every iteration: nothing else was met"
            return Suspicion(SPEAKS, _say(text, returns, lengths), test, (SUCCESS_RATE,))
    if (band := _find_band(run, returns)) is not None:
        return Suspicion(HINTS, band, test, (SUCCESS_RATE,))
    text = "whether a reward was met, and how often, is not on record"
    return Suspicion(OPEN, _say(text, returns), test, (SUCCESS_RATE,))


def _find_band(run: Signals, returns: Window) -> Evidence | None:
    """Return evidence that the returns keep to a narrow band though updates move the policy; None otherwise."""
    kl, level = run.select_all(metrics.APPROX_KL), abs(returns.median)
    if len(returns.values) < VALUES or kl is None or run.kl_is_signed or math.fsum(kl.values) < FAR:
        return None
    if level == 0 or returns.spread > BAND * level:
        return None
    text = f"returns keep within {percent(returns.spread / level)} of {number(returns.median, 3)}"
    return _say(f"{text} while updates move the policy by a KL of {number(math.fsum(kl.values), 2)}", returns, kl)


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
        return Suspicion(SPEAKS, _say(f"{text}: updates hardly move the policy", kl, clipped), test, missing)
    if run.rate is not None and run.rate <= LOW_RATE:
        text = f"a learning rate of {number(run.rate)}, most often 3e-4"
        return Suspicion(SPEAKS, Evidence(text, ("ppo.lr",)), test, missing)
    if entropy is None and run.rate is None and (scatter := find_one_policy(run)) is not None:
        return Suspicion(HINTS, scatter, test, (*missing, metrics.LR))
    if entropy is None or len(entropy.values) < VALUES or np.ptp(entropy.values) == 0:
        return None  # an entropy that is set tells nothing
    if np.ptp(entropy.values) > STIRS * abs(entropy.median):
        return None
    return Suspicion(HINTS, _say(f"entropy stays at {number(entropy.median)}", entropy), test, missing)


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
    returns, _ = _select_returns(run)
    if scatter is None or returns is None:
        return None
    factor = SPEAKS if len(returns.values) >= PLENTY * run.averaged else HINTS
    return Suspicion(factor, scatter, test, (metrics.APPROX_KL, metrics.ENTROPY))


def find_one_policy(run: Signals) -> Evidence | None:
    """Return evidence that the returns are those of one policy, which nothing has moved; None otherwise."""
    returns, _ = _select_returns(run)
    if returns is None or not scatters_by_chance(np.asarray(returns.values[:: run.averaged])):
        return None
    count = len(returns.values)
    return _say(f"{count:,} returns scatter about {number(returns.mean, 3)} as those of one policy do", returns)


def suspect_raw_inputs(run: Signals) -> Suspicion | None:
    """Suspect inputs that are not scaled, unless the settings say that they are, or a measurement does."""
    normalised = run.setting("ppo.normalize_observations")
    if normalised or run.has(metrics.INPUT_RMS_MAX):
        return None
    test = "print mean and spread of each column that the networks see; branch with normalised observations"
    missing = (metrics.INPUT_RMS_MAX, metrics.SATURATED_SHARE)
    if normalised is False:
        fact = Evidence("observations are not normalised, by the settings", ("ppo.normalize_observations",))
        return Suspicion(HINTS, fact, test, missing)
    return Suspicion(OPEN, Evidence("whether observations are scaled is not on record"), test, missing)


def suspect_bonus(run: Signals) -> Suspicion | None:
    """Suspect the entropy bonus: where a policy widens though nothing is learned, or the coefficient is large."""
    bonus, name = find_bonus(run), POLICY_STD if run.has(POLICY_STD) else metrics.ENTROPY
    if bonus is not None and bonus.weight == 0:
        return None
    test = "branch at a tenth of entropy_coef: entropy falls within 20 iterations"
    start, late, heavy = run.select_first(name), run.select_last(name), bonus is not None and bonus.weight >= HEAVY
    weight = f"; {bonus}" if bonus else ""
    missing = () if bonus else ("ppo.entropy_coef",)
    if start and late:
        grown = late.mean - start.mean
        if name == POLICY_STD:
            grown = math.log(late.mean / start.mean) if min(start.mean, late.mean) > 0 else 0.0
        title = "the actions' spread" if name == POLICY_STD else "entropy"
        text = f"{title} {number(start.mean, 3)} at first and {number(late.mean, 3)} of late{weight}"
        if grown > WIDER and run.trend(name).rises:
            return Suspicion(WIDENS, _say(f"{text}, while nothing is learned", late), test, missing)
        return Suspicion(HINTS, _say(text, late), test) if heavy and grown > -WIDER else None
    return Suspicion(SPEAKS, Evidence(str(bonus), ("ppo.entropy_coef",)), test, (metrics.ENTROPY,)) if heavy else None


def suspect_collapse(run: Signals) -> Suspicion | None:
    """Suspect a policy that always does the same: by an entropy that fell far, or one not on record as returns fall."""
    test = "look at the shares of the actions, or at the policy's spread: nothing else is tried any more"
    if run.has(metrics.ENTROPY) or run.has(POLICY_STD):
        start, late, most = run.select_first(metrics.ENTROPY), run.select_last(metrics.ENTROPY), run.entropy_reference
        if start is None or late is None:
            return None
        fell = late.mean < SETTLED * most if most else start.mean - late.mean > FAR
        text = f"entropy {number(start.mean, 3)} at first and {number(late.mean, 3)} of late, with nothing learned"
        return Suspicion(HINTS, _say(text, late), test) if fell and start.mean > late.mean else None
    falls = judge_standing(run).state is State.FALLING or any(
        run.trend(name).falls for name in (metrics.TRAIN_RETURN, metrics.EVAL_RETURN)
    )
    text = "entropy is not on record" + (", and the return falls" if falls else "")
    return Suspicion(SPEAKS if falls else OPEN, Evidence(text), test, (metrics.ENTROPY,))


def suspect_short_sight(run: Signals) -> Suspicion | None:
    """Suspect a gamma that sees no further than a part of the episode."""
    gamma, (_, lengths) = run.read_number(HORIZON), _select_returns(run)
    if gamma is None or lengths is None or gamma > SHORT_SIGHT or lengths.median < HORIZONS / (1 - gamma):
        return None
    text = f"gamma {gamma:g} sees {number(1 / (1 - gamma), 2)} steps, of episodes of {number(lengths.median, 3)}"
    factor = SPEAKS if gamma <= SHORTEST_SIGHT else HINTS
    return Suspicion(factor, _say(text, lengths), "branch at gamma 0.99: the return rises above the control's")


def suspect_early_ends(run: Signals) -> Suspicion | None:
    """Suspect episodes that end before anything can be learned."""
    _, lengths = _select_returns(run)
    if lengths is None or lengths.median > FEW_STEPS:
        return None
    text = f"episodes last {number(lengths.median, 2)} steps"
    return Suspicion(HINTS, _say(text, lengths), "print why episodes end; loosen the condition: the return rises")


def suspect_small_rollouts(run: Signals) -> Suspicion | None:
    """Suspect rollouts that hold less than an episode, and few steps."""
    lanes, steps = run.read_number("ppo.num_envs") or 1.0, run.read_number("ppo.num_steps")
    _, lengths = _select_returns(run)
    if steps is None or lengths is None or lanes * steps >= min(SMALL_ROLLOUT, lengths.median):
        return None
    text = f"a rollout of {number(lanes * steps)} steps, of episodes of {number(lengths.median, 3)}"
    return Suspicion(SPEAKS, _say(text, lengths), "branch with a rollout of 2,048 steps: the swings halve")


def _select_returns(run: Signals) -> tuple[Window | None, Window | None]:
    """Return the returns and lengths of episodes: of training, or else of evaluations."""
    if run.has(metrics.TRAIN_RETURN):
        return run.select_all(metrics.TRAIN_RETURN), run.select_all(EPISODE_LENGTH)
    return run.select_all(metrics.EVAL_RETURN), run.select_all(EVAL_LENGTH)


class Suspect(NamedTuple):
    """A usual suspect: how many of `KNOWN` logs had it, headline, cause, and what looks for it in a run's numbers."""

    often: int
    headline: str
    cause: str
    judge: Callable[[Signals], Suspicion | None]


SUSPECTS = {
    "updates_too_large": Suspect(
        23, "Steps may be too large", "a learning rate too high, or too many passes over a rollout", suspect_large_steps
    ),
    "reward_scale": Suspect(
        19,
        "Returns may be too large for the critic",
        "rewards in large units that are not normalised",
        suspect_raw_returns,
    ),
    "doing_nothing_pays": Suspect(
        8, "Doing nothing may be what pays best", "attempts that cost more than they ever brought", suspect_idling
    ),
    "reward_sparse": Suspect(
        8, "The reward may be met too seldom", "a goal far away, and nothing on the way to it", suspect_rare_reward
    ),
    "updates_too_small": Suspect(
        6, "Steps may be too small", "a learning rate too low, or a gradient that is clipped away", suspect_small_steps
    ),
    "policy_frozen": Suspect(
        4,
        "The policy may not be updated at all",
        "a loss that does not reach the policy's parameters, or none that is stepped",
        suspect_no_updates,
    ),
    "inputs_unscaled": Suspect(5, "Inputs may not be scaled", "observations in raw units", suspect_raw_inputs),
    "entropy_pinned": Suspect(
        4, "The entropy bonus may outweigh what is learned", "entropy_coef too high", suspect_bonus
    ),
    "entropy_collapsed": Suspect(
        4,
        "The policy may always do the same",
        "exploration that ended before anything was learned",
        suspect_collapse,
    ),
    "horizon_short": Suspect(
        3, "Gamma may look less far ahead than rewards come", "gamma too low for this task", suspect_short_sight
    ),
    "episodes_short": Suspect(
        3, "Episodes may end too soon", "a condition that ends episodes at once", suspect_early_ends
    ),
    "rollout_short": Suspect(
        2, "Rollouts may be too short", "advantages that are mostly noise, from so few steps", suspect_small_rollouts
    ),
}
"""By the rule that names the cause. Counted over the labels of five looks at strangers' logs (`benchmarks/RESULTS.md`),
16 of which were rewards that are hardly met, or pay for nothing that was meant."""

KNOWN = 90
"""Public logs with a known cause that were counted."""
