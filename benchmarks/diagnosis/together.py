"""Diagnose trials of several seeds of our own learner: each seed alone, the mean alone, and the seeds together."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from unstuck.analysis.history.record import combine_seeds

from benchmarks.diagnosis import scoring
from benchmarks.diagnosis.faults import FAULTS
from benchmarks.diagnosis.scoring import Verdict, leave_out, verdict
from benchmarks.diagnosis.training import Arm, Run, runs
from benchmarks.seeds_together import ALONE, MEAN, SEEDS, TOGETHER, Trial, drop_seeds


def judge_trials(arms: Sequence[Arm], folder: Path, jobs: int, without: Sequence[str] = ()) -> list[Trial]:
    """Diagnose a trial of each arm's first seeds in three ways; arguments as of `scoring.verdicts`."""
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        return list(pool.map(partial(_judge_trial, folder=folder, without=without), arms))


def _judge_trial(arm: Arm, folder: Path, without: Sequence[str]) -> Trial:
    members = [leave_out(run, without) for run in runs(arm, folder)[:SEEDS]]
    trial = make_trial(members)
    mean = replace(trial, history=drop_seeds(trial.history))
    judge = partial(verdict, whole=arm.is_healthy)
    return Trial(arm, {ALONE: tuple(map(judge, members)), MEAN: (judge(mean),), TOGETHER: (judge(trial),)})


def make_trial(members: Sequence[Run]) -> Run:
    """Combine runs of one arm to a trial, as a sweep records it; the score is the mean of theirs."""
    first = members[0]
    history = combine_seeds(first.history.name, first.history.source, {run.seed: run.history for run in members})
    return replace(first, history=history, score=sum(run.score for run in members) / len(members))


def find_place(arm: Arm, one: Verdict) -> int:
    """Return the place, from 1, of the first fault found that names what is planted; 0 if none does."""
    return scoring.find_place(FAULTS[arm.name].is_named_by, one.faults)
