"""Measure how many episodes of evaluations go worse than training's ever do: what training does not meet."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

TRAINED, JUDGED = 100, 20
"""Episodes of training, and of evaluations, in the same late time, from which something is measured."""

WORST = 0.01
"""Share of training's episodes that are its worst."""


class Episodes(NamedTuple):
    """Returns and lengths of single episodes, with the environment steps done when each ended, `[n]` each."""

    returns: npt.NDArray[np.float64]
    lengths: npt.NDArray[np.float64]
    steps: npt.NDArray[np.float64]


def measure_missed(trained: Episodes, judged: Episodes) -> float | None:
    """Measure the share of late evaluation episodes that are worse than 99 % of training's, and no longer; else None.

    Half of the evaluations are late ones, with the training since the first of these. A greedy policy that goes in
    circles lasts longer than training's episodes. Where evaluations are worse as a whole, the share tells nothing.
    """
    since = np.median(np.unique(judged.steps)) if len(judged.steps) else np.inf
    late, after = judged.steps >= since, trained.steps >= since
    if late.sum() < JUDGED or after.sum() < TRAINED:
        return None
    returns, known = judged.returns[late], trained.returns[after]
    if np.median(returns) < np.median(known):
        return None
    worse = (returns < np.quantile(known, WORST)) & (judged.lengths[late] <= trained.lengths[after].max())
    return float(worse.mean())
