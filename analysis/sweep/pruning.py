"""Gain and risk of stopping trials early, told by the trials that were not allowed to be stopped."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from unstuck.analysis.statistics import compute_rank_correlation
from unstuck.analysis.sweep.trials import Sweep, Trial
from unstuck.records.outcome import Outcome
from unstuck.records.rungs import RungEntry
from unstuck.rl.metrics import FINAL_EVALUATIONS

STOPPED = (Outcome.PRUNED, Outcome.STUCK, Outcome.DIVERGED)

LEAST = 5
"""Trials below which no rank correlation is told: four in random order agree in full once in 24 sweeps."""


@dataclass(frozen=True)
class Rung:
    """Rung of early stopping (a step at which trials are compared): trials stopped, correlation with final values.

    Attributes:
        number: Number of the rung, from 1.
        iteration: Iteration at which the first trial was judged.
        reached: Trials judged at the rung.
        stopped: Trials stopped by the rung.
        correlation: Spearman's correlation of the objective at the rung and at the end, over completed trials; NaN with
            fewer than `LEAST` of them.
        completed: Number of completed trials in the correlation.
        unselected: Correlation over spared trials alone, which nobody chose by their value at the rung.
        spared: Number of spared trials in the correlation.
        overlaps: True if the final value averages the evaluation at the rung, as in sweeps of format 1: then the two
            agree even where all is noise, and neither correlation is told.
    """

    number: int
    iteration: int
    reached: int
    stopped: int
    correlation: float
    completed: int
    unselected: float
    spared: int
    overlaps: bool


@dataclass(frozen=True)
class Pruning:
    """Effect of early stopping on a sweep: iterations saved, and good trials that might have been stopped.

    Attributes:
        planned: Iterations that all trials together would have had.
        done: Iterations that all trials together had.
        rungs: Rungs, the lowest first.
        spared: Spared trials that completed, the best first; the control is one of them.
        doomed: Spared trials that a rung would have stopped, each with its place among completed ones, from 1.
        is_recorded: True if it is on record which spared trials would have been stopped.
        finals: Number of completed trials.
    """

    planned: int
    done: int
    rungs: tuple[Rung, ...]
    spared: tuple[Trial, ...]
    doomed: tuple[tuple[Trial, int], ...]
    is_recorded: bool
    finals: int

    @property
    def saved(self) -> float:
        """Share of the sweep's planned iterations that early stopping saved."""
        return 1 - self.done / self.planned if self.planned else 0.0


def measure_pruning(sweep: Sweep) -> Pruning | None:
    """Measure what early stopping saved and risked; None if trials were neither compared nor stopped."""
    trials = [trial for trial in sweep.trials if trial.outcome in (*STOPPED, Outcome.COMPLETED)]
    rungs = tuple(_list_rungs(sweep))
    if not rungs and not any(trial.outcome in STOPPED for trial in trials):
        return None
    completed = sweep.rank_trials(Outcome.COMPLETED)
    spared = tuple(trial for trial in completed if trial.spared)
    return Pruning(
        planned=sum(max(sweep.length, trial.iterations) for trial in trials),  # a last update may overshoot
        done=sum(trial.iterations for trial in trials),
        rungs=rungs,
        spared=spared,
        doomed=tuple(
            (trial, completed.index(trial) + 1) for trial in spared if any(entry.would_stop for entry in trial.rungs)
        ),
        is_recorded=all(entry.would_stop is not None for trial in spared for entry in trial.rungs),
        finals=len(completed),
    )


def _list_rungs(sweep: Sweep) -> Iterator[Rung]:
    """Yield the numbers of each rung (step at which trials are compared) that judged a trial."""
    entries = [(trial, entry) for trial in sweep.trials for entry in trial.rungs]
    for number in sorted({entry.rung for _, entry in entries}):
        here = [(trial, entry) for trial, entry in entries if entry.rung == number]
        ran = [(trial, entry) for trial, entry in here if trial in sweep.rank_trials(Outcome.COMPLETED)]
        spared = [(trial, entry) for trial, entry in ran if trial.spared]
        overlaps = any(entry.iteration in sorted(trial.curve)[-FINAL_EVALUATIONS:] for trial, entry in ran)
        yield Rung(
            number=number,
            iteration=min(entry.iteration for _, entry in here),
            reached=len(here),
            stopped=sum(trial.outcome == Outcome.PRUNED and find_stopping_rung(trial) == number for trial, _ in here),
            correlation=math.nan if overlaps else _correlate(ran),
            completed=len(ran),
            unselected=math.nan if overlaps else _correlate(spared),
            spared=len(spared),
            overlaps=overlaps,
        )


def find_stopping_rung(pruned: Trial) -> int:
    """Find the rung at which a trial was stopped: the first one recorded as lost, else the last one reached."""
    return next((entry.rung for entry in pruned.rungs if entry.would_stop), pruned.rungs[-1].rung)


def _correlate(judged: list[tuple[Trial, RungEntry]]) -> float:
    early = [entry.value for _, entry in judged]
    final = [trial.value or 0.0 for trial, _ in judged]
    return (
        compute_rank_correlation(early, final) if len(judged) >= LEAST and all(map(math.isfinite, early)) else math.nan
    )
