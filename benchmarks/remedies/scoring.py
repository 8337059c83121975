"""Judge what remedies brought: the share of the gap to healthy that each closed, and what could be cured at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.diagnosis.harm import harm_of
from benchmarks.diagnosis.training import Arm
from benchmarks.diagnosis.worlds import WORLDS
from benchmarks.remedies.curable import INCURABLE, RIGHT
from benchmarks.remedies.trials import Advice, advise, change_arm, train_trial

CURES, HELPS = 0.8, 0.2
"""Shares of the gap to healthy from which on a remedy cures, and helps."""

LEAST_GAP = 0.05
"""Least gap, as a share of the way from a world's worst score to its healthy one, of which shares are measured. It was
0.1 until the scores of six pairs were seen: that left out faults that hurt far beyond the noise."""


class Effect(StrEnum):
    """What a remedy did: the share of the gap to healthy that it closed, in words.

    Attributes:
        CURES: At least `CURES`.
        HELPS: At least `HELPS`.
        NOTHING: Less, either way.
        HARMS: It opened the gap by more than `HELPS`.
        CANNOT_RUN: Its settings cannot be trained.
        NONE: No setting was offered.
    """

    CURES = "cures"
    HELPS = "helps"
    NOTHING = "nothing"
    HARMS = "harms"
    CANNOT_RUN = "cannot run"
    NONE = "none offered"


@dataclass(frozen=True)
class Case:
    """A fault in one world and form that hurts, what the diagnosis said, and what its first remedy brought.

    Attributes:
        arm: The fault, its world and its form.
        healthy: Mean score of healthy runs.
        faulty: Mean score with the fault.
        advice: What the diagnosis gives to do first.
        treated: Mean score with the fault and the first remedy; None without one that can be trained.
        right: Mean score with the fault and the right setting; None where none is to be tried.
    """

    arm: Arm
    healthy: float
    faulty: float
    advice: Advice
    treated: float | None
    right: float | None

    def close_gap(self, score: float) -> float:
        """Compute the share of the gap from faulty to healthy that a score closes.

        Example:
            >>> Case(None, 500.0, 100.0, None, None, None).close_gap(420.0)
            0.8
        """
        return (score - self.faulty) / (self.healthy - self.faulty)

    @property
    def effect(self) -> Effect:
        """What the first remedy did."""
        if not self.advice.change:
            return Effect.NONE
        if self.treated is None:
            return Effect.CANNOT_RUN
        closed = self.close_gap(self.treated)
        if closed >= CURES:
            return Effect.CURES
        if closed >= HELPS:
            return Effect.HELPS
        return Effect.NOTHING if closed >= -HELPS else Effect.HARMS

    @property
    def is_curable(self) -> bool:
        """True if a setting can cure the fault: it is in the settings, or the right setting was tried and cures."""
        if is_in_settings(self.arm):
            return True
        return self.right is not None and self.close_gap(self.right) >= CURES


def is_in_settings(arm: Arm) -> bool:
    """True if an arm's fault is in its settings alone, so that the healthy settings cure it."""
    return not arm.planted.learner and arm.planted.data is None


def score_case(arm: Arm, healthy: Sequence[float], folder: Path) -> Case | None:
    """Train and diagnose a faulty arm, and train it again with its first remedy; None if the fault does not hurt.

    Args:
        arm: The faulty arm.
        healthy: Scores of healthy runs in the arm's world.
        folder: Where records are kept.
    """
    history, scores = train_trial(arm, folder)
    if not does_hurt(scores, healthy, WORLDS[arm.world].worst):
        return None
    advice = advise(history)
    treated = _try_out(arm, advice.change, folder) if advice.change else None
    right = _try_out(arm, RIGHT[arm.name], folder) if arm.name in RIGHT else None
    return Case(arm, fmean(healthy), fmean(scores), advice, treated, right)


def does_hurt(faulty: Sequence[float], healthy: Sequence[float], worst: float) -> bool:
    """True if a fault lowers the score beyond its noise, and by a gap that is large enough to be measured."""
    harm = harm_of(faulty, healthy)
    return harm.hurts and harm.healthy - harm.faulty >= LEAST_GAP * (harm.healthy - worst)


def _try_out(arm: Arm, change: Mapping[str, Any], folder: Path) -> float | None:
    changed = change_arm(arm, change)
    return None if changed is None else fmean(train_trial(changed, folder)[1])


def require_answers(arms: Sequence[Arm]) -> None:
    """Check that it was written down of each fault beside the settings whether a setting can cure it.

    Raises:
        ValueError: One is in neither list, or in both.
    """
    beside = {arm.name for arm in arms if not is_in_settings(arm)}
    open_ones = sorted(name for name in beside if (name in RIGHT) == (name in INCURABLE))
    if open_ones:
        raise ValueError(
            f"curable.py must say once what cures {', '.join(open_ones)}; add the right setting, or why not"
        )
