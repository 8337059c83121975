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
    """Base class of probability distributions over actions, parametrised by a policy network's outputs.

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
        """Draw the random numbers that `sample` needs for a set of actions of the given shape.

        Returns float32 `[*shape, n]`.
        """

    @abstractmethod
    def sample(self, outputs: Tensor, noise: Tensor) -> Tensor:
        """Sample actions from the network's outputs, with random numbers that `noise` drew.

        Returns actions `[..., *action_shape]`; the random numbers are `[..., n]`.
        """

    @abstractmethod
    def mode(self, outputs: Tensor) -> Tensor:
        """Return the most probable action for each row of the network's outputs.

        Returns `[..., *action_shape]` for outputs `[..., K]`.
        """

    @abstractmethod
    def split_noise(self, outputs: Tensor, actions: Tensor) -> Tensor:
        """Compute what was drawn: actions less their mean under the policy, in numbers.

        Returns `[..., K']`: numbers as they are; of a choice 1 for the option taken, 0 for others, without the first.
        """

    @abstractmethod
    def log_probs(self, outputs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the log-probability of each given action, and the entropy of the distribution behind the action.

        Args:
            outputs: `[P, K, B]`.
            actions: `[P, B, *action_shape]`.

        Returns:
            Log-probabilities of the actions (log-densities for numbers) and entropies in nats, each `[P, B]`.
        """

    def shares(self, actions: Tensor) -> Tensor:
        """Compute how often each choice was taken, as a fraction of all actions of each member (seed).

        Returns float64 `[P, len(choices)]` for actions `[P, B, *action_shape]`.
        """
        return torch.zeros(len(actions), 0, dtype=torch.float64)


class Categorical(Distribution):
    """Distribution of an action that is one of n choices: the softmax of n network outputs (logits).

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
        """Draw random numbers (standard Gumbel) that `sample` needs, one for each choice of an action.

        Returns float32 `[*shape, n]`, -ln of exponential draws.
        """
        waits = generator.standard_exponential((*shape, self.num_outputs), dtype=np.float32)
        return -torch.from_numpy(waits).log()

    def sample(self, outputs: Tensor, noise: Tensor) -> Tensor:
        """Sample actions as the choices with the largest logit + Gumbel noise (Maddison 2014)."""
        return (outputs + noise).argmax(-1)

    def mode(self, outputs: Tensor) -> Tensor:
        """Return the most probable action, the choice with the largest logit, as int64."""
        return outputs.argmax(-1)

    def split_noise(self, outputs: Tensor, actions: Tensor) -> Tensor:
        """Compute 1 for the option taken, 0 for others, less the options' probabilities, without the first option."""
        taken = torch.nn.functional.one_hot(actions, self.num_outputs)
        return (taken - torch.softmax(outputs, dim=-1))[..., 1:]

    def log_probs(self, outputs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Compute log-probabilities of given choices (log-softmax), and the distributions' entropies."""
        every = torch.log_softmax(outputs, dim=1)
        chosen = every.gather(1, actions.unsqueeze(1)).squeeze(1)
        return chosen, -(every.exp() * every).sum(1)

    def shares(self, actions: Tensor) -> Tensor:
        """Compute the fraction of each member's (seed's) actions that equal each choice.

        Returns float64 `[P, n]`.
        """
        counts = torch.stack([(actions == action).sum(1) for action in range(self.num_outputs)], dim=-1)
        return counts.double() / actions.shape[1]


class MultiCategorical(Distribution):
    """Distribution of an action made of several independent choices, each with a softmax of its own.

    Choice i has `counts[i]` logits; the name "i.j" means that choice i took option j.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        self.parts = [Categorical(count) for count in counts]
        self.num_outputs = sum(counts)
        self.action_shape = (len(counts),)
        self.choices = tuple(f"{index}.{choice}" for index, part in enumerate(self.parts) for choice in part.choices)
        self._counts = list(counts)

    def noise(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
        """Draw random numbers (standard Gumbel) that `sample` needs, one for each option of each choice.

        Returns float32 `[*shape, sum(counts)]`.
        """
        return torch.cat([part.noise(generator, shape) for part in self.parts], dim=-1)

    def sample(self, outputs: Tensor, noise: Tensor) -> Tensor:
        """Sample actions: for each of an action's choices, the option with the largest logit + Gumbel noise.

        Returns int64 `[..., len(counts)]`.
        """
        return self.mode(outputs + noise)

    def mode(self, outputs: Tensor) -> Tensor:
        """Return the most probable action: for each of its choices, the option with the largest logit.

        Returns int64 `[..., len(counts)]`.
        """
        return torch.stack([logits.argmax(-1) for logits in torch.split(outputs, self._counts, dim=-1)], dim=-1)

    def split_noise(self, outputs: Tensor, actions: Tensor) -> Tensor:
        """Compute what was drawn in each choice, one after the other."""
        each = zip(self.parts, torch.split(outputs, self._counts, dim=-1), actions.unbind(-1), strict=True)
        return torch.cat([part.split_noise(logits, taken) for part, logits, taken in each], dim=-1)

    def log_probs(self, outputs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Compute log-probabilities of given actions, and entropies, both summed over an action's choices."""
        each = zip(self.parts, torch.split(outputs, self._counts, dim=1), actions.unbind(-1), strict=True)
        log_probs, entropies = zip(*(part.log_probs(logits, chosen) for part, logits, chosen in each), strict=True)
        return torch.stack(log_probs).sum(0), torch.stack(entropies).sum(0)

    def shares(self, actions: Tensor) -> Tensor:
        """Compute the fraction of each member's (seed's) actions that took each option of each choice.

        Returns float64 `[P, sum(counts)]` for P members.

        The fractions of one choice sum to 1.
        """
        each = zip(self.parts, actions.unbind(-1), strict=True)
        return torch.cat([part.shares(chosen) for part, chosen in each], dim=-1)


class DiagonalGaussian(Distribution):
    """Distribution of an action of d independent normal numbers, with standard deviations equal for all observations.

    The log-spreads are 0 at the start.

    Draws are unbounded. An environment with bounds gets the clipped draw, the update sees the draw itself (Huang et al.
    2022, details 1 to 5 for continuous actions).
    """

    action_dtype = torch.float32

    def __init__(self, num_dimensions: int) -> None:
        self.num_outputs, self.num_constant = 2 * num_dimensions, num_dimensions
        self.action_shape = (num_dimensions,)

    def noise(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
        """Draw the standard normal random numbers that `sample` needs, d for each action.

        Returns float32 `[*shape, d]`.
        """
        return torch.from_numpy(generator.standard_normal((*shape, self.num_constant), dtype=np.float32))

    def sample(self, outputs: Tensor, noise: Tensor) -> Tensor:
        """Sample actions as mean + standard deviation * noise, without any bounds.

        Returns float32 `[..., d]`.
        """
        means, log_stds = outputs.chunk(2, dim=-1)
        return means + log_stds.exp() * noise

    def mode(self, outputs: Tensor) -> Tensor:
        """Return the most probable actions, which are the means.

        Returns float32 `[..., d]`.
        """
        return outputs[..., : self.num_constant]

    def split_noise(self, outputs: Tensor, actions: Tensor) -> Tensor:
        """Compute the actions less their means."""
        return actions - outputs[..., : self.num_constant]

    def log_probs(self, outputs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Compute log-densities of given actions, and entropies, both summed over an action's d numbers."""
        means, log_stds = outputs.chunk(2, dim=1)
        deviations = (actions.transpose(1, 2) - means) * (-log_stds).exp()
        log_probs = -(0.5 * deviations.square() + log_stds + _HALF_LOG_TWO_PI).sum(1)
        return log_probs, (log_stds + (0.5 + _HALF_LOG_TWO_PI)).sum(1)


def distribution_over(space: Space[object]) -> Distribution:
    """Return the distribution for an action space: Discrete, MultiDiscrete, or a Box of rank 1.

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
