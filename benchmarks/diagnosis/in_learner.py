"""Bugs of learners: each changes what one learner does, and leaves its settings and its measuring alone.

Separate networks are assumed where policy and critic are told apart: the flat buffer then holds the policy's
parameters first and the critic's after them, as many.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from numpy.random import SeedSequence, default_rng
from torch import Tensor
from unstuck.rl.learner import Learner
from unstuck.rl.ppo import Batch


class Stepping:
    """Wrapper of an optimiser that changes the parameters after each step by the function `after`.

    Args:
        inner: The optimiser.
        after: From the parameters before and after a step, each `[P, 2, n / 2]`, to those that hold.
    """

    def __init__(self, inner: Any, after: Callable[[Tensor, Tensor], Tensor]) -> None:
        self._inner, self._after = inner, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @torch.no_grad()
    def step(self, gradients: Tensor, lr: Tensor, active: Tensor | None = None) -> None:
        """Take a step with the inner optimiser, then set the parameters to the result of `after`."""
        before = self._inner.parameters.clone()
        self._inner.step(gradients, lr, active)
        apart = self._after(before.unflatten(-1, (2, -1)), self._inner.parameters.unflatten(-1, (2, -1)))
        self._inner.parameters.copy_(apart.flatten(1))


def rebatched(learner: Learner, change: Callable[[Batch], Batch]) -> Learner:
    """Make the updates of a learner use a changed batch; return the same learner."""
    original = learner._batch

    def batch() -> tuple[Batch, Tensor, dict[str, Tensor]]:
        collected, advantages, measured = original()
        return change(collected), advantages, measured

    learner._batch = batch  # type: ignore[method-assign]
    return learner


@dataclass(frozen=True)
class PolicyLeftOut:
    """The policy's parameters are not the optimiser's, from a share of the run on."""

    since: float

    def __call__(self, learner: Learner) -> Learner:
        """Plant it."""

        def after(before: Tensor, now: Tensor) -> Tensor:
            if learner.iteration < self.since * learner.config.num_iterations:
                return now
            return torch.stack([before[:, 0], now[:, 1]], dim=1)

        learner.adam = Stepping(learner.adam, after)  # type: ignore[assignment]
        return learner


@dataclass(frozen=True)
class CriticTooFast:
    """The critic's steps are so many times as long as they were meant to be."""

    factor: float

    def __call__(self, learner: Learner) -> Learner:
        """Plant it."""

        def after(before: Tensor, now: Tensor) -> Tensor:
            return torch.stack([now[:, 0], before[:, 1] + self.factor * (now[:, 1] - before[:, 1])], dim=1)

        learner.adam = Stepping(learner.adam, after)  # type: ignore[assignment]
        return learner


@dataclass(frozen=True)
class LargeWeights:
    """Weights initialised so many times too large, in every layer."""

    factor: float

    def __call__(self, learner: Learner) -> Learner:
        """Plant it."""
        learner.networks.parameters *= self.factor
        return learner


@dataclass(frozen=True)
class BonusWithWrongSign:
    """The entropy bonus is a penalty, so many times as large as it was set."""

    times: float

    def __call__(self, learner: Learner) -> Learner:
        """Plant it."""
        learner.hyper = replace(learner.hyper, entropy_coef=-self.times * learner.hyper.entropy_coef)
        return learner


@dataclass(frozen=True)
class ScheduleTooShort:
    """The learning rate falls to nothing within a share of the run: its schedule counts other steps."""

    share: float

    def __call__(self, learner: Learner) -> Learner:
        """Plant it."""
        original = learner._in_force

        def in_force() -> Any:
            hyper = original()
            left = 1 - learner.iteration / (self.share * learner.config.num_iterations)
            return replace(hyper, lr=hyper.lr * max(left, 1e-4))

        learner._in_force = in_force  # type: ignore[method-assign]
        return learner


@dataclass(frozen=True)
class LogProbsOfOtherSteps:
    """The old log-probabilities are those of other steps, in a share of the lanes."""

    share: float

    def __call__(self, learner: Learner) -> Learner:
        """Plant it."""

        def change(batch: Batch) -> Batch:
            spoiled = _in_lanes(learner, self.share, batch.log_probs)
            return replace(batch, log_probs=torch.where(spoiled, batch.log_probs.flip(-1), batch.log_probs))

        return rebatched(learner, change)


@dataclass(frozen=True)
class AdvantagesWithWrongSign:
    """The policy's loss has the wrong sign, for a share of the lanes."""

    share: float

    def __call__(self, learner: Learner) -> Learner:
        """Plant it."""

        def change(batch: Batch) -> Batch:
            sign = torch.where(_in_lanes(learner, self.share, batch.advantages), -1.0, 1.0)
            return replace(batch, advantages=batch.advantages * sign)

        return rebatched(learner, change)


@dataclass(frozen=True)
class AdvantagesOfOtherSteps:
    """Advantages belong to other steps than the actions, in a share of the lanes: a shuffle that missed one array."""

    share: float

    def __call__(self, learner: Learner) -> Learner:
        """Plant it."""
        generator = default_rng(SeedSequence(9))

        def change(batch: Batch) -> Batch:
            spoiled = _in_lanes(learner, self.share, batch.advantages)
            order = torch.from_numpy(generator.permutation(batch.advantages.shape[-1]))
            return replace(batch, advantages=torch.where(spoiled, batch.advantages[:, order], batch.advantages))

        return rebatched(learner, change)


@dataclass(frozen=True)
class EndsForgotten:
    """The ends of episodes are not stored, in a share of the lanes: values go on as if nothing had ended."""

    share: float

    def __call__(self, learner: Learner) -> Learner:
        """Plant it."""
        original = learner._batch
        forgets = round(self.share * learner.config.num_envs)

        def batch() -> tuple[Batch, Tensor, dict[str, Tensor]]:
            learner.rollout.terminated[:, :, :forgets] = False
            return original()

        learner._batch = batch  # type: ignore[method-assign]
        return learner


def _in_lanes(learner: Learner, share: float, like: Tensor) -> Tensor:
    """Return a mask of the samples `[P, B]` (time by lane) that come from the first `share` of the lanes."""
    lanes = learner.config.num_envs
    return (torch.arange(like.shape[-1]) % lanes < round(share * lanes)).expand_as(like)
