"""Importance of the searched settings, from the ledger.

Two measures with different questions. PED-ANOVA (Watanabe et al. 2023): in which settings do good trials differ from
all trials? fANOVA (Hutter et al. 2014): how much of the objective's variance does each setting alone explain?

Both are computed on draws of two thirds of the trials, since a handful of trials tells little; the width of the
interval says how little. No draw holds a trial twice: repeats made good trials look alike because they were the same,
so that the share of all trials could lie outside its own range.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
import yaml  # type: ignore[import-untyped]
from optuna.distributions import BaseDistribution
from optuna.trial import create_trial
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.sweep.judgements import read_judgements
from unstuck.analysis.sweep.trials import Sweep, Trial
from unstuck.analysis.sweep.unstick import read_unstick
from unstuck.records.errors import SweepError
from unstuck.records.identity import read_identity
from unstuck.records.ledger import Ledger
from unstuck.records.ledger_places import Places
from unstuck.records.names import CONFIG, flatten
from unstuck.records.urls import find_ledger_url

TOP_SHARE = 0.25
"""Share of the trials that PED-ANOVA calls good."""

DASHBOARD_SHARE = 0.1
"""Share of the trials that Optuna's dashboard calls good: PED-ANOVA's default."""

DRAWS = 20
"""Draws of the trials, without repetition, that the importances are computed on."""

DRAWN = 2 / 3
"""Share of the trials in a draw."""

TREES = 32
"""Trees of fANOVA's forest."""

LEAST = 8
"""Trials below which nothing is said: PED-ANOVA would compare with a single good one."""

PER_SETTING = 10
"""Trials for each searched setting below which importances are hardly told apart (the usual rule for regressions)."""


@dataclass(frozen=True)
class Importance:
    """Importance of one searched setting for the objective, by PED-ANOVA and fANOVA, with intervals.

    Attributes:
        path: The setting.
        ped_anova: Share by PED-ANOVA, median over draws of two thirds of the trials.
        ped_range: Middle 80 % of this share over the draws.
        fanova: Share by fANOVA, median over the same draws.
        fanova_range: Middle 80 % of this share over the draws.
    """

    path: str
    ped_anova: float
    ped_range: tuple[float, float]
    fanova: float
    fanova_range: tuple[float, float]


def read_sweep(name: str, folder: Path, url: str | None = None) -> Sweep:
    """Read a sweep's record: trials from the Optuna study, tests on fresh seeds from the sweep's folder.

    Args:
        name: Name of the sweep.
        folder: Folder of all sweeps; holds `optuna.db` unless a URL is given.
        url: URL of the ledger.

    Raises:
        AnalysisError: There is no such sweep; the message lists those there are.
    """
    ledger = _find_ledger(name, folder, url)
    settings = flatten(yaml.safe_load(ledger.attributes.get(CONFIG, "")) or {})
    trials = tuple(map(Trial.from_entry, ledger.entries()))
    report = folder / name / "report"
    return Sweep(name, settings, trials, read_judgements(report), read_unstick(ledger.attributes, report))


def read_ranges(name: str, folder: Path, url: str | None = None) -> dict[str, BaseDistribution]:
    """Return the range (Optuna distribution) from which the sampler draws each searched setting, by path."""
    return _find_ledger(name, folder, url).distributions()


def compute_importances(
    trials: Sequence[Trial],
    values: Sequence[float],
    ranges: Mapping[str, BaseDistribution],
    sign: int = 1,
    seed: int = 0,
    draws: int = DRAWS,
) -> list[Importance]:
    """Compute how strongly each searched setting influences the trials' values, the strongest first.

    Args:
        trials: Trials to learn from.
        values: Values of the trials, one each, taken at the same point of all trials; finite.
        ranges: Ranges of the settings.
        sign: 1 where more is better, -1 where less is.
        seed: Seed of the draws and of the forest.
        draws: Number of draws.

    Returns:
        Empty with fewer than `LEAST` trials, or where the value or all settings are the same for all.
    """
    paths = [path for path in ranges if len({str(trial.raw.get(path)) for trial in trials}) > 1]
    if len(trials) < LEAST or not paths or len(set(values)) < 2:
        return []
    if len(paths) == 1:  # nothing to share
        return [Importance(paths[0], 1.0, (1.0, 1.0), 1.0, (1.0, 1.0))]
    generator = np.random.default_rng(seed)
    kept = {path: ranges[path] for path in paths}
    drawn = []
    for _ in range(draws):
        rows = generator.choice(len(trials), size=round(DRAWN * len(trials)), replace=False)
        chosen = [values[row] for row in rows]
        if len(set(chosen)) > 1:
            drawn.append(_compute_shares([trials[row] for row in rows], chosen, kept, sign, seed))
    found = [
        Importance(path, *_compute_middle(drawn, 0, path), *_compute_middle(drawn, 1, path)) for path in paths if drawn
    ]
    return sorted(found, key=lambda one: -one.ped_anova)


def compute_dashboard_importances(
    completed: Sequence[Trial], ranges: Mapping[str, BaseDistribution], sign: int = 1
) -> dict[str, float]:
    """Compute the importances that Optuna's dashboard shows, the largest first; empty with fewer than two trials.

    Args:
        completed: Completed trials; the dashboard reads no others.
        ranges: Ranges of the settings.
        sign: 1 where more is better, -1 where less is.
    """
    if len(completed) < 2:
        return {}
    if len(ranges) == 1 and not any(over.single() for over in ranges.values()):
        return dict.fromkeys(ranges, 1.0)  # nothing to share, and no second for scikit-learn
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    study = _make_study(completed, [trial.value or 0.0 for trial in completed], ranges, sign)
    with warnings.catch_warnings(action="ignore"):  # of trials too few to tell, for which it shows equal shares
        found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=DASHBOARD_SHARE))
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _compute_shares(
    trials: Sequence[Trial], values: Sequence[float], ranges: Mapping[str, BaseDistribution], sign: int, seed: int
) -> tuple[dict[str, float], dict[str, float]]:
    # Where first needed: scikit-learn takes a second.
    from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

    study = _make_study(trials, values, ranges, sign)
    ped_anova = PedAnovaImportanceEvaluator(target_quantile=TOP_SHARE).evaluate(study)
    fanova = FanovaImportanceEvaluator(n_trees=TREES, seed=seed).evaluate(study)
    return _normalise_shares(ped_anova), _normalise_shares(fanova)


def _make_study(
    trials: Sequence[Trial], values: Sequence[float], ranges: Mapping[str, BaseDistribution], sign: int
) -> optuna.Study:
    """Make an Optuna study in memory from trials and one value for each, where higher values are better."""
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        [
            create_trial(params={p: trial.raw[p] for p in ranges}, distributions=dict(ranges), value=sign * value)
            for trial, value in zip(trials, values, strict=True)
            if all(p in trial.raw for p in ranges)
        ]
    )
    return study


def _normalise_shares(found: Mapping[str, float]) -> dict[str, float]:
    """Scale shares so that the sum is 1."""
    total = sum(found.values())
    return {path: share / total if total > 0 else 0.0 for path, share in found.items()}


def _compute_middle(
    draws: Sequence[tuple[dict[str, float], dict[str, float]]], which: int, path: str
) -> tuple[float, tuple[float, float]]:
    """Compute median and middle 80 % of a setting's importance over random subsets of the trials."""
    values = [draw[which].get(path, 0.0) for draw in draws]
    values = [value for value in values if math.isfinite(value)] or [0.0]
    low, median, high = np.percentile(values, [10, 50, 90])
    return float(median), (float(low), float(high))


def _find_ledger(name: str, folder: Path, url: str | None) -> Ledger:
    """Find a sweep's ledger (Optuna study) by the id in the sweep's folder, or else by the sweep's name."""
    own, options = read_identity(folder / name), Places("--folder", "--optuna-url")
    try:
        return Ledger.find(find_ledger_url(url, folder), folder / name, own, options)
    except SweepError as error:
        raise AnalysisError(str(error)) from None
