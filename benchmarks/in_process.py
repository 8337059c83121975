"""Trials without Ray: driver, training, checkpoints and databases are the real ones, only the workers are missing.

For what has to reach into a training (planted faults), or to know nothing of Ray (tests).
"""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

from unstuck.rl.data import FlowData
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.ray_tune.stop import StopRequest
from unstuck.sweeps.ray_tune.tuning import TrialDriver
from unstuck.sweeps.worker.training import Training


@contextmanager
def no_ray() -> Iterator[None]:
    """Make sweeps that start inside the `with` block train their trials in this process."""
    with patch("unstuck.sweeps.run.sweep.tune_trials", tune_trials):
        yield


def tune_trials(
    config: SweepConfig,
    data: FlowData | None,
    slots: int,
    driver: TrialDriver,
    stop: StopRequest,
    is_over: Callable[[], bool],
) -> None:
    """Run trials in this process: one evaluation period of each running trial in turn; see `sweeps.ray_tune.tuning`."""
    running: dict[int, Training] = {}
    while not is_over():
        while len(running) < slots and (assignment := driver.propose()):
            running[assignment.number] = Training(assignment, data)
        if not running:
            return
        for number, training in list(running.items()):
            try:
                records = training.next_period()
            except Exception:
                driver.crash(number, traceback.format_exc())
                del running[number]
            else:
                if driver.receive(number, records, training.take_notes()):
                    del running[number]
