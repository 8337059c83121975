"""The value loss of the best critic that a cheap probe can find: the part of a return that cannot be foreseen.

The probe is ridge regression from observations and from random features of observations. The probe is fitted on one
half of a member's lanes and measured on the other half, then the other way round. Float32 suffices: a fit that rounding
moves a little is measured as honestly as any other fit.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import SeedSequence
from torch import Tensor
from unstuck.rl import metrics

EVERY, COLUMNS_AN_ITERATION = 12, 6
"""The probe is asked again after 12 iterations, or after a sixth as many as the observation has columns, if that is
more: it costs a few percent of training then, whatever `eval_every`, width and members (`benchmarks.value_floor`)."""

NUM_RANDOM_FEATURES = 64
"""Units of the random layer, max(0, W x + b) with W and b never trained (Rahimi & Recht 2008); a multiple of 16."""

STRENGTHS = (1e-3, 2e-2, 0.5, 10.0)
"""Strengths of the ridge, in multiples of the number of samples, the diagonal of the matrix of products for columns of
spread 1. The best one counts."""

_MEMBERS_AT_ONCE = 4
"""Members that are measured together: their features in memory are several times the rollout."""

_CLIP = 10.0
"""Spreads from a column's mean beyond which an outlier does not pull."""

_ALIGNMENT = 16
"""Floats in 64 bytes. A member's rows then start where they would if it were alone, so that matrix kernels round
alike (see `rl.networks`). Padding holds zeros, which the ridge keeps solvable."""


class ValueFloor:
    """Estimate of the lowest value loss that any critic could reach, for each seed, measured now and then.

    Stored is the share of a return's variance that no probe foresaw. The floor is this share times the variance of the
    current rollout, so the floor follows returns whose scale changes while the policy learns.

    Attributes:
        unforeseen: Shares, float64 `[P, 3]`: of the critic's targets, of Monte Carlo returns and of rewards. 1: nothing
            foreseen.
        measured_at: The iteration of the last measurement, float64; minus infinity before the first.
    """

    def __init__(self, num_members: int) -> None:
        self.unforeseen = torch.ones(num_members, 3, dtype=torch.float64)
        self.measured_at = torch.tensor(-math.inf, dtype=torch.float64)

    def state(self) -> dict[str, Tensor]:
        """Return the estimate's tensors by name: `unforeseen` shares and iteration `measured_at`.

        `unforeseen` is `[P, 3]`.
        """
        return {"unforeseen": self.unforeseen, "measured_at": self.measured_at}

    def update(self, iteration: int, observations: Tensor, targets: Tensor) -> None:
        """Measure again which share of the critic's targets no regression predicts, if it is time to.

        Args:
            iteration: The current one.
            observations: `[P, T, N, F]`, of T steps in N lanes, as the critic sees them.
            targets: `[P, T, N, 3]`: the critic's targets, Monte Carlo returns (discounted rewards to the end of the
                episode, or to the end of the rollout and then the value) and rewards.
        """
        if iteration - float(self.measured_at) >= choose_interval(observations.shape[-1]):
            for first in range(0, len(targets), _MEMBERS_AT_ONCE):
                some = slice(first, first + _MEMBERS_AT_ONCE)
                self.unforeseen[some] = measure_unforeseen_shares(observations[some], targets[some])
            self.measured_at.fill_(iteration)

    @torch.no_grad()
    def floor_metrics(self, values: Tensor, targets: Tensor, unit: Tensor) -> dict[str, Tensor]:
        """Compute the lowest reachable value loss of a rollout, and the predictable share of the variance, as metrics.

        Args:
            values: `[P, T, N]`, of the critic that acted. The critic never saw the rollout, so is a candidate like any
                probe.
            targets: `[P, T, N]`, targets of the critic.
            unit: `[P, 1]`, unit of the critic, in units of return.

        Returns:
            `VALUE_FLOOR`, `PROBE_EXPLAINED_VARIANCE_MC` and `REWARD_FORESEEN` of `rl.metrics`, float64 `[P]` each.
        """
        missed, variance = _variances(torch.stack([targets - values, targets], dim=-1).flatten(1, 2)).unbind(-1)
        unforeseen = self.unforeseen.to(variance.device)
        floor = torch.minimum(unforeseen[:, 0] * variance, missed) / unit[:, 0].double().square()
        return {
            metrics.VALUE_FLOOR: floor,
            metrics.PROBE_EXPLAINED_VARIANCE_MC: 1 - unforeseen[:, 1],
            metrics.REWARD_FORESEEN: 1 - unforeseen[:, 2],
        }


def choose_interval(num_columns: int) -> int:
    """Return how many iterations lie between two measurements: more for observations with more columns."""
    return max(EVERY, num_columns // COLUMNS_AN_ITERATION)


@torch.no_grad()
def measure_unforeseen_shares(observations: Tensor, targets: Tensor) -> Tensor:
    """Measure the share of each target's variance that even the best regression does not predict on held-out data.

    The probes are a constant and, for each set of features (linear; linear and random), each of `STRENGTHS` and each
    target, a regression to the target. All probes compete for each target: where steps are independent, the best
    forecast of a return is a fit to the reward alone, which holds all that can be foreseen and less noise. The mean of
    a target is taken over both halves, since a critic knows the mean from earlier rollouts.

    Args:
        observations: `[P, T, N, F]`, of T steps in N lanes, in any unit. With one lane, time is halved instead.
        targets: `[P, T, N, K]`.

    Returns:
        Float64 `[P, K]`, as a share of the target's variance; 1 for a constant target. NaN if observations or targets
        of a member are not finite.
    """
    _, steps, lanes, num_targets = targets.shape
    split = lanes // 2 * steps if lanes > 1 else steps // 2
    features, num_linear = _features(observations)
    outputs = _centred(targets.double())
    largest = outputs.abs().amax((1, 2), keepdim=True)
    outputs = (outputs / torch.where(largest == 0, 1, largest)).float()  # one unit for all: a fit to one judges others
    first, second = (_Half(features[:, part], outputs[:, part]) for part in (slice(split), slice(split, None)))
    sizes = num_linear, num_targets
    reductions = (_reductions(first, second, *sizes) + _reductions(second, first, *sizes)).amax(1).clamp(min=0)
    squares = outputs.double().square().sum(1)
    return (1 - reductions / torch.where(squares == 0, 1, squares))[:, :num_targets]


def _features(observations: Tensor) -> tuple[Tensor, int]:
    """Compute inputs of regressions from observations, linear ones first; also return how many are linear.

    Returns features `[P, B, W]` with mean 0, and the number of linear ones.
    """
    members, num_columns = observations.shape[0], observations.shape[-1]
    linear = _centred(observations)
    spread = linear.square().mean(1, keepdim=True).sqrt_()
    linear.div_(torch.where(spread == 0, 1, spread)).clamp_(-_CLIP, _CLIP)
    generator = np.random.default_rng(SeedSequence(num_columns))
    weights = torch.from_numpy(generator.standard_normal((linear.shape[-1], NUM_RANDOM_FEATURES), dtype=np.float32))
    biases = torch.from_numpy(generator.standard_normal(NUM_RANDOM_FEATURES, dtype=np.float32))
    weights = (weights / math.sqrt(num_columns)).to(linear.device).expand(members, -1, -1)
    hidden = torch.baddbmm(biases.to(linear.device).expand(members, 1, -1), linear, weights).relu_()
    hidden -= hidden.mean(1, keepdim=True)
    return torch.cat([linear, hidden], dim=-1), linear.shape[-1]


def _centred(columns: Tensor) -> Tensor:
    """Stack the steps of all parallel environments, shift each column to mean 0, and pad the columns.

    `[P, T, N, n]` becomes `[P, B, n]`, lane by lane.
    """
    rows = _padded(columns.transpose(1, 2).flatten(1, 2))
    rows -= rows[:, :1].clone()  # so that a mean far from 0 costs no digits
    return rows.sub_(rows.mean(1, keepdim=True))


class _Half(NamedTuple):
    """Half of the samples of all seeds, to fit or to test regressions on: inputs and targets.

    Features are `[P, B, W]`, targets `[P, B, K]`.
    """

    features: Tensor
    targets: Tensor


def _reductions(fitted: _Half, held_out: _Half, num_linear: int, num_targets: int) -> Tensor:
    """Compute how much regressions fitted on one half beat a constant on the other half, in squared error.

    Returns:
        `[P, fits, K]`; fits run over sets of features, strengths and targets.
    """
    features, targets = fitted
    transposed = features.transpose(1, 2)
    products, cross = torch.bmm(transposed, features), torch.bmm(transposed, targets)[:, None, :, :num_targets]
    ridge = features.shape[1] * torch.tensor(STRENGTHS).view(-1, 1, 1) * torch.eye(features.shape[-1])
    factors, _ = torch.linalg.cholesky_ex(products.unsqueeze(1) + ridge.to(products.device))
    reductions = []
    for width in (num_linear, features.shape[-1]):  # the factor of a leading block is the leading block of the factor
        right = cross[:, :, :width].expand(-1, len(STRENGTHS), -1, -1)
        weights = torch.cholesky_solve(right, factors[..., :width, :width])
        predictions = torch.bmm(held_out.features[..., :width], _padded(weights.transpose(1, 2).flatten(2)))
        agreement = torch.bmm(predictions.transpose(1, 2), held_out.targets)
        reductions.append(2 * agreement - predictions.square().sum(1).unsqueeze(-1))
    return torch.cat(reductions, dim=1).double()


def _variances(columns: Tensor) -> Tensor:
    """Compute the variance of each column, for each member (seed).

    Returns float64 `[P, K]` for columns `[P, B, K]`.

    `torch.var` rounds otherwise for one member than for several.
    """
    padded = _padded(columns.double())
    return (padded - padded.mean(1, keepdim=True)).square().mean(1)[:, : columns.shape[-1]]


def _padded(columns: Tensor) -> Tensor:
    """Copy the columns, and append columns of zeros up to a multiple of the alignment.

    The columns are `[P, B, n]`.
    """
    return torch.nn.functional.pad(columns, (0, -columns.shape[-1] % _ALIGNMENT))
