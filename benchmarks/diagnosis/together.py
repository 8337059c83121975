"""Score trials of several seeds: each seed alone, the mean over the seeds alone, and the seeds read together."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from unstuck.analysis.history.record import combine_seeds
from unstuck.rl import metrics

from benchmarks.diagnosis.harm import Harm
from benchmarks.diagnosis.scoring import Found, Verdict, leave_out, verdict
from benchmarks.diagnosis.tables import has_learned, share
from benchmarks.diagnosis.training import Arm, Run, runs

SEEDS = 3
"""Seeds of a trial: the first of each arm."""

ALONE, MEAN, TOGETHER = "one seed", f"the mean over {SEEDS} seeds", f"{SEEDS} seeds together"


@dataclass(frozen=True)
class Trial:
    """Verdicts on one trial, by how its seeds are read: `ALONE` has one verdict for each seed, the others have one."""

    arm: Arm
    verdicts: Mapping[str, tuple[Verdict, ...]]


def judge_trials(arms: Sequence[Arm], folder: Path, jobs: int, without: Sequence[str] = ()) -> list[Trial]:
    """Diagnose a trial of each arm's first seeds in three ways; arguments as of `scoring.verdicts`."""
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        return list(pool.map(partial(_judge_trial, folder=folder, without=without), arms))


def _judge_trial(arm: Arm, folder: Path, without: Sequence[str]) -> Trial:
    members = [leave_out(run, without) for run in runs(arm, folder)[:SEEDS]]
    trial = make_trial(members)
    judge = partial(verdict, whole=arm.is_healthy)
    return Trial(arm, {ALONE: tuple(map(judge, members)), MEAN: (judge(drop_seeds(trial)),), TOGETHER: (judge(trial),)})


def make_trial(members: Sequence[Run]) -> Run:
    """Combine runs of one arm to a trial, as a sweep records it; the score is the mean of theirs."""
    first = members[0]
    history = combine_seeds(first.history.name, first.history.source, {run.seed: run.history for run in members})
    return replace(first, history=history, score=sum(run.score for run in members) / len(members))


def drop_seeds(trial: Run) -> Run:
    """Return a trial without what each seed recorded, but for the few curves that MLflow has of each seed."""
    kept = tuple(metrics.seed_metric(name, seed) for name in metrics.PER_SEED for seed in range(SEEDS))
    table = trial.history.table
    dropped = [name for name in table if "/seed_" in name and name not in kept]
    return replace(trial, history=replace(trial.history, table=table.drop(columns=dropped)))


def together_table(trials: Sequence[Trial], harms: Mapping[Arm, Harm]) -> str:
    """Return a Markdown table of recall, right causes and false alarms by how seeds are read."""
    rows = ["| read | faulty | recall | right cause first | healthy | false alarm at any evaluation | at the end |"]
    rows.append("|---|---|---|---|---|---|---|")
    for way in (ALONE, MEAN, TOGETHER):
        judged = [(trial.arm, one) for trial in trials for one in trial.verdicts[way]]
        found = Found.of([(arm, one) for arm, one in judged if arm in harms and harms[arm].hurts])
        healthy = [one for arm, one in judged if arm.is_healthy and has_learned(arm, one)]
        cells = [str(found.runs), _share(found.detected, found.runs), _share(found.right, found.runs)]
        cells += [str(len(healthy)), str(sum(bool(one.alarms) for one in healthy))]
        rows.append(f"| {way} | {' | '.join(cells)} | {sum(bool(one.faults) for one in healthy)} |")
    return "\n".join(rows)


def _share(part: int, whole: int) -> str:
    return share(part, whole) if whole else ""
