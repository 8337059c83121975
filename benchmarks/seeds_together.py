"""Score trials of several seeds in three ways: each seed alone, the mean over the seeds alone, the seeds together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from unstuck.analysis.history import History
from unstuck.rl import metrics

from benchmarks.diagnosis.harm import Harm
from benchmarks.diagnosis.scoring import THREE, Verdict
from benchmarks.diagnosis.tables import has_learned, share

SEEDS = 3
"""Seeds of a trial: the first of each arm, fewer where an arm has fewer."""

ALONE, MEAN, TOGETHER = "one seed", f"the mean over {SEEDS} seeds", f"{SEEDS} seeds together"


@dataclass(frozen=True)
class Trial:
    """Verdicts on one trial, by how its seeds are read: `ALONE` has one verdict for each seed, the others have one.

    Attributes:
        arm: Arm of a benchmark, whose runs are the seeds.
        verdicts: Verdicts by `ALONE`, `MEAN` and `TOGETHER`.
    """

    arm: Any
    verdicts: Mapping[str, tuple[Verdict, ...]]


def drop_seeds(trial: History) -> History:
    """Return a trial without what each seed recorded, but for the few curves that MLflow has of each seed."""
    kept = tuple(metrics.seed_metric(name, seed) for name in metrics.PER_SEED for seed in range(SEEDS))
    dropped = [name for name in trial.table if "/seed_" in name and name not in kept]
    return replace(trial, table=trial.table.drop(columns=dropped))


def together_table(
    trials: Sequence[Trial], harms: Mapping[Any, Harm], find_place: Callable[[Any, Verdict], int]
) -> str:
    """Return a Markdown table of recall, right causes and false alarms by how seeds are read.

    Args:
        trials: The trials.
        harms: Harm by faulty arm; arms that do not hurt are left out.
        find_place: Function that returns the place, from 1, of the first right answer in a verdict; 0 if none is.
    """
    rows = [
        "| read | faulty | recall | right cause first | among three | healthy | false alarm at any look | at the end |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for way in (ALONE, MEAN, TOGETHER):
        judged = [(trial.arm, one) for trial in trials for one in trial.verdicts[way]]
        faulty = [(arm, one) for arm, one in judged if arm in harms and harms[arm].hurts]
        healthy = [one for arm, one in judged if arm.is_healthy and has_learned(arm, one)]
        places = [find_place(arm, one) for arm, one in faulty]
        hits = (
            sum(bool(one.faults) for _, one in faulty),
            sum(place == 1 for place in places),
            sum(0 < place <= THREE for place in places),
        )
        cells = [str(len(faulty)), *(share(hit, len(faulty)) if faulty else "" for hit in hits)]
        cells += [str(len(healthy)), str(sum(bool(one.alarms) for one in healthy))]
        rows.append(f"| {way} | {' | '.join(cells)} | {sum(bool(one.faults) for one in healthy)} |")
    return "\n".join(rows)
