"""A rollout as a loop hands it over: arrays of `[steps, lanes]`, checked once, and the same arrays flattened."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import torch
from torch import Tensor

from unstuck.rl.wording import find_nearest

Observations = Tensor | Mapping[str, Tensor]
"""Observations of samples, `[B, ...]`, or such a tensor for each part of an observation."""


class RolloutArrays(TypedDict, total=False):
    """Arrays of one rollout, torch or numpy, `[steps, environments]` (or `[steps]` for one); all are optional.

    Attributes:
        obs: Observations that the policy acted on, as the networks take them, `[steps, lanes, ...]`; or a dict of such.
        raw_obs: Observations as the environment gave them, if `obs` were scaled by running statistics.
        actions: Actions taken, `[steps, lanes]` or `[steps, lanes, d]`.
        logprobs: Log-probabilities of the actions under the policy that acted.
        rewards: Reward after each action.
        dones: With `next_done`: whether obs at t begins an episode (CleanRL's). Without: whether the action at t ended
            one.
        next_done: Whether the last action ended an episode, `[lanes]`.
        values: Predictions of the critic while acting, in units of return.
        advantages: As computed from the rollout, before they are normalised.
        returns: Targets of the critic; advantages plus values, if they are left out.
    """

    obs: Any
    raw_obs: Any
    actions: Any
    logprobs: Any
    rewards: Any
    dones: Any
    next_done: Any
    values: Any
    advantages: Any
    returns: Any


_PER_STEP = ("logprobs", "rewards", "values", "advantages", "returns", "dones")


@dataclass(frozen=True)
class Rollout:
    """Rollout of T steps in N environments as tensors; None for arrays that the caller did not give.

    Attributes:
        steps: T.
        lanes: N.
        observations: `[B, ...]`, with B = T N samples, step by step.
        raw: The same as the environment gave them; None where that is what the networks take.
        actions: `[B, ...]`.
        log_probs: `[T, N]`, like all that follow.
        rewards: Rewards.
        values: Predictions of the critic.
        advantages: Advantages.
        returns: Targets of the critic.
        ends: Whether the action ended an episode, bool.
    """

    steps: int
    lanes: int
    observations: Observations | None
    raw: Observations | None
    actions: Tensor | None
    log_probs: Tensor | None
    rewards: Tensor | None
    values: Tensor | None
    advantages: Tensor | None
    returns: Tensor | None
    ends: Tensor | None

    @property
    def samples(self) -> int:
        """Number of samples: steps times environments."""
        return self.steps * self.lanes

    @property
    def unscaled(self) -> "Rollout":
        """Copy of the rollout with observations as the environment gave them, before any normalisation."""
        return self if self.raw is None else replace(self, observations=self.raw)

    @property
    def num_columns(self) -> int:
        """Number of values in an observation; 0 without observations."""
        if self.observations is None:
            return 0
        parts = [self.observations] if isinstance(self.observations, Tensor) else self.observations.values()
        return sum(part[0].numel() for part in parts)

    def flat_observations(self, rows: Tensor | None = None) -> Tensor | None:
        """Return observations with one row for each sample, float32 `[B, F]`; None without observations.

        Args:
            rows: Samples to return; None for all.
        """
        if self.observations is None:
            return None
        some = self.observations if rows is None else select_rows(self.observations, rows)
        parts = [some] if isinstance(some, Tensor) else [part for _, part in sorted(some.items())]
        return torch.cat([part.reshape(len(part), -1).float() for part in parts], dim=1)


def read_rollout(given: RolloutArrays, num_lanes: int | None = None) -> Rollout:
    """Check the arrays of a rollout, and convert all to tensors of one shape.

    Args:
        given: The arrays.
        num_lanes: Number of lanes by the run's settings, if known.

    Raises:
        TypeError: An array has a name that is not known.
        ValueError: Shapes do not fit together.
    """
    arrays = {name: array for name, array in given.items() if array is not None}
    for name in arrays:
        if name not in RolloutArrays.__annotations__:
            known = RolloutArrays.__annotations__
            raise TypeError(f"rollout takes {', '.join(known)}, got {name}; did you mean {find_nearest(name, known)}?")
    per_step = {name: _convert(name, arrays[name]) for name in _PER_STEP if name in arrays}
    if not per_step:
        raise ValueError(f"rollout must be given one of {', '.join(_PER_STEP)} at least, got {', '.join(arrays) or 0}")
    first, shape = next((name, tensor.shape) for name, tensor in per_step.items())
    for name, tensor in per_step.items():
        if tensor.ndim not in (1, 2) or tensor.shape != shape:
            what = f"as {first} has" if tensor.ndim in (1, 2) else "as the loop stores it, before it is flattened"
            wanted = list(shape) if tensor.ndim in (1, 2) else "[steps, lanes]"
            raise ValueError(f"{name} must have the shape {wanted}, {what}, got {list(tensor.shape)}")
    if len(shape) == 1 and num_lanes is not None and num_lanes > 1:
        raise ValueError(
            f"{first} must have the shape [steps, {num_lanes}], one column for each of num_envs={num_lanes} lanes, got "
            f"{list(shape)}; hand the arrays over before they are flattened"
        )
    rows = {name: tensor if tensor.ndim == 2 else tensor[:, None] for name, tensor in per_step.items()}
    advantages, returns, values = rows.get("advantages"), rows.get("returns"), rows.get("values")
    if values is not None:
        returns = advantages + values if returns is None and advantages is not None else returns
        advantages = returns - values if advantages is None and returns is not None else advantages
    lanes = shape[1] if len(shape) == 2 else 1
    return Rollout(
        steps=shape[0],
        lanes=lanes,
        observations=_observations("obs", arrays.get("obs"), shape),
        raw=_observations("raw_obs", arrays.get("raw_obs"), shape),
        actions=_flatten("actions", _convert("actions", arrays["actions"]), shape) if "actions" in arrays else None,
        log_probs=rows.get("logprobs"),
        rewards=rows.get("rewards"),
        values=values,
        advantages=advantages,
        returns=returns,
        ends=_ends(rows["dones"], arrays.get("next_done")) if "dones" in rows else None,
    )


def select_rows(observations: Observations, rows: Tensor) -> Observations:
    """Return the observations of the samples with the given indices."""
    if isinstance(observations, Tensor):
        return observations[rows]
    return {name: part[rows] for name, part in observations.items()}


def _convert(name: str, array: Any) -> Tensor:
    """Convert an array to a tensor without gradient; to float32 if it has one number for each step."""
    try:
        # A tensor stays on its device; what is none goes to the CPU, whatever default a script has set.
        tensor = array if isinstance(array, Tensor) else torch.as_tensor(array, device="cpu")
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} must be a tensor or an array of numbers, got {type(array).__name__}") from error
    tensor = tensor.detach() if tensor.requires_grad else tensor
    if name not in _PER_STEP:
        return tensor
    tensor = tensor.squeeze(-1) if tensor.ndim == 3 and tensor.shape[-1] == 1 else tensor
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def _flatten(name: str, tensor: Tensor, shape: torch.Size) -> Tensor:
    """Reshape an array `[steps, environments, ...]` to `[B, ...]`."""
    if tensor.shape[: len(shape)] != shape:
        raise ValueError(f"{name} must begin with {list(shape)}, the steps and lanes, got {list(tensor.shape)}")
    return tensor.flatten(0, 1) if len(shape) == 2 else tensor


def _observations(array: str, given: Any, shape: torch.Size) -> Observations | None:
    if given is None:
        return None
    if isinstance(given, Mapping):
        return {name: _flatten(f"{array}[{name!r}]", _convert(array, part), shape) for name, part in given.items()}
    return _flatten(array, _convert(array, given), shape)


def _ends(dones: Tensor, next_done: Any) -> Tensor:
    """Return after which actions an episode ended, bool `[T, N]`, from the loop's `dones` and `next_done`."""
    if next_done is None:
        return dones > 0
    last = _convert("next_done", next_done).reshape(1, -1)
    if last.shape[1] != dones.shape[1]:
        raise ValueError(
            f"next_done must hold one number for each of {dones.shape[1]} lanes, got {list(last.shape[1:])}"
        )
    return torch.cat([dones[1:], last.to(dones)]) > 0
