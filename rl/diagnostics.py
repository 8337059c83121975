"""What tells why a run does not learn, and no loss shows: gradients by their origin, units, inputs, the first ratio."""

import torch
from torch import Tensor

from rl import metrics
from rl.networks import ActorCritic
from rl.ppo import Batch, Hyperparameters

SATURATED = 0.97
"""A tanh beyond this, either way, passes on less than 6 % of its gradient."""


def before_update(networks: ActorCritic, batch: Batch, hyper: Hyperparameters) -> dict[str, Tensor]:
    """Look at the networks that acted, on samples of their rollout.

    At these parameters every ratio must be 1, so PPO's objective has the plain policy gradient, which is what is
    measured, the entropy bonus included; the critic's is that of the value loss times `value_coef`.

    Args:
        networks: Those that acted.
        batch: `[P, B, ...]`, some samples of the rollout.
        hyper: Per-member settings.

    Returns:
        `metrics.NETWORKS`, each `[P]`.
    """
    *heads, inputs = networks.forward(batch.observations)
    outputs, values = (head.detach().requires_grad_() for head in heads)
    log_probs, entropies = networks.distribution.log_probs(outputs, batch.actions)
    advantages = batch.advantages - batch.advantages.mean(-1, keepdim=True)
    advantages = advantages / (batch.advantages.std(-1, keepdim=True) + 1e-8)
    policy_loss = -(log_probs * advantages).mean(-1) - hyper.entropy_coef[:, 0] * entropies.mean(-1)
    value_loss = hyper.value_coef[:, 0] * (values - batch.targets).square().mean(-1)
    of_policy, of_value = torch.autograd.grad((policy_loss + value_loss).sum(), (outputs, values))
    if networks.num_towers == 2:  # neither loss reaches the other's tower: one pass serves both
        gradients = networks.backward(inputs, of_policy, of_value).view(len(values), 2, -1)
        norms = gradients.norm(dim=2).unbind(1)
    else:
        apart = (of_policy, torch.zeros_like(of_value)), (torch.zeros_like(of_policy), of_value)
        norms = tuple(networks.backward(inputs, *of_heads).norm(dim=1) for of_heads in apart)
    with torch.no_grad():
        return {
            metrics.GRAD_NORM_POLICY: norms[0],
            metrics.GRAD_NORM_VALUE: norms[1],
            metrics.RATIO_DEVIATION: ((log_probs - batch.log_probs).exp() - 1).abs().amax(-1),
            metrics.SATURATED_SHARE: networks.share_of_units_beyond(SATURATED, inputs),
            metrics.INPUT_RMS_MAX: batch.observations.square().mean(1).sqrt().amax(-1),
        }


def of_rollout(batch: Batch, returns: Tensor) -> dict[str, Tensor]:
    """Mean and spread of what the critic is to predict, returns `[P, B]`, and of the advantages; each `[P]`."""
    return {
        metrics.TARGET_MEAN: returns.mean(-1),
        metrics.TARGET_STD: returns.std(-1, correction=0),
        metrics.ADVANTAGE_MEAN: batch.advantages.mean(-1),
        metrics.ADVANTAGE_STD: batch.advantages.std(-1, correction=0),
    }
