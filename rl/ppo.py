"""The PPO update (Schulman et al. 2017), for all members of a learner at once.

Read `minibatch_step` against the paper line by line. Each tensor has a leading member axis P; losses are summed over
members, so the gradient of a member does not depend on the number of members.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from unstuck.rl import metrics
from unstuck.rl.adam import Adam
from unstuck.rl.compiling import Step, compile_step
from unstuck.rl.config import PPOConfig
from unstuck.rl.estimates import estimate_kl, measure_clipping
from unstuck.rl.networks import ActorCritic

MEASURED = (
    metrics.POLICY_LOSS,
    metrics.VALUE_LOSS,
    metrics.ENTROPY,
    metrics.APPROX_KL,
    metrics.CLIP_FRACTION,
    metrics.GRAD_NORM,
    metrics.GRAD_CLIPPED_SHARE,
)
"""Metrics that `minibatch_step` measures, in order."""

_KL_SLACK = 1.5
"""Factor of target_kl beyond which a member stops updating, as in Stable-Baselines3."""


@dataclass(frozen=True)
class Hyperparameters:
    """PPO settings that may differ between members (seeds), a number for each; infinity switches a limit off.

    Each is float32 `[P, 1]`.
    """

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
    def stack_settings(cls, configs: Sequence[PPOConfig]) -> "Hyperparameters":
        """Collect settings of configurations in tensors, one number for each configuration; None becomes infinity.

        Each tensor is `[P, 1]`.
        """

        def column(name: str) -> Tensor:
            values = [getattr(config, name) for config in configs]
            return torch.tensor([[float("inf") if value is None else value] for value in values])

        return cls(**{field.name: column(field.name) for field in fields(cls)})

    def to_device(self, device: torch.device) -> "Hyperparameters":
        """Move the settings, which are tensors, to a torch device."""
        return Hyperparameters(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})

    def select_members(self, members: slice) -> "Hyperparameters":
        """Return the settings of some members (seeds) only."""
        return _select_members(self, members)


@dataclass(frozen=True)
class Batch:
    """Samples of a rollout for the update, equally many for each member (seed).

    Tensors are `[P, B, ...]`: P members, B samples each.

    Attributes:
        observations: `[P, B, F]`, normalised.
        actions: int64 or float32 `[P, B, *action_shape]`.
        log_probs: Log-probabilities of the actions under the policy that acted, `[P, B]`.
        advantages: `[P, B]`, in units of reward.
        targets: Values that the critic is trained to predict, in the critic's units, `[P, B]`.
        predictions: Values that the critic predicted while acting, in the critic's units, `[P, B]`.
    """

    observations: Tensor
    actions: Tensor
    log_probs: Tensor
    advantages: Tensor
    targets: Tensor
    predictions: Tensor

    def shuffle(self, order: Tensor) -> "Batch":
        """Reorder the samples of each member (seed) by the indices in `order`, a row for each.

        `order` is int64 `[P, B]`.
        """
        rows = (order + torch.arange(len(order), device=order.device).unsqueeze(1) * order.shape[1]).flatten()

        def reordered(tensor: Tensor) -> Tensor:
            if tensor.ndim == 2:
                return tensor.gather(1, order)
            return tensor.flatten(0, 1).index_select(0, rows).view_as(tensor)

        return Batch(**{field.name: reordered(getattr(self, field.name)) for field in fields(self)})

    def select_members(self, members: slice) -> "Batch":
        """Return the samples of some members (seeds) only."""
        return _select_members(self, members)

    def minibatches(self, size: int) -> list["Batch"]:
        """Cut the batch into consecutive minibatches, with `size` samples of each member (seed)."""
        parts = {field.name: getattr(self, field.name).split(size, dim=1) for field in fields(self)}
        return [Batch(**dict(zip(parts, tensors, strict=True))) for tensors in zip(*parts.values(), strict=True)]


_Columns = TypeVar("_Columns", Hyperparameters, Batch)


def _select_members(columns: _Columns, members: slice) -> _Columns:
    return replace(columns, **{field.name: getattr(columns, field.name)[members] for field in fields(columns)})


class Switches(NamedTuple):
    """Switches that choose between formulas of a training step, the same for all members (seeds).

    Attributes:
        normalize_advantage: True to divide advantages by their spread in the minibatch.
        clips_values: True if a member has a finite `clip_range_vf`.
    """

    normalize_advantage: bool
    clips_values: bool


@dataclass(frozen=True)
class _Members:
    """Networks, optimiser, settings and random generators of members (seeds) that are trained together."""

    networks: ActorCritic
    adam: Adam
    hyper: Hyperparameters
    generators: Sequence[np.random.Generator]

    def select_members(self, members: slice) -> "_Members":
        """Return some of the members (seeds) only; they share parameters, moments and generators with the whole."""
        networks = self.networks.select_members(members)
        adam = self.adam.select_members(members, networks.parameters)
        return _Members(networks, adam, self.hyper.select_members(members), self.generators[members])


def update(
    networks: ActorCritic,
    adam: Adam,
    batch: Batch,
    hyper: Hyperparameters,
    config: PPOConfig,
    generators: Sequence[np.random.Generator],
) -> dict[str, Tensor]:
    """Update the networks by PPO, in `num_epochs` passes over shuffled minibatches; return metrics by name.

    Members take each step together. Compiled members take their steps one after the other: sharing operations gains
    nothing then, the tensors of a step stay in the core's cache, and one program serves all members.

    Args:
        networks: Networks, changed in place.
        adam: Optimiser of the networks' parameters.
        batch: The rollout.
        hyper: Per-member settings in force, after their schedules.
        config: Shared settings: shapes and switches.
        generators: Generators of the members, one each, that draw the order of samples.

    Returns:
        Metrics `[P]` by name, averaged over the minibatches that moved the member. `grad_norm` is before clipping.
        `metrics.EPOCHS_DONE` is of this update alone: passes over the rollout, or the share of one.
    """
    together = _Members(networks, adam, hyper, generators)
    if not config.compile:
        return _epochs(minibatch_step, together, batch, config)
    step, alone = compile_step(minibatch_step), [slice(member, member + 1) for member in range(len(generators))]
    each = [_epochs(step, together.select_members(one), batch.select_members(one), config) for one in alone]
    return {name: torch.cat([measured[name] for measured in each]) for name in (*MEASURED, metrics.EPOCHS_DONE)}


def _epochs(step: Step, members: _Members, batch: Batch, config: PPOConfig) -> dict[str, Tensor]:
    """Run all passes over the rollout, for members (seeds) that take each step together; return metrics."""
    networks, adam, hyper = members.networks, members.adam, members.hyper
    switches = Switches(config.normalize_advantage, bool(hyper.clip_range_vf.isfinite().any()))
    active = torch.ones_like(hyper.target_kl, dtype=torch.bool)
    moved, measured = [], []
    for _ in range(config.num_epochs):
        orders = np.stack([generator.permutation(config.batch_size) for generator in members.generators])
        for part in batch.shuffle(torch.from_numpy(orders).to(active.device)).minibatches(config.minibatch_size):
            active, values = step(networks, adam, hyper, part, active, switches)
            moved.append(active[:, 0])
            measured.append(values)
        del part  # or this epoch's samples would stay in memory beside the next one's
    counts = torch.stack(moved, dim=-1)  # [P, steps]: sums along rows round alike, however many members there are
    sums = torch.where(counts, torch.stack(measured, dim=-1), 0.0).sum(-1)
    taken = counts.sum(-1)
    epochs = taken * config.num_epochs / counts.shape[-1]
    return {**dict(zip(MEASURED, sums / taken, strict=True)), metrics.EPOCHS_DONE: epochs}


def minibatch_step(
    networks: ActorCritic,
    adam: Adam,
    hyper: Hyperparameters,
    batch: Batch,
    active: Tensor,
    switches: Switches,
) -> tuple[Tensor, Tensor]:
    """Train on one minibatch (loss, gradient, clipping, Adam); return which seeds continue, and metrics.

    Args:
        networks: Networks, changed in place, but for members that have stopped.
        adam: Optimiser of the networks' parameters.
        hyper: Per-member settings in force.
        batch: The minibatch.
        active: Members that have not stopped, bool `[P, 1]`.
        switches: Choices between formulas.

    Returns:
        Members that took the step, bool `[P, 1]`, and measurements, `[len(MEASURED), P]`.
    """
    *heads, inputs = networks.forward(batch.observations)
    outputs, values = (head.detach().requires_grad_() for head in heads)
    log_probs, entropies = networks.distribution.log_probs(outputs, batch.actions)
    entropy = entropies.mean(-1)

    advantages = batch.advantages
    if switches.normalize_advantage:
        mean, std = advantages.mean(-1, keepdim=True), advantages.std(-1, keepdim=True)
        advantages = (advantages - mean) / (std + 1e-8)

    # Equation 7: the pessimistic one of the clipped and the unclipped objective.
    log_ratio = log_probs - batch.log_probs
    ratio = log_ratio.exp()
    clipped = torch.clamp(ratio, 1 - hyper.clip_range, 1 + hyper.clip_range)
    policy_loss = -torch.minimum(ratio * advantages, clipped * advantages).mean(-1)

    errors = (values - batch.targets).square()
    if switches.clips_values:
        move = torch.clamp(values - batch.predictions, -hyper.clip_range_vf, hyper.clip_range_vf)
        pessimistic = torch.maximum(errors, (batch.predictions + move - batch.targets).square())
        errors = torch.where(hyper.clip_range_vf.isfinite(), pessimistic, errors)
    value_loss = errors.mean(-1)

    # Equation 9, summed over members so that none of them scales another's gradient.
    loss = policy_loss + hyper.value_coef[:, 0] * value_loss - hyper.entropy_coef[:, 0] * entropy
    gradients = networks.backward(inputs, *torch.autograd.grad(loss.sum(), (outputs, values)))

    with torch.no_grad():
        approx_kl = estimate_kl(ratio, log_ratio)
        active = active & (approx_kl <= _KL_SLACK * hyper.target_kl[:, 0]).unsqueeze(-1)
        grad_norm = gradients.square().sum(1, keepdim=True).sqrt()
        adam.step(gradients * torch.clamp(hyper.max_grad_norm / (grad_norm + 1e-6), max=1.0), hyper.lr, active)
        clip_fraction = measure_clipping(ratio, hyper.clip_range)
        clipped_share = (grad_norm > hyper.max_grad_norm).float()
        measured = policy_loss, value_loss, entropy, approx_kl, clip_fraction, grad_norm[:, 0], clipped_share[:, 0]
        return active, torch.stack(measured)
