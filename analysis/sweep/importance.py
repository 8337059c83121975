"""Importance of the searched settings, from the ledger.

Two measures with different questions. PED-ANOVA (Watanabe et al. 2023): in which settings do good trials differ from
all trials? fANOVA (Hutter et al. 2014): how much of the objective's variance does each setting alone explain? Both are
repeated on resampled trials, since a handful of trials tells little; the width of the interval says how little.
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
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError
from unstuck.analysis.errors import AnalysisError
from unstuck.analysis.sweep.judgements import read_judgements
from unstuck.analysis.sweep.trials import Sweep, Trial
from unstuck.records.axis import read_last_step
from unstuck.records.drivers import missing_driver
from unstuck.records.identity import identity, study_names
from unstuck.records.ledger import read_entry
from unstuck.records.names import flatten
from unstuck.records.redact import redact_error, redact_value
from unstuck.records.rungs import RungEntry
from unstuck.rl import metrics

TOP_SHARE = 0.25
"""Share of the trials that PED-ANOVA calls good."""

DASHBOARD_SHARE = 0.1
"""Share of the trials that Optuna's dashboard calls good: PED-ANOVA's default."""

RESAMPLES = 20
"""Draws of the trials, with replacement, for the intervals."""

TREES = 32
"""Trees of fANOVA's forest."""

LEAST = 8
"""Trials below which nothing is said: PED-ANOVA would compare with a single good one."""

PER_SETTING = 10
"""Trials for each searched setting below which importances are hardly told apart (the usual rule for regressions)."""


@dataclass(frozen=True)
class Importance:
    """Importance of one searched setting by PED-ANOVA and by fANOVA, with intervals.

    Attributes:
        path: The setting.
        ped_anova: Share by PED-ANOVA; the shares of all settings sum to 1.
        ped_range: Middle 80 % of this share over resampled trials.
        fanova: Share by fANOVA.
        fanova_range: Middle 80 % of this share over resampled trials.
    """

    path: str
    ped_anova: float
    ped_range: tuple[float, float]
    fanova: float
    fanova_range: tuple[float, float]


def read_sweep(name: str, folder: Path, url: str | None = None) -> Sweep:
    """Read a sweep from the ledger, and the judgements of the champions from the sweep's folder.

    Args:
        name: Name of the sweep.
        folder: Folder of all sweeps; holds `optuna.db` unless a URL is given.
        url: URL of the ledger.

    Raises:
        AnalysisError: There is no such sweep; the message lists those there are.
    """
    study = _study(name, folder, url)
    settings = flatten(yaml.safe_load(study.user_attrs.get("config", "")) or {})
    trials = tuple(_trial(trial) for trial in study.trials if trial.state != TrialState.WAITING)
    return Sweep(name, settings, trials, read_judgements(folder / name / "report"))


def distributions(name: str, folder: Path, url: str | None = None) -> dict[str, BaseDistribution]:
    """Return the sampler's distribution (range) of each searched setting, by path."""
    study = _study(name, folder, url)
    found: dict[str, BaseDistribution] = {}
    for trial in study.trials:
        found |= trial.distributions
    return found


def importances(
    trials: Sequence[Trial],
    values: Sequence[float],
    ranges: Mapping[str, BaseDistribution],
    sign: int = 1,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[Importance]:
    """Compute how much each searched setting matters to the values of trials, the most important first.

    Args:
        trials: Trials to learn from.
        values: Values of the trials, one each, taken at the same point of all trials; finite.
        ranges: Ranges of the settings.
        sign: 1 where more is better, -1 where less is.
        seed: Seed of resampling and of the forest.
        resamples: Draws for the intervals.

    Returns:
        Empty with fewer than `LEAST` trials, or where the value or all settings are the same for all.
    """
    paths = [path for path in ranges if len({str(trial.raw.get(path)) for trial in trials}) > 1]
    if len(trials) < LEAST or not paths or len(set(values)) < 2:
        return []
    generator = np.random.default_rng(seed)
    kept = {path: ranges[path] for path in paths}
    whole = _shares(trials, values, kept, sign, seed)
    draws = []
    for _ in range(resamples):
        rows = generator.integers(0, len(trials), size=len(trials))
        chosen = [values[row] for row in rows]
        if len(set(chosen)) > 1:
            draws.append(_shares([trials[row] for row in rows], chosen, kept, sign, seed))
    found = [
        Importance(path, whole[0][path], _middle(draws, 0, path), whole[1][path], _middle(draws, 1, path))
        for path in paths
    ]
    return sorted(found, key=lambda one: -one.ped_anova)


def dashboard_importances(
    completed: Sequence[Trial], ranges: Mapping[str, BaseDistribution], sign: int = 1
) -> dict[str, float]:
    """Compute the importances on Optuna's dashboard, the most important first; empty with fewer than two trials.

    Args:
        completed: Completed trials; the dashboard reads no others.
        ranges: Ranges of the settings.
        sign: 1 where more is better, -1 where less is.
    """
    if len(completed) < 2:
        return {}
    study = _study_of(completed, [trial.value or 0.0 for trial in completed], ranges, sign)
    with warnings.catch_warnings(action="ignore"):  # of trials too few to tell, for which it shows equal shares
        found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=DASHBOARD_SHARE))
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _shares(
    trials: Sequence[Trial], values: Sequence[float], ranges: Mapping[str, BaseDistribution], sign: int, seed: int
) -> tuple[dict[str, float], dict[str, float]]:
    study = _study_of(trials, values, ranges, sign)
    ped_anova = PedAnovaImportanceEvaluator(target_quantile=TOP_SHARE).evaluate(study)
    fanova = FanovaImportanceEvaluator(n_trees=TREES, seed=seed).evaluate(study)
    return _normalised(ped_anova), _normalised(fanova)


def _study_of(
    trials: Sequence[Trial], values: Sequence[float], ranges: Mapping[str, BaseDistribution], sign: int
) -> optuna.Study:
    """Make a study in memory that holds the trials, with a value each, the more the better."""
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        [
            create_trial(params={p: trial.raw[p] for p in ranges}, distributions=dict(ranges), value=sign * value)
            for trial, value in zip(trials, values, strict=True)
            if all(p in trial.raw for p in ranges)
        ]
    )
    return study


def _normalised(found: Mapping[str, float]) -> dict[str, float]:
    """Scale shares to a sum of 1."""
    total = sum(found.values())
    return {path: share / total if total > 0 else 0.0 for path, share in found.items()}


def _middle(draws: Sequence[tuple[dict[str, float], dict[str, float]]], which: int, path: str) -> tuple[float, float]:
    values = [draw[which].get(path, 0.0) for draw in draws]
    values = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = np.percentile(values, [10, 90])
    return float(low), float(high)


def _study(name: str, folder: Path, url: str | None) -> optuna.Study:
    """Find the study of a sweep by the identity in the sweep's folder; by the name alone where there is no folder."""
    url = url or f"sqlite:///{folder.absolute() / 'optuna.db'}"
    own = identity(folder / name)
    names = study_names(name, own.id) if own and own.id else (name,)
    for study in filter(None, (_study_named(candidate, url) for candidate in names)):
        if own is None or own.owns(study.user_attrs.get("id")):
            return study
    there = ", ".join(sorted(optuna.get_all_study_names(url))) or "none"
    which = f" with the id {own.id}" if own and own.id else ""
    raise AnalysisError(f"no sweep named {name!r}{which}; there are: {there}")


def _study_named(name: str, url: str) -> optuna.Study | None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file = url.removeprefix("sqlite:///")
    if file != url and "?" not in file and not Path(file).exists():  # sqlite would make it
        raise AnalysisError(f"the ledger must be a database that exists, got {file}; name the sweeps' --folder")
    try:
        return optuna.load_study(storage=url, study_name=name)
    except KeyError:
        return None
    except (SQLAlchemyError, ImportError, RuntimeError, ValueError) as error:
        reason = missing_driver(error) or redact_error(str(error), url).partition("\n")[0]
        raise AnalysisError(f"{redact_value(url)} must be a ledger of Optuna's that can be opened: {reason}") from None


def _trial(trial: FrozenTrial) -> Trial:
    entry = read_entry(trial)
    prefix = f"{metrics.FINAL_VALUE}/seed_"
    return Trial(
        number=entry.number,
        outcome=entry.outcome or "",
        reason=entry.reason,
        values=entry.values,
        raw=trial.params,
        value=entry.value,
        seeds=tuple(entry.summary[name] for name in sorted(entry.summary) if name.startswith(prefix)),
        curve=entry.curve,
        iterations=read_last_step(entry.summary, entry.last_step),
        seconds=float(entry.summary.get(metrics.FINAL_SECONDS, 0.0)),
        rungs=tuple(RungEntry(**rung) for rung in entry.rungs),
        run_id=entry.run_id,
        is_control=entry.is_control,
    )
