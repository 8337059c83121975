"""Actor and critic of P members as one stack of matrices: one batched product per layer serves them all.

Every tower (policy, and value unless the trunk is shared) has the same shape. Its last layer has a column for each
action and one more for the value, so a shared trunk and separate networks are the same code: the policy is read from
the first tower, the value from the last.
"""

import math
import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_ALIGNMENT = 16
"""Floats in 64 bytes. Matrix kernels round differently for rows that start elsewhere, so with narrower layers a
member's numbers would depend on how many others stand before it in memory. Padding holds zeros for ever: its
activations are tanh(0) and its gradients vanish."""

_HIDDEN_GAIN, _POLICY_GAIN, _VALUE_GAIN = math.sqrt(2.0), 0.01, 1.0
"""Orthogonal initialisation as in Huang et al. 2022, "The 37 implementation details of PPO", detail 2."""


# The layers' gradients are views of one buffer, as intended; torch only wonders whether that is slower.
warnings.filterwarnings("ignore", message="grad and param do not obey the gradient layout contract")


def _padded(width: int) -> int:
    return -(-width // _ALIGNMENT) * _ALIGNMENT


def _orthogonal(rows: int, columns: int, gain: float, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """A matrix with orthonormal columns (or rows, whichever are fewer), times `gain`."""
    normal = generator.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(normal)
    q *= np.sign(np.diag(r))
    result: npt.NDArray[np.float64] = gain * (q if rows >= columns else q.T)
    return result


class ActorCritic:
    """P actor-critics with tanh layers, every parameter in one buffer.

    Attributes:
        parameters: float `[P, n]`. The layers are views of it, so an optimiser needs nothing else.
        gradients: float `[P, n]`, filled by `backward` on a loss; views likewise.
    """

    def __init__(
        self,
        num_features: int,
        num_actions: int,
        hidden_sizes: Sequence[int],
        shared_trunk: bool,
        generators: Sequence[np.random.Generator],
    ) -> None:
        self.num_members, self.num_actions = len(generators), num_actions
        self.num_towers = 1 if shared_trunk else 2
        self._sizes = [num_features, *hidden_sizes, num_actions + 1]
        self._widths = [num_features, *(_padded(size) for size in self._sizes[1:])]
        tower_size = sum(
            rows * columns + columns for rows, columns in zip(self._widths, self._widths[1:], strict=False)
        )
        self.parameters = torch.zeros(self.num_members, self.num_towers * tower_size)
        self.gradients = torch.zeros_like(self.parameters)
        self._weights, self._biases = self._views(tower_size)
        for member, generator in enumerate(generators):
            self._initialise(member, generator)

    def _views(self, tower_size: int) -> tuple[list[Tensor], list[Tensor]]:
        """Leaf tensors over the buffer, `[P * towers, in, out]` and `[P * towers, 1, out]`, gradients attached."""
        values = self.parameters.view(-1, tower_size)
        gradients = self.gradients.view(-1, tower_size)
        weights: list[Tensor] = []
        biases: list[Tensor] = []
        offset = 0
        for rows, columns in zip(self._widths, self._widths[1:], strict=False):
            for leaves, height in ((weights, rows), (biases, 1)):
                end = offset + height * columns
                leaf = values[:, offset:end].view(-1, height, columns).detach().requires_grad_()
                leaf.grad = gradients[:, offset:end].view(-1, height, columns)
                leaves.append(leaf)
                offset = end
        return weights, biases

    @torch.no_grad()
    def _initialise(self, member: int, generator: np.random.Generator) -> None:
        for tower in range(self.num_towers):
            for layer, (rows, columns) in enumerate(zip(self._sizes, self._sizes[1:], strict=False)):
                if layer < len(self._weights) - 1:
                    weight = _orthogonal(rows, columns, _HIDDEN_GAIN, generator)
                else:
                    policy = _orthogonal(rows, columns - 1, _POLICY_GAIN, generator)
                    weight = np.hstack([policy, _orthogonal(rows, 1, _VALUE_GAIN, generator)])
                view = self._weights[layer][member * self.num_towers + tower]
                view[:rows, :columns] = torch.from_numpy(weight).to(view.dtype)

    def __call__(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `[P, B, num_actions]` and values `[P, B]` of observations `[P, B, num_features]`."""
        members, batch, features = observations.shape
        inputs = observations
        if self.num_towers > 1:
            inputs = observations.unsqueeze(1).expand(-1, self.num_towers, -1, -1).reshape(-1, batch, features)
        outputs = self._layers(inputs, self._weights, self._biases).view(members, self.num_towers, batch, -1)
        return outputs[:, 0, :, : self.num_actions], outputs[:, -1, :, self.num_actions]

    def logits(self, observations: Tensor) -> Tensor:
        """The policy alone: logits `[P, B, num_actions]` of observations `[P, B, num_features]`."""
        weights = [weight[:: self.num_towers] for weight in self._weights]
        biases = [bias[:: self.num_towers] for bias in self._biases]
        return self._layers(observations, weights, biases)[..., : self.num_actions]

    @staticmethod
    def _layers(hidden: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> Tensor:
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            hidden = torch.tanh(torch.baddbmm(bias, hidden, weight))
        return torch.baddbmm(biases[-1], hidden, weights[-1])
