"""Train arms and control once more from the branch, by randomness that no arm has used, on unseen flows or episodes.

The weights start from the run's checkpoint; actions, order of samples and episodes come from seeds of the verdict. An
arm of a later stage is trained by each configuration of its lineage in turn. Members do not depend on who trains beside
them, so the numbers are the same on any number of cores.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from unstuck.records.errors import SweepError
from unstuck.rl.branch_point import describe_branch_point
from unstuck.rl.budget import Budget
from unstuck.rl.checkpoint import Snapshot
from unstuck.rl.data import FlowData
from unstuck.rl.errors import CheckpointError
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.trainers.kinds import find_trainer
from unstuck.sweeps.trainers.protocol import Trainer, TrialSpec
from unstuck.sweeps.worker.branching import branch_trainer, find_budget, find_start
from unstuck.sweeps.worker.memory import count_fitting_members
from unstuck.sweeps.worker.training import train_to_end

MEMBERS_AT_ONCE = 16
"""Members that train together at most, where a repeat has no more: more are no faster, and take more memory."""

_PAUSE_S = 0.5

Values = tuple[tuple[float, ...], ...]
"""Values of the objective, one row for each repeat, one column for each member."""


@dataclass(frozen=True)
class Lineage:
    """Configurations that trained a saved state, one after another, since a stuck run's checkpoint.

    Attributes:
        configs: The configurations, the oldest first; each goes on from the last state of the one before.
        folder: Folder of the unstick, which holds the run's checkpoint.
        budget: Length of each configuration's training in environment steps; None for the length in the configuration.
    """

    configs: tuple[SweepConfig, ...]
    folder: Path
    budget: Budget | None = None


@dataclass(frozen=True)
class Task:
    """Task for one process: train configurations one after another, for some repeats (fresh seeds).

    Attributes:
        name: Name of the lineage.
        lineage: What to train.
        repeats: Numbers of the repeats.
    """

    name: str
    lineage: Lineage
    repeats: range


def train_repeats(lineage: Lineage, data: FlowData | None, repeats: range) -> Values:
    """Train configurations one after another with fresh seeds, several times; return the final values.

    Args:
        lineage: What to train.
        data: Flows; the training part trains, the test part evaluates. None for an environment without.
        repeats: Numbers of the repeats, which choose their seeds.

    Raises:
        CheckpointError: The run's checkpoint cannot be read, or is not of such a learner.
    """
    members, snapshot, values = lineage.configs[0].sweep.seeds, None, list[float]()
    for config in lineage.configs:
        trainer = _make_trainer(config, lineage, data, repeats, snapshot)
        values = train_to_end(trainer, config.sweep.metric)
        snapshot = trainer.take_snapshot()
    return tuple(tuple(values[first : first + members]) for first in range(0, len(values), members))


def _make_trainer(
    config: SweepConfig, lineage: Lineage, data: FlowData | None, repeats: range, before: Snapshot | None
) -> Trainer:
    """Make a trainer that starts from the training state `before`, or a checkpoint, or untrained."""
    members, seed = config.sweep.seeds, config.sweep.seed
    seeds = make_member_seeds(seed, members * repeats.stop, "verdict")[members * repeats.start :]
    if before is None:
        budget = find_budget(config, lineage.folder, lineage.budget)
    else:
        budget = describe_branch_point(before.header).extend_budget(lineage.budget or Budget.from_config(config.ppo))
    unseen = make_evaluation_seed(seed, "verdict evaluation")
    flows = replace(data, validation=data.test) if data else None
    trainer = find_trainer(config.trainer.name).make(TrialSpec(config, seeds, unseen, flows, budget))
    if before is not None:
        trainer.branch(before, config.branch.reset)
    elif start := find_start(config, lineage.folder):
        branch_trainer(trainer, start, config.branch.reset, fresh=True)
    return trainer


def train_fresh(
    lineages: Mapping[str, Lineage],
    data: FlowData | None,
    repeats: int,
    cores: int,
    report: Callable[[str, int, Sequence[float]], None],
    is_over: Callable[[], bool],
) -> dict[str, Values] | None:
    """Train repeats (fresh seeds) of several configurations on all cores; return values by name, or None if stopped.

    Args:
        lineages: What to train, by name; all have equally many members.
        data: Flows; None for an environment without.
        repeats: Number of repeats of each lineage.
        cores: Cores to use.
        report: Called with name, number of the repeat and values of the members, as each repeat is done.
        is_over: Asked now and then if the training has to end.

    Returns:
        Values by name; None if the training had to end.

    Raises:
        CheckpointError: The run's checkpoint cannot be read.
        SweepError: A process that trained died, or a training failed.
    """
    tasks = _divide(lineages, repeats, cores, data)
    done: dict[tuple[str, int], Sequence[float]] = {}
    run = _train_here if min(cores, len(tasks)) == 1 else _train_in_processes
    try:
        for task, values in run(tasks, data, cores, is_over):
            for repeat, row in zip(task.repeats, values, strict=True):
                done[task.name, repeat] = row
                report(task.name, repeat, row)
    except (CheckpointError, SweepError):
        raise
    except Exception as error:  # whatever an environment may raise
        raise SweepError(
            f"all trainings for the verdict must run to their end, and one failed: {type(error).__name__}: {error}"
        ) from error
    if len(done) < len(lineages) * repeats:
        return None
    return {name: tuple(tuple(done[name, repeat]) for repeat in range(repeats)) for name in lineages}


def _divide(lineages: Mapping[str, Lineage], repeats: int, cores: int, data: FlowData | None) -> list[Task]:
    """Divide the repeats (fresh seeds) of all configurations' training into tasks for all cores that fit the memory."""
    tasks = []
    for name, lineage in lineages.items():
        fitting = min(count_fitting_members(one, data, MEMBERS_AT_ONCE, cores) for one in lineage.configs)
        parts = max(-(-repeats * lineage.configs[0].sweep.seeds // fitting), -(-cores // len(lineages)))
        parts = min(parts, repeats)
        bounds = [repeats * part // parts for part in range(parts + 1)]
        tasks += [Task(name, lineage, range(*ends)) for ends in pairwise(bounds)]
    return tasks


def _train_here(
    tasks: Sequence[Task], data: FlowData | None, cores: int, is_over: Callable[[], bool]
) -> Iterator[tuple[Task, Values]]:
    """Train tasks one by one in the present process; yield each task with the values; end early if asked to."""
    for task in tasks:
        if is_over():
            return
        yield task, train_repeats(task.lineage, data, task.repeats)


def _train_in_processes(
    tasks: Sequence[Task], data: FlowData | None, cores: int, is_over: Callable[[], bool]
) -> Iterator[tuple[Task, Values]]:
    """Train tasks in parallel processes; yield each finished task with the values; end early if `is_over` says so."""
    before = set(multiprocessing.active_children())
    context, waiting = multiprocessing.get_context("spawn"), dict[Future[Values], Task]()
    executor = ProcessPoolExecutor(min(cores, len(tasks)), context, initializer=_enter_process, initargs=(data,))
    try:
        with _block_signals():
            waiting |= {executor.submit(_train_task, task): task for task in tasks}
        while waiting and not is_over():
            ended, _ = wait(waiting, _PAUSE_S, FIRST_COMPLETED)
            for future in ended:
                yield waiting.pop(future), future.result()
    except BrokenProcessPool as error:
        if not is_over():
            raise SweepError(
                "a process that trained for the verdict must live to its end, and one died; make room in memory, and "
                "go on with the sweep"
            ) from error
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - before:
            process.kill()  # it holds nothing that must be closed, and may have inherited to ignore SIGTERM


_HELD: dict[str, FlowData | None] = {}
"""Flows of a process that trains for the driver, sent once."""

_OF_THE_TERMINAL = {signal.SIGINT, signal.SIGHUP}


@contextmanager
def _block_signals() -> Iterator[None]:
    """Block the terminal's signals for processes started inside the block: only the main process ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_THE_TERMINAL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _enter_process(data: FlowData | None) -> None:
    """Prepare a training process: store the data, and end the process whenever the main process ends."""
    _HELD["data"] = data
    threading.Thread(target=_end_with_driver, daemon=True).start()


def _end_with_driver() -> None:
    driver = multiprocessing.parent_process()
    if driver:
        driver.join()
        os.kill(os.getpid(), signal.SIGKILL)


def _train_task(task: Task) -> Values:
    return train_repeats(task.lineage, _HELD["data"], task.repeats)
