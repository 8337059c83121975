"""A sweep's trials as the ledger holds them: what was tried, how each ended, and how it was doing on the way."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from unstuck.analysis.statistics import Estimate, estimate_over_seeds
from unstuck.analysis.sweep.judgements import Judgement, Judgements
from unstuck.records.axis import BATCH, Axis
from unstuck.records.rungs import RungEntry
from unstuck.rl import metrics

COMPLETED, PRUNED, INFEASIBLE = "completed", "pruned", "infeasible"

VALUE_AND_RUNG = "value: mean of a trial's last 3 evaluations; asha compared the evaluation at the rung alone"
"""Why a pruned trial's value is another number than those in its reason."""


@dataclass(frozen=True)
class Trial:
    """One configuration with all its seeds.

    Attributes:
        number: In the ledger, in MLflow and on the screen.
        outcome: How it ended; empty while it runs.
        reason: Why.
        values: Searched settings by dotted path.
        raw: The same as the sampler saw them, which for some kinds of range is another number.
        value: Its final value: the mean of its last evaluations; None before the first.
        seeds: Each seed's own.
        curve: The objective by the sweep's axis.
        iterations: How far it came on that axis.
        seconds: From proposing it to its end.
        rungs: At which it was judged.
        run_id: MLflow's; empty where nothing was tracked.
        is_control: Whether it is on record as the control.
    """

    number: int
    outcome: str
    reason: str
    values: Mapping[str, Any]
    raw: Mapping[str, Any]
    value: float | None
    seeds: tuple[float, ...]
    curve: Mapping[int, float]
    iterations: int
    seconds: float
    rungs: tuple[RungEntry, ...] = ()
    run_id: str = ""
    is_control: bool = False

    @property
    def estimate(self) -> Estimate | None:
        """Its final value over seeds; None without one."""
        return estimate_over_seeds(self.seeds) if self.seeds and all(map(math.isfinite, self.seeds)) else None

    def at(self, iteration: int) -> float | None:
        """The objective at the first evaluation from a point of the axis on; None if it did not come so far."""
        return next((value for step, value in sorted(self.curve.items()) if step >= iteration), None)

    @property
    def spared(self) -> bool:
        """Whether the scheduler was not allowed to stop it."""
        return any(entry.spared for entry in self.rungs)


@dataclass(frozen=True)
class Sweep:
    """A sweep's record.

    Attributes:
        name: Of the sweep, its folder, study and parent run.
        settings: The composed configuration by dotted path; `space.*` holds what was searched.
        trials: In the order of their numbers.
        judgements: What `python -m unstuck.sweeps champion` found, whenever it was asked.
    """

    name: str
    settings: Mapping[str, Any]
    trials: tuple[Trial, ...]
    judgements: Judgements = field(default_factory=Judgements)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def metric(self) -> str:
        """What trials are compared by."""
        return str(self.settings.get("sweep.metric", metrics.F1))

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if self.settings.get("sweep.mode", "max") == "max" else -1

    @property
    def axis(self) -> Axis:
        """What its trials are counted by."""
        settings = self.settings
        batch = math.prod(int(settings.get(path, 1)) for path in BATCH)
        return Axis.choose(
            self.searched, int(settings.get("ppo.num_iterations", 0)), batch, int(settings.get("format", 1))
        )

    @property
    def length(self) -> int:
        """How far a trial comes on the axis that is not stopped."""
        return self.axis.length or max((trial.iterations for trial in self.trials), default=0)

    @property
    def searched(self) -> tuple[str, ...]:
        """Paths of the settings that differ between trials by the sampler's choice."""
        return tuple(dict.fromkeys(path for trial in self.trials for path in trial.values))

    def ranked(self, *outcomes: str) -> list[Trial]:
        """Trials that ended so (any, if none is named) and have a finite value, the best first."""
        chosen = [
            trial
            for trial in self.trials
            if trial.value is not None and math.isfinite(trial.value) and (not outcomes or trial.outcome in outcomes)
        ]
        return sorted(chosen, key=lambda trial: -self.sign * (trial.value or 0.0))

    @property
    def counting(self) -> list[Trial]:
        """Trials that count as such: all but those whose configuration could not run."""
        return [trial for trial in self.trials if trial.outcome != INFEASIBLE]

    @property
    def best(self) -> Trial | None:
        """The completed trial with the best value."""
        return next(iter(self.ranked(COMPLETED)), None)

    @property
    def judgement(self) -> Judgement | None:
        """What fresh seeds say of the best trial; None if they have not been asked about this one."""
        best = self.best
        return self.judgements.find_judgement(best.number, best.values, best.value) if best else None

    @property
    def control(self) -> Trial | None:
        """The trial on record as the control; in a sweep of format 1 trial 0, where it changed nothing."""
        marked = next((trial for trial in self.trials if trial.is_control), None)
        if marked or int(self.settings.get("format", 1)) > 1:
            return marked
        first = next(iter(self.trials), None)
        if first is None or first.number != 0:
            return None
        unchanged = all(same(self.settings.get(path), value) for path, value in first.values.items())
        return first if unchanged else None


def same(one: Any, other: Any) -> bool:
    """Whether two settings are equal, lists and tuples alike."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9)
    return bool(one == other)


def counts(trials: Sequence[Trial]) -> dict[str, int]:
    """How many trials ended how, the most frequent first."""
    found: dict[str, int] = {}
    for trial in trials:
        found[trial.outcome or "running"] = found.get(trial.outcome or "running", 0) + 1
    return dict(sorted(found.items(), key=lambda item: -item[1]))
