"""What a policy's outputs mean: how actions are drawn from them, and how probable an action is.

Networks give K outputs for an observation. While acting they come last, `[..., K]`; while training the samples do,
`[P, K, B]`, since a softmax over K is many times faster so.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Space
from torch import Tensor

from rl.errors import ConfigError

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class Distribution(ABC):
    """A family of distributions over actions.

    Attributes:
        num_outputs: K, outputs that describe one distribution.
        num_constant: So many of them, the last ones, are learned but do not depend on the observation.
        action_shape: Of one action: `()` or `[d]`.
        action_dtype: int64 or float32.
        choices: Names of what may be chosen; the share of each is measured. Empty for numbers.
    """

    num_outputs: int
    num_constant: int = 0
    action_shape: tuple[int, ...] = ()
    action_dtype: torch.dtype = torch.int64
    choices: tuple[str, ...] = ()

    @abstractmethod
    def noise(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
        """What `sample` needs for `shape` draws: float32 `[*shape, n]`."""

    @abstractmethod
    def sample(self, outputs: Tensor, noise: Tensor) -> Tensor:
        """Draw actions `[..., *action_shape]`, for outputs `[..., K]` and noise `[..., n]`."""

    @abstractmethod
    def mode(self, outputs: Tensor) -> Tensor:
        """The most probable actions `[..., *action_shape]`, for outputs `[..., K]`."""

    @abstractmethod
    def log_probs(self, outputs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """How probable actions are, and how open the choice.

        Args:
            outputs: `[P, K, B]`.
            actions: `[P, B, *action_shape]`.

        Returns:
            Log-probabilities of the actions, or densities, and entropies in nats, each `[P, B]`.
        """

    def shares(self, actions: Tensor) -> Tensor:
        """Of the actions `[P, B, *action_shape]` the share that took each of `choices`, float64 `[P, len(choices)]`."""
        return torch.zeros(len(actions), 0, dtype=torch.float64)


class Categorical(Distribution):
    """One of n actions, by the softmax of n logits."""

    def __init__(self, num_actions: int) -> None:
        self.num_outputs = num_actions
        self.choices = tuple(map(str, range(num_actions)))

    def noise(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
        """See `Distribution.noise`. Gumbel's, as -ln of a draw from the exponential distribution."""
        waits = generator.standard_exponential((*shape, self.num_outputs), dtype=np.float32)
        return -torch.from_numpy(waits).log()

    def sample(self, outputs: Tensor, noise: Tensor) -> Tensor:
        """See `Distribution.sample`. The largest of logits plus noise is a draw from the softmax (Maddison 2014)."""
        return (outputs + noise).argmax(-1)

    def mode(self, outputs: Tensor) -> Tensor:
        """See `Distribution.mode`."""
        return outputs.argmax(-1)

    def log_probs(self, outputs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """See `Distribution.log_probs`."""
        every = torch.log_softmax(outputs, dim=1)
        chosen = every.gather(1, actions.unsqueeze(1)).squeeze(1)
        return chosen, -(every.exp() * every).sum(1)

    def shares(self, actions: Tensor) -> Tensor:
        """See `Distribution.shares`."""
        return torch.stack([(actions == action).double().mean(1) for action in range(self.num_outputs)], dim=-1)


class MultiCategorical(Distribution):
    """Several independent choices at once; choice i has `counts[i]` logits. Named "i.j": choice i took j."""

    def __init__(self, counts: Sequence[int]) -> None:
        self.parts = [Categorical(count) for count in counts]
        self.num_outputs = sum(counts)
        self.action_shape = (len(counts),)
        self.choices = tuple(f"{index}.{choice}" for index, part in enumerate(self.parts) for choice in part.choices)
        self._counts = list(counts)

    def noise(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
        """See `Categorical.noise`."""
        return torch.cat([part.noise(generator, shape) for part in self.parts], dim=-1)

    def sample(self, outputs: Tensor, noise: Tensor) -> Tensor:
        """See `Categorical.sample`."""
        return self.mode(outputs + noise)

    def mode(self, outputs: Tensor) -> Tensor:
        """See `Distribution.mode`."""
        return torch.stack([logits.argmax(-1) for logits in torch.split(outputs, self._counts, dim=-1)], dim=-1)

    def log_probs(self, outputs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """See `Distribution.log_probs`: sums over the choices, which are independent."""
        each = zip(self.parts, torch.split(outputs, self._counts, dim=1), actions.unbind(-1), strict=True)
        log_probs, entropies = zip(*(part.log_probs(logits, chosen) for part, logits, chosen in each), strict=True)
        return torch.stack(log_probs).sum(0), torch.stack(entropies).sum(0)

    def shares(self, actions: Tensor) -> Tensor:
        """See `Distribution.shares`; those of one choice sum to 1."""
        each = zip(self.parts, actions.unbind(-1), strict=True)
        return torch.cat([part.shares(chosen) for part, chosen in each], dim=-1)


class DiagonalGaussian(Distribution):
    """d independent normal numbers: d means, and d log-spreads that no observation moves, 0 at the start.

    Unbounded: an environment with bounds gets what was drawn, clipped, and the update sees what was drawn (Huang et al.
    2022, details 1 to 5 for continuous actions).
    """

    action_dtype = torch.float32

    def __init__(self, num_dimensions: int) -> None:
        self.num_outputs, self.num_constant = 2 * num_dimensions, num_dimensions
        self.action_shape = (num_dimensions,)

    def noise(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
        """See `Distribution.noise`. Standard normal."""
        return torch.from_numpy(generator.standard_normal((*shape, self.num_constant), dtype=np.float32))

    def sample(self, outputs: Tensor, noise: Tensor) -> Tensor:
        """See `Distribution.sample`."""
        means, log_stds = outputs.chunk(2, dim=-1)
        return means + log_stds.exp() * noise

    def mode(self, outputs: Tensor) -> Tensor:
        """See `Distribution.mode`."""
        return outputs[..., : self.num_constant]

    def log_probs(self, outputs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """See `Distribution.log_probs`: sums over the dimensions."""
        means, log_stds = outputs.chunk(2, dim=1)
        deviations = (actions.transpose(1, 2) - means) * (-log_stds).exp()
        log_probs = -(0.5 * deviations.square() + log_stds + _HALF_LOG_TWO_PI).sum(1)
        return log_probs, (log_stds + (0.5 + _HALF_LOG_TWO_PI)).sum(1)


def distribution_over(space: Space[object]) -> Distribution:
    """The distribution for an action space of `rl.envs`: one choice, several, or a row of numbers.

    Raises:
        ConfigError: If there is none for this space.
    """
    if isinstance(space, Discrete):
        return Categorical(int(space.n))
    if isinstance(space, MultiDiscrete) and space.nvec.ndim == 1:
        return MultiCategorical(space.nvec.tolist())
    if isinstance(space, Box) and len(space.shape) == 1:
        return DiagonalGaussian(space.shape[0])
    raise ConfigError(f"actions must be Discrete, MultiDiscrete or one row of numbers (Box), got {space}")
