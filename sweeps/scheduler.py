"""Every result of every trial passes here: the driver judges and records it, Tune stops whom it condemns."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.stopper import Stopper

from sweeps.assignment import DELIVERY, Delivery
from sweeps.outcome import Verdict
from sweeps.record import Record

Receive = Callable[[int, Sequence[Record], Mapping[str, str]], Verdict | None]


class JudgingScheduler(FIFOScheduler):
    """Stops a trial as soon as the driver has a verdict, reaching its last iteration included.

    Args:
        receive: Judges and records what a worker delivered; returns how the trial ended, or None.
        numbers: The trial's number by Tune's id.
    """

    def __init__(self, receive: Receive, numbers: Mapping[str, int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._receive, self._numbers = receive, numbers

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """See `TrialScheduler.on_trial_result`."""
        delivery: Delivery = result[DELIVERY]
        verdict = self._receive(self._numbers[trial.trial_id], delivery.records, delivery.notes)
        return self.STOP if verdict else self.CONTINUE

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its scheduler to disk; what this one holds leads to database URLs.
        return {}


class EndStopper(Stopper):
    """Ends all trials at once.

    Args:
        is_over: Whether the sweep is to end now.
    """

    def __init__(self, is_over: Callable[[], bool]) -> None:
        self._is_over = is_over

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """A single trial is never stopped here."""
        return False

    def stop_all(self) -> bool:
        """See `Stopper.stop_all`."""
        return self._is_over()

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its stopper to disk; what this one holds is of no use there.
        return {}
