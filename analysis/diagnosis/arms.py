"""Changes of settings that a diagnosis proposes, as arms to run beside an untouched control."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from unstuck.analysis.diagnosis.finding import Diagnosis, Kind, Support

MOST_ARMS = 8
"""Number of arms beside the control: more would take longer than they tell."""


@dataclass(frozen=True)
class Arm:
    """A change of settings to try in a new run (an arm beside a control), with the reason and the effect to watch for.

    Attributes:
        change: Settings by dotted path.
        why: Reason for the change, or that somebody asked for it.
        watch: Metric and deadline by which the change must show an effect.
        rule: Name of the rule whose finding proposes the change.

    Example:
        >>> Arm({"env.id": "Acrobot-v1"}, "a user asked", "eval/episode_return", "").changes_objective
        True
    """

    change: Mapping[str, Any]
    why: str
    watch: str
    rule: str

    @property
    def changes_objective(self) -> bool:
        """True if the arm changes the rewards or environment, so that other arms' objectives cannot be compared."""
        return any(path.startswith("env.") for path in self.change)


def list_arms(diagnosis: Diagnosis) -> list[Arm]:
    """Return the first `MOST_ARMS` of the changes that a diagnosis proposes, the most basic cause first."""
    return rank_arms(diagnosis)[:MOST_ARMS]


def rank_arms(diagnosis: Diagnosis) -> list[Arm]:
    """Return all changes that a diagnosis proposes, the most basic cause first.

    These are the remedies of all findings, and the changes of open causes if no fault has a remedy.
    """
    arms = [*_list_remedies(diagnosis), *_list_open_causes(diagnosis)]
    return select_consistent(arms, diagnosis.signals.history.settings)


def select_consistent(arms: Sequence[Arm], settings: Mapping[str, Any]) -> list[Arm]:
    """Return the arms that change something, each change once, without those that contradict an earlier arm.

    An arm contradicts an earlier one of another rule if the one raises a setting and the other lowers the setting.

    Args:
        arms: Arms, the most basic cause first.
        settings: Settings of the run by dotted path.
    """
    kept: list[Arm] = []
    directions: dict[str, tuple[int, str]] = {}
    for arm in arms:
        new = any(not _same(settings.get(path), value) for path, value in arm.change.items())
        if not new or arm.change in [other.change for other in kept]:
            continue
        moves = {path: _compare(value, settings.get(path)) for path, value in arm.change.items()}
        first = {path: directions.get(path, (move, arm.rule)) for path, move in moves.items() if move}
        if all(first[path][0] == move or first[path][1] == arm.rule for path, move in moves.items() if move):
            directions = {**first, **directions}
            kept.append(arm)
    return kept


def _list_remedies(diagnosis: Diagnosis) -> list[Arm]:
    return [
        Arm(change, remedy.why, remedy.watch, ranked.rule.name)
        for kind in (Kind.FAULT, Kind.SUSPECT, Kind.LIMIT)
        for ranked in diagnosis.select_findings(kind)
        for remedy in ranked.finding.remedies
        for change in _each(remedy.change)
    ]


def _list_open_causes(diagnosis: Diagnosis) -> list[Arm]:
    """List the changes of causes that no number supports or rules out; none if a fault has a remedy."""
    if any(ranked.finding.remedies for ranked in diagnosis.select_findings(Kind.FAULT)):
        return []
    watch = "the control beaten at equal iterations"
    return [
        Arm(change, f"{cause.what}: not supported so far", watch, ranked.rule.name)
        for ranked in diagnosis.findings
        for cause in ranked.finding.unsupported
        if cause.change and cause.support is not Support.RULED_OUT
        for change in _each(cause.change)
    ]


def _compare(new: Any, old: Any) -> int:
    """Return 1 if a number is raised, -1 if lowered; 0 if the values are the same or no numbers."""
    numbers = (int, float)
    if any(isinstance(value, bool) or not isinstance(value, numbers) for value in (new, old)):
        return 0
    return int(new > old) - int(new < old)


def _each(change: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Split a change with several values to try into changes with one value each."""
    values = [value if isinstance(value, list) else [value] for value in change.values()]
    return [dict(zip(change, combination, strict=True)) for combination in product(*values)]


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
