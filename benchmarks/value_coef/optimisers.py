"""Optimisers that only the study needs. Each goes where the learner's Adam is: `learner.adam = ...`.

With separate networks the flat buffer holds the policy's parameters first and the critic's after them, as many.
"""

from typing import Protocol

import torch
from torch import Tensor


class Optimiser(Protocol):
    """Protocol of the optimisers that a learner can use, e.g. `rl.adam.Adam`."""

    parameters: Tensor
    eps: Tensor

    def step(self, gradients: Tensor, lr: Tensor, active: Tensor | None = None) -> None:
        """Change the parameters in place by gradients and learning rates, as `rl.adam.Adam.step` does."""

    def state(self) -> dict[str, Tensor]:
        """Return by name the tensors that a step changes: the tensors in use, not copies."""


class Sgd:
    """Plain gradient descent: each step is the learning rate times the gradient."""

    def __init__(self, parameters: Tensor, eps: Tensor) -> None:
        self.parameters, self.eps = parameters, eps

    @torch.no_grad()
    def step(self, gradients: Tensor, lr: Tensor, active: Tensor | None = None) -> None:
        """Take a step of gradient descent, for the parameters of the active members only."""
        step = lr * gradients
        self.parameters.sub_(step if active is None else torch.where(active, step, 0.0))

    def state(self) -> dict[str, Tensor]:
        """Return the parameters by name: plain gradient descent has no other state."""
        return {"parameters": self.parameters}


class Apart:
    """Optimiser for separate networks, with a gradient clip for each network and a learning rate for the critic.

    Args:
        inner: The optimiser that steps.
        network_clip: Each network's gradient is clipped to this norm, `[P, 1]`; infinite: not.
        critic_lr: Times the learning rate, for the critic alone, `[P, 1]`.
    """

    def __init__(self, inner: Optimiser, network_clip: Tensor, critic_lr: Tensor) -> None:
        self.inner, self.network_clip = inner, network_clip.unsqueeze(-1)
        self.parameters, self.eps = inner.parameters, inner.eps
        policy = torch.ones_like(networks_apart(inner.parameters)[:, :1])
        self.lr_factors = torch.cat([policy, policy * critic_lr.unsqueeze(-1)], dim=1).flatten(1)

    @torch.no_grad()
    def step(self, gradients: Tensor, lr: Tensor, active: Tensor | None = None) -> None:
        """Clip each network's gradient, then take a step with the wrapped optimiser."""
        networks = networks_apart(gradients)
        clipped = networks * torch.clamp(self.network_clip / (networks.norm(dim=-1, keepdim=True) + 1e-6), max=1.0)
        self.inner.step(clipped.flatten(1), lr * self.lr_factors, active)

    def state(self) -> dict[str, Tensor]:
        """Return the state of the wrapped optimiser."""
        return self.inner.state()


class Recorder:
    """Optimiser that stores a copy of all gradients and does not change the parameters.

    Args:
        inner: The optimiser whose place this takes for a while; its state is shown as this one's.
    """

    def __init__(self, inner: Optimiser) -> None:
        self.inner = inner
        self.parameters, self.eps = inner.parameters, inner.eps
        self.gradients: list[Tensor] = []

    def step(self, gradients: Tensor, lr: Tensor, active: Tensor | None = None) -> None:
        """Store a copy of the gradients `[P, n]` (member, parameter); leave the parameters unchanged."""
        self.gradients.append(gradients.clone())

    def state(self) -> dict[str, Tensor]:
        """Return the state of the wrapped optimiser."""
        return self.inner.state()


def networks_apart(buffer: Tensor) -> Tensor:
    """Reshape parameters `[..., n]` of separate networks to `[..., 2, n / 2]`: the policy's, then the critic's."""
    return buffer.unflatten(-1, (2, -1))
