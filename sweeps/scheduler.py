"""Every result of every trial passes here: the driver judges and records it, Tune stops whom it condemns."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from sweeps.assignment import RECORDS
from sweeps.outcome import Verdict
from sweeps.record import Record


class JudgingScheduler(FIFOScheduler):
    """Stops a trial as soon as the driver has a verdict, reaching its last iteration included.

    Args:
        receive: Judges and records; returns how the trial ended, or None.
        numbers: The trial's number by Tune's id.
    """

    def __init__(self, receive: Callable[[int, Sequence[Record]], Verdict | None], numbers: Mapping[str, int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._receive, self._numbers = receive, numbers

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """See `TrialScheduler.on_trial_result`."""
        verdict = self._receive(self._numbers[trial.trial_id], result[RECORDS])
        return self.STOP if verdict else self.CONTINUE

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its scheduler to disk; what this one holds leads to database URLs.
        return {}
