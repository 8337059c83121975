"""Train by Stable-Baselines3's PPO: a plain one for an environment's id, or the user's own script (docs/trainers.md).

Stable-Baselines3 is imported when a trainer is made, or when a user's script is checked, not before.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete
from unstuck.records.errors import LibraryError
from unstuck.rl.config import PER_MEMBER
from unstuck.rl.data.types import FlowData
from unstuck.rl.envs.gym import read_spaces
from unstuck.rl.errors import ConfigError
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.trainers.members import MembersInTurn
from unstuck.sweeps.trainers.protocol import LIBRARIES, TrainerKind, TrialSpec

NAME = "sb3"

_LIBRARY, _FITS, _INSTALL = "stable_baselines3", ("2", "9"), "pip install 'unstuck[sb3]'"
"""Module of the library, its version (as of the extra `sb3`), and how to install both."""

_MEMBER_BYTES = 12 * 2**20
"""Main memory of one model with its lanes, beside its rollout: networks of usual size, optimiser, environments."""

_LIBRARY_BYTES = 260 * 2**20
"""Main memory that Stable-Baselines3 takes with what it imports."""

_SAMPLE_BYTES = 4 * 64


def make_trainer(spec: TrialSpec) -> MembersInTurn:
    """Make an untrained trainer, by Stable-Baselines3, of all members (seeds) of a trial."""
    try:
        _require_library()
        import_module(_LIBRARY)
    except ConfigError as error:
        raise LibraryError(str(error)) from error
    except Exception as error:  # whatever an unfitting library raises on import
        raise LibraryError(
            f"trainer=sb3 needs Stable-Baselines3 that can be imported, got {type(error).__name__}: "
            f"{' '.join(str(error).split())}; install what fits by {_INSTALL}"
        ) from error
    from unstuck.sweeps.trainers.sb3_member import Sb3Member
    from unstuck.sweeps.trainers.torch_internals import defer_compiler

    defer_compiler()
    return MembersInTurn(NAME, spec, Sb3Member)


def check(config: SweepConfig, data: FlowData | None) -> None:
    """Raise `ConfigError` if Stable-Baselines3 is missing, or cannot train by the configuration."""
    _require_library()
    if config.trainer.make is None and _suits_plain_policy(config):
        return
    from unstuck.sweeps.trainers.sb3_model import require_model  # late: it brings torch

    require_model(config)


def estimate_memory(config: SweepConfig, data: FlowData | None) -> Callable[[int], int]:
    """Return a function from number of members (seeds) to memory in bytes, roughly estimated."""
    member = _MEMBER_BYTES + config.ppo.batch_size * _SAMPLE_BYTES
    return lambda members: _LIBRARY_BYTES + members * member


def _suits_plain_policy(config: SweepConfig) -> bool:
    """Return True if the built-in script certainly makes a PPO for the environment, so that none need be made to know.

    That is where a row of numbers is observed, and actions are choices from 0 on, or numbers between bounds.

    Raises:
        ConfigError: The environment cannot be made.
    """
    seen, done = read_spaces(config.env.id)
    numbers = isinstance(done, Box) and np.isfinite(done.low).all() and np.isfinite(done.high).all()
    choices = isinstance(done, Discrete | MultiDiscrete) and not np.any(done.start)
    rows = isinstance(seen, Box) and len(seen.shape) == 1
    return bool(rows and (numbers or choices)) and config.ppo.minibatch_size > 1


def _require_library() -> None:
    try:
        missing = find_spec(_LIBRARY) is None
    except ValueError:  # something else has taken the name
        missing = True
    if missing:
        raise ConfigError(f"trainer=sb3 needs Stable-Baselines3, which is not installed; install it by {_INSTALL}")
    with suppress(PackageNotFoundError):  # not installed as a package, such as a checkout of its own
        if (own := version("stable-baselines3")).split(".")[:2] != list(_FITS):
            raise ConfigError(
                f"trainer=sb3 needs Stable-Baselines3 {'.'.join(_FITS)}, got {own}; install it by {_INSTALL}"
            )


_LIMITS: Mapping[str, tuple[Any, ...]] = {
    "ppo.normalize_returns": ("none", "running"),
    "ppo.shared_trunk": (False,),
    "ppo.compile": (False,),
}

SB3 = TrainerKind(
    title="Stable-Baselines3",
    make=make_trainer,
    check=check,
    estimate_memory=estimate_memory,
    acts_on_flows=False,
    proves=PER_MEMBER,
    program="sb3",
    limits=_LIMITS,
    libraries=(*LIBRARIES, "stable_baselines3"),
)
