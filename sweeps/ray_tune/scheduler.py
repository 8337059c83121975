"""Pass each result to the driver, which judges and records, and let Tune stop the trials with a verdict."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.stopper import Stopper
from unstuck.records.measurement import Record
from unstuck.records.outcome import Verdict
from unstuck.sweeps.worker.assignment import DELIVERY, Delivery

Receive = Callable[[int, Sequence[Record], Mapping[str, str]], Verdict | None]


class JudgingScheduler(FIFOScheduler):
    """Ray Tune scheduler that passes each delivery to the driver, and stops the trial if the driver returns a verdict.

    Args:
        receive: Judges and records a delivery; returns how the trial ended, or None.
        numbers: Number of the trial by Tune's id.
    """

    def __init__(self, receive: Receive, numbers: Mapping[str, int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._receive, self._numbers = receive, numbers

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """Return STOP if the driver ends the trial, else CONTINUE; see `TrialScheduler.on_trial_result`."""
        delivery: Delivery = result[DELIVERY]
        verdict = self._receive(self._numbers[trial.trial_id], delivery.records, delivery.notes)
        return self.STOP if verdict else self.CONTINUE

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles the scheduler to disk, and the driver behind `receive` holds database URLs.
        return {}


class EndStopper(Stopper):
    """Ray Tune stopper that ends all trials at once when a function `is_over` returns True.

    Args:
        is_over: True when the sweep is to end now.
    """

    def __init__(self, is_over: Callable[[], bool]) -> None:
        self._is_over = is_over

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return False: a single trial is never stopped here."""
        return False

    def stop_all(self) -> bool:
        """Return True if all trials have to end now; see `Stopper.stop_all`."""
        return self._is_over()

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles the stopper to disk, where `is_over` is of no use.
        return {}
