"""Compare runs: the score of each, the difference from the first, the settings that differ, findings."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from unstuck.analysis.comparison import compare_every_seed, describe_difference, is_without_chance
from unstuck.analysis.diagnosis import Diagnosis
from unstuck.analysis.diagnosis.finding import Ranked
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.history import History
from unstuck.analysis.history.record import CLIP_RANGE, ENTROPY_COEF
from unstuck.analysis.report.verdict import state_verdict
from unstuck.analysis.statistics import Difference, Estimate, NoInterval, compute_difference, estimate_over_seeds
from unstuck.analysis.sweep.trials import are_equal_settings
from unstuck.analysis.words import format_uncertain, join_words, number
from unstuck.rl import metrics
from unstuck.rl.metrics import FINAL_EVALUATIONS

ALIKE = 0.01
"""Share by which two rates in force may differ and be the same: of other steps of the same schedule."""

_PATH = re.compile(r"/| in (?=/|\w)")
"""Parts of a source: folders and files, `events.out in runs/1`."""


@dataclass(frozen=True)
class ComparedRun:
    """One run of a comparison: diagnosis, score, and difference from the first run (the control).

    Attributes:
        diagnosis: Diagnosis of the run; `diagnosis.signals.history` holds the run's curves and settings.
        estimate: Mean of the last evaluations over seeds; of the one curve, where no seeds are on record.
        difference: The run minus the control, with its interval or why there is none; None for the control.
        settings: Settings that are not the same in all runs, with the run's values; None where not recorded.
        name: Name of the run, by which it can be told from the others: as much of its path as that takes.
        in_force: What was logged as in force along the run and is not the same in all runs, by metric and in words.
        is_control: True if the others are compared with the run.
    """

    diagnosis: Diagnosis
    estimate: Estimate
    difference: Difference | None
    settings: Mapping[str, Any]
    name: str
    in_force: Mapping[str, str]
    is_control: bool = False

    @property
    def task(self) -> str | None:
        """Task of the run, as the environment's id; None if not recorded."""
        task = self.diagnosis.signals.setting("env.id")
        return None if task is None else str(task)

    @property
    def findings(self) -> tuple[Ranked, ...]:
        """Findings of the diagnosis about the run, faults and others, the most basic cause first."""
        return self.diagnosis.findings

    @property
    def verdict(self) -> str:
        """Sentence on the run alone: the most basic fault, and how good the score is."""
        return state_verdict(self.diagnosis)

    @property
    def against_control(self) -> str:
        """Result in words of comparing the run with the control, e.g. `better than the control`."""
        if self.is_control:
            return "the control"
        if self.difference is None:
            return "not compared with the control, whose task is another"
        if self.difference.side:
            return f"{'better' if self.difference.side > 0 else 'worse'} than the control"
        if is_without_chance(self.difference):
            return compare_every_seed(self.difference, sign=1)
        return "cannot be told from the control"


@dataclass(frozen=True)
class Comparison:
    """Comparison of several runs with the first one, the control.

    Attributes:
        score: Metric that the runs are compared by: the best one that all of them have. More is better.
        runs: Compared runs, the control first.
    """

    score: str
    runs: tuple[ComparedRun, ...]

    @property
    def control(self) -> ComparedRun:
        """First run, which all other runs are compared with."""
        return self.runs[0]

    @property
    def best(self) -> ComparedRun:
        """Run with the highest mean score; the first one if several are equal."""
        return max(self.runs, key=lambda one: one.estimate.mean)

    @property
    def differing(self) -> tuple[str, ...]:
        """Dotted paths of the settings that are not the same in all runs."""
        return tuple(self.control.settings)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Different tasks among the runs, without runs whose task is not recorded."""
        return tuple(dict.fromkeys(one.task for one in self.runs if one.task is not None))

    @property
    def verdict(self) -> str:
        """Result of the comparison in words: the best run, how certain that is, and what else differs."""
        if len(self.tasks) > 1:
            return f"No run is the best: their tasks differ ({join_words(self.tasks)}), so their scores do not compare."
        return " ".join((self._best_text(), *self._caveats()))

    def _caveats(self) -> list[str]:
        """List in sentences why the runs may differ by more than one setting, such as unknown tasks."""
        found = []
        if not all(one.task for one in self.runs):
            found.append("Whether their tasks are the same is not on record.")
        if metrics.LR in self.control.in_force:
            rates = [f"{one.in_force[metrics.LR]} of {one.name}" for one in self.runs]
            found.append(f"The learning rates in force differ: {join_words(rates)}.")
        return found

    def _best_text(self) -> str:
        control, best, known = self.control, self.best, all(one.task for one in self.runs)
        if best is control:
            text = "None is better than" if known else "None has a higher score than"
            return f"{text} {control.name}: {self.score} {number(control.estimate.mean)}."
        values = f"{number(best.estimate.mean)} against {number(control.estimate.mean)}"
        leads = "is the best" if known else "has the highest score"
        text = f"{best.name} {leads}: {self.score} {values} of {control.name}"
        if best.difference is None or best.difference.interval is NoInterval.ONE_SEED:
            return f"{text}; one seed each, or none on record, so noise is not ruled out."
        if is_without_chance(best.difference):
            sure = "the same on every seed, so chance cannot be judged"
        else:
            sure = "clear of 0" if best.difference.side else "noise is not ruled out"
        return f"{text}, a difference of {describe_difference(best.difference, metric=self.score)}: {sure}."

    def __str__(self) -> str:
        """Return the comparison as text: the result, and a line for each run."""
        return "\n".join([self.verdict, *(f"{one.name}: {self._line(one)}" for one in self.runs)])

    def _line(self, one: ComparedRun) -> str:
        level = f"{self.score} {format_uncertain(one.estimate.mean, one.estimate.spread)}"
        against = (
            f", {describe_difference(one.difference, metric=self.score)}: {one.against_control}"
            if one.difference
            else f", {one.against_control}"
        )
        return f"{level}{against}. {one.verdict}"


def compare_runs(diagnoses: Sequence[Diagnosis]) -> Comparison:
    """Compare each diagnosed run with the first run, the control.

    Raises:
        AnalysisError: For fewer than two runs, or runs without a score in common.
    """
    require_two_runs(diagnoses)
    score = choose_score(diagnoses)
    estimates = [_estimate(one, score) for one in diagnoses]
    control, paths = estimates[0].values, _differing(diagnoses)
    names = name_apart([one.signals.history for one in diagnoses])
    in_force = _differing_in_force(diagnoses)
    same_task = len({str(one.signals.setting("env.id")) for one in diagnoses if one.signals.setting("env.id")}) <= 1
    return Comparison(
        score,
        tuple(
            ComparedRun(
                one,
                estimate,
                compute_difference(estimate.values, control, len(diagnoses) - 1) if place and same_task else None,
                {path: one.signals.setting(path) for path in paths},
                names[place],
                {name: texts[place] for name, texts in in_force.items()},
                is_control=not place,
            )
            for place, (one, estimate) in enumerate(zip(diagnoses, estimates, strict=True))
        ),
    )


def name_apart(histories: Sequence[History]) -> list[str]:
    """Return a distinct name for each run, extended by parts of its path where names are equal.

    Example:
        >>> import pandas as pd
        >>> runs = [History("progress.csv", f"runs/{seed}/progress.csv", pd.DataFrame()) for seed in (1, 2)]
        >>> name_apart(runs)
        ['1/progress.csv', '2/progress.csv']
    """
    names = [history.name for history in histories]
    paths = [_PATH.split(history.source) for history in histories]
    for parts in range(2, max(map(len, paths)) + 1):
        if len(set(names)) == len(names):
            break
        twice = [name for name in names if names.count(name) > 1]
        names = ["/".join(path[-parts:]) if name in twice else name for name, path in zip(names, paths, strict=True)]
    if len(set(names)) < len(names):  # the same run twice
        names = [f"{name} ({place})" for place, name in enumerate(names, start=1)]
    return names


def _differing_in_force(diagnoses: Sequence[Diagnosis]) -> dict[str, list[str]]:
    """Return logged learning rates, clip ranges and entropy weights that differ, as texts for each run."""
    found = {}
    for name in (metrics.LR, CLIP_RANGE, ENTROPY_COEF):
        windows = [(one.signals.select_first(name, 1), one.signals.select_last(name, 0.0, 1)) for one in diagnoses]
        ends = [(first.mean, last.mean) if first and last else None for first, last in windows]
        recorded = [pair for pair in ends if pair]
        if len(recorded) > 1 and not all(np.allclose(pair, recorded[0], rtol=ALIKE, atol=0) for pair in recorded):
            found[name] = ["not recorded" if pair is None else _from_to(*pair) for pair in ends]
    return found


def _from_to(first: float, last: float) -> str:
    return number(first) if np.isclose(first, last, rtol=ALIKE, atol=0) else f"{number(first)} to {number(last)}"


def require_two_runs(runs: Sequence[Any]) -> None:
    """Raise `AnalysisError` if fewer than two runs are given to compare."""
    if len(runs) < 2:
        raise AnalysisError(f"compare takes two runs or more, got {len(runs)}; `diagnose` looks at one")


def choose_score(diagnoses: Sequence[Diagnosis]) -> str:
    """Choose the metric to compare runs by, which all recorded: F1, else the greedy or training return.

    Raises:
        AnalysisError: There is none.
    """
    for name in (metrics.F1, metrics.EVAL_RETURN, metrics.TRAIN_RETURN):
        if all(one.signals.has(name) for one in diagnoses):
            return name
    raise AnalysisError(
        "runs must have F1, returns of evaluations or returns of training in common to be compared, and have none"
    )


def _estimate(diagnosis: Diagnosis, score: str) -> Estimate:
    """Estimate a run's final score with spread: mean of the last evaluations, over seeds if recorded."""
    seeds = list(diagnosis.signals.seeds(score).values())
    if seeds:
        return estimate_over_seeds(seeds)
    window = diagnosis.signals.select_last(score, share=0.0, least=FINAL_EVALUATIONS)
    return estimate_over_seeds([window.mean if window else 0.0])


def _differing(diagnoses: Sequence[Diagnosis]) -> list[str]:
    """List the dotted paths of settings that are not the same in all runs."""
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
