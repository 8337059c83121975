"""Plant what goes wrong in code of one's own beside the trainer's: changes to a model before training.

Each is a frozen dataclass, so that a run's script can be written down, and calling one plants the fault.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3 import PPO


@dataclass(frozen=True)
class FrozenPolicy:
    """The policy's layers are frozen, as after a transfer, and the critic's are not."""

    def __call__(self, model: PPO) -> None:
        """Freeze the layers."""
        parts = [model.policy.mlp_extractor.policy_net, model.policy.action_net]
        for parameter in (parameter for part in parts for parameter in part.parameters()):
            parameter.requires_grad_(False)
        if hasattr(model.policy, "log_std"):
            model.policy.log_std.requires_grad_(False)


@dataclass(frozen=True)
class LogProbsOfOtherActions:
    """A policy of one's own samples twice: the log-probability that is stored is that of the other action."""

    def __call__(self, model: PPO) -> None:
        """Replace the policy's forward pass."""
        forward = model.policy.forward

        def sample_twice(seen: torch.Tensor, deterministic: bool = False) -> tuple[torch.Tensor, ...]:
            _, values, log_probs = forward(seen, deterministic)
            return forward(seen, deterministic)[0], values, log_probs

        model.policy.forward = sample_twice


@dataclass(frozen=True)
class FlattenedTwoWays:
    """A buffer of one's own flattens steps and lanes of advantages and returns the other way round than all else."""

    def __call__(self, model: PPO) -> None:
        """Put what the buffer computes in the order that makes its own flattening the wrong one."""
        buffer = model.rollout_buffer
        compute = buffer.compute_returns_and_advantage

        def compute_and_reorder(last_values: torch.Tensor, dones: npt.NDArray[Any]) -> None:
            compute(last_values, dones)
            buffer.advantages, buffer.returns = _reorder(buffer.advantages), _reorder(buffer.returns)

        buffer.compute_returns_and_advantage = compute_and_reorder  # type: ignore[method-assign]


def _reorder(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return `[steps, lanes]` such that lane after lane of the result is step after step of the values."""
    steps, lanes = values.shape
    return values.reshape(lanes, steps).T.copy()


@dataclass(frozen=True)
class EndsStoredLate:
    """A buffer of one's own holds each end a step late: `dones[t + 1]` is read in place of `dones[t]`."""

    def __call__(self, model: PPO) -> None:
        """Show the buffer's own computation the ends of the steps after."""

        def compute_late(compute: Callable[..., None], last_values: torch.Tensor, dones: npt.NDArray[Any]) -> None:
            true = buffer.episode_starts
            buffer.episode_starts = np.concatenate([true[1:], dones[None].astype(true.dtype)])
            compute(last_values, dones)
            buffer.episode_starts = true

        buffer = model.rollout_buffer
        buffer.compute_returns_and_advantage = partial(compute_late, buffer.compute_returns_and_advantage)  # type: ignore[method-assign]


@dataclass(frozen=True)
class ObservationsWrittenOver:
    """Environments of one's own return one array again and again: what is stored with an action is what came of it."""

    def __call__(self, model: PPO) -> None:
        """Write each new observation into the array of the last one."""
        lanes = model.env
        assert lanes is not None
        step = lanes.step

        def step_in_place(actions: npt.NDArray[Any]) -> Any:
            seen, *others = step(actions)
            last = model._last_obs
            pairs = [(last[name], part) for name, part in seen.items()] if isinstance(seen, Mapping) else [(last, seen)]
            for array, now in pairs:
                array[...] = now
            return last, *others

        lanes.step = step_in_place  # type: ignore[method-assign]


@dataclass(frozen=True)
class TargetsOfAllPairs:
    """Targets have one dimension more than predictions, so that each prediction is compared with each target."""

    def __call__(self, model: PPO) -> None:
        """Return targets as a column from the buffer."""
        buffer = model.rollout_buffer
        sample = buffer._get_samples

        def sample_columns(*which: Any, **how: Any) -> Any:
            samples = sample(*which, **how)
            return samples._replace(returns=samples.returns[:, None])

        buffer._get_samples = sample_columns  # type: ignore[method-assign]
