"""Regressions on held-out halves of the data, by which dynamics are measured: ridge, random features, neighbours."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Floats = npt.NDArray[Any]
"""Array of float64, or of float32 where that says enough."""

RANDOM_FEATURES = 96
"""Units max(0, W x + b) with W and b never trained (Rahimi and Recht 2008), beside the linear features."""

STRENGTHS = (1e-4, 1e-2, 0.3)
"""Strengths of the ridge, in multiples of the number of samples; the best on held-out lanes counts."""

NEIGHBOURS, ASKED = 3, 256
"""Nearest samples whose mean is the other forecast, and samples of a half that are forecast so."""

FAR = 10.0
"""Spreads from a column's mean beyond which an outlier does not pull."""

STILL = 1e-6
"""Spread of a column, as a share of its size, up to which the column does not vary."""


def find_varying(columns: Array) -> npt.NDArray[np.bool_]:
    """Return which columns of `[..., F]` vary by more than rounding, as booleans `[F]`."""
    flat = columns.reshape(-1, columns.shape[-1])
    varies: npt.NDArray[np.bool_] = flat.std(0) > STILL * np.maximum(np.abs(flat).max(0), STILL)
    return varies


def correlate(first: Array, second: Array) -> float:
    """Compute the correlation of two arrays `[n]`; 0 where one does not vary."""
    one, other = first - first.mean(), second - second.mean()
    size = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / size if size > 0 else 0.0


def expand_features(columns: Array) -> Floats:
    """Return standardised columns and random nonlinear features of them, each of mean 0, as float32 `[n, W]`."""
    centred = columns - columns.mean(0)
    spread = centred.std(0)
    linear = np.clip(centred / np.where(spread > 0, spread, 1), -FAR, FAR).astype(np.float32)
    weights, biases = _draw_random_layer(columns.shape[1])
    hidden = linear @ weights
    hidden += biases
    np.maximum(hidden, 0, out=hidden)
    hidden -= hidden.mean(0)
    return np.concatenate([linear, hidden], axis=1)


@lru_cache
def _draw_random_layer(num_columns: int) -> tuple[Floats, Floats]:
    """Draw weights and biases of the random features in float32, always the same for a number of columns."""
    generator = np.random.default_rng(num_columns)
    weights = generator.standard_normal((num_columns, RANDOM_FEATURES)) * (1.5 / np.sqrt(num_columns))
    return weights.astype(np.float32), generator.standard_normal(RANDOM_FEATURES).astype(np.float32)


def solve_ridge(inputs: Floats, targets: Array, strengths: Sequence[float]) -> Floats:
    """Compute the weights of ridge regressions for several strengths, `[strengths, W, K]`, in the inputs' precision."""
    products, cross = inputs.T @ inputs, inputs.T @ targets.astype(inputs.dtype, copy=False)
    scale = max(float(np.trace(products)) / len(products), STILL**2)
    ridges = scale * np.array(strengths, inputs.dtype)[:, None, None] * np.eye(len(products), dtype=inputs.dtype)
    weights: Floats = np.linalg.solve(products + ridges, cross[None])
    return weights


def foresee_share(columns: Array, targets: Array, first: npt.NDArray[np.bool_]) -> Array:
    """Compute the share of each target's variance that a regression predicts on held-out data, `[K]`, at least 0."""
    centred = targets - targets.mean(0)
    variance = np.maximum(centred.var(0), STILL**4)
    best = np.maximum(
        reduce_error(expand_features(columns), centred, first), _reduce_by_neighbours(columns, centred, first)
    )
    shares: Array = np.clip(best / variance, 0, 1)
    return shares


def _reduce_by_neighbours(columns: Array, targets: Array, first: npt.NDArray[np.bool_]) -> Array:
    """Compute how much a nearest-neighbour prediction lowers each target's mean square on held-out data, `[K]`."""
    spread = columns.std(0)
    scaled = ((columns - columns.mean(0))[:, spread > 0] / spread[spread > 0]).astype(np.float32)
    lowered: Array = np.zeros(targets.shape[1])
    count = 0
    for fitted in _list_halves(first):
        thinned = slice(None, None, max(1, int((~fitted).sum()) // ASKED))
        far, ask = scaled[~fitted][thinned], targets[~fitted][thinned]
        near, known = scaled[fitted], targets[fitted]
        if near.shape[0] <= NEIGHBOURS or near.shape[1] == 0:
            return lowered
        guess = known[_find_nearest(far, near)].mean(0)
        lowered += (2 * guess * ask - guess**2).sum(0)
        count += len(ask)
    return lowered / max(count, 1)


def _find_nearest(far: Floats, near: Floats) -> npt.NDArray[np.int64]:
    """Return the indices of the `NEIGHBOURS` rows of `near` that are nearest to each row of `far`, `[NEIGHBOURS, n]`.

    A few looks for the least distance cost a fraction of what sorting costs.
    """
    distances = far @ (-2 * near.T)
    distances += (near**2).sum(1)  # the rest is the same for a whole row
    rows, found = np.arange(len(far)), []
    for _ in range(NEIGHBOURS):
        found.append(distances.argmin(1))
        distances[rows, found[-1]] = np.inf
    return np.stack(found)


def reduce_error(inputs: Floats, targets: Array, first: npt.NDArray[np.bool_]) -> Array:
    """Compute how much the best ridge regression lowers each target's mean square on held-out data, `[K]`."""
    lowered: Array = np.zeros((len(STRENGTHS), targets.shape[1]))
    for fitted in _list_halves(first):
        asked = targets[~fitted]
        guess = inputs[~fitted] @ solve_ridge(inputs[fitted], targets[fitted], STRENGTHS)
        lowered += (2 * guess * asked - guess**2).sum(1)
    best: Array = lowered.max(0) / len(targets)
    return best


def predict_across(inputs: Floats, targets: Array, first: npt.NDArray[np.bool_]) -> Array:
    """Predict each target by a ridge regression that was fitted on the other half of the data, `[n, K]`."""
    guess: Array = np.zeros_like(targets) + targets.mean(0)
    for fitted in _list_halves(first):
        centre = targets[fitted].mean(0)
        weights = solve_ridge(inputs[fitted], targets[fitted] - centre, STRENGTHS[1:2])
        guess[~fitted] = centre + inputs[~fitted] @ weights[0]
    return guess


def _list_halves(first: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.bool_]]:
    """Return the two halves of the data to fit on; none if all samples are in one half."""
    return [] if first.all() or not first.any() else [first, ~first]
