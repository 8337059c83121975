"""Gymnasium spaces that PPO supports here, as observations in a row of numbers and actions counted from 0."""

import math
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Tuple, flatdim
from gymnasium.wrappers import FlattenObservation
from unstuck.rl.config import require
from unstuck.rl.errors import ConfigError

Actions = npt.NDArray[Any]
"""Actions of L lanes from the learner: int64 `[L]` or `[L, d]`, counted from 0, or float32 `[L, d]`, unbounded."""

MAX_FEATURES = 10_000
"""Numbers in an observation: more are an image, or a table of states that wants another method."""

MAX_CHOICES = 1_000
"""Logits of a policy, at most."""


def flatten_observations(env_id: str, env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """Wrap an environment so that observations are one row of numbers; discrete parts become one-hot.

    Raises:
        ConfigError: Observations are images, have varying length, or hold too many numbers.
    """
    space = env.observation_space
    for part in _parts(space):
        require(
            not _is_image(part),
            f"env.id must not have images to observe, {env_id} has {part}: policies here have no convolutions; choose "
            "an environment whose state is numbers",
        )
        require(
            isinstance(part, Box | Discrete | MultiDiscrete | MultiBinary),
            f"env.id must have observations of a fixed size, {env_id} has {part}; wrap it so that they are one row of "
            "numbers",
        )
    width = flatdim(space)
    require(
        1 <= width <= MAX_FEATURES,
        f"env.id must have 1 to {MAX_FEATURES} numbers to observe, {env_id} has {width}; wrap it so that fewer say "
        "the same",
    )
    return env if isinstance(space, Box) and len(space.shape) == 1 else FlattenObservation(env)


def lane_actions(env_id: str, space: Space[Any]) -> tuple[Space[Any], Callable[[Actions], npt.NDArray[Any]]]:
    """Return the learner's action space, and a function that converts its actions to the environment's.

    Args:
        env_id: Name of the environment, for messages.
        space: Actions of one environment.

    Returns:
        Discrete or MultiDiscrete, counted from 0, or a Box of rank 1; and a function from `Actions` of L lanes to
        actions of the environments. Numbers beyond the bounds of an environment are clipped.

    Raises:
        ConfigError: The space has no such form.
    """
    if isinstance(space, Discrete):
        _require_few(env_id, space, int(space.n))
        return Discrete(int(space.n)), lambda actions: actions + space.start
    if isinstance(space, MultiDiscrete | MultiBinary):
        counts = np.full(space.shape, 2) if isinstance(space, MultiBinary) else space.nvec
        first = 0 if isinstance(space, MultiBinary) else space.start
        _require_few(env_id, space, int(counts.sum()))
        return MultiDiscrete(counts.ravel()), lambda actions: (actions.reshape(-1, *counts.shape) + first).astype(
            space.dtype
        )
    if isinstance(space, Box) and np.issubdtype(space.dtype, np.floating) and space.shape:
        dimensions = math.prod(space.shape)
        _require_few(env_id, space, dimensions)
        return Box(
            -np.inf, np.inf, (dimensions,), np.float32
        ), lambda actions: actions.reshape(-1, *space.shape).clip(space.low, space.high).astype(space.dtype)
    raise ConfigError(
        f"env.id must have Discrete, MultiDiscrete, MultiBinary or real-valued Box actions, {env_id} has {space}; wrap "
        "it so that it takes one of these"
    )


def _require_few(env_id: str, space: Space[Any], size: int) -> None:
    require(
        1 <= size <= MAX_CHOICES,
        f"env.id must have actions of 1 to {MAX_CHOICES} choices or numbers, {env_id} has {space}; group them",
    )


def _parts(space: Space[Any]) -> list[Space[Any]]:
    if isinstance(space, Dict):
        return [part for inner in space.spaces.values() for part in _parts(inner)]
    if isinstance(space, Tuple):
        return [part for inner in space.spaces for part in _parts(inner)]
    return [space]


def _is_image(space: Space[Any]) -> bool:
    """True if observations are images: arrays of rank 3 or more, or bytes in rows and columns."""
    return isinstance(space, Box) and (len(space.shape) >= 3 or (len(space.shape) == 2 and space.dtype == np.uint8))
