"""Check the saved state of a learner, and put environments and random generators back into it."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
from unstuck.rl.config import require
from unstuck.rl.envs import LaneEnv
from unstuck.rl.envs.lanes import LaneVectorEnv

Arrays = dict[str, npt.NDArray[Any]]

LANE_ARRAY = "lanes."
"""Begins the names of arrays that are the environment's."""


def require_alike(live: Arrays, saved: Arrays) -> None:
    """Raise `ConfigError` for saved arrays whose names, shapes or types differ from the learner's.

    Broadcasting might hide wrong shapes.
    """
    for name in sorted(live.keys() | saved.keys()):
        now, then = (
            f"{arrays[name].dtype} {list(arrays[name].shape)}" if name in arrays else "nothing"
            for arrays in (live, saved)
        )
        require(now == then, f"{name} must be {now}, got {then}; make the learner as it was when saved")


def load_generator(state: Mapping[str, Any]) -> np.random.Generator:
    """Make a random generator that goes on from the saved state of its bit generator, a PCG64."""
    generator = np.random.Generator(np.random.PCG64(0))
    generator.bit_generator.state = state
    return generator


def resume_lanes(env: LaneEnv, lanes: Arrays, observations: npt.NDArray[np.float32]) -> bool:
    """Restore the parallel environments' saved state; return False if none was saved or none can be restored.

    Args:
        env: The environment.
        lanes: Saved arrays of the environment, by name; empty if the environment could not save any.
        observations: Observations that the environment showed when it was saved, one row a lane.

    Raises:
        ConfigError: The environment, restored, shows other observations, as with other data; it is then unchanged.
    """
    if not lanes or not isinstance(env, LaneVectorEnv):
        return False
    before, alike = env.get_state(), False
    require_alike(before, lanes)
    try:
        env.set_state(lanes)
        with suppress(IndexError):  # row numbers of a larger data set
            shown, _ = env.reset(options={"reset_mask": np.zeros(env.num_envs, dtype=np.bool_)})  # resets none
            alike = np.array_equal(shown.reshape(observations.shape), observations, equal_nan=True)
    finally:
        if not alike:
            env.set_state(before)
    require(alike, "lanes must show the observations that they showed when saved; give the same data and environment")
    return True
