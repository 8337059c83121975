"""Find what a trial starts from: nothing, the run that an unstick branches, or another trial of the unstick."""

from collections.abc import Sequence
from pathlib import Path

from unstuck.records.files import branch_file, checkpoint_file
from unstuck.rl.branch_point import read_branch_point
from unstuck.rl.budget import Budget
from unstuck.sweeps.config.settings import CHECKPOINT, SweepConfig
from unstuck.sweeps.trainers.protocol import Trainer


def find_start(config: SweepConfig, folder: Path) -> Path | None:
    """Return the path of the checkpoint that a trial starts from; None if the trial starts untrained.

    Args:
        config: Configuration of the trial.
        folder: Folder of the sweep.
    """
    if config.run is None or config.branch.start != CHECKPOINT:
        return None
    parent = config.branch.parent
    return branch_file(folder) if parent is None else checkpoint_file(folder, parent)


def find_budget(config: SweepConfig, folder: Path, shared: Budget | None = None) -> Budget:
    """Return how long a trial has to train, and how long the run that it continues was trained before.

    Args:
        config: Configuration of the trial.
        folder: Folder of the sweep.
        shared: Length of all trials in environment steps; None for the length in `config`.

    Raises:
        CheckpointError: The checkpoint that the trial starts from cannot be read.
    """
    budget, start = shared or Budget.from_config(config.ppo), find_start(config, folder)
    if start is None:
        return budget
    return read_branch_point(start).extend_budget(budget)


def start_trial(trainer: Trainer, config: SweepConfig, folder: Path) -> None:
    """Load the checkpoint that a trial starts from into an untrained trainer; do nothing if the trial starts untrained.

    Raises:
        CheckpointError: The checkpoint cannot be read, or is not of such a trainer.
    """
    if start := find_start(config, folder):
        branch_trainer(trainer, start, config.branch.reset)


def branch_trainer(trainer: Trainer, start: Path, reset: Sequence[str], fresh: bool = False) -> None:
    """Load a checkpoint file of another run into an untrained trainer, counting iterations from 0 again.

    Raises:
        CheckpointError: The file is not a whole checkpoint, or the trainer cannot go on from it.
    """
    from unstuck.rl import checkpoint  # late: it brings torch, which the driver does without

    snapshot = checkpoint.read_snapshot(start)
    with checkpoint.name_misfit(start, "a checkpoint that the learner can go on from"):
        trainer.branch(snapshot, reset, fresh)
