"""Generalised advantage estimation (Schulman et al. 2016, equations 11 to 16)."""

import torch
from torch import Tensor


def generalized_advantages(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    discounts: tuple[Tensor, Tensor],
) -> Tensor:
    """Advantages of a rollout that may hold the ends of episodes.

    A terminated state has no future, so its value counts as 0. A truncated one has: its value is bootstrapped, from
    the episode's own final observation and never from the next episode's first. Either end cuts the sum of later
    temporal differences.

    Args:
        rewards: `[P, T, N]`, reward at t for acting at t.
        values: `[P, T, N]`, value of the observation at t.
        next_values: `[P, T, N]`, value of what followed the action at t: the observation at t + 1, or where the
            episode was truncated at t its final observation. Ignored where it terminated.
        terminated: bool `[P, T, N]`, the episode ended by itself after the action at t.
        truncated: bool `[P, T, N]`, the episode was cut off after the action at t.
        discounts: gamma and gae_lambda, each `[P, 1]`.

    Returns:
        Advantages `[P, T, N]`. Plus `values` they are the lambda-returns, the critic's targets.
    """
    gamma, gae_lambda = discounts
    deltas = rewards + gamma.unsqueeze(-1) * torch.where(terminated, 0.0, next_values) - values
    decay = torch.where(terminated | truncated, 0.0, (gamma * gae_lambda).unsqueeze(-1))
    advantages, following = [], torch.zeros_like(deltas[:, 0])
    for delta, factor in zip(deltas.unbind(1)[::-1], decay.unbind(1)[::-1], strict=True):
        following = delta + factor * following
        advantages.append(following)
    return torch.stack(advantages[::-1], dim=1)
