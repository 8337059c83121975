"""The reward changed in mid-run: what the same policy earns turned its sign, or jumped, from one rollout to the next.

A policy changes by small steps, so that its return does as well. A return that is mirrored at 0 within as many
iterations as the logged mean spans is another reward. The run then learns the opposite, as it should.
"""

import numpy as np
import numpy.typing as npt
from unstuck.analysis.diagnosis.finding import Cause, Evidence, Finding, Kind, Rule, Stage, Support, Sureness
from unstuck.analysis.diagnosis.rules.updates_too_large import LARGE_KL
from unstuck.analysis.diagnosis.signals import Signals
from unstuck.analysis.diagnosis.throws import RUINOUS_KL
from unstuck.analysis.words import number
from unstuck.rl import metrics

BESIDE = 5
"""Returns on either side of a turn that are compared."""

POINTS = 4 * BESIDE
"""Returns on record before anything is said."""

ABRUPT = 6.0
"""Changes just before the turn, over as many iterations, and spreads, that the turn must exceed."""

LEVEL = 0.25
"""Share of the turn by which the return may have moved just before: a return that rises passes 0 as well."""

MIRRORED = 0.5
"""Share of its size by which the return behind a turn may differ from the mirrored one before: the policy goes on."""

WIDEST = 12
"""Iterations that a mean over 100 episodes may span for a turn still to be seen as one."""


def examine(run: Signals) -> Finding | None:
    """Return a fault if the return changes its sign, at equal size, within a few iterations; None otherwise."""
    curve = run.select_finite(metrics.TRAIN_RETURN)
    if len(curve) < POINTS:
        return None
    values, width = np.asarray(curve, dtype=np.float64), min(WIDEST, run.averaged)
    place = _find_turn(values, width)
    if place is None:
        return None
    before, after = float(values[place - BESIDE : place].mean()), float(values[place + width :][:BESIDE].mean())
    since = int(curve.index[place])
    kl = run.select_finite(metrics.APPROX_KL)
    around = kl.loc[since - BESIDE : since + width]
    if len(around) and float(around.max()) > RUINOUS_KL:
        return None  # such an update leaves another policy
    orderly = len(around) > 0 and float(around.max()) < LARGE_KL
    text = f"the return turns from {number(before, 3)} to {number(after, 3)} at iteration {since}"
    facts = [Evidence(text, (metrics.TRAIN_RETURN,), (since - BESIDE, since + width))]
    if len(around):
        size = f"KL of the updates about it {number(float(around.max()), 2)} at most"
        facts.append(Evidence(size, (metrics.APPROX_KL,), (int(around.index[0]), int(around.index[-1]))))
    return Finding(
        headline=f"The reward changes in mid-run: {text}",
        kind=Kind.FAULT if len(around) or run.is_ours else Kind.SUSPECT,
        sureness=Sureness.SURE if orderly else Sureness.LIKELY,
        why="no update of a usual size mirrors what a policy earns, and no setting mends a reward that changes",
        evidence=tuple(facts),
        causes=(
            Cause(
                "a reward whose sign turns: a cost that is read as a gain from some step, file or stage on",
                "play one policy before and behind that step, and print the rewards",
                Support.SUPPORTED,
                f"{number(after, 3)} where {number(before, 3)} was earned",
            ),
            Cause(
                "a stage of the task that pays otherwise (a curriculum, a resumed run with other settings)",
                "look for what was changed at that step; start anew under the reward that counts",
            ),
            Cause(
                "updates that throw the policy about",
                "look at KL about the turn",
                Support.RULED_OUT if orderly else Support.OPEN,
                facts[-1].text if len(around) else "",
            ),
        ),
        since=min(since + width, run.history.last_iteration),
        missing=() if len(kl) else (metrics.APPROX_KL,),
    )


def _find_turn(values: npt.NDArray[np.float64], width: int) -> int | None:
    """Find the index of the last value before the return changes its sign; None if it never does."""
    back = width + BESIDE
    for place in range(BESIDE + back, len(values) - back + 1):
        before, after = values[place - BESIDE : place], values[place + width : place + back]
        level, other = float(before.mean()), float(after.mean())
        if level * other >= 0 or np.any(before * level <= 0) or np.any(after * other <= 0):
            continue
        jump, earlier = abs(other - level), values[place - BESIDE - back : place - back]
        lately = values[place - BESIDE - back : place]
        usual = float(np.median(np.abs(lately[width:] - lately[:-width])))
        level_before = abs(level - float(earlier.mean())) <= LEVEL * jump
        mirrored = abs(level + other) <= MIRRORED * max(abs(level), abs(other))
        if mirrored and level_before and jump > ABRUPT * max(usual, float(before.std(ddof=1))):
            return place
    return None


RULE = Rule(
    name="reward_turned",
    title="Reward changes in mid-run",
    stage=Stage.BUG,
    needs=((metrics.TRAIN_RETURN,),),
    helps=(metrics.APPROX_KL,),
    explains=(
        *("learned_and_lost", "learns_backwards", "greedy_vs_sampled", "entropy_collapsed", "oscillating"),
        *("targets_beyond", "value_explosion", "critic_underfits", "signal_lost", "greedy_collapsed"),
    ),
    curable=False,
    says=("what the same policy earns is mirrored at 0 from one rollout to the next: the reward's sign has turned"),
    threshold=(
        "five returns of one sign, then five of the other and of half to twice the size, within as many "
        "iterations as the logged mean spans; 6 times the change over as many iterations before, and the "
        "spread, with a level return before, and no update of a KL above 0.3 about it; a doubt where no KL is on record"
    ),
    source=("measured here (a sign turned in the middle of healthy runs); Jones 2021 (look at single rewards)"),
    examine=examine,
)
