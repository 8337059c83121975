"""P independent Adams over one flat buffer (Kingma & Ba 2015, algorithm 1)."""

from copy import copy

import torch
from torch import Tensor

BETA1, BETA2 = 0.9, 0.999


class Adam:
    """Adam optimiser for several members (one network for each seed), each with its own learning rate and step count.

    `torch.optim.Adam` takes one learning rate for a tensor; members have one each.

    Args:
        parameters: float `[P, n]`, changed in place.
        eps: `[P, 1]`, added to the root of the second moment.

    Attributes:
        exp_avg: First moment, `[P, n]`.
        exp_avg_sq: Second moment, `[P, n]`.
        steps: Steps taken, float64 `[P, 1]`.
    """

    def __init__(self, parameters: Tensor, eps: Tensor) -> None:
        self.parameters, self.eps = parameters, eps
        self.exp_avg = torch.zeros_like(parameters)
        self.exp_avg_sq = torch.zeros_like(parameters)
        self.steps = torch.zeros(len(parameters), 1, dtype=torch.float64, device=parameters.device)

    @torch.no_grad()
    def step(self, gradients: Tensor, lr: Tensor, active: Tensor | None = None) -> None:
        """Change the parameters of the active members (seeds) by one Adam step; leave all others unchanged.

        Args:
            gradients: `[P, n]`.
            lr: `[P, 1]`.
            active: bool `[P, 1]`; None: all.
        """
        active = torch.ones_like(self.steps, dtype=torch.bool) if active is None else active
        moves = active.to(gradients.dtype)
        gradients = torch.where(active, gradients, 0.0)  # a factor 0 would let NaN through
        self.steps += active
        self.exp_avg.lerp_(gradients, (1 - BETA1) * moves)
        self.exp_avg_sq.lerp_(gradients.square(), (1 - BETA2) * moves)
        steps = self.steps.clamp(min=1)  # of a member that never moved
        correction1 = (1 - BETA1**steps).to(gradients.dtype)
        correction2 = (1 - BETA2**steps).sqrt().to(gradients.dtype)
        denominator = self.exp_avg_sq.sqrt().add_(self.eps * correction2)
        self.parameters.sub_(self.exp_avg.div(denominator).mul_(moves * lr * correction2 / correction1))

    def select_members(self, members: slice, parameters: Tensor) -> "Adam":
        """Return the optimiser of some members (seeds), which shares moments and step counts with the whole one.

        Args:
            members: Rows to keep.
            parameters: Parameters of these members, `[len(members), n]`, changed in place.
        """
        moments = (tensor[members] for tensor in (self.exp_avg, self.exp_avg_sq, self.steps))
        return self.with_tensors(parameters, self.eps[members], *moments)

    def with_tensors(
        self, parameters: Tensor, eps: Tensor, exp_avg: Tensor, exp_avg_sq: Tensor, steps: Tensor
    ) -> "Adam":
        """Return a copy of the optimiser that reads and changes the given tensors themselves, not copies."""
        other = copy(self)
        other.parameters, other.eps = parameters, eps
        other.exp_avg, other.exp_avg_sq, other.steps = exp_avg, exp_avg_sq, steps
        return other

    def state(self) -> dict[str, Tensor]:
        """Return the tensors that an Adam step changes, by name: parameters, moments and step counts of all members.

        Parameters and moments are `[P, n]`, steps `[P, 1]`.

        The learning rate is a setting, not state.
        """
        return {
            "parameters": self.parameters,
            "exp_avg": self.exp_avg,
            "exp_avg_sq": self.exp_avg_sq,
            "steps": self.steps,
        }
