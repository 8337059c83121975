"""Distributions over actions: drawing actions from the outputs of a policy, and the log-probability of an action.

A network gives K outputs for an observation. While acting the outputs come last, `[..., K]`; while training the samples
come last, `[P, K, B]`, since a softmax over K is many times faster in that order.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Space
from torch import Tensor
from unstuck.rl.errors import ConfigError

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class Distribution(ABC):
    """Base class of distributions over actions, which the outputs of a policy describe.

    Attributes:
        num_outputs: K, outputs that describe one distribution.
        num_constant: Number of outputs, the last ones, that are learned but do not depend on the observation.
        action_shape: Shape of one action: `()` or `[d]`.
        action_dtype: int64 or float32.
        choices: Names of the options, whose shares are measured; empty for numbers.
    """

    num_outputs: int
    num_constant: int = 0
    action_shape: tuple[int, ...] = ()
    action_dtype: torch.dtype = torch.int64
    choices: tuple[str, ...] = ()

    @abstractmethod
    def noise(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
        """Draw the random numbers that `sample` turns into `shape` actions: float32 `[*shape, n]`."""

    @abstractmethod
    def sample(self, outputs: Tensor, noise: Tensor) -> Tensor:
        """Return actions `[..., *action_shape]`, sampled for outputs `[..., K]` by noise `[..., n]` from `noise`."""

    @abstractmethod
    def mode(self, outputs: Tensor) -> Tensor:
        """Return the most probable actions `[..., *action_shape]` for outputs `[..., K]`."""

    @abstractmethod
    def log_probs(self, outputs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the log-probabilities of the given actions, and the entropies, each `[P, B]`.

        Args:
            outputs: `[P, K, B]`.
            actions: `[P, B, *action_shape]`.

        Returns:
            Log-probabilities of the actions (log-densities for numbers) and entropies in nats, each `[P, B]`.
        """

    def shares(self, actions: Tensor) -> Tensor:
        """Return the fraction of actions `[P, B, *action_shape]` that took each choice: float64 `[P, len(choices)]`."""
        return torch.zeros(len(actions), 0, dtype=torch.float64)


class Categorical(Distribution):
    """Distribution of one choice among n actions: the softmax of n logits.

    Example:
        >>> import torch
        >>> policy = Categorical(3)
        >>> log_probs, entropy = policy.log_probs(torch.zeros(1, 3, 2), torch.tensor([[0, 2]]))
        >>> [round(p, 3) for p in log_probs.exp()[0].tolist()], round(entropy[0, 0].item(), 3)
        ([0.333, 0.333], 1.099)
    """

    def __init__(self, num_actions: int) -> None:
        self.num_outputs = num_actions
        self.choices = tuple(map(str, range(num_actions)))

    def noise(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
        """Draw standard Gumbel noise, float32 `[*shape, n]`, as -ln of exponential draws; see `Distribution.noise`."""
        waits = generator.standard_exponential((*shape, self.num_outputs), dtype=np.float32)
        return -torch.from_numpy(waits).log()

    def sample(self, outputs: Tensor, noise: Tensor) -> Tensor:
        """Return the index of the largest logit plus Gumbel noise (Maddison 2014), int64; see `Distribution.sample`."""
        return (outputs + noise).argmax(-1)

    def mode(self, outputs: Tensor) -> Tensor:
        """Return the index of the largest logit, int64; see `Distribution.mode`."""
        return outputs.argmax(-1)

    def log_probs(self, outputs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-probabilities from the log-softmax of the logits, and entropies; see `Distribution.log_probs`."""
        every = torch.log_softmax(outputs, dim=1)
        chosen = every.gather(1, actions.unsqueeze(1)).squeeze(1)
        return chosen, -(every.exp() * every).sum(1)

    def shares(self, actions: Tensor) -> Tensor:
        """Return the fraction of actions equal to each choice, float64 `[P, n]`; see `Distribution.shares`."""
        return torch.stack([(actions == action).double().mean(1) for action in range(self.num_outputs)], dim=-1)


class MultiCategorical(Distribution):
    """Distribution of several independent choices in one action, each by a softmax.

    Choice i has `counts[i]` logits; the name "i.j" means that choice i took option j.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        self.parts = [Categorical(count) for count in counts]
        self.num_outputs = sum(counts)
        self.action_shape = (len(counts),)
        self.choices = tuple(f"{index}.{choice}" for index, part in enumerate(self.parts) for choice in part.choices)
        self._counts = list(counts)

    def noise(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
        """Draw standard Gumbel noise for every choice, float32 `[*shape, sum(counts)]`; see `Categorical.noise`."""
        return torch.cat([part.noise(generator, shape) for part in self.parts], dim=-1)

    def sample(self, outputs: Tensor, noise: Tensor) -> Tensor:
        """Return one option for each choice, int64 `[..., len(counts)]`, each drawn as by `Categorical.sample`."""
        return self.mode(outputs + noise)

    def mode(self, outputs: Tensor) -> Tensor:
        """Return the option with the largest logit for each choice, int64 `[..., len(counts)]`."""
        return torch.stack([logits.argmax(-1) for logits in torch.split(outputs, self._counts, dim=-1)], dim=-1)

    def log_probs(self, outputs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sums over choices of log-probabilities and of entropies; see `Distribution.log_probs`."""
        each = zip(self.parts, torch.split(outputs, self._counts, dim=1), actions.unbind(-1), strict=True)
        log_probs, entropies = zip(*(part.log_probs(logits, chosen) for part, logits, chosen in each), strict=True)
        return torch.stack(log_probs).sum(0), torch.stack(entropies).sum(0)

    def shares(self, actions: Tensor) -> Tensor:
        """Return the fraction of actions that took each option, float64 `[P, sum(counts)]`; see `Distribution.shares`.

        The fractions of one choice sum to 1.
        """
        each = zip(self.parts, actions.unbind(-1), strict=True)
        return torch.cat([part.shares(chosen) for part, chosen in each], dim=-1)


class DiagonalGaussian(Distribution):
    """Distribution of d independent normal numbers: d means, and d log-spreads that depend on no observation.

    The log-spreads are 0 at the start.

    Draws are unbounded. An environment with bounds gets the clipped draw, the update sees the draw itself (Huang et al.
    2022, details 1 to 5 for continuous actions).
    """

    action_dtype = torch.float32

    def __init__(self, num_dimensions: int) -> None:
        self.num_outputs, self.num_constant = 2 * num_dimensions, num_dimensions
        self.action_shape = (num_dimensions,)

    def noise(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
        """Draw standard normal noise, float32 `[*shape, d]`; see `Distribution.noise`."""
        return torch.from_numpy(generator.standard_normal((*shape, self.num_constant), dtype=np.float32))

    def sample(self, outputs: Tensor, noise: Tensor) -> Tensor:
        """Return mean + spread * noise, float32 `[..., d]`, unbounded; see `Distribution.sample`."""
        means, log_stds = outputs.chunk(2, dim=-1)
        return means + log_stds.exp() * noise

    def mode(self, outputs: Tensor) -> Tensor:
        """Return the means, float32 `[..., d]`; see `Distribution.mode`."""
        return outputs[..., : self.num_constant]

    def log_probs(self, outputs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sums over the d numbers of log-densities and of entropies; see `Distribution.log_probs`."""
        means, log_stds = outputs.chunk(2, dim=1)
        deviations = (actions.transpose(1, 2) - means) * (-log_stds).exp()
        log_probs = -(0.5 * deviations.square() + log_stds + _HALF_LOG_TWO_PI).sum(1)
        return log_probs, (log_stds + (0.5 + _HALF_LOG_TWO_PI)).sum(1)


def distribution_over(space: Space[object]) -> Distribution:
    """Return the distribution for a space of actions: Discrete, MultiDiscrete, or a Box of rank 1.

    Raises:
        ConfigError: For any other space.
    """
    if isinstance(space, Discrete):
        return Categorical(int(space.n))
    if isinstance(space, MultiDiscrete) and space.nvec.ndim == 1:
        return MultiCategorical(space.nvec.tolist())
    if isinstance(space, Box) and len(space.shape) == 1:
        return DiagonalGaussian(space.shape[0])
    raise ConfigError(f"actions must be Discrete, MultiDiscrete or one row of numbers (Box), got {space}")
