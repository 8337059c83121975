"""Actor and critic of P members as one stack of matrices: one batched product per layer serves all members.

Every tower (policy, and value unless the trunk is shared) has the same shape. The last layer has a column for each
output of the policy (`rl.distributions` says what they mean) and one more for the value, so a shared trunk and separate
networks are the same code: the policy is read from the first tower, the value from the last.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from copy import copy
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from unstuck.rl.distributions import Distribution

_ALIGNMENT = 16
"""Floats in 64 bytes. Matrix kernels round differently for rows that start elsewhere, so with narrower layers a
member's numbers would depend on how many others stand before it in memory. Padding holds zeros for ever: its
activations are tanh(0) and its gradients vanish."""

_AT_ONCE = 4096
"""Samples that go through the layers together where nothing is learned from them; a member's are never divided, which
would round otherwise."""

_HIDDEN_GAIN, _POLICY_GAIN, _VALUE_GAIN = math.sqrt(2.0), 0.01, 1.0
"""Orthogonal initialisation as in Huang et al. 2022, "The 37 implementation details of PPO", detail 2."""


def _padded(width: int) -> int:
    return -(-width // _ALIGNMENT) * _ALIGNMENT


def _orthogonal(rows: int, columns: int, gain: float, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """Draw a random matrix with orthonormal columns (or rows, if fewer), multiplied by `gain`."""
    normal = generator.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(normal)
    q *= np.sign(np.diag(r))
    result: npt.NDArray[np.float64] = gain * (q if rows >= columns else q.T)
    return result


def _tanh_(tensor: Tensor) -> Tensor:
    """Replace a tensor's numbers by their tanh; on the CPU by numpy, which is faster than torch there."""
    if tensor.device.type != "cpu":
        return tensor.tanh_()
    np.tanh(tensor.numpy(), out=tensor.numpy())
    return tensor


class ActorCritic:
    """Policy and critic networks of P members (seeds), computed together, all parameters in one tensor.

    The layers are few and their gradient is short, so the gradient is written out (`backward`). Autograd, which would
    spend as much time on bookkeeping, serves the loss alone, and checks the written gradient in the tests.

    Attributes:
        parameters: float32 `[P, n]`. The layers are views of this buffer, so an optimiser needs nothing else.
        distribution: Meaning of the policy's outputs.
        sizes: Widths without padding: features, hidden units, outputs and one value.
    """

    def __init__(
        self,
        num_features: int,
        distribution: Distribution,
        hidden_sizes: Sequence[int],
        shared_trunk: bool,
        generators: Sequence[np.random.Generator],
        device: torch.device | None = None,
    ) -> None:
        self.distribution = distribution
        self._num_outputs, self._num_constant = distribution.num_outputs, distribution.num_constant
        self.num_towers = 1 if shared_trunk else 2
        self.sizes = [num_features, *hidden_sizes, distribution.num_outputs + 1]
        self._widths = [num_features, *(_padded(size) for size in self.sizes[1:])]
        tower_size = sum(rows * columns + columns for rows, columns in pairwise(self._widths))
        self._tanh: Callable[[Tensor], Tensor] = _tanh_
        self._use(torch.zeros(len(generators), self.num_towers * tower_size, device=device))
        for member, generator in enumerate(generators):
            self._initialise(member, generator)

    def _use(self, parameters: Tensor) -> None:
        self.parameters, self.num_members = parameters, len(parameters)
        self._weights, self._biases = self._views(parameters)
        self._policy = [[view[:: self.num_towers] for view in views] for views in (self._weights, self._biases)]

    def _views(self, buffer: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return weights and biases of each layer, as views of the tensor with all members' parameters.

        Weights are `[P * towers, in, out]`, biases `[P * towers, 1, out]`.
        """
        towers = buffer.view(self.num_members * self.num_towers, -1)
        weights: list[Tensor] = []
        biases: list[Tensor] = []
        offset = 0
        for rows, columns in pairwise(self._widths):
            for views, height in ((weights, rows), (biases, 1)):
                end = offset + height * columns
                views.append(towers[:, offset:end].view(-1, height, columns))
                offset = end
        return weights, biases

    def _initialise(self, member: int, generator: np.random.Generator) -> None:
        for tower in range(self.num_towers):
            for layer, (rows, columns) in enumerate(pairwise(self.sizes)):
                if layer < len(self._weights) - 1:
                    weight = _orthogonal(rows, columns, _HIDDEN_GAIN, generator)
                else:
                    policy = _orthogonal(rows, columns - 1 - self._num_constant, _POLICY_GAIN, generator)
                    constant = np.zeros((rows, self._num_constant))
                    weight = np.hstack([policy, constant, _orthogonal(rows, 1, _VALUE_GAIN, generator)])
                view = self._weights[layer][member * self.num_towers + tower]
                view[:rows, :columns] = torch.from_numpy(weight).to(view.dtype)

    def policy_head(self) -> list[Tensor]:
        """Return the weights and biases of the policy's output layer; writing to them changes the networks.

        The weights are `[P, in, num_outputs]`, the biases `[P, 1, num_outputs]`.
        """
        return [views[-1][:: self.num_towers, :, : self._num_outputs] for views in (self._weights, self._biases)]

    def value_head(self) -> list[Tensor]:
        """Return the weights and biases of the critic's output layer; writing to them changes the networks.

        The weights are `[P, in, 1]`, the biases `[P, 1, 1]`.
        """
        column = slice(self._num_outputs, self._num_outputs + 1)
        last = slice(self.num_towers - 1, None, self.num_towers)
        return [views[-1][last, :, column] for views in (self._weights, self._biases)]

    def __call__(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the policy's outputs and the critic's values for observations, without gradients.

        Few members are computed at a time, to save memory.
        """
        size = max(1, _AT_ONCE // observations.shape[1])
        if self.num_members <= size:
            return self.forward(observations)[:2]
        blocks = [slice(first, first + size) for first in range(0, self.num_members, size)]
        heads = [self.select_members(block).forward(observations[block])[:2] for block in blocks]
        outputs, values = (torch.cat(parts) for parts in zip(*heads, strict=True))
        return outputs, values

    def policy(self, observations: Tensor) -> Tensor:
        """Compute the policy's outputs for observations, without the critic's values.

        `[P, B, num_outputs]` for observations `[P, B, num_features]`.
        """
        *_, hidden = self._layers(observations, *self._policy)
        weights, biases = self._policy
        return torch.baddbmm(biases[-1], hidden, weights[-1])[..., : self._num_outputs]

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Compute the policy's outputs, the critic's values, and each layer's inputs for `backward`.

        The observations are `[P, B, num_features]`.

        Returns:
            The policy's outputs `[P, num_outputs, B]`, with the samples last, where a softmax is many times faster;
            values `[P, B]`; and the inputs of each layer, which `backward` needs.
        """
        weights, biases = self._weights, self._biases
        inputs = self._layers(self._for_each_tower(observations), weights, biases)
        head, bias, hidden = (tensor.transpose(1, 2) for tensor in (weights[-1], biases[-1], inputs[-1]))
        outputs = torch.baddbmm(bias, head, hidden).view(self.num_members, self.num_towers, self._widths[-1], -1)
        return outputs[:, 0, : self._num_outputs], outputs[:, -1, self._num_outputs], inputs

    def backward(self, inputs: Sequence[Tensor], policy_gradient: Tensor, values_gradient: Tensor) -> Tensor:
        """Compute the gradient of all parameters from the gradients of the outputs, layer by layer.

        Args:
            inputs: Inputs of the layers, from `forward`.
            policy_gradient: `[P, num_outputs, B]`.
            values_gradient: `[P, B]`.

        Returns:
            `[P, n]`.
        """
        towers = policy_gradient.new_zeros(self.num_members, self.num_towers, self._widths[-1], inputs[-1].shape[1])
        towers[:, 0, : self._num_outputs] = policy_gradient
        towers[:, -1, self._num_outputs] = values_gradient
        gradient = towers.flatten(0, 1).transpose(1, 2)
        weights, parts = self._weights, list[Tensor]()
        for layer in range(len(weights) - 1, -1, -1):
            of_weights = torch.bmm(inputs[layer].transpose(1, 2), gradient)
            if self._num_constant and layer == len(weights) - 1:  # learned by the bias alone: no observation moves them
                of_weights[:, :, self._num_outputs - self._num_constant : self._num_outputs] = 0
            parts = [of_weights.flatten(1), gradient.sum(1), *parts]
            if layer > 0:
                gradient = torch.bmm(gradient, weights[layer].transpose(1, 2))
                gradient = torch.ops.aten.tanh_backward(gradient, inputs[layer])
        return torch.cat(parts, dim=1).view_as(self.parameters)

    def share_of_units_beyond(self, limit: float, inputs: Sequence[Tensor]) -> Tensor:
        """Compute the share of hidden activations beyond ±`limit`, for each member (seed).

        Returns `[P]`; `inputs` come from `forward`.
        """
        sizes = self.sizes[1:-1]
        shares = [
            (units[:, :, :size].abs() > limit).float().mean((1, 2)).view(self.num_members, -1).mean(-1) * size
            for units, size in zip(inputs[1:], sizes, strict=True)
        ]
        return torch.stack(shares).sum(0) / sum(sizes)

    @property
    def layout(self) -> tuple[Hashable, ...]:
        """Hashable key, equal for networks of equal architecture, which can share a compiled program."""
        distribution = self.distribution
        return (*self.sizes, self.num_towers, type(distribution), distribution.num_constant, distribution.choices)

    def select_members(self, members: slice) -> "ActorCritic":
        """Return the networks of some members (seeds) only; parameters are shared, not copied."""
        return self.with_parameters(self.parameters[members], self._tanh)

    def with_parameters(self, parameters: Tensor, tanh: Callable[[Tensor], Tensor]) -> "ActorCritic":
        """Return networks of the same architecture with the given parameters and tanh function.

        The tanh may work in place.
        """
        other = copy(self)
        other._tanh = tanh
        other._use(parameters)
        return other

    def _for_each_tower(self, observations: Tensor) -> Tensor:
        """Repeat each seed's observations for policy and critic network, if these share no layers.

        Returns `[P * towers, B, F]`.
        """
        if self.num_towers == 1:
            return observations
        return observations.unsqueeze(1).expand(-1, self.num_towers, -1, -1).flatten(0, 1)

    def _layers(self, inputs: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> list[Tensor]:
        """Compute the inputs of each layer: observations, then each hidden layer's outputs after tanh."""
        activations = [inputs]
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            activations.append(self._tanh(torch.baddbmm(bias, activations[-1], weight)))
        return activations
