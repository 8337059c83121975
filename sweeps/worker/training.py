"""Train one trial in a worker: all members of one configuration, from a checkpoint if there is one.

Imports neither Ray nor the records. The caller delivers what `Training.next_period` returns.
"""

import errno
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from unstuck.records.errors import DiskFullError, SweepError
from unstuck.records.files import checkpoint_file, read_records, trial_folder
from unstuck.records.lock import read_owner
from unstuck.records.measurement import Record
from unstuck.records.names import CHECKPOINT, RESUMED_EXACTLY, RESUMED_FROM
from unstuck.rl import checkpoint, metrics
from unstuck.rl.budget import Budget
from unstuck.rl.data.types import FlowData
from unstuck.rl.errors import CheckpointError
from unstuck.rl.learner import Metrics
from unstuck.rl.own_modules import add_own_modules
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds
from unstuck.rl.whole_files import find_left_behind
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.trainers.kinds import find_trainer
from unstuck.sweeps.trainers.protocol import Trainer, Trains, TrialSpec
from unstuck.sweeps.worker.assignment import Assignment
from unstuck.sweeps.worker.branching import find_budget, start_trial

PATIENCE_S = 40.0
"""Seconds to wait for room on a full disk, once."""

_PAUSE_S = 0.5
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Training:
    """Training of one trial, all seeds together, which continues from the trial's checkpoint if there is one.

    A checkpoint that cannot be used ends nothing: the trial starts anew, equal seeds give equal numbers, and the driver
    skips records that it has. An arm of an unstick starts from the state of the branched run, and needs that. The
    constructor writes nothing.

    Attributes:
        trainer: Trainer of the members.
    """

    def __init__(self, assignment: Assignment, data: FlowData | None) -> None:
        if assignment.own_modules is not None:
            add_own_modules(assignment.own_modules)
        self._config, self._data, self._budget = assignment.config, data, assignment.budget
        self._folder, self._number, self._owner = assignment.folder, assignment.number, assignment.owner
        self._notes: dict[str, str] = {}
        self._is_saved = True
        self._patience_s = PATIENCE_S
        self._unsaved: list[Record] = []
        self.trainer = self._make_trainer()
        # The worker cannot know which records the driver has: deliver all, and the driver skips known ones.
        self._undelivered = self._restore_checkpoint()
        self._history: list[Any] = [record.to_json() for record in self._undelivered]
        self._in_force = read_settings_in_force(self.trainer)

    def next_period(self) -> list[Record]:
        """Return metrics of iterations: first all of a restored checkpoint, then those up to an evaluation.

        New iterations are saved first, so that any record elsewhere can always be written again from the checkpoint.

        Raises:
            DiskFullError: The checkpoint cannot be saved. The next call delivers the same iterations.
        """
        if self._undelivered:
            records, self._undelivered = self._undelivered, []
            return records
        if not self._unsaved:
            records = train_period(self.trainer, self._config.sweep.metric, self._budget is not None)
            records[0] = replace(records[0], metrics={**records[0].metrics, **self._in_force})
            self._in_force = {}
            self._history += [record.to_json() for record in records]
            self._unsaved = records
        self._save()
        records, self._unsaved = self._unsaved, []
        return records

    def take_notes(self) -> dict[str, str]:
        """Return the notes on the checkpoint, by name, that were made since the last call, and clear the notes."""
        notes, self._notes = self._notes, {}
        return notes

    def _make_trainer(self) -> Trainer:
        """Make the trainer as the trial starts: untrained, or from another run's saved state at iteration 0."""
        budget = find_budget(self._config, self._folder, self._budget)
        trainer = make_trial_trainer(self._config, self._data, budget, trial_folder(self._folder, self._number))
        start_trial(trainer, self._config, self._folder)
        return trainer

    def _restore_checkpoint(self) -> list[Record]:
        """Restore an existing checkpoint, and return the metrics of all iterations in the checkpoint."""
        file = checkpoint_file(self._folder, self._number)
        try:
            records = read_records(self._folder, self._number)
            if not file.exists():
                return []
            snapshot = checkpoint.read_snapshot(file)
            with checkpoint.name_misfit(file, "a checkpoint of such a learner"):
                self.trainer.restore(snapshot)
            if [record.iteration for record in records] != list(range(1, self.trainer.iteration + 1)):
                self.trainer = self._make_trainer()
                raise CheckpointError(f"{file} must hold the records of all iterations, got {len(records)}")
        except CheckpointError as error:
            self._notes[CHECKPOINT] = f"started anew: {error}"
            return []
        self._notes[RESUMED_FROM] = str(self.trainer.iteration)
        if not self.trainer.resumed_exactly:
            self._notes[RESUMED_EXACTLY] = "false"
        return records

    def _save(self) -> None:
        """Save the training as the trial's checkpoint; if the disk is full, wait until there is room.

        Training goes on if no checkpoint can be written at all.

        Raises:
            SweepError: Another process runs the sweep by now.
            DiskFullError: The disk stayed full for `PATIENCE_S`.
        """
        file = checkpoint_file(self._folder, self._number)
        if read_owner(self._folder) not in (None, self._owner):
            raise SweepError(f"{file} must be written by whoever runs the sweep, and that is another process by now")
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                self._replace(file)
                self._is_saved, self._patience_s = True, PATIENCE_S
                return
            except OSError as error:
                if error.errno not in _FULL:
                    if self._is_saved:  # noted once, since saving fails again and again
                        self._notes[CHECKPOINT] = f"not saved from iteration {self.trainer.iteration} on: {error}"
                    self._is_saved = False
                    return
                if time.monotonic() >= deadline:
                    self._patience_s = 0.0  # the next call fails at once
                    raise DiskFullError(
                        f"{self._folder} must have room for checkpoints, and had none for {PATIENCE_S:g} s "
                        f"({error.strerror}); make room"
                    ) from error
            time.sleep(_PAUSE_S)

    def _replace(self, file: Path) -> None:
        file.parent.mkdir(exist_ok=True)  # not the folders above: if one is missing, the folder is not shared
        for left in find_left_behind(file):  # by a worker that died
            left.unlink()
        checkpoint.write_snapshot(file, self.trainer.take_snapshot(self._history))


def make_trial_trainer(
    config: SweepConfig, data: FlowData | None, budget: Budget | None = None, folder: Path | None = None
) -> Trainer:
    """Make an untrained trainer for all seeds of a trial; equal arguments lead to equal results of training.

    Args:
        config: Configuration of the trial.
        data: Flows to train on; None for an environment without.
        budget: Length of the trial in environment steps; None for the length in `config`.
        folder: Folder of the trial.
    """
    seeds = make_member_seeds(config.sweep.seed, config.sweep.seeds)
    evaluation_seed = make_evaluation_seed(config.sweep.seed)
    spec = TrialSpec(config, seeds, evaluation_seed, data, budget or Budget.from_config(config.ppo), folder)
    return find_trainer(config.trainer.name).make(spec)


def read_settings_in_force(trainer: Trains) -> dict[str, float]:
    """Return the settings that the trainer will use in the next update, by names of `effective/` metrics.

    Settings that are switched off are left out. NaN: members of the trial differ, which members must not.
    """
    found = {
        name: values[0] if (values == values[0]).all() else math.nan
        for name, values in trainer.read_effective().items()
    }
    return {metrics.effective_metric(name): float(value) for name, value in found.items() if not math.isinf(value)}


def train_period(trainer: Trains, metric: str, in_env_steps: bool = False) -> list[Record]:
    """Train up to the next evaluation, or to the first metric that is not finite; return each iteration's metrics.

    Args:
        trainer: Trainer, or a learner alone.
        metric: Name of the objective.
        in_env_steps: True if the sweep counts environment steps.
    """
    records = []
    evaluated = False
    while not evaluated:
        measured = trainer.iterate()
        evaluated = metrics.EVAL_RETURN in measured
        means = summarise(measured, (*metrics.PER_SEED, metric))
        env_steps = trainer.iteration * trainer.config.batch_size if in_env_steps else None
        seeds = list_seeds(measured, means)
        records.append(Record(trainer.iteration, time.time_ns() // 1_000_000, means, env_steps, seeds))
        if not all(map(math.isfinite, means.values())):
            break
    return records


def train_to_end(trainer: Trains, metric: str) -> list[float]:
    """Train for the full length; return each seed's mean of the metric's last evaluations.

    Args:
        trainer: Trainer, or a learner alone; changed in place.
        metric: Name of an `eval/` metric.
    """
    evaluations = []
    for _ in range(trainer.last_iteration - trainer.iteration):
        measured = trainer.iterate()
        if metric in measured:
            evaluations.append(measured[metric])
    return [float(value) for value in np.mean(evaluations[-metrics.FINAL_EVALUATIONS :], axis=0)]


def summarise(measured: Metrics, per_seed: Sequence[str]) -> dict[str, float]:
    """Compute the mean of each metric over seeds; add each seed's own value for the metrics named in `per_seed`.

    Values that are not finite count as well (never a nanmean).

    Example:
        >>> summarise({"eval/f1": np.array([0.25, 0.75])}, ["eval/f1"])
        {'eval/f1': 0.5, 'eval/f1/seed_0': 0.25, 'eval/f1/seed_1': 0.75}
    """
    result = {name: float(np.mean(values)) for name, values in measured.items()}
    for name in per_seed:
        for member, value in enumerate(measured.get(name, ())):
            result[metrics.seed_metric(name, member)] = float(value)
    return result


def list_seeds(measured: Metrics, means: Mapping[str, float]) -> dict[str, tuple[float, ...]]:
    """Return each seed's values of the metrics that are otherwise kept as means, to six digits; empty for one seed.

    Example:
        >>> list_seeds({"train/entropy": np.array([0.25, 0.75])}, {"train/entropy": 0.5})
        {'train/entropy': (0.25, 0.75)}
    """
    return {
        name: tuple(float(f"{value:.6g}") for value in values)
        for name, values in measured.items()
        if len(values) > 1 and metrics.seed_metric(name, 0) not in means
    }
