"""Diagnose runs from their logs alone: a faulty run as a whole, a healthy one also cut at each tenth."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

from unstuck.analysis.diagnosis import diagnose
from unstuck.analysis.diagnosis.finding import Kind
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history import History, load
from unstuck.analysis.history.record import combine_seeds

from benchmarks.diagnosis import scoring
from benchmarks.diagnosis.scoring import THREE, Verdict
from benchmarks.seeds_together import ALONE, MEAN, SEEDS, TOGETHER, Trial, drop_seeds
from benchmarks.strangers.faults import FAULTS
from benchmarks.strangers.training import Arm, Run
from benchmarks.wild import CUTS, cut_history, say_finished


class LogForm(StrEnum):
    """Names of what a diagnosis may read of a run.

    Attributes:
        CSV: The trainer's `progress.csv` alone, as where somebody passes on one file.
        FOLDER: All that the trainer wrote: also monitors, evaluations and the saved model where there are any.
        PROBE: What the probe wrote.
    """

    CSV = "csv"
    FOLDER = "folder"
    PROBE = "probe"


@dataclass(frozen=True)
class Answer(Verdict):
    """Result of diagnosing one run at a few looks.

    Attributes:
        suspected: True if a fault or a suspect was listed at any look.
    """

    suspected: bool


def judge(run: Run, form: LogForm) -> Answer:
    """Diagnose a run from one form of its log, with its user's word that the run has ended.

    A log that holds no iteration, since training broke off in the first one, gets no answer.
    """
    history = _load(run, form)
    return look_at(history, run.score, _choose_cuts(run.arm)) if history else _answer_nothing(run.score)


def judge_together(arm: Arm, runs: Sequence[Run], form: LogForm) -> Trial:
    """Diagnose the first runs of an arm one by one, their mean, and all together as one trial."""
    members = runs[:SEEDS]
    score = sum(run.score for run in members) / len(members)
    read = {run.seed: history for run in members if (history := _load(run, form))}
    alone = tuple(judge(run, form) for run in members)
    if not read:
        return Trial(arm, {ALONE: alone, MEAN: (_answer_nothing(score),), TOGETHER: (_answer_nothing(score),)})
    first = next(iter(read.values()))
    trial = combine_seeds(arm.pair, first.source, read)
    mean, together = (look_at(one, score, _choose_cuts(arm)) for one in (drop_seeds(trial), trial))
    return Trial(arm, {ALONE: alone, MEAN: (mean,), TOGETHER: (together,)})


def _load(run: Run, form: LogForm) -> History | None:
    """Load a run's log as of a run that has ended; None if the log holds no iteration."""
    with TemporaryDirectory() as scratch:
        folder = {LogForm.CSV: Path(scratch), LogForm.FOLDER: run.log, LogForm.PROBE: run.probe}[form]
        if form is LogForm.CSV:
            shutil.copy2(run.log / "progress.csv", scratch)
        try:
            return say_finished(load(str(folder)), True)
        except AnalysisError:
            return None


def _choose_cuts(arm: Arm) -> Sequence[float]:
    return CUTS if arm.is_healthy else ()


def _answer_nothing(score: float) -> Answer:
    return Answer(score, 0, 0, None, (), (), (), False)


def look_at(history: History, score: float, cuts: Sequence[float]) -> Answer:
    """Diagnose a history cut at some shares, then whole; return the answer.

    Args:
        history: Of one run.
        score: The run's.
        cuts: Shares of the history, ascending.
    """
    since, alarms, suspected = None, dict[str, None](), False
    for part in (*(cut_history(history, share) for share in cuts), history):
        faults, listed = list_wrong(part, Kind.FAULT), list_wrong(part, Kind.FAULT, Kind.SUSPECT)
        alarms |= dict.fromkeys(faults)
        suspected |= bool(listed)
        if faults and since is None:
            since = part.last_iteration
    last = history.last_iteration
    return Answer(score, last, last, since, tuple(alarms), faults, listed, suspected)


def list_wrong(history: History, *kinds: Kind) -> tuple[str, ...]:
    """Return the rules whose findings are of some kinds, in the order in which a diagnosis lists them."""
    return tuple(one.rule.name for one in diagnose(history).select_findings(*kinds))


@dataclass(frozen=True)
class Counts:
    """Counts over faulty runs at their end.

    Attributes:
        runs: How many.
        accused: In how many a fault is found.
        found: In how many a fault or a suspect is listed.
        first: In how many the first listed names the cause.
        third: In how many one of the first three does.
    """

    runs: int
    accused: int
    found: int
    first: int
    third: int

    @classmethod
    def of(cls, judged: Sequence[tuple[Arm, Answer]]) -> "Counts":
        """Count pairs of an arm and a run's answer."""
        places = [find_place(arm, one) for arm, one in judged]
        return cls(
            len(judged),
            sum(bool(one.faults) for _, one in judged),
            sum(bool(one.listed) for _, one in judged),
            sum(place == 1 for place in places),
            sum(0 < place <= THREE for place in places),
        )


def find_place(arm: Arm, one: Answer) -> int:
    """Return the place, from 1, of the first rule listed that names an arm's fault; 0 if none does."""
    return scoring.find_place(FAULTS[arm.name].is_named_by, one.listed)
