"""Log-probabilities of other actions, from an ordinary log: ratios are those of two independent draws, all along.

Where the stored log-probability is that of another draw a' than the action a, the ratio before any update is
pi(a) / pi(a'). Of normal actions the logarithm is a difference of two halved chi-squares, so most ratios are clipped in
every update from the first on. Of nearly uniform choices the mean of (r - 1) - ln r is n sum pi^2 - 1, about
2 (ln n - entropy): KL then follows entropy, update by update, and not the update.
"""

import math

import numpy as np
from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Ground, Kind, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.signals import ActionKind, Signals
from unstuck.analysis.diagnosis.window import Window
from unstuck.analysis.history.derive import UNIT_ENTROPY
from unstuck.analysis.history.record import POLICY_STD
from unstuck.analysis.words import number, percent
from unstuck.rl import metrics

POINTS = 10
"""Updates on record."""

CLIPPED, LEAST, STEADY = 0.6, 0.5, 0.08
"""Share of clipped ratios in the median and at least, and its spread: of independent draws of one normal number 0.66
lie beyond 0.2, of two 0.82, of more still more. A learning rate far too large clips as much, but not all along."""

LARGE_KL = ((0.65, 0.3), (0.81, 0.7), (0.9, 2.0), (0.92, 4.0))
"""Share of clipped ratios, and the median KL that goes with it at least: the lowest twentieth over minibatches of 64
independent draws of 1, 2, 4 and 6 normal numbers. Too many epochs clip as many ratios by steps of far less KL."""

MOST_KL, BESIDE = ((1, 4.0), (2, 20.0), (3, 45.0), (4, 150.0), (6, 500.0), (8, 1800.0), (12, 20000.0)), 3.0
"""Numbers of an action, and the KL that 95 % of updates have at most over 64 to 8,192 independent draws of so many; and
the factor that steps of the policy may add. A median beyond that is of steps too large, not of other actions."""

ALONG = 30.0
"""Factor by which the median KL of one third of the run may exceed another's: the ratios of independent draws depend on
how many numbers an action has, which stays, and not on the policy."""

LEAST_ENTROPY, WHOLE = 0.5, 0.15
"""Entropy of each number of an action from which the entropy of all tells how many there are, and how near to a whole
number that must come."""

UNIFORM = 0.1
"""Nats below the largest entropy within which 2 (ln n - entropy) holds."""

VISIBLE = 4e-3
"""Median KL from which the two are compared."""

LOW, HIGH, NARROW, MOSTLY = 0.7, 1.8, 0.3, 0.9
"""Bounds of KL over 2 (ln n - entropy), since the update itself adds to KL; spread of the ratio's logarithm; share of
the updates within the bounds."""

MANY, FAR, UNMOVED = 30, 0.1, 0.005
"""Updates on record, the KL of nine in ten of them from which a policy is another one after each, and the share of its
size within which the entropy of a policy that nothing moves stays."""

SET = 1e-5
"""Share of its size within which an entropy that is set stays: what float32 and a mean over samples round away."""

TOGETHER = 0.6
"""Correlation of the two logarithms from update to update."""


def examine(run: Signals) -> Finding | None:
    """Return a fault if probability ratios look like those of unrelated actions in all updates; None otherwise."""
    if run.kl_is_signed or run.has(metrics.RATIO_DEVIATION):
        return None  # the first ratio is the better witness
    found = _continuous(run) if run.action_kind is ActionKind.CONTINUOUS else _discrete(run)
    found = found or _unmoved(run)
    if found is None:
        return None
    return Finding(
        headline=f"The stored log-probabilities may be of other actions: {found.text}",
        kind=Kind.FAULT,
        sureness=Sureness.LIKELY,
        why="before an update every ratio is 1, and what an update moves grows from there",
        evidence=(found,),
        causes=(
            Cause(
                "the action is drawn twice, and the log-probability of one draw is stored with the other",
                "compute the log-probabilities of one rollout before any update: the ratios must be 1 to 1e-5",
                Support.SUPPORTED,
                found.text,
            ),
            Cause(
                "actions that are clipped or replaced between the draw and the buffer",
                "store what was drawn, and clip only what the environment gets",
            ),
            Cause("a learning rate that is far too large", "branch at a tenth of it: KL falls with it at once"),
        ),
        since=found.iterations[0] if found.iterations else None,
        missing=(metrics.RATIO_DEVIATION,),
        ground=Ground.PROOF,
    )


def _continuous(run: Signals) -> Evidence | None:
    """Return evidence that every update clips the same large share of ratios; None otherwise."""
    clipped, kl = run.select_all(metrics.CLIP_FRACTION), run.select_all(metrics.APPROX_KL)
    if clipped is None or kl is None or len(clipped.values) < POINTS or not run.holds_start(clipped.metric):
        return None
    if clipped.median < CLIPPED or min(clipped.values) < LEAST or clipped.spread > STEADY:
        return None
    shares, least = zip(*LARGE_KL, strict=True)
    if kl.median < float(np.interp(clipped.median, shares, least)) or not _stays(kl) or kl.median > _bound_kl(run):
        return None
    text = (
        f"{percent(clipped.median)} of the ratios are clipped in every update ({percent(min(clipped.values))} at "
        f"least), as of two independent draws, and KL is {number(kl.median, 2)} in the median"
    )
    return Evidence(text, (clipped.metric, kl.metric), clipped.reach)


def _bound_kl(run: Signals) -> float:
    """Return the largest median KL that independent draws explain; infinite where it is not known of how many numbers.

    Normal numbers of spread s have an entropy of 1.419 + ln s each.
    """
    entropy, spread = run.select_first(metrics.ENTROPY), run.select_first(POLICY_STD)
    each = UNIT_ENTROPY + math.log(spread.mean) if spread is not None and spread.mean > 0 else 0.0
    if entropy is None or each < LEAST_ENTROPY:
        return math.inf
    count = round(entropy.mean / each)
    numbers, most = zip(*MOST_KL, strict=True)
    known = numbers[0] <= count <= numbers[-1] and abs(entropy.mean / each - count) <= WHOLE
    return BESIDE * float(np.exp(np.interp(count, numbers, np.log(most)))) if known else math.inf


def _stays(kl: Window) -> bool:
    """True if KL is as large in each third of the run, as of draws that no update brings closer or further apart."""
    thirds = [float(np.median(part)) for part in np.array_split(kl.values, 3)]
    return max(thirds) <= ALONG * min(thirds)


def _discrete(run: Signals) -> Evidence | None:
    """Return evidence that KL is a function of how far the entropy is below its maximum; None otherwise."""
    most, entropy, kl = run.entropy_range, run.select_finite(metrics.ENTROPY), run.select_finite(metrics.APPROX_KL)
    both = entropy.index.intersection(kl.index)
    if most is None or len(both) < POINTS or len(run.choices) > 1:
        return None
    below, moved = most - entropy.loc[both].to_numpy(), kl.loc[both].to_numpy()
    if below.min() <= 0 or moved.min() <= 0 or below.max() > UNIFORM or float(np.median(moved)) < VISIBLE:
        return None
    times = moved / (2 * below)
    logs = np.log(moved), np.log(below)
    within = float(((times > LOW) & (times < HIGH)).mean())
    if within < MOSTLY or float(np.log(times).std()) > NARROW or min(part.std() for part in logs) == 0:
        return None
    together = float(np.corrcoef(*logs)[0, 1])
    if not math.isfinite(together) or together < TOGETHER:
        return None
    text = (
        f"KL is {number(float(np.median(times)), 2)} times 2 (ln n - entropy) in each of {len(both)} updates "
        f"(correlation {number(together, 2)}), as of two independent draws of a nearly uniform policy"
    )
    return Evidence(text, (metrics.APPROX_KL, metrics.ENTROPY), (int(both[0]), int(both[-1])))


def _unmoved(run: Signals) -> Evidence | None:
    """Return evidence that every update is far by its KL, and that the entropy has not moved in all of them; else None.

    An action mask at the draw alone makes such ratios: the update sees the probabilities without the mask. An entropy
    that is set, as by a fixed spread, is the same up to rounding, and tells nothing.
    """
    kl, entropy = run.select_all(metrics.APPROX_KL), run.select_all(metrics.ENTROPY)
    if kl is None or entropy is None or min(len(kl.values), len(entropy.values)) < MANY:
        return None
    low, high = (float(np.quantile(entropy.values, share)) for share in (0.05, 0.95))
    far = float(np.quantile(kl.values, 0.1)) >= FAR and _stays(kl)
    if not far or not SET * abs(entropy.median) < high - low <= UNMOVED * abs(entropy.median):
        return None
    text = (
        f"KL of an update {number(kl.median, 2)} in the median, and after {len(kl.values):,} of them the entropy is "
        f"where it was ({number(low, 4)} to {number(high, 4)})"
    )
    return Evidence(text, (kl.metric, entropy.metric), kl.reach)


RULE = Rule(
    name="logprobs_stale",
    title="Log-probabilities of another draw",
    stage=Stage.BUG,
    needs=((metrics.APPROX_KL,), (metrics.CLIP_FRACTION, metrics.ENTROPY)),
    helps=(metrics.RATIO_DEVIATION,),
    explains=(
        *("updates_too_large", "signal_lost", "entropy_pinned", "entropy_collapsed", "oscillating", "units_saturated"),
        *("learned_and_lost", "critic_underfits", "learns_backwards", "value_explosion", "greedy_vs_sampled"),
    ),
    curable=False,
    says="ratios are those of two independent draws in all updates: the log-probabilities are of other actions",
    threshold=(
        "continuous: 60 % of the ratios clipped in the median, 50 % in each update, with a spread below 8 %, and a KL "
        "in the median of 0.3 at least, and of 2 where 90 % are clipped, within a factor of 30 from third to third of "
        "the run, and, where entropy and spread tell how many numbers an action has, of 12 at most for one, 135 for "
        "three, 60,000 for twelve; discrete, within 0.1 nats of the largest "
        "entropy: KL 0.7 to 1.8 times 2 (ln n - entropy) in 90 % of the updates, the logarithm of that with a spread "
        "below 0.3, and a correlation of 0.6; 10 updates; or a KL of 0.1 in nine of ten updates beside an entropy that "
        "keeps within 0.5 % of its size, over 30"
    ),
    source="Schulman 2020, Approximating KL divergence; Huang et al. 2022 (first ratio is 1); the identities above",
    examine=examine,
)
