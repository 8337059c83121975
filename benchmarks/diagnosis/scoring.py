"""Diagnose every run at each evaluation; tell which rules found a fault, when, and whether the cause is right."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median

from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.finding import Kind

from benchmarks.diagnosis.faults import FAULTS
from benchmarks.diagnosis.harm import Harm, harm_of
from benchmarks.diagnosis.training import Arm, Run, prefixes, runs
from benchmarks.diagnosis.worlds import EVERY

THREE = 3
"""Findings that a user reads."""


@dataclass(frozen=True)
class Verdict:
    """Result of diagnosing one run again and again: score, rules that found a fault, first iteration with a fault.

    Attributes:
        score: The run's.
        length: Iterations that it was meant to have.
        last: Iterations that it has.
        since: The first iteration of those looked at at which a fault was found; None: at none.
        alarms: Every rule that found a fault at any of them, in the order of their first time.
        faults: Rules that found a fault at the end, first the first ranked.
        listed: Rules of faults and suspects at the end, first the first listed.
    """

    score: float
    length: int
    last: int
    since: int | None
    alarms: tuple[str, ...]
    faults: tuple[str, ...]
    listed: tuple[str, ...]


def verdict(run: Run, whole: bool) -> Verdict:
    """Diagnose a run at successive evaluations; return which rules found a fault, and the first iteration with one.

    Args:
        run: The run.
        whole: Look at every evaluation; else up to the first fault found, and at the end.
    """
    since, alarms = None, dict[str, None]()
    steps = list(prefixes(run, EVERY))
    for iteration in steps:
        found = wrong_at(run, iteration, Kind.FAULT)
        alarms |= dict.fromkeys(found)
        if found and since is None:
            since = iteration
        if found and not whole:
            break
    faults, listed = (wrong_at(run, steps[-1], *kinds) for kinds in ((Kind.FAULT,), (Kind.FAULT, Kind.SUSPECT)))
    history = run.history
    return Verdict(run.score, history.length, history.last_iteration, since, tuple(alarms), faults, listed)


def wrong_at(run: Run, iteration: int, *kinds: Kind) -> tuple[str, ...]:
    """Return the rules whose findings in a run up to an iteration are of some kinds, the top-ranked rule first."""
    history = replace(run.history, table=run.history.table.loc[:iteration])
    return tuple(one.rule.name for one in diagnose(history).select_findings(*kinds))


def verdicts(
    arms: Sequence[Arm], folder: Path, jobs: int, without: Sequence[str] = ()
) -> Mapping[Arm, tuple[Verdict, ...]]:
    """Return a verdict for each run of each arm, computed in parallel processes; train untrained arms first.

    Args:
        arms: Whose runs.
        folder: Where they are kept.
        jobs: Processes.
        without: Metrics that are left out, as where another learner does not log them.
    """
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        return dict(zip(arms, pool.map(partial(_verdicts, folder=folder, without=without), arms), strict=True))


def _verdicts(arm: Arm, folder: Path, without: Sequence[str]) -> tuple[Verdict, ...]:
    return tuple(verdict(leave_out(run, without), whole=arm.is_healthy) for run in runs(arm, folder))


def leave_out(run: Run, metrics: Sequence[str]) -> Run:
    """Return a run without some of its metrics, as where another learner does not log them."""
    table = run.history.table.drop(columns=list(metrics), errors="ignore")
    return replace(run, history=replace(run.history, table=table))


@dataclass(frozen=True)
class Found:
    """Summary of the diagnosis over faulty runs: faults found, right causes, and median delay until a fault was found.

    Attributes:
        runs: How many.
        detected: In how many it finds a fault at the end.
        right: In how many the first ranked names the cause.
        third: In how many one of the first three does.
        delay: Median share of the run until a fault was found, those never found counted as 1.
    """

    runs: int
    detected: int
    right: int
    third: int
    delay: float

    @classmethod
    def of(cls, judged: Sequence[tuple[Arm, Verdict]]) -> "Found":
        """Compute the summary from pairs of an arm and a run's verdict."""
        delays = [one.since / one.length if one.since else 1.0 for _, one in judged]
        return cls(
            len(judged),
            sum(bool(one.faults) for _, one in judged),
            sum(is_right(arm, one) for arm, one in judged),
            sum(0 < find_place(FAULTS[arm.name].is_named_by, one.faults) <= THREE for arm, one in judged),
            median(delays) if delays else 1.0,
        )


def is_right(arm: Arm, one: Verdict) -> bool:
    """True if the rule ranked first at the end of the run is one of the rules that name the planted fault."""
    return find_place(FAULTS[arm.name].is_named_by, one.faults) == 1


def find_place(is_right: Callable[[str], bool], rules: Sequence[str]) -> int:
    """Return the place, from 1, of the first rule that is a right answer; 0 if none is."""
    return next((place for place, rule in enumerate(rules, 1) if is_right(rule)), 0)


def harms(judged: Mapping[Arm, Sequence[Verdict]], healthy: Mapping[str, Sequence[float]]) -> Mapping[Arm, Harm]:
    """Compare the scores of each faulty arm with the scores of healthy runs in the same world; return the harm by arm.

    Args:
        judged: The runs.
        healthy: Scores of plain healthy runs, by world.
    """
    return {
        arm: harm_of([one.score for one in found], healthy[arm.world])
        for arm, found in judged.items()
        if not arm.is_healthy
    }
