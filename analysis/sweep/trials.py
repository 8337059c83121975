"""Trials of a sweep in the ledger: the settings tried, the outcome, and the curve until then."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from unstuck.analysis.statistics import Estimate, estimate_over_seeds
from unstuck.analysis.sweep.judgements import Judgement, Judgements
from unstuck.analysis.sweep.unstick import ANEW, START, Unstick
from unstuck.records.axis import BATCH, Axis
from unstuck.records.entry import Entry
from unstuck.records.outcome import Outcome
from unstuck.rl import metrics

VALUE_AND_RUNG = "value: mean of a trial's last 3 evaluations; asha compared the evaluation at the rung alone"
"""Explanation why a pruned trial's value differs from the numbers in the reason."""


@dataclass(frozen=True)
class Trial(Entry):
    """Trial of a sweep as recorded in the Optuna study, with the numbers that reports compare."""

    @classmethod
    def from_entry(cls, entry: Entry) -> "Trial":
        """Make a trial from its record in the ledger (Optuna study)."""
        return cls(**{item.name: getattr(entry, item.name) for item in fields(Entry)})

    @property
    def estimate(self) -> Estimate | None:
        """Mean and spread of the trial's final value over seeds; None without a finite value of each seed."""
        return estimate_over_seeds(self.seeds) if self.seeds and all(map(math.isfinite, self.seeds)) else None

    def objective_from(self, iteration: int) -> float | None:
        """Return the objective at the first evaluation from an iteration on; None if the trial ended before."""
        return next((value for step, value in sorted(self.curve.items()) if step >= iteration), None)

    @property
    def spared(self) -> bool:
        """True if early stopping was not allowed to stop the trial."""
        return any(entry.spared for entry in self.rungs)


@dataclass(frozen=True)
class Sweep:
    """Record of a sweep: configuration, trials, and results of training trials again on fresh seeds.

    Attributes:
        name: Name of the sweep, its folder, study and parent run.
        settings: Composed configuration by dotted path; `space.*` holds what was searched.
        trials: Trials in the order of their numbers.
        judgements: Results of `python -m unstuck.sweeps champion`, from every call.
        unstick: Record of the unstick that the sweep is; None for any other sweep.
    """

    name: str
    settings: Mapping[str, Any]
    trials: tuple[Trial, ...]
    judgements: Judgements = field(default_factory=Judgements)
    unstick: Unstick | None = None

    @property
    def metric(self) -> str:
        """Name of the metric (objective) by which the sweep's trials are compared."""
        return str(self.settings.get("sweep.metric", metrics.F1))

    @property
    def starts_anew(self) -> bool:
        """True if all branches of a stuck run start from fresh weights, because the trainer saves no state."""
        return self.settings.get(START) == ANEW

    @property
    def sign(self) -> int:
        """1 if higher values of the objective are better, -1 if lower values are."""
        return 1 if self.settings.get("sweep.mode", "max") == "max" else -1

    @property
    def axis(self) -> Axis:
        """Unit in which trials' progress is counted: iterations or environment steps."""
        settings = self.settings
        batch = math.prod(int(settings.get(path, 1)) for path in BATCH)
        return Axis.choose(
            self.searched, int(settings.get("ppo.num_iterations", 0)), batch, int(settings.get("format", 1))
        )

    @property
    def length(self) -> int:
        """Planned length of a trial that is not stopped early, in iterations or environment steps."""
        return self.axis.length or max((trial.iterations for trial in self.trials), default=0)

    @property
    def searched(self) -> tuple[str, ...]:
        """Dotted paths of the settings that the sampler chose for the trials."""
        return tuple(dict.fromkeys(path for trial in self.trials for path in trial.values))

    def rank_trials(self, *outcomes: str) -> list[Trial]:
        """List trials with a finite value, the best first; only those with the given outcomes, if any are given."""
        chosen = [
            trial
            for trial in self.trials
            if trial.value is not None and math.isfinite(trial.value) and (not outcomes or trial.outcome in outcomes)
        ]
        return sorted(chosen, key=lambda trial: -self.sign * (trial.value or 0.0))

    @property
    def feasible(self) -> list[Trial]:
        """Trials whose configuration could run: all trials, also running ones, except infeasible ones."""
        return [trial for trial in self.trials if trial.outcome != Outcome.INFEASIBLE]

    @property
    def best(self) -> Trial | None:
        """Completed trial with the best value; None if no trial completed."""
        return next(iter(self.rank_trials(Outcome.COMPLETED)), None)

    @property
    def judgement(self) -> Judgement | None:
        """Result of training the best trial again on fresh seeds; None if that was not done."""
        best = self.best
        return self.judgements.find_judgement(best.number, best.values, best.value) if best else None

    @property
    def control(self) -> Trial | None:
        """Trial that ran the unchanged configuration, which others are compared with; None if there is none.

        A sweep of format 1 marks no control: trial 0 counts, if no setting was changed there.
        """
        marked = next((trial for trial in self.trials if trial.is_control), None)
        if marked or int(self.settings.get("format", 1)) > 1:
            return marked
        first = next(iter(self.trials), None)
        if first is None or first.number != 0:
            return None
        unchanged = all(are_equal_settings(self.settings.get(path), value) for path, value in first.values.items())
        return first if unchanged else None


def are_equal_settings(one: Any, other: Any) -> bool:
    """True if two values of a setting are equal: a list equals a tuple, floats may differ by rounding."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(are_equal_settings, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9)
    return bool(one == other)


def count_outcomes(trials: Sequence[Trial]) -> dict[str, int]:
    """Return the number of trials by outcome, the most frequent outcome first."""
    found: dict[str, int] = {}
    for trial in trials:
        found[trial.outcome or "running"] = found.get(trial.outcome or "running", 0) + 1
    return dict(sorted(found.items(), key=lambda item: -item[1]))
