"""Connect the driver to Ray Tune: propose trials, judge results, end the sweep, learn of crashes."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper
from unstuck.records.measurement import Record
from unstuck.records.outcome import Verdict
from unstuck.sweeps.worker.assignment import ASSIGNMENT, DELIVERY, Assignment, Delivery

Judging = Callable[[int, Sequence[Record], Mapping[str, str]], Verdict | None]


class _Unsaved:
    """Base class of objects that Ray Tune pickles to disk: saves no attributes, because database URLs are secret."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class LedgerSearch(_Unsaved, Searcher):
    """Ray Tune searcher that gets each next trial from the driver (the main process) and ignores results.

    Tune's own OptunaSearch mixes up outcomes (docs/design.md, D1); here they reach the ledger through scheduler and
    callback.

    Args:
        propose: Returns the next assignment, or None when there is none now.
        is_waiting: True if there may be further assignments once running trials have ended.

    Attributes:
        numbers: Number of the trial by Tune's id.
    """

    def __init__(self, propose: Callable[[], Assignment | None], is_waiting: Callable[[], bool]) -> None:
        super().__init__()
        self._propose, self._is_waiting = propose, is_waiting
        self.numbers: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is a str
        """Return the next trial, an `Assignment` in a dict; FINISHED if there is none; None if Tune has to ask later.

        None must be returned only while trials run: else Tune asks once a second and does nothing else, for 10 minutes
        (`TuneController._update_trial_queue` of Ray 2.60), and after FINISHED Tune never asks again.
        """
        assignment = self._propose()
        if assignment is None:
            return None if self._is_waiting() else Searcher.FINISHED
        self.numbers[trial_id] = assignment.number
        return {ASSIGNMENT: assignment}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Do nothing: the driver has already recorded the trial's end when Tune reports the end."""

    def save(self, checkpoint_path: str) -> None:
        """Save nothing for Tune: a resume reads the Optuna study, since Tune's state is incomplete (ray#30838)."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing for Tune: a resumed sweep reads the Optuna study."""


class JudgingScheduler(_Unsaved, FIFOScheduler):
    """Ray Tune scheduler that passes a trial's new results to the driver, and stops the trial if the driver decides so.

    Args:
        judge: Judges and records a delivery; returns how the trial ended, or None.
        numbers: Number of the trial by Tune's id.
    """

    def __init__(self, judge: Judging, numbers: Mapping[str, int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._judge, self._numbers = judge, numbers

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """Pass a trial's new results to the driver; return Tune's STOP if the driver ends the trial, else CONTINUE."""
        delivery: Delivery = result[DELIVERY]
        verdict = self._judge(self._numbers[trial.trial_id], delivery.records, delivery.notes)
        return self.STOP if verdict else self.CONTINUE


class EndStopper(_Unsaved, Stopper):
    """Ray Tune stopper that ends all trials at once when the function `is_over` returns True.

    Args:
        is_over: True when the sweep is to end now.
    """

    def __init__(self, is_over: Callable[[], bool]) -> None:
        self._is_over = is_over

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return False for every single trial: the stopper only ends all trials together."""
        return False

    def stop_all(self) -> bool:
        """Return True if the whole sweep has to end, so that Tune stops all trials."""
        return self._is_over()


class FollowUpCallback(_Unsaved, Callback):
    """Ray Tune callback that calls a function after each of Tune's steps, once the step's worker trains again.

    A worker whose trial has just ended gets the next trial in Tune's next step, so the function is not called before.

    Args:
        follow_up: Function that records what could wait.
    """

    def __init__(self, follow_up: Callable[[], None]) -> None:
        self._follow_up = follow_up
        self._running = 0

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Record what could wait, unless a trial ended in the step."""
        before, self._running = self._running, sum(trial.status == Trial.RUNNING for trial in trials)
        if self._running >= before:
            self._follow_up()


class CrashCallback(_Unsaved, Callback):
    """Ray Tune callback that reports a crashed trial to the driver: trial number and traceback.

    Args:
        crash: Records a crash, with its traceback.
        numbers: Number of the trial by Tune's id.
    """

    def __init__(self, crash: Callable[[int, str], None], numbers: Mapping[str, int]) -> None:
        self._crash, self._numbers = crash, numbers

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Report a crashed trial's number and traceback to the driver."""
        text = Path(trial.error_file).read_text() if trial.error_file else ""
        self._crash(self._numbers[trial.trial_id], text)
