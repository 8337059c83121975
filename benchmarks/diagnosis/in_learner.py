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
    """Wrapper of an optimiser that lets the function `after` change the parameters after each step.

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
        """Take a step with the wrapped optimiser, then set the parameters to the result of `after`."""
        before = self._inner.parameters.clone()
        self._inner.step(gradients, lr, active)
        apart = self._after(before.unflatten(-1, (2, -1)), self._inner.parameters.unflatten(-1, (2, -1)))
        self._inner.parameters.copy_(apart.flatten(1))


def rebatched(learner: Learner, change: Callable[[Batch], Batch]) -> Learner:
    """Make a learner's updates use batches changed by the function `change`; return the same learner."""
    original = learner._batch

    def batch() -> tuple[Batch, Tensor, dict[str, Tensor]]:
        collected, advantages, measured = original()
        return change(collected), advantages, measured

    learner._batch = batch  # type: ignore[method-assign]
    return learner


@dataclass(frozen=True)
class PolicyLeftOut:
    """Fault: from a share of the run on, the optimiser no longer updates the policy's parameters."""

    since: float

    def __call__(self, learner: Learner) -> Learner:
        """Make the optimiser undo all steps of the policy's parameters after a share of the run; return the learner."""

        def after(before: Tensor, now: Tensor) -> Tensor:
            if learner.iteration < self.since * learner.config.num_iterations:
                return now
            return torch.stack([before[:, 0], now[:, 1]], dim=1)

        learner.adam = Stepping(learner.adam, after)  # type: ignore[assignment]
        return learner


@dataclass(frozen=True)
class CriticTooFast:
    """Fault: each step of the critic's parameters is `factor` times as long as intended."""

    factor: float

    def __call__(self, learner: Learner) -> Learner:
        """Make the optimiser lengthen each step of the critic's parameters `factor` times; return the learner."""

        def after(before: Tensor, now: Tensor) -> Tensor:
            return torch.stack([now[:, 0], before[:, 1] + self.factor * (now[:, 1] - before[:, 1])], dim=1)

        learner.adam = Stepping(learner.adam, after)  # type: ignore[assignment]
        return learner


@dataclass(frozen=True)
class LargeWeights:
    """Fault: all initial weights are `factor` times too large."""

    factor: float

    def __call__(self, learner: Learner) -> Learner:
        """Multiply all network parameters by `factor`; return the learner."""
        learner.networks.parameters *= self.factor
        return learner


@dataclass(frozen=True)
class BonusWithWrongSign:
    """Fault: the entropy bonus is subtracted instead of added, `times` times as large as set."""

    times: float

    def __call__(self, learner: Learner) -> Learner:
        """Set the learner's entropy coefficient to minus `times` the coefficient; return the learner."""
        learner.hyper = replace(learner.hyper, entropy_coef=-self.times * learner.hyper.entropy_coef)
        return learner


@dataclass(frozen=True)
class ScheduleTooShort:
    """Fault: the learning rate falls to almost 0 within the first `share` of the run."""

    share: float

    def __call__(self, learner: Learner) -> Learner:
        """Make the learning rate fall to almost 0 within a share of the run; return the learner."""
        original = learner._in_force

        def in_force() -> Any:
            hyper = original()
            left = 1 - learner.iteration / (self.share * learner.config.num_iterations)
            return replace(hyper, lr=hyper.lr * max(left, 1e-4))

        learner._in_force = in_force  # type: ignore[method-assign]
        return learner


@dataclass(frozen=True)
class LogProbsOfOtherSteps:
    """Fault: in a share of the lanes, old log-probabilities belong to different steps than the actions."""

    share: float

    def __call__(self, learner: Learner) -> Learner:
        """Reverse the order of old log-probabilities in a share of the lanes; return the learner."""

        def change(batch: Batch) -> Batch:
            spoiled = _in_lanes(learner, self.share, batch.log_probs)
            return replace(batch, log_probs=torch.where(spoiled, batch.log_probs.flip(-1), batch.log_probs))

        return rebatched(learner, change)


@dataclass(frozen=True)
class AdvantagesWithWrongSign:
    """Fault: in a share of the lanes, advantages have the wrong sign, and so has the policy's loss."""

    share: float

    def __call__(self, learner: Learner) -> Learner:
        """Negate the advantages in a share of the lanes; return the learner."""

        def change(batch: Batch) -> Batch:
            sign = torch.where(_in_lanes(learner, self.share, batch.advantages), -1.0, 1.0)
            return replace(batch, advantages=batch.advantages * sign)

        return rebatched(learner, change)


@dataclass(frozen=True)
class AdvantagesOfOtherSteps:
    """Fault: in a share of the lanes, advantages belong to different steps than the actions."""

    share: float

    def __call__(self, learner: Learner) -> Learner:
        """Shuffle the advantages in a share of the lanes; return the learner."""
        generator = default_rng(SeedSequence(9))

        def change(batch: Batch) -> Batch:
            spoiled = _in_lanes(learner, self.share, batch.advantages)
            order = torch.from_numpy(generator.permutation(batch.advantages.shape[-1]))
            return replace(batch, advantages=torch.where(spoiled, batch.advantages[:, order], batch.advantages))

        return rebatched(learner, change)


@dataclass(frozen=True)
class EndsForgotten:
    """Fault: in a share of the lanes, ends of episodes are not stored, so that values continue over the ends."""

    share: float

    def __call__(self, learner: Learner) -> Learner:
        """Delete the ends of episodes in a share of the lanes before each update; return the learner."""
        original = learner._batch
        forgets = round(self.share * learner.config.num_envs)

        def batch() -> tuple[Batch, Tensor, dict[str, Tensor]]:
            learner.rollout.terminated[:, :, :forgets] = False
            return original()

        learner._batch = batch  # type: ignore[method-assign]
        return learner


@dataclass(frozen=True)
class TargetsOfOtherSteps:
    """Fault: in a share of the lanes, the critic's targets belong to different steps than the observations."""

    share: float

    def __call__(self, learner: Learner) -> Learner:
        """Shuffle the critic's targets in a share of the lanes; return the learner."""
        generator = default_rng(SeedSequence(13))

        def change(batch: Batch) -> Batch:
            spoiled = _in_lanes(learner, self.share, batch.targets)
            order = torch.from_numpy(generator.permutation(batch.targets.shape[-1]))
            return replace(batch, targets=torch.where(spoiled, batch.targets[:, order], batch.targets))

        return rebatched(learner, change)


@dataclass(frozen=True)
class LogProbsOfOtherActions:
    """Fault: in a share of the lanes, the policy samples twice, and the other action's log-probability is stored."""

    share: float

    def __call__(self, learner: Learner) -> Learner:
        """Replace old log-probabilities in a share of the lanes by those of other draws; return the learner."""
        generator = default_rng(SeedSequence(14))
        distribution = learner.networks.distribution

        def change(batch: Batch) -> Batch:
            outputs, _ = learner.networks(batch.observations)
            draws = distribution.noise(generator, tuple(batch.log_probs.shape))
            others, _ = distribution.log_probs(outputs, distribution.sample(outputs.transpose(1, 2), draws))
            spoiled = _in_lanes(learner, self.share, batch.log_probs)
            return replace(batch, log_probs=torch.where(spoiled, others, batch.log_probs))

        return rebatched(learner, change)


@dataclass(frozen=True)
class ActionsStoredLate:
    """Fault: in a share of the lanes, the action stored with a step is the one of the step before."""

    share: float

    def __call__(self, learner: Learner) -> Learner:
        """Shift the stored actions by one step in a share of the lanes before each update; return the learner."""
        original = learner._batch
        late = round(self.share * learner.config.num_envs)

        def batch() -> tuple[Batch, Tensor, dict[str, Tensor]]:
            actions = learner.rollout.actions
            actions[:, :, :late] = actions[:, :, :late].roll(1, dims=1)
            return original()

        learner._batch = batch  # type: ignore[method-assign]
        return learner


@dataclass(frozen=True)
class RateJumps:
    """Fault: from a share of the run on, the learning rate is `factor` times as high, as after a wrong resume."""

    since: float
    factor: float

    def __call__(self, learner: Learner) -> Learner:
        """Make the learning rate jump after a share of the run; return the learner."""
        original = learner._in_force

        def in_force() -> Any:
            hyper = original()
            late = learner.iteration >= self.since * learner.config.num_iterations
            return replace(hyper, lr=hyper.lr * self.factor) if late else hyper

        learner._in_force = in_force  # type: ignore[method-assign]
        return learner


@dataclass(frozen=True)
class BonusSummed:
    """Fault: the entropy bonus is summed over `samples` samples where the loss is averaged."""

    samples: float

    def __call__(self, learner: Learner) -> Learner:
        """Multiply the entropy coefficient that the loss uses by the number of samples; return the learner."""
        learner.hyper = replace(learner.hyper, entropy_coef=learner.hyper.entropy_coef * self.samples)
        return learner


@dataclass(frozen=True)
class WeightDecay:
    """Fault: each step shrinks all parameters by a share that the learning rate does not scale."""

    decay: float

    def __call__(self, learner: Learner) -> Learner:
        """Make the optimiser shrink the parameters at each step; return the learner."""

        def after(before: Tensor, now: Tensor) -> Tensor:
            return now - self.decay * before

        learner.adam = Stepping(learner.adam, after)  # type: ignore[assignment]
        return learner


def _in_lanes(learner: Learner, share: float, like: Tensor) -> Tensor:
    """Return a mask `[P, B]` (member, sample) of the samples that come from the first `share` of the lanes."""
    lanes = learner.config.num_envs
    return (torch.arange(like.shape[-1]) % lanes < round(share * lanes)).expand_as(like)
