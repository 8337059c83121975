"""Trials without Ray: driver, training, checkpoints and databases are the real ones, only the workers are missing."""

import traceback
from collections.abc import Callable

from unstuck.rl.data import FlowData
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.ray_tune.stop import StopRequest
from unstuck.sweeps.ray_tune.tuning import TrialDriver
from unstuck.sweeps.worker.training import Training


def tune_trials(
    config: SweepConfig,
    data: FlowData | None,
    slots: int,
    driver: TrialDriver,
    stop: StopRequest,
    is_over: Callable[[], bool],
) -> None:
    """In Ray Tune's place, see `sweeps.ray_tune.tuning`: one evaluation period of each running trial in turn."""
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
