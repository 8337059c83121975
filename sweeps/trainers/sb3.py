"""Train by Stable-Baselines3's PPO: a plain one for an environment's id, or the user's own script (docs/trainers.md).

Stable-Baselines3 is imported when a trainer is checked or made, not before.
"""

from collections.abc import Callable, Mapping
from typing import Any

from unstuck.rl.data.types import FlowData
from unstuck.rl.errors import ConfigError
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.trainers.members import PROVABLE, MembersInTurn
from unstuck.sweeps.trainers.protocol import LIBRARIES, TrainerKind, TrialSpec

NAME = "sb3"

_MEMBER_BYTES = 12 * 2**20
"""Main memory of one model with its lanes, beside its rollout: networks of usual size, optimiser, environments."""

_LIBRARY_BYTES = 260 * 2**20
"""Main memory that Stable-Baselines3 takes with what it imports."""

_SAMPLE_BYTES = 4 * 64


def make_trainer(spec: TrialSpec) -> MembersInTurn:
    """Make an untrained trainer, by Stable-Baselines3, of all members (seeds) of a trial."""
    _require_library()
    from unstuck.sweeps.trainers.sb3_member import Sb3Member

    return MembersInTurn(NAME, spec, Sb3Member)


def check(config: SweepConfig, data: FlowData | None) -> None:
    """Raise `ConfigError` if Stable-Baselines3 is missing, or cannot train by the configuration."""
    _require_library()
    from unstuck.sweeps.trainers.sb3_model import require_model

    require_model(config)


def estimate_memory(config: SweepConfig, data: FlowData | None) -> Callable[[int], int]:
    """Return a function from number of members (seeds) to memory in bytes, roughly estimated."""
    member = _MEMBER_BYTES + config.ppo.batch_size * _SAMPLE_BYTES
    return lambda members: _LIBRARY_BYTES + members * member


def _require_library() -> None:
    try:
        import stable_baselines3  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "trainer=sb3 needs Stable-Baselines3, which is not installed; install it by pip install 'unstuck[sb3]'"
        ) from error


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
    proves=PROVABLE,
    program="sb3",
    limits=_LIMITS,
    libraries=(*LIBRARIES, "stable_baselines3", "torch._dynamo"),  # the last for torch's optimisers
)
