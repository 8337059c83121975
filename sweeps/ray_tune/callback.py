"""Learn from Ray Tune that a trial's worker is gone for good."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial


class CrashCallback(Callback):
    """Ray Tune callback that tells the driver the number and the traceback of a trial that crashed.

    Args:
        crash: Records a crash, with its traceback.
        numbers: Number of the trial by Tune's id.
    """

    def __init__(self, crash: Callable[[int, str], None], numbers: Mapping[str, int]) -> None:
        self._crash, self._numbers = crash, numbers

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Pass the number and the traceback of a crashed trial to the driver; see `Callback.on_trial_error`."""
        text = Path(trial.error_file).read_text() if trial.error_file else ""
        self._crash(self._numbers[trial.trial_id], text)

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles callbacks to disk, and the driver behind `crash` holds database URLs.
        return {}
