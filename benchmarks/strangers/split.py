"""Halves of the benchmark's pairs: a list drawn once, committed with its hash before any of its runs was trained.

This is the fifth draw. The kept-out halves of the first four were diagnosed (`benchmarks/RESULTS.md`), so that their
pairs have joined those that thresholds may be set on. New are two worlds and four kinds of fault, `NEWEST_KINDS`. Each
of these kinds is drawn in a new world, and three of them in an older one; of the kinds and the healthy ways that there
were, some are drawn in the new worlds, and some in older ones where they had never been trained. Pairs that were not
drawn are trained in neither half.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.diagnosis import split
from benchmarks.diagnosis.split import PLAIN, Candidate, Half, draw_arms
from benchmarks.strangers.training import BASE, Arm
from benchmarks.strangers.worlds import NEWEST

FILE = Path(__file__).parent / "split.json"

SHA256 = "94b2b4f6e0318f58ef3f18384ed465525e867262ce518462fb6724a616744648"
"""Of the file."""

DRAWN_BY = 20261205
"""Seed of the draw."""

NEWEST_KINDS = frozenset(
    {"ends stored late", "observations written over", "critic trained on all pairs", "rewards centred"}
)
"""Faults that no draw before the fifth held."""

COUNTS = {
    "newest faults, newest worlds": 4,
    "newest faults, older worlds": 3,
    "older faults, newest worlds": 6,
    "older faults, older worlds": 9,
    "healthy, newest worlds": 7,
    "healthy, older worlds": 7,
}
"""Names to draw of each group, and of each name one pair; the plain scripts of the new worlds are all kept out."""

TRAINED_APART = frozenset(
    {
        "counter never reset in tank",
        "critic trained on all pairs in reach",
        "ends stored late in lake",
        "flattened two ways in cartpole",
        "frozen layers in acrobot",
        "gamma too low in lander",
        "lr in the wrong unit in acrobot",
        "observations written over in cartpole",
        "one hidden unit in tank",
        "paid by the step in lander",
        "plain gradient descent in acrobot",
        "plain gradient descent in tank",
        "rewards centred in tank",
        "weight decay in reach",
        "weight decay in tank",
    }
)
"""Pairs outside of the draws that readers of saved models were written with, or that were tried for harm: these can't
be drawn any more."""


def draw(arms: Sequence[Arm], seen: Iterable[str]) -> dict[str, list[str]]:
    """Draw the pairs that are kept out among those that were never trained; return the pairs of each half.

    The half that is kept out begins with plain scripts; the order of all others is drawn, so that the first of them are
    a part drawn at random.

    Args:
        arms: All that there are.
        seen: Pairs of the earlier draws.
    """
    old = set(seen)
    fresh = [arm for arm in arms if arm.pair not in old | TRAINED_APART]
    drawn = draw_arms([Candidate(arm.name, arm.world, arm.form, group(arm)) for arm in fresh], COUNTS, DRAWN_BY)
    kept = [title.rpartition(", ")[0] for title in drawn]
    return {Half.CALIBRATION: sorted(old), Half.KEPT_OUT: kept}


def group(arm: Arm) -> str:
    """Return what an arm is drawn among."""
    if arm.is_healthy and arm.name == BASE:
        return PLAIN
    worlds = "newest worlds" if arm.world in NEWEST else "older worlds"
    kinds = "healthy" if arm.is_healthy else "newest faults" if arm.name in NEWEST_KINDS else "older faults"
    return f"{kinds}, {worlds}"


def read(arms: Iterable[Arm]) -> dict[str, Half]:
    """Return the half of each pair that was drawn, from the committed file.

    Raises:
        SplitError: The file is another one, or names a pair that there is not.
    """
    return split.read({arm.pair for arm in arms}, FILE, SHA256, is_part=True)
