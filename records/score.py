"""Compute a trial's value, the spread over members, and the numbers written at the end."""

from collections.abc import Mapping, Sequence

import numpy as np
from unstuck.rl import metrics
from unstuck.rl.metrics import FINAL_EVALUATIONS

Evaluation = Mapping[str, float]
"""The metrics of an iteration that was evaluated: means over members, and each member's own."""


def compute_value(evaluations: Sequence[float]) -> float:
    """Compute a trial's value as the mean of the last `FINAL_EVALUATIONS` evaluations, for any outcome.

    Args:
        evaluations: Values of the objective, oldest first; at least one, not all need be finite.

    Example:
        >>> compute_value([0.0, 0.25, 0.5, 0.75])
        0.5
    """
    with np.errstate(invalid="ignore"):
        return float(np.mean(evaluations[-FINAL_EVALUATIONS:]))


def compute_value_and_spread(evaluations: Sequence[Evaluation], metric: str, seeds: int) -> tuple[float, float | None]:
    """Compute a trial's value, and the standard deviation over seeds, which is None for one seed.

    Args:
        evaluations: Evaluations of the trial, oldest first; at least one.
        metric: Name of the objective.
        seeds: Number of members.
    """
    members = [_compute_value(evaluations, metrics.seed_metric(metric, member)) for member in range(seeds)]
    return _compute_value(evaluations, metric), _compute_spread(members)


def summarize(evaluations: Sequence[Evaluation], metric: str, seeds: int) -> dict[str, float]:
    """Compute a trial's final metrics: value, each seed's value, and spread over seeds, by name (`final/...`).

    Empty without an evaluation.
    """
    if not evaluations:
        return {}
    value, spread = compute_value_and_spread(evaluations, metric, seeds)
    members = {
        metrics.seed_metric(metrics.FINAL_VALUE, member): _compute_value(
            evaluations, metrics.seed_metric(metric, member)
        )
        for member in range(seeds)
    }
    spreads = {} if spread is None else {metrics.FINAL_SPREAD: spread}
    return {metrics.FINAL_VALUE: value, **spreads, **members}


def _compute_value(evaluations: Sequence[Evaluation], name: str) -> float:
    return compute_value([evaluation[name] for evaluation in evaluations])


# numpy, since the module `statistics` raises for numbers that are not finite, which a diverged trial reports.
def _compute_spread(values: Sequence[float]) -> float | None:
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.std(values, ddof=1)) if len(values) > 1 else None
