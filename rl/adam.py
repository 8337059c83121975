"""P independent Adams over one flat buffer (Kingma & Ba 2015, algorithm 1)."""

import torch
from torch import Tensor

BETA1, BETA2 = 0.9, 0.999


class Adam:
    """Adam with a learning rate, a step count and an on/off switch for each member.

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
        """Move the parameters of the active members; the others keep parameters, moments and step count.

        Args:
            gradients: `[P, n]`.
            lr: `[P, 1]`.
            active: bool `[P, 1]`; None: all.
        """
        if active is not None and not bool(active.all()):
            kept = [tensor.clone() for tensor in self.state().values()]
            self.step(gradients, lr)
            for tensor, old in zip(self.state().values(), kept, strict=True):
                tensor.copy_(torch.where(active, tensor, old))
            return
        self.steps += 1
        self.exp_avg.lerp_(gradients, 1 - BETA1)
        self.exp_avg_sq.mul_(BETA2).addcmul_(gradients, gradients, value=1 - BETA2)
        correction1 = (1 - BETA1**self.steps).to(gradients.dtype)
        correction2 = (1 - BETA2**self.steps).sqrt().to(gradients.dtype)
        denominator = self.exp_avg_sq.sqrt().div_(correction2).add_(self.eps)
        self.parameters.sub_(self.exp_avg.div(denominator).mul_(lr / correction1))

    def state(self) -> dict[str, Tensor]:
        """What steps change, by name, live: parameters and moments `[P, n]`, steps `[P, 1]`. No learning rate."""
        return {
            "parameters": self.parameters,
            "exp_avg": self.exp_avg,
            "exp_avg_sq": self.exp_avg_sq,
            "steps": self.steps,
        }
