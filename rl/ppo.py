"""The PPO update (Schulman et al. 2017), for all members of a learner at once.

`update` is meant to be read against the paper line by line. Every tensor has a leading member axis P; losses are
summed over members, so a member's gradient does not depend on how many there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from rl import metrics
from rl.adam import Adam
from rl.config import PPOConfig
from rl.networks import ActorCritic

_KL_SLACK = 1.5
"""A member stops its update beyond this many times target_kl, as in Stable-Baselines3."""


@dataclass(frozen=True)
class Hyperparameters:
    """What may differ between members, each float32 `[P, 1]`. Infinity switches an optional limit off."""

    lr: Tensor
    adam_eps: Tensor
    gamma: Tensor
    gae_lambda: Tensor
    clip_range: Tensor
    clip_range_vf: Tensor
    entropy_coef: Tensor
    value_coef: Tensor
    max_grad_norm: Tensor
    target_kl: Tensor

    @classmethod
    def of(cls, configs: Sequence[PPOConfig]) -> "Hyperparameters":
        """Stack the settings of the members."""

        def column(name: str) -> Tensor:
            values = [getattr(config, name) for config in configs]
            return torch.tensor([[float("inf") if value is None else value] for value in values])

        return cls(**{field.name: column(field.name) for field in fields(cls)})

    def on(self, device: torch.device) -> "Hyperparameters":
        """The same, on a device."""
        return Hyperparameters(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


@dataclass(frozen=True)
class Batch:
    """A rollout as the update sees it: `[P, B, ...]`, B samples a member, in any order.

    Attributes:
        observations: `[P, B, F]`, normalised.
        actions: int64 or float32 `[P, B, *action_shape]`.
        log_probs: Of the actions, under the policy that took them, `[P, B]`.
        advantages: `[P, B]`, in units of reward.
        targets: What the critic should have predicted, in its own units, `[P, B]`.
        predictions: What it did predict, in its own units, `[P, B]`.
    """

    observations: Tensor
    actions: Tensor
    log_probs: Tensor
    advantages: Tensor
    targets: Tensor
    predictions: Tensor

    def shuffled(self, order: Tensor) -> "Batch":
        """The samples in the given order, int64 `[P, B]`."""
        rows = (order + torch.arange(len(order), device=order.device).unsqueeze(1) * order.shape[1]).flatten()

        def reordered(tensor: Tensor) -> Tensor:
            if tensor.ndim == 2:
                return tensor.gather(1, order)
            return tensor.flatten(0, 1).index_select(0, rows).view_as(tensor)

        return Batch(**{field.name: reordered(getattr(self, field.name)) for field in fields(self)})

    def minibatches(self, size: int) -> list["Batch"]:
        """Cut into consecutive parts of `size` samples."""
        parts = {field.name: getattr(self, field.name).split(size, dim=1) for field in fields(self)}
        return [Batch(**dict(zip(parts, tensors, strict=True))) for tensors in zip(*parts.values(), strict=True)]


def update(
    networks: ActorCritic,
    adam: Adam,
    batch: Batch,
    hyper: Hyperparameters,
    config: PPOConfig,
    generators: Sequence[np.random.Generator],
) -> dict[str, Tensor]:
    """One PPO update: `num_epochs` passes over the rollout in shuffled minibatches.

    Args:
        networks: Changed in place.
        adam: Of the networks' parameters.
        batch: The rollout.
        hyper: Per-member settings in force, after their schedules.
        config: Shared settings: shapes and switches.
        generators: One for each member; draws the order of its samples.

    Returns:
        Metrics `[P]` by name, averaged over the minibatches that moved the member. `grad_norm` is before clipping.
    """
    samples = batch.log_probs.shape[1]
    active = torch.ones_like(hyper.target_kl, dtype=torch.bool)
    sums: dict[str, Tensor] = {}
    steps = torch.zeros_like(hyper.target_kl[:, 0])
    for _ in range(config.num_epochs):
        order = torch.from_numpy(np.stack([generator.permutation(samples) for generator in generators]))
        for part in batch.shuffled(order.to(batch.actions.device)).minibatches(config.minibatch_size):
            outputs, values = networks.forward(part.observations)
            log_probs, entropies = networks.distribution.log_probs(outputs, part.actions)
            entropy = entropies.mean(-1)

            advantages = part.advantages
            if config.normalize_advantage:
                mean, std = advantages.mean(-1, keepdim=True), advantages.std(-1, keepdim=True)
                advantages = (advantages - mean) / (std + 1e-8)

            # Equation 7: the pessimistic one of the clipped and the unclipped objective.
            log_ratio = log_probs - part.log_probs
            ratio = log_ratio.exp()
            clipped = torch.clamp(ratio, 1 - hyper.clip_range, 1 + hyper.clip_range)
            policy_loss = -torch.minimum(ratio * advantages, clipped * advantages).mean(-1)

            errors = (values - part.targets).square()
            limited = hyper.clip_range_vf.isfinite()
            if bool(limited.any()):
                move = torch.clamp(values - part.predictions, -hyper.clip_range_vf, hyper.clip_range_vf)
                pessimistic = torch.maximum(errors, (part.predictions + move - part.targets).square())
                errors = torch.where(limited, pessimistic, errors)
            value_loss = errors.mean(-1)

            # Equation 9, summed over members so that none of them scales another's gradient.
            loss = policy_loss + hyper.value_coef[:, 0] * value_loss - hyper.entropy_coef[:, 0] * entropy
            networks.backward(*torch.autograd.grad(loss.sum(), (outputs, values)))

            with torch.no_grad():
                approx_kl = ((ratio - 1) - log_ratio).mean(-1)  # Schulman 2020, the estimator k3: never negative
                active &= (approx_kl <= _KL_SLACK * hyper.target_kl[:, 0]).unsqueeze(-1)
                grad_norm = networks.gradients.norm(dim=1, keepdim=True)
                networks.gradients.mul_(torch.clamp(hyper.max_grad_norm / (grad_norm + 1e-6), max=1.0))
                adam.step(networks.gradients, hyper.lr, active)

                moved = active[:, 0].float()
                steps += moved
                for name, value in (
                    (metrics.POLICY_LOSS, policy_loss),
                    (metrics.VALUE_LOSS, value_loss),
                    (metrics.ENTROPY, entropy),
                    (metrics.APPROX_KL, approx_kl),
                    (metrics.CLIP_FRACTION, ((ratio - 1).abs() > hyper.clip_range).float().mean(-1)),
                    (metrics.GRAD_NORM, grad_norm[:, 0]),
                    (metrics.GRAD_CLIPPED_SHARE, (grad_norm > hyper.max_grad_norm)[:, 0].float()),
                ):
                    sums[name] = sums.get(name, 0.0) + value * moved
    return {name: total / steps for name, total in sums.items()}
