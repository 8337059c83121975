"""What the best critic that a cheap probe can find would lose: how much of a return can be foreseen from here.

The probe is ridge regression from observations, and from random features of them, fitted on one half of a member's
lanes and measured on the other, then the other way round. All that it needs of a half are sums of products.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import SeedSequence
from torch import Tensor

from rl import metrics
from rl.normalize import ObservationNormalizer

NUM_RANDOM_FEATURES = 64
"""Units of the random layer, max(0, W x + b) with W and b never trained (Rahimi & Recht 2008); a multiple of 8."""

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Of the ridge, in multiples of the number of samples, which is what a column of spread 1 has on the diagonal of the
matrix of products. The best one counts."""

_ALIGNMENT = 8
"""Doubles in 64 bytes. A member's rows then start where they would if it were alone, so that matrix kernels round
alike (see `rl.networks`). Padding holds zeros, which the ridge keeps solvable."""


class _Half(NamedTuple):
    """Sums of products over half of the samples."""

    features: Tensor  # of two features, [P, W, W]
    cross: Tensor  # of a feature and a target, [P, W, K]
    size: int  # samples summed


@torch.no_grad()
def measure(
    observations: Tensor, values: Tensor, returns: Tensor, monte_carlo: Tensor, rewards: Tensor, unit: Tensor
) -> dict[str, Tensor]:
    """What a critic could do at best in a rollout of T steps in N lanes, for each member.

    Args:
        observations: `[P, T, N, F]`, as the critic sees them.
        values: `[P, T, N]`, of the critic that acted. It never saw this rollout, so it is a candidate like any probe.
        returns: `[P, T, N]`, its targets.
        monte_carlo: `[P, T, N]`, discounted rewards to the episode's end, or to the rollout's and then its value.
        rewards: `[P, T, N]`.
        unit: `[P, 1]`, the critic's own, in units of return.

    Returns:
        `VALUE_FLOOR` and `PROBE_EXPLAINED_VARIANCE_MC` of `rl.metrics`, float64 `[P]` each.
    """
    losses = held_out_losses(observations, torch.stack([returns, monte_carlo, rewards], dim=-1))
    unforeseen, variance = _spreads(torch.stack([returns - values, monte_carlo], dim=-1).flatten(1, 2)).unbind(-1)
    floor = torch.minimum(losses[:, 0], unforeseen) / unit[:, 0].double().square()
    foreseen = torch.where(variance > 0, 1 - losses[:, 1] / variance, torch.zeros_like(variance))
    return {metrics.VALUE_FLOOR: floor, metrics.PROBE_EXPLAINED_VARIANCE_MC: foreseen}


@torch.no_grad()
def held_out_losses(observations: Tensor, targets: Tensor) -> Tensor:
    """For each target the lowest mean squared error of all probes, on samples that they were not fitted on.

    The probes are a constant and, for each set of features (linear; linear and random), each of `STRENGTHS` and each
    target, a regression to this target. All compete for every target: where steps are independent, a return is best
    foreseen by what was fitted to the reward alone, which holds all that can be foreseen and less noise. A target's
    mean is taken over both halves, since a critic knows it from earlier rollouts.

    Args:
        observations: `[P, T, N, F]`, of T steps in N lanes, in any unit. With one lane, time is halved instead.
        targets: `[P, T, N, K]`.

    Returns:
        Float64 `[P, K]`, in the square of the target's unit; at most its variance. NaN if targets are not finite.
    """
    _, steps, lanes, _ = observations.shape
    split = lanes // 2 * steps if lanes > 1 else steps // 2
    features, num_linear = _features(observations.transpose(1, 2).flatten(1, 2))
    outputs = _centred(_padded(targets.transpose(1, 2).flatten(1, 2).double()))
    first, second = (_products(features[:, part], outputs[:, part]) for part in (slice(split), slice(split, None)))
    variances = outputs.square().mean(1)
    reductions = torch.zeros_like(variances)  # of the squared error, below that of a constant
    for width in (num_linear, features.shape[-1]):
        for strength in STRENGTHS:
            reduction = _reduction(first, second, width, strength) + _reduction(second, first, width, strength)
            reductions = torch.maximum(reductions, reduction.amax(1))
    losses = variances - reductions / (lanes * steps)
    return losses.clamp(min=0)[:, : targets.shape[-1]]


def _features(observations: Tensor) -> tuple[Tensor, int]:
    """Features `[P, B, W]` of observations `[P, B, F]`, of mean 0, and how many of them, the first, are linear."""
    members, _, num_columns = observations.shape
    normalizer = ObservationNormalizer(members, num_columns)
    normalizer.moments.update(observations)
    linear = _padded(normalizer(observations).double())
    generator = np.random.default_rng(SeedSequence(num_columns))
    weights = torch.from_numpy(generator.standard_normal((linear.shape[-1], NUM_RANDOM_FEATURES)))
    biases = torch.from_numpy(generator.standard_normal(NUM_RANDOM_FEATURES))
    weights = (weights / math.sqrt(num_columns)).expand(members, -1, -1)
    random = torch.baddbmm(biases.expand(members, 1, -1), linear, weights).relu_()
    return _centred(torch.cat([linear, random], dim=-1)), linear.shape[-1]


def _spreads(columns: Tensor) -> Tensor:
    """Variances, float64 `[P, K]`, of columns `[P, B, K]`; `var` rounds otherwise for one member than for several."""
    return _centred(_padded(columns.double())).square().mean(1)[:, : columns.shape[-1]]


def _padded(columns: Tensor) -> Tensor:
    """Columns `[P, B, n]`, with zeros up to a multiple of the alignment."""
    return torch.nn.functional.pad(columns, (0, -columns.shape[-1] % _ALIGNMENT))


def _centred(columns: Tensor) -> Tensor:
    return columns - columns.mean(1, keepdim=True)


def _products(features: Tensor, targets: Tensor) -> _Half:
    transposed = features.transpose(1, 2)
    return _Half(torch.bmm(transposed, features), torch.bmm(transposed, targets), features.shape[1])


def _reduction(fitted: _Half, held_out: _Half, width: int, strength: float) -> Tensor:
    """How much less than a constant the probes fitted on one half err on the other: a sum of squares, `[P, K, K]`.

    Rows are the targets fitted to, columns those judged by.
    """
    ridge = strength * fitted.size * torch.eye(width, dtype=torch.float64)
    factor, _ = torch.linalg.cholesky_ex(fitted.features[:, :width, :width] + ridge)
    weights = torch.cholesky_solve(fitted.cross[:, :width], factor)
    squares = (weights * torch.bmm(held_out.features[:, :width, :width], weights)).sum(1)
    return 2 * torch.bmm(weights.transpose(1, 2), held_out.cross[:, :width]) - squares.unsqueeze(-1)
