"""Interactions of two settings: the variance that a pair explains beyond both parts."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

PER_TERM = 3
"""Trials for each term of the model below which nothing is said."""


def compute_interactions(
    settings: Mapping[str, Sequence[float]], scores: Sequence[float]
) -> list[tuple[str, str, float]]:
    """Return pairs of settings with the variance that the pair explains beyond both alone, largest first.

    Settings and scores are taken by rank, since objectives are skewed and ranges span orders of magnitude. A quadratic
    of each setting is fitted with and without the pair's product; what counts is the variance explained of each trial
    by a fit without the trial (leave one out), so that a term which explains nothing comes out at or below 0.

    Args:
        settings: Values by name, one a trial.
        scores: Scores of the trials, one each.

    Returns:
        (one, other, gain in the share of variance explained); empty with too few trials for the model, or where all
        scored the same.
    """
    names = list(settings)
    count = len(scores)
    if len(names) < 2 or count < PER_TERM * (2 * len(names) + 2) or min(scores) == max(scores):
        return []
    columns = {name: _rank_values(values) for name, values in settings.items()}
    target = _rank_values(scores)
    base = [np.ones(count), *(part for column in columns.values() for part in (column, column**2))]
    alone = _left_out(np.stack(base, axis=1), target)
    found = []
    for one, other in combinations(names, 2):
        together = np.stack([*base, columns[one] * columns[other]], axis=1)
        found.append((one, other, _left_out(together, target) - alone))
    return sorted(found, key=lambda pair: -pair[2])


def _rank_values(values: Sequence[float]) -> npt.NDArray[np.float64]:
    """Replace values by ranks, scaled from -1 to 1; equal values get equal ranks."""
    _, group, sizes = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes + 1) / 2)[group]
    result: npt.NDArray[np.float64] = 2 * ranks / max(1, len(values) - 1) - 1
    return result


def _left_out(features: npt.NDArray[np.float64], target: npt.NDArray[np.float64]) -> float:
    """Compute the share of variance that a least-squares fit explains on points left out of it (PRESS)."""
    hat = features @ np.linalg.pinv(features)
    errors = (target - hat @ target) / np.maximum(1e-9, 1 - np.diag(hat))
    return 1.0 - float((errors**2).sum() / ((target - target.mean()) ** 2).sum())
