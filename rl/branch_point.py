"""What a checkpoint says of the run that a branch starts from; read without a learner, and without PyTorch."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unstuck.rl.archive import read_archive
from unstuck.rl.budget import Budget
from unstuck.rl.config import PPOConfig
from unstuck.rl.errors import CheckpointError

_OF_THE_NETWORKS = ("hidden_sizes", "shared_trunk", "normalize_observations")
"""Settings without which the saved weights mean nothing."""


@dataclass(frozen=True)
class BranchPoint:
    """Facts about a run in its checkpoint: iteration, environment steps, number of seeds, settings, metrics.

    Attributes:
        iteration: Iterations that the checkpoint's learner had done.
        env_steps: Environment steps that the weights were trained for, those before an earlier branch included.
        planned_steps: Environment steps that the run's schedules were made for, counted alike.
        members: Number of members (seeds).
        configs: PPO settings of the members, one each, by name.
        history: Records of the run's iterations, as `checkpoint.save` was given them.
    """

    iteration: int
    env_steps: int
    planned_steps: int
    members: int
    configs: Sequence[Mapping[str, Any]]
    history: Sequence[Any]

    def extend_budget(self, budget: Budget) -> Budget:
        """Return a training length for a run that starts from a checkpoint: steps before count for the schedules."""
        return replace(budget, done=self.env_steps, planned=self.planned_steps)

    def describe_misfit(self, config: PPOConfig) -> str:
        """Describe why a learner with the given settings cannot start from the checkpoint; empty if it can.

        Example:
            >>> saved = {"hidden_sizes": [64, 64], "shared_trunk": False, "normalize_observations": False}
            >>> point = BranchPoint(220, 112_640, 112_640, 1, [saved], [])
            >>> point.describe_misfit(PPOConfig(lr=1e-3)), point.describe_misfit(PPOConfig(shared_trunk=True))
            ('', 'ppo.shared_trunk must be False, as in the checkpoint, got True')
        """
        for name in _OF_THE_NETWORKS:
            saved, own = _plain(self.configs[0][name]), _plain(getattr(config, name))
            if saved != own:
                return f"ppo.{name} must be {saved}, as in the checkpoint, got {own}"
        return ""


def read_branch_point(path: str | os.PathLike[str]) -> BranchPoint:
    """Read from a checkpoint file the iteration, steps, seeds, settings and metrics of the run, without a learner.

    Raises:
        CheckpointError: The file is not a whole checkpoint of this format.
    """
    path = Path(path)
    _, header = read_archive(path)
    try:
        return describe_branch_point(header)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CheckpointError(
            f"{path} must say which run it was taken from, got {error!r}; give a checkpoint of a trial"
        ) from error


def describe_branch_point(header: Mapping[str, Any]) -> BranchPoint:
    """Return iteration, steps, seeds, settings and metrics of a run from the header of its snapshot (saved state)."""
    configs = [dict(config) for config in header["configs"]]
    iteration, batch = int(header["learner"]["iteration"]), configs[0]["num_envs"] * configs[0]["num_steps"]
    steps = header.get("env_steps") or {  # unsaid before runs were branched
        "done": iteration * batch,
        "planned": configs[0]["num_iterations"] * batch,
    }
    env_steps, planned = int(steps["done"]), int(steps["planned"])
    return BranchPoint(iteration, env_steps, planned, len(configs), configs, list(header["history"]))


def _plain(value: Any) -> Any:
    """Convert a setting's value to the form that JSON has: lists for tuples."""
    return list(value) if isinstance(value, tuple) else value
