"""Estimates that the learner and the probe of other people's loops share: functions of tensors, nothing else.

Each tensor has a leading axis of P members (seeds), which are measured apart from each other; a probe has one.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from numpy.random import SeedSequence
from torch import Tensor
from unstuck.rl import metrics

SATURATED = 0.97
"""Magnitude of a tanh beyond which less than 6 % of the gradient passes."""

FOLLOWED = 512
"""Samples of a member at which an update is looked at afterwards: drawn once and for all."""

COUNTED = 512
"""Observations of a member that are told apart."""


class Weights(NamedTuple):
    """Weights of entropy bonus and value loss in PPO's loss, for each member (seed), `[P]`."""

    entropy: Tensor
    value: Tensor


def compute_plain_losses(
    policy: tuple[Tensor, Tensor], advantages: Tensor, values: Tensor, targets: Tensor, weights: Weights
) -> tuple[Tensor, Tensor]:
    """Compute PPO's policy loss and value loss at probability ratio 1, whose gradients are then compared.

    There PPO's objective has the plain policy gradient, so the first part is that of REINFORCE.

    Args:
        policy: Log-probabilities of the actions taken, and entropies, `[P, B]` each.
        advantages: `[P, B]`; normalised here.
        values: Predictions of the critic, `[P, B]`.
        targets: Values that the critic is trained to predict, `[P, B]`.
        weights: Coefficients of the loss.

    Returns:
        Policy loss with the entropy bonus, and value loss times its coefficient, `[P]` each.
    """
    log_probs, entropies = policy
    normalised = advantages - advantages.mean(-1, keepdim=True)
    normalised = normalised / (advantages.std(-1, keepdim=True) + 1e-8)
    policy_loss = -(log_probs * normalised).mean(-1) - weights.entropy * entropies.mean(-1)
    return policy_loss, weights.value * (values - targets).square().mean(-1)


def describe_rollout(advantages: Tensor, returns: Tensor) -> dict[str, Tensor]:
    """Compute mean and spread of a rollout's returns and advantages, by metric name, `[P]` for P seeds."""
    return {
        metrics.TARGET_MEAN: returns.mean(-1),
        metrics.TARGET_STD: returns.std(-1, correction=0),
        metrics.ADVANTAGE_MEAN: advantages.mean(-1),
        metrics.ADVANTAGE_STD: advantages.std(-1, correction=0),
    }


def estimate_kl(ratio: Tensor, log_ratio: Tensor) -> Tensor:
    """Estimate KL(old, new) in nats by the estimator k3, which is never negative (Schulman 2020), `[P]`."""
    return ((ratio - 1) - log_ratio).mean(-1)


def measure_clipping(ratio: Tensor, clip_range: Tensor | float) -> Tensor:
    """Compute the share of samples whose probability ratio is clipped: `[P]` for ratios `[P, B]`."""
    return ((ratio - 1).abs() > clip_range).float().mean(-1)


def measure_ratio_deviation(log_ratio: Tensor) -> Tensor:
    """Compute the largest deviation of a probability ratio from 1: `[P]` for log-ratios `[P, B]`."""
    return (log_ratio.exp() - 1).abs().amax(-1)


def measure_input_scale(inputs: Tensor) -> Tensor:
    """Compute the root mean square of the largest column of inputs: `[P]` for inputs `[P, B, F]`."""
    return inputs.square().mean(1).sqrt().amax(-1)


def compute_explained_variance(predictions: Tensor, returns: Tensor) -> Tensor:
    """Compute the share of the returns' variance that predictions explain; 0 if the returns are constant.

    1 - Var(returns - predictions) / Var(returns), over samples `[P, B]`.
    """
    variance = returns.var(-1, correction=0)
    unexplained = (returns - predictions).var(-1, correction=0)
    return torch.where(variance > 0, 1 - unexplained / variance, 0.0)


def compute_correlations(first: Tensor, second: Tensor) -> Tensor:
    """Compute Pearson's correlation of two samples, for each row (seed) of two tensors.

    Returns `[P]` for samples `[P, n]`; 0 where one of them is constant.

    Sums run along rows, which round alike for any number of rows.
    """
    first, second = (part - part.mean(-1, keepdim=True) for part in (first, second))
    spread = (first.square().sum(-1) * second.square().sum(-1)).sqrt()
    return torch.where(spread > 0, (first * second).sum(-1) / spread, torch.zeros_like(spread))


def measure_repeats(rollout: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Compute the share of repeated observations in a sample of a rollout, for each member (seed).

    Returns `[P]` for observations `[P, B, F]`.
    """
    some = rollout[:, draw_rows(rollout.shape[1], COUNTED)]
    directions = np.random.default_rng(SeedSequence(some.shape[2])).standard_normal(some.shape[2])
    marks = (some @ directions).astype(np.float32)  # equal observations have equal ones, others almost surely not
    distinct = np.array([len(np.unique(member)) for member in marks])
    shares: npt.NDArray[np.float64] = 1 - distinct / some.shape[1]
    return shares


@lru_cache
def draw_rows(size: int, most: int) -> npt.NDArray[np.int64]:
    """Draw at most `most` random row indices below `size`, the same ones at each call.

    Each nth sample instead would come from the same few lanes.
    """
    return np.sort(np.random.default_rng(SeedSequence(size)).permutation(size)[:most])
