"""Key figures of a sweep, which MLflow keeps as metrics of the sweep's own run."""

import math

from unstuck.analysis.report.sweep_verdict import count_choices
from unstuck.analysis.statistics import Interval, compute_difference
from unstuck.analysis.sweep.trials import Sweep, count_outcomes
from unstuck.records.axis import BATCH
from unstuck.records.mlflow.names import SWEEP, TRIALS
from unstuck.records.outcome import Outcome


def key_figures(sweep: Sweep) -> dict[str, float]:
    """Return a sweep's summary numbers, such as best value and count of trials, by their names in MLflow.

    `best` and `control` are values in the search. `difference` is best minus control, with the ends of its interval,
    widened by as many comparisons as there were. `env_steps` and `seconds` are sums over all trials; steps are counted
    for each seed.
    """
    ended = {f"{TRIALS}{outcome}": float(count) for outcome, count in count_outcomes(sweep.trials).items()}
    figures = {**_compare(sweep), "env_steps": _count_env_steps(sweep), "seconds": _add_seconds(sweep)}
    return {f"{SWEEP}{name}": value for name, value in figures.items()} | ended


def _compare(sweep: Sweep) -> dict[str, float]:
    best, control = sweep.best, sweep.control
    if control and control.outcome != Outcome.COMPLETED:
        control = None
    sides = {"best": best, "control": control}
    found = {name: trial.value for name, trial in sides.items() if trial and trial.value is not None}
    if not best or not control or best is control or not best.seeds or not control.seeds:
        return found
    lead = compute_difference(best.seeds, control.seeds, count_choices(sweep))
    found["difference"] = lead.mean
    if isinstance(lead.interval, Interval):
        found |= {"difference_low": lead.interval.low, "difference_high": lead.interval.high}
    return found


def _count_env_steps(sweep: Sweep) -> float:
    """Count the environment steps of all trials and seeds of a sweep."""
    batch = 1 if sweep.axis.in_env_steps else math.prod(int(sweep.settings.get(path, 1)) for path in BATCH)
    seeds = int(sweep.settings.get("sweep.seeds", 1))
    return float(sum(trial.iterations for trial in sweep.trials) * batch * seeds)


def _add_seconds(sweep: Sweep) -> float:
    return sum(trial.seconds for trial in sweep.trials)
