"""What stopping trials early saved, and what it risked: told by the trials that were not allowed to be stopped."""

import math
from dataclasses import dataclass

from analysis.statistics import rank_correlation
from analysis.trials import COMPLETED, Sweep, Trial

STOPPED = ("pruned", "stuck", "diverged")


@dataclass(frozen=True)
class Rung:
    """One rung.

    Attributes:
        iteration: Where it lies.
        reached: Trials judged at it.
        stopped: Trials whose last iteration this was, by the scheduler's decision.
        correlation: Spearman's, of the objective here and at the end, over completed trials; NaN if unknown.
        completed: How many these were.
        unselected: The same over spared trials alone, which nobody chose by their value here.
        spared: How many these were.
    """

    iteration: int
    reached: int
    stopped: int
    correlation: float
    completed: int
    unselected: float
    spared: int


@dataclass(frozen=True)
class Pruning:
    """What pruning did.

    Attributes:
        planned: Iterations that all trials together would have had.
        done: Iterations that they had.
        rungs: The lowest first.
        doomed: Spared trials that a rung would have stopped, each with its place among completed ones, from 1.
        finals: How many completed trials there are.
    """

    planned: int
    done: int
    rungs: tuple[Rung, ...]
    doomed: tuple[tuple[Trial, int], ...]
    finals: int

    @property
    def saved(self) -> float:
        """Share of the planned iterations that was not spent."""
        return 1 - self.done / self.planned if self.planned else 0.0


def pruning_of(sweep: Sweep) -> Pruning | None:
    """What pruning did; None in a sweep that stopped nothing and had no rungs."""
    trials = [trial for trial in sweep.trials if trial.outcome in (*STOPPED, COMPLETED)]
    judged = {entry.iteration for trial in trials for entry in trial.rungs}
    if not judged and not any(trial.outcome in STOPPED for trial in trials):
        return None
    completed = sweep.ranked(COMPLETED)
    rungs = tuple(_rung(sweep, iteration, completed) for iteration in sorted(_levels(sweep)))
    doomed = tuple((t, place) for place, t in enumerate(completed, start=1) if t.spared and _would_stop(sweep, t))
    planned = sweep.length * len(trials)
    return Pruning(planned, sum(trial.iterations for trial in trials), rungs, doomed, len(completed))


def _levels(sweep: Sweep) -> set[int]:
    """The iterations at which trials were judged, the first of each rung."""
    first: dict[int, int] = {}
    for trial in sweep.trials:
        for entry in trial.rungs:
            first[entry.rung] = min(entry.iteration, first.get(entry.rung, entry.iteration))
    return set(first.values())


def _rung(sweep: Sweep, iteration: int, completed: list[Trial]) -> Rung:
    here = [trial for trial in sweep.trials if any(entry.iteration == iteration for entry in trial.rungs)]
    stopped = [trial for trial in here if trial.outcome == "pruned" and trial.iterations == iteration]
    ran = [trial for trial in completed if trial.at(iteration) is not None]
    spared = [trial for trial in ran if trial.spared]
    return Rung(
        iteration,
        len(here),
        len(stopped),
        _correlation(ran, iteration),
        len(ran),
        _correlation(spared, iteration),
        len(spared),
    )


def _correlation(trials: list[Trial], iteration: int) -> float:
    early = [trial.at(iteration) or 0.0 for trial in trials]
    final = [trial.value or 0.0 for trial in trials]
    return rank_correlation(early, final) if all(map(math.isfinite, early)) else math.nan


def _would_stop(sweep: Sweep, spared: Trial) -> bool:
    """Whether a rung would have stopped a spared trial: below the best share of those judged there before it."""
    factor = int(sweep.settings.get("scheduler.reduction_factor", 3))
    for entry in spared.rungs:
        earlier = [
            other.value * sweep.sign
            for trial in sweep.trials
            if trial.number <= spared.number
            for other in trial.rungs
            if other.rung == entry.rung and math.isfinite(other.value)
        ]
        if len(earlier) < factor:
            continue
        cutoff = sorted(earlier, reverse=True)[max(1, len(earlier) // factor) - 1]
        if entry.value * sweep.sign < cutoff:
            return True
    return False
