"""Changes of settings that a diagnosis proposes, as arms to run beside an untouched control."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from unstuck.analysis.diagnosis.finding import Diagnosis, Kind, Support
from unstuck.analysis.diagnosis.remedies import HORIZON, RATE, TRACES
from unstuck.analysis.diagnosis.signals import Signals

MOST_ARMS = 8
"""Number of arms beside the control: more would take longer than they tell."""


_SCHEDULE = "ppo.lr_schedule"

_STEP, _HORIZON = "size of an update", "how far ahead the critic looks"

_GOVERNED = {
    RATE: _STEP,
    _SCHEDULE: _STEP,
    "ppo.clip_range": _STEP,
    "ppo.target_kl": _STEP,
    "ppo.max_grad_norm": _STEP,
    "ppo.num_epochs": _STEP,
    HORIZON: _HORIZON,
    TRACES: _HORIZON,
}
"""Settings that govern one thing together, raised by each: what one rule finds too large, no other may enlarge."""

NEAR = 1.25
"""Factor between two values of a setting below which a second arm would tell no more than the first. For gamma and
gae_lambda it is the factor between the distances from 1, which set how far ahead they look."""

_LIMITS = ("ppo.target_kl", "ppo.max_grad_norm", "ppo.clip_range_vf")
"""Settings that limit nothing where they are None."""


@dataclass(frozen=True)
class Arm:
    """Change of settings to try in a new run beside an unchanged one (the control), with reason and expected effect.

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
        """True if the change alters rewards or environment, so that its scores cannot be compared with others."""
        return any(path.startswith("env.") for path in self.change)


def list_arms(diagnosis: Diagnosis) -> list[Arm]:
    """Return the first `MOST_ARMS` changes of settings that a diagnosis proposes, for the most basic cause first."""
    return rank_arms(diagnosis)[:MOST_ARMS]


def rank_arms(diagnosis: Diagnosis) -> list[Arm]:
    """Return all changes of settings that a diagnosis proposes, for faults first, and the most basic cause first.

    These are the remedies of all findings, and the changes of open causes if no fault has a remedy. No change works
    against another: where two would, that of the more basic cause stays, even if only suspected.
    """
    return _select_ranked(diagnosis, (*_list_remedies(diagnosis), *_list_open_causes(diagnosis)))


def rank_remedies(diagnosis: Diagnosis) -> list[Arm]:
    """Return the proposed changes of settings that are expected to help, not those that only test a cause."""
    return _select_ranked(diagnosis, _list_remedies(diagnosis))


def _select_ranked(diagnosis: Diagnosis, arms: Sequence[Arm]) -> list[Arm]:
    """Return ranked changes in order, each once, without those that would undo a change for a more basic cause."""
    ranked: list[Arm] = []
    for arm in arms:
        if not any(arm.change == other.change for other in ranked):
            ranked.append(arm)
    stages = {one.rule.name: one.rule.stage for one in diagnosis.findings}
    kept = select_consistent(sorted(ranked, key=lambda arm: stages[arm.rule]), read_settings(diagnosis.signals))
    return [arm for arm in ranked if any(arm is one for one in kept)]


def read_settings(run: Signals) -> dict[str, Any]:
    """Return a run's settings by dotted path; take the learning rate from the log if no setting has it."""
    return {**run.history.settings, **({} if run.rate is None else {RATE: run.rate})}


def select_consistent(arms: Sequence[Arm], settings: Mapping[str, Any]) -> list[Arm]:
    """Return the changes of settings that have an effect, do not repeat an earlier one, and do not undo an earlier one.

    An arm works against an earlier one if the one raises and the other lowers a setting, or what several settings
    govern together (`_GOVERNED`): smaller steps and a larger clip range, say. A setting that is not on record has no
    direction; the first rule that changes the setting then decides its values.

    Args:
        arms: Arms, the most basic cause first.
        settings: Settings of the run by dotted path.
    """
    kept: list[Arm] = []
    moved: dict[str, int] = {}
    rules: dict[str, str] = {}
    for arm in arms:
        new = any(not _same(settings.get(path), value) for path, value in arm.change.items())
        if not new or any(is_near(arm.change, other.change) for other in kept):
            continue
        moves = _list_moves(arm.change, settings)
        unknown = [path for path in arm.change if path not in settings and path not in _LIMITS]
        against = any(moved.get(aim, move) != move for aim, move in moves)
        if not against and all(rules.get(path, arm.rule) == arm.rule for path in unknown):
            moved = {**dict(moves), **moved}
            rules = {**dict.fromkeys(unknown, arm.rule), **rules}
            kept.append(arm)
    return kept


def is_near(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """True if two changes set the same settings to (nearly) equal values, within the ratio `NEAR`.

    Example:
        >>> is_near({"ppo.value_coef": 0.5}, {"ppo.value_coef": 0.6}), is_near({"ppo.gamma": 0.99}, {"ppo.gamma": 0.95})
        (True, False)
    """
    return one.keys() == other.keys() and all(_is_near(path, value, other[path]) for path, value in one.items())


def _is_near(path: str, one: Any, other: Any) -> bool:
    if _same(one, other) or not _compare(one, other):
        return _same(one, other)
    low, high = sorted(1 - value if path in (HORIZON, TRACES) else value for value in (one, other))
    return bool(0 < high < NEAR * low)


def _list_moves(change: Mapping[str, Any], settings: Mapping[str, Any]) -> list[tuple[str, int]]:
    """List what a change raises (1) or lowers (-1), by name: settings, and effects that several settings share."""
    moves = []
    for path, value in change.items():
        move = _compare(_as_limit(path, value), _as_limit(path, settings.get(path)))
        if path == _SCHEDULE:
            move = 1 if value == "constant" else -1
        if move:
            moves += [(path, move), *([(_GOVERNED[path], move)] if path in _GOVERNED else [])]
    return moves


def _as_limit(path: str, value: Any) -> Any:
    """Return a setting's value for a comparison; infinity for a limit that is off or not recorded."""
    return math.inf if path in _LIMITS and value is None else value


def _list_remedies(diagnosis: Diagnosis) -> list[Arm]:
    return [
        Arm(change, remedy.why, remedy.watch, ranked.rule.name)
        for kind in (Kind.FAULT, Kind.SUSPECT, Kind.LIMIT)
        for ranked in diagnosis.select_findings(kind)
        for remedy in ranked.finding.remedies
        for change in _each(remedy.change)
    ]


def _list_open_causes(diagnosis: Diagnosis) -> list[Arm]:
    """List the changes that test undecided causes (no metric speaks for or against); none if a fault has a remedy."""
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
    """Split a change that lists several values to try into changes with one value each."""
    values = [value if isinstance(value, list) else [value] for value in change.values()]
    return [dict(zip(change, combination, strict=True)) for combination in product(*values)]


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
