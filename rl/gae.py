"""Generalised advantage estimation (Schulman et al. 2016, equations 11 to 16)."""

from typing import NamedTuple

import torch
from torch import Tensor


class Discounts(NamedTuple):
    """Discount factors of each member (seed): gamma for rewards, gae_lambda for temporal differences.

    Attributes:
        gamma: Discount of the reward one step later, `[P, 1]`.
        gae_lambda: Weight of the temporal difference one step later, beside gamma, `[P, 1]`.
    """

    gamma: Tensor
    gae_lambda: Tensor


def generalized_advantages(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    discounts: Discounts,
) -> Tensor:
    """Compute the advantage of each action in a rollout by generalised advantage estimation (GAE).

    A terminated state has no future, so the value after the action counts as 0. A truncated state has a future: the
    advantage bootstraps from the value of the episode's own final observation, never from the first observation of the
    next episode. Either end cuts the sum of later temporal differences.

    Args:
        rewards: `[P, T, N]`, reward at t for acting at t.
        values: `[P, T, N]`, value of the observation at t.
        next_values: `[P, T, N]`, value of the observation after the action at t: the one at t + 1, or the final
            observation of an episode truncated at t. Ignored where the episode terminated.
        terminated: bool `[P, T, N]`, the episode ended by itself after the action at t.
        truncated: bool `[P, T, N]`, the episode was cut off after the action at t.
        discounts: gamma and gae_lambda of each member.

    Returns:
        Advantages `[P, T, N]`. The sum of advantages and `values` are the lambda-returns, the targets of the critic.
    """
    gamma, gae_lambda = discounts
    deltas = rewards + gamma.unsqueeze(-1) * torch.where(terminated, 0.0, next_values) - values
    decay = torch.where(terminated | truncated, 0.0, (gamma * gae_lambda).unsqueeze(-1))
    # Backwards in time: A(t) = delta(t) + gamma lambda A(t + 1), cut where an episode ended.
    advantages, following = [], torch.zeros_like(deltas[:, 0])
    for delta, factor in zip(deltas.unbind(1)[::-1], decay.unbind(1)[::-1], strict=True):
        following = delta + factor * following
        advantages.append(following)
    return torch.stack(advantages[::-1], dim=1)
