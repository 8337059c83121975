"""Any Gymnasium id as lanes: our own vectorised environment where there is one, a loop over single ones elsewhere."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.error import UnregisteredEnv
from gymnasium.spaces import Box, Discrete, Space
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorWrapper

from rl.config import require
from rl.envs.cartpole import CartPoleVector
from rl.envs.lanes import LaneVectorEnv
from rl.errors import ConfigError


def make_gym_vec(env_id: str, num_lanes: int) -> "LaneEnv":
    """Make the lanes of a Gymnasium environment.

    Args:
        env_id: A registered id, or `module:id`.
        num_lanes: Lanes, L.

    Raises:
        ConfigError: If the id is unknown, needs a package that is not installed, or has spaces that are not supported.
    """
    if env_id == "CartPole-v1":
        return CartPoleVector(num_lanes)
    try:
        lanes = SyncVectorEnv(
            [lambda: gymnasium.make(env_id, disable_env_checker=True)] * num_lanes,
            copy=False,  # GymVector's cast copies
            autoreset_mode=AutoresetMode.SAME_STEP,
        )
    except UnregisteredEnv as error:
        nearest = difflib.get_close_matches(env_id, gymnasium.registry, n=1, cutoff=0.0)[0]
        raise ConfigError(
            f"env.id must be a registered Gymnasium id, got {env_id!r}; the nearest is {nearest}"
        ) from error
    except (gymnasium.error.Error, ModuleNotFoundError) as error:
        raise ConfigError(f"env.id must name an environment that can be made, got {env_id!r}: {error}") from error
    require_spaces(env_id, lanes.single_observation_space, lanes.single_action_space)
    return GymVector(lanes)


def require_spaces(env_id: str, observation: Space[Any], action: Space[Any]) -> None:
    """Raise `ConfigError` unless observations are Box of rank 1 and actions Discrete from 0."""
    require(
        isinstance(observation, Box) and len(observation.shape) == 1,
        f"env.id must have observations that are one row of numbers (Box of rank 1), {env_id} has {observation}; "
        "images, dictionaries and discrete observations are not supported",
    )
    require_discrete(env_id, action)


def require_discrete(env_id: str, action: Space[Any]) -> int:
    """The number of actions; raises `ConfigError` unless they are Discrete and counted from 0."""
    if not isinstance(action, Discrete) or action.start != 0:
        raise ConfigError(
            f"env.id must have Discrete actions counted from 0, {env_id} has {action}; "
            "continuous (Box) and combined actions are not supported"
        )
    return int(action.n)


class GymVector(
    VectorWrapper[
        npt.NDArray[np.float32],
        npt.NDArray[np.int64],
        npt.NDArray[Any],
        npt.NDArray[np.int64],
        npt.NDArray[Any],
    ]
):
    """A SyncVectorEnv in the form of `LaneVectorEnv`: float32 observations, and final ones in one array.

    It has no `get_state`: Gymnasium gives no way to write down the inside of an arbitrary environment.
    """

    env: SyncVectorEnv[npt.NDArray[Any], npt.NDArray[np.int64]]

    def __init__(self, env: SyncVectorEnv[npt.NDArray[Any], npt.NDArray[np.int64]]) -> None:
        """Wrap lanes whose spaces `require_spaces` has passed."""
        super().__init__(env)
        self.single_observation_space = _as_float32(env.single_observation_space)
        self.observation_space = _as_float32(env.observation_space)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """As `LaneVectorEnv.reset`; other options reach the environments."""
        seeds = seed if seed is None or isinstance(seed, int) else list(seed)
        observations, infos = self.env.reset(seed=seeds, options=None if options is None else dict(options))
        return observations.astype(np.float32), infos

    def step(
        self, actions: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], dict[str, Any]]:
        """As `LaneVectorEnv.step`; infos holds what the environments say besides."""
        raw, rewards, terminated, truncated, infos = self.env.step(actions)
        observations = raw.astype(np.float32)
        if "final_obs" in infos:
            final, ended = np.zeros_like(observations), infos["_final_obs"]
            final[ended] = np.stack(infos["final_obs"][ended].tolist())
            infos["final_obs"] = final
        return observations, rewards, terminated, truncated, infos


def _as_float32(space: Space[Any]) -> Space[Any]:
    if not isinstance(space, Box):
        raise TypeError(f"only a Box can be observed as float32, got {space}")
    return Box(space.low.astype(np.float32), space.high.astype(np.float32), dtype=np.float32)


LaneEnv = LaneVectorEnv | GymVector
"""What `rl.envs.make_vec` makes: lanes that step together; only a `LaneVectorEnv` can write down its state."""
