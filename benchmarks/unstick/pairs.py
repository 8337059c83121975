"""Set arms that went on beside arms that started anew with the same change: the evidence for the rule of thumb."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from unstuck.analysis.sweep.trials import Sweep, Trial

from benchmarks.unstick.levels import Levels
from benchmarks.unstick.points import Point
from benchmarks.unstick.scoring import find_change
from benchmarks.unstick.tables import format_share, make_table

_BRANCH = "branch."
CURES = 0.5
"""Share of the way from random to healthy that one of the two must have gone, or the pair tells nothing of cures."""


@dataclass(frozen=True)
class Pair:
    """Two arms with the same change: one went on from the checkpoint, one started anew.

    Attributes:
        point: The starting point.
        change: Settings by dotted path, without `branch.*`.
        reset: Parts of the run's state that started anew in the arm that went on.
        on: Share of the way from random to healthy that the arm which went on has gone at its end.
        anew: Share that the arm which started anew has gone at its end.
    """

    point: Point
    change: tuple[tuple[str, Any], ...]
    reset: tuple[str, ...]
    on: float
    anew: float

    @property
    def is_damaged(self) -> bool:
        """True if the diagnosis found weights damaged, so that parts of the state were reset for this reason."""
        return "policy_head" in self.reset


def find_pairs(point: Point, sweep: Sweep, levels: Levels) -> list[Pair]:
    """Find the pairs of arms of one unstick in which one of the two cured the run at least by `CURES`."""
    found: dict[tuple[tuple[str, Any], ...], dict[bool, Trial]] = {}
    for trial in sweep.trials:
        change = find_change(trial, sweep)
        plain = tuple(sorted((path, value) for path, value in change.items() if not path.startswith(_BRANCH)))
        if plain and trial.value is not None:
            found.setdefault(plain, {})[trial.values.get("branch.start") == "anew"] = trial
    pairs = []
    for plain, sides in found.items():
        if len(sides) == 2:
            on, anew = (levels.share(sides[is_anew].value or 0.0) for is_anew in (False, True))
            if max(on, anew) >= CURES:
                pairs.append(Pair(point, plain, tuple(sides[False].values.get("branch.reset") or ()), on, anew))
    return pairs


def make_pair_table(pairs: Iterable[Pair]) -> str:
    """Return a Markdown table of pairs, those without damage first."""
    rows = [
        (
            pair.point.environment,
            pair.point.kind,
            ", ".join(f"{path.rpartition('.')[2]}={value}" for path, value in pair.change),
            " and ".join(pair.reset) or "nothing",
            format_share(pair.on),
            format_share(pair.anew),
        )
        for pair in sorted(pairs, key=lambda pair: (pair.is_damaged, pair.point.number))
    ]
    return make_table(("environment", "kind", "change", "reset", "went on", "started anew"), rows)


def describe_pairs(pairs: Sequence[Pair]) -> str:
    """Describe in a sentence how often each side was ahead by 2 % of the way and more, with and without damage."""
    sentences = []
    for is_damaged, where in ((False, "undamaged weights"), (True, "damaged weights")):
        some = [pair for pair in pairs if pair.is_damaged is is_damaged]
        on, anew = (sum(sign * (pair.on - pair.anew) >= 0.02 for pair in some) for sign in (1, -1))
        sentences.append(f"{where}: going on ahead in {on} of {len(some)}, starting anew in {anew}")
    return "; ".join(sentences)
