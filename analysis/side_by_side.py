"""Compare runs: the score of each, the difference from the first, the settings that differ, findings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unstuck.analysis.comparison import describe_difference
from unstuck.analysis.diagnosis import Diagnosis
from unstuck.analysis.diagnosis.finding import Ranked
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.report.verdict import state_verdict
from unstuck.analysis.statistics import Difference, Estimate, NoInterval, compute_difference, estimate_over_seeds
from unstuck.analysis.sweep.trials import are_equal_settings
from unstuck.analysis.words import format_uncertain, number
from unstuck.rl import metrics
from unstuck.rl.metrics import FINAL_EVALUATIONS


@dataclass(frozen=True)
class ComparedRun:
    """One run of a comparison: diagnosis, score, and difference from the control.

    Attributes:
        diagnosis: Diagnosis of the run; `diagnosis.signals.history` holds the run's curves and settings.
        estimate: Mean of the last evaluations over seeds; of the one curve, where no seeds are on record.
        difference: The run minus the control, with its interval or why there is none; None for the control.
        settings: Settings that are not the same in all runs, with the run's values; None where not recorded.
    """

    diagnosis: Diagnosis
    estimate: Estimate
    difference: Difference | None
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.diagnosis.signals.history.name

    @property
    def findings(self) -> tuple[Ranked, ...]:
        """Findings of the rules, the most basic cause first."""
        return self.diagnosis.findings

    @property
    def verdict(self) -> str:
        """Sentence on the run alone: the most basic fault, and how well the run does."""
        return state_verdict(self.diagnosis)

    @property
    def against_control(self) -> str:
        """Verdict on the difference: `better than the control`, `worse ...`, or that the two cannot be told apart."""
        if self.difference is None:
            return "the control"
        if self.difference.side:
            return f"{'better' if self.difference.side > 0 else 'worse'} than the control"
        return "cannot be told from the control"


@dataclass(frozen=True)
class Comparison:
    """Several runs, each compared with the first run, the control.

    Attributes:
        score: Metric that the runs are compared by: the best one that all of them have. More is better.
        runs: Compared runs, the control first.
    """

    score: str
    runs: tuple[ComparedRun, ...]

    @property
    def control(self) -> ComparedRun:
        """First run, which the others are compared with."""
        return self.runs[0]

    @property
    def best(self) -> ComparedRun:
        """The run of the highest mean; the first one of equals."""
        return max(self.runs, key=lambda one: one.estimate.mean)

    @property
    def differing(self) -> tuple[str, ...]:
        """Paths of the settings that are not the same in all runs."""
        return tuple(self.control.settings)

    @property
    def verdict(self) -> str:
        """One sentence: which run is the best, and how sure that is."""
        control, best = self.control, self.best
        if best is control:
            return f"None is better than {control.name}: {self.score} {number(control.estimate.mean)}."
        values = f"{number(best.estimate.mean)} against {number(control.estimate.mean)}"
        text = f"{best.name} is the best: {self.score} {values} of {control.name}"
        if best.difference is None or best.difference.interval is NoInterval.ONE_SEED:
            return f"{text}; one seed each, or none on record, so noise is not ruled out."
        sure = "clear of 0" if best.difference.side else "noise is not ruled out"
        return f"{text}, a difference of {describe_difference(best.difference)}: {sure}."

    def __str__(self) -> str:
        """Write the verdict, and a line for each run."""
        return "\n".join([self.verdict, *(f"{one.name}: {self._line(one)}" for one in self.runs)])

    def _line(self, one: ComparedRun) -> str:
        level = f"{self.score} {format_uncertain(one.estimate.mean, one.estimate.spread)}"
        against = (
            f", {describe_difference(one.difference)}: {one.against_control}"
            if one.difference
            else f", {one.against_control}"
        )
        return f"{level}{against}. {one.verdict}"


def compare_runs(diagnoses: Sequence[Diagnosis]) -> Comparison:
    """Compare diagnosed runs with the first of them, the control.

    Raises:
        AnalysisError: For fewer than two runs, or runs without a score in common.
    """
    require_two_runs(diagnoses)
    score = choose_score(diagnoses)
    estimates = [_estimate(one, score) for one in diagnoses]
    control, paths = estimates[0].values, _differing(diagnoses)
    return Comparison(
        score,
        tuple(
            ComparedRun(
                one,
                estimate,
                compute_difference(estimate.values, control, len(diagnoses) - 1) if place else None,
                {path: one.signals.setting(path) for path in paths},
            )
            for place, (one, estimate) in enumerate(zip(diagnoses, estimates, strict=True))
        ),
    )


def require_two_runs(runs: Sequence[Any]) -> None:
    """Raise `AnalysisError` unless there are runs to compare."""
    if len(runs) < 2:
        raise AnalysisError(f"compare takes two runs or more, got {len(runs)}; `diagnose` looks at one")


def choose_score(diagnoses: Sequence[Diagnosis]) -> str:
    """Choose the best metric that all of the runs have.

    Raises:
        AnalysisError: There is none.
    """
    for name in (metrics.F1, metrics.EVAL_RETURN, metrics.TRAIN_RETURN):
        if all(one.signals.has(name) for one in diagnoses):
            return name
    raise AnalysisError(
        "runs must have F1, a greedy return or a training return in common to be compared, and have none"
    )


def _estimate(diagnosis: Diagnosis, score: str) -> Estimate:
    """Estimate the mean of the last evaluations: over seeds, or of the one curve there is."""
    seeds = list(diagnosis.signals.seeds(score).values())
    if seeds:
        return estimate_over_seeds(seeds)
    window = diagnosis.signals.select_last(score, share=0.0, least=FINAL_EVALUATIONS)
    return estimate_over_seeds([window.mean if window else 0.0])


def _differing(diagnoses: Sequence[Diagnosis]) -> list[str]:
    """List settings that are not the same in all runs."""
    paths = dict.fromkeys(path for one in diagnoses for path in one.signals.history.settings)
    first = diagnoses[0].signals
    return [
        path
        for path in paths
        if any(
            not are_equal_settings(one.signals.setting(path, "not recorded"), first.setting(path, "not recorded"))
            for one in diagnoses
        )
    ]
