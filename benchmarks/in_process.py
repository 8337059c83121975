"""Trials without Ray: driver, training, checkpoints and databases are the real ones, only the workers are missing.

For what has to reach into a training (planted faults), or to know nothing of Ray (tests).
"""

import os
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkContext, ForkProcess
from typing import Any
from unittest.mock import patch

from unstuck.rl.data import FlowData
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.ray_tune.cluster import Cluster
from unstuck.sweeps.run.driver import Driver
from unstuck.sweeps.worker.assignment import Assignment
from unstuck.sweeps.worker.training import Training

_PAUSE_S = 0.5


class _Fork(ForkProcess):
    """Fork in a session of its own, as Ray's workers are: Ctrl-C at a terminal reaches the driver alone."""

    def run(self) -> None:
        os.setsid()
        super().run()


class _Forking(ForkContext):
    Process = _Fork


_FORKING = _Forking()


@contextmanager
def no_ray() -> Iterator[None]:
    """Make sweeps that start inside the `with` block train their trials in this process."""
    with patch("unstuck.sweeps.run.sweep.tune_trials", tune_trials), patch.object(Cluster, "begin"):
        yield


def tune_trials(
    config: SweepConfig,
    data: FlowData | None,
    cluster: Cluster,
    driver: Driver,
    is_over: Callable[[], bool],
) -> None:
    """Run trials in this process: one evaluation period of each running trial in turn; see `sweeps.ray_tune.tuning`."""
    running: dict[int, Training] = {}
    while not is_over():
        while len(running) < cluster.slots and not is_over():
            assignment = driver.propose()
            if assignment is None:
                break
            try:
                running[assignment.number] = Training(assignment, data)
            except Exception:
                driver.crash(assignment.number, traceback.format_exc())
        if not running:
            return
        for number, training in list(running.items()):
            try:
                records = training.next_period()
            except Exception:
                driver.crash(number, traceback.format_exc())
                del running[number]
            else:
                if driver.judge(number, records, training.take_notes()):
                    del running[number]
                driver.follow_up()


@contextmanager
def forked(processes: int | None = None) -> Iterator[None]:
    """Make sweeps that start inside the `with` block train in forks of this process, and verdicts as well.

    A fork keeps what was patched in this process, which Ray's workers would not.

    Args:
        processes: Trials at a time, and processes of a verdict; None: as many as the sweep's settings say.
    """

    def executor(workers: int, *others: Any, **named: Any) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(processes or workers, *others, **named)

    def tune(config: SweepConfig, data: FlowData | None, cluster: Cluster, *others: Any) -> None:
        tune_in_forks(config, data, processes or cluster.slots, *others)

    with (
        patch("unstuck.sweeps.run.sweep.tune_trials", tune),
        patch.object(Cluster, "begin"),
        patch("unstuck.sweeps.unstick.fresh_runs.ProcessPoolExecutor", executor),
        patch("unstuck.sweeps.unstick.fresh_runs.multiprocessing.get_context", lambda _: _FORKING),
    ):
        yield


def tune_in_forks(
    config: SweepConfig,
    data: FlowData | None,
    slots: int,
    driver: Driver,
    is_over: Callable[[], bool],
) -> None:
    """Run each trial in a fork of this process, `slots` at a time; see `sweeps.ray_tune.tuning`."""
    running: dict[Connection, tuple[int, ForkProcess]] = {}
    try:
        while not is_over():
            while len(running) < slots and (assignment := driver.propose()):
                here, there = _FORKING.Pipe()
                process = _FORKING.Process(target=_train, args=(assignment, data, there))
                process.start()
                there.close()
                running[here] = assignment.number, process
            if not running:
                return
            for pipe in wait(list(running), _PAUSE_S):
                assert isinstance(pipe, Connection)
                number, process = running[pipe]
                if _is_over(pipe, number, driver):
                    process.kill()
                    process.join()
                    del running[pipe]
    finally:
        for _, process in running.values():
            process.kill()
            process.join()


def _train(assignment: Assignment, data: FlowData | None, pipe: Connection) -> None:
    """Train a trial in a fork, and send each period's records and notes, once the last ones have been judged."""
    try:
        training = Training(assignment, data)
        while True:
            pipe.send((training.next_period(), training.take_notes()))
            pipe.recv()
    except Exception:
        pipe.send(traceback.format_exc())


def _is_over(pipe: Connection, number: int, driver: Driver) -> bool:
    """Hand what a fork has sent to the driver; return True if the trial ends."""
    try:
        sent = pipe.recv()
    except EOFError:
        sent = "the process died"
    if isinstance(sent, str):
        driver.crash(number, sent)
        return True
    verdict = driver.judge(number, *sent)
    if verdict is None:
        pipe.send(None)
    driver.follow_up()
    return verdict is not None
