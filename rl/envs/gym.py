"""Lanes of any Gymnasium id: our own vectorised environment if there is one, else a loop over single environments."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.error import UnregisteredEnv
from gymnasium.spaces import Box, Space
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from unstuck.rl.envs.cartpole import CartPoleVector
from unstuck.rl.envs.lanes import LaneVectorEnv
from unstuck.rl.envs.spaces import Actions, flatten_observations, lane_actions
from unstuck.rl.errors import ConfigError
from unstuck.rl.wording import find_near


def make_gym_vec(env_id: str, num_lanes: int, vectorization: str = "sync") -> "LaneEnv":
    """Make `num_lanes` parallel environments (lanes) of a Gymnasium id.

    Args:
        env_id: A registered id, or `module:id`.
        num_lanes: Lanes, L.
        vectorization: `sync`, one after the other, or `async`, in processes of their own.

    Raises:
        ConfigError: The id is unknown, needs a package that is not installed, or has spaces that are not supported.
    """
    if env_id == "CartPole-v1":
        return CartPoleVector(num_lanes)
    read_spaces(env_id)  # refuses what cannot be acted in, here and not in a process of its own
    makers = [partial(_make_flat, env_id)] * num_lanes
    if vectorization == "async":
        return GymVector(AsyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP, copy=False), env_id)
    return GymVector(SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP, copy=False), env_id)


def read_spaces(env_id: str) -> tuple[Space[Any], Space[Any]]:
    """Make an environment once, and return its own observation and action space; refuse what cannot be trained in.

    Raises:
        ConfigError: The id is unknown, needs a package that is not installed, or has spaces that are not supported.
    """
    env = _make(env_id)
    try:
        _flatten(env_id, env)
        return env.observation_space, env.action_space
    finally:
        env.close()


def _make_flat(env_id: str) -> gymnasium.Env[Any, Any]:
    """Make one Gymnasium environment, with observations flattened to a row of numbers."""
    return _flatten(env_id, _make(env_id))


def _flatten(env_id: str, env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """Wrap an environment so that observations are a row of numbers; refuse spaces that are not supported."""
    lane_actions(env_id, env.action_space)
    return flatten_observations(env_id, env)


def _make(env_id: str) -> gymnasium.Env[Any, Any]:
    """Make one Gymnasium environment as registered; raise `ConfigError`, with a remedy, if that fails."""
    try:
        return gymnasium.make(env_id, disable_env_checker=True)
    except UnregisteredEnv as error:
        near = find_near(env_id, gymnasium.registry, 0.6)
        hints = [f"the nearest is {near}"] if near else []
        hints += [] if ":" in env_id else ["one of your own is MODULE:ID, such as my_envs:Name-v0 for my_envs.py"]
        raise ConfigError("; ".join([f"env.id must be a registered Gymnasium id, got {env_id!r}", *hints])) from error
    except ModuleNotFoundError as error:
        missing = error.__cause__ if isinstance(error.__cause__, ModuleNotFoundError) else error
        is_own = env_id.partition(":")[0].partition(".")[0] == missing.name  # not one that the user's module imports
        where = f"; stand in the folder that holds {missing.name}.py, or install the package" if is_own else ""
        raise ConfigError(
            f"env.id must name an environment that can be made, got {env_id!r}: {missing}{where}"
        ) from error
    except gymnasium.error.DependencyNotInstalled as error:
        extra = "unstuck[box2d]" if "box2d" in str(error).lower() else "what it needs"
        what = str(error).partition(",")[0]
        raise ConfigError(
            f"env.id must name an environment that can be made, got {env_id!r}: {what}; pip install '{extra}'"
        ) from error
    except gymnasium.error.Error as error:
        raise ConfigError(f"env.id must name an environment that can be made, got {env_id!r}: {error}") from error
    except Exception as error:  # whatever the user's own module or class raises
        raise ConfigError(
            f"env.id must name an environment that can be made, got {env_id!r}, which raises {_say(error)}; mend the "
            "environment"
        ) from error


def _say(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def try_lanes(lanes: "LaneEnv", env_id: str) -> None:
    """Reset and step an environment once; raise `ConfigError` if it fails or observes non-finite numbers.

    Args:
        lanes: The environment, new.
        env_id: Id of the environment, for messages.
    """
    done = "reset"
    try:
        observations, _ = lanes.reset(seed=list(range(lanes.num_envs)))
        _require_finite(observations, "observations", done, env_id)
        done = "step"
        lanes.action_space.seed(0)
        observations, rewards, *_ = lanes.step(lanes.action_space.sample())
        _require_finite(observations, "observations", done, env_id)
        _require_finite(rewards, "rewards", done, env_id)
    except ConfigError:
        raise
    except Exception as error:  # whatever the user's own class raises
        raise ConfigError(
            f"env.id must name an environment that runs, got {env_id!r}, whose {done} raises {_say(error)}; mend the "
            "environment"
        ) from error


def _require_finite(values: npt.NDArray[Any], what: str, done: str, env_id: str) -> None:
    if not np.isfinite(np.asarray(values, dtype=np.float64)).all():
        raise ConfigError(
            f"env.id must name an environment whose {what} are finite, got {env_id!r}, whose {done} gives "
            f"{np.asarray(values).tolist()}; mend the environment"
        )


class GymVector(
    VectorWrapper[npt.NDArray[np.float32], Actions, npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]],
):
    """Adapter that gives Gymnasium's vectorised environments the interface of `LaneVectorEnv`.

    Observations are float32, final observations come in one array, and actions have the form of
    `rl.envs.spaces.lane_actions`. There is no `get_state`: Gymnasium has no way to save an arbitrary environment.
    """

    env: SyncVectorEnv[npt.NDArray[Any], npt.NDArray[Any]] | AsyncVectorEnv[npt.NDArray[Any], npt.NDArray[Any]]

    def __init__(self, env: SyncVectorEnv[Any, Any] | AsyncVectorEnv[Any, Any], env_id: str) -> None:
        """Wrap a vectorised Gymnasium environment, whose observations are one row of numbers for each lane."""
        super().__init__(env)
        self.single_observation_space = _as_float32(env.single_observation_space)
        self.observation_space = _as_float32(env.observation_space)
        self.bounded_action_space = env.single_action_space  # the learner's own has no bounds: numbers are clipped here
        self.single_action_space, self._to_env = lane_actions(env_id, env.single_action_space)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """Start new episodes in all parallel environments; return the first observations and an info dict.

        The observations are float32 `[L, F]`.

        Options beside `reset_mask` reach the environments.
        """
        seeds = seed if seed is None or isinstance(seed, int) else list(seed)
        observations, infos = self.env.reset(seed=seeds, options=None if options is None else dict(options))
        return observations.astype(np.float32), infos

    def step(
        self, actions: Actions
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], dict[str, Any]]:
        """Step each parallel environment once; return observations, rewards, both kinds of ends, and infos."""
        raw, rewards, terminated, truncated, infos = self.env.step(self._to_env(actions))
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
"""Result of `rl.envs.make_vec`: lanes that step together; only a `LaneVectorEnv` can save a state."""
