"""Record trials in ledger, MLflow and on the screen, always in this order (docs/design.md, D6)."""

from collections.abc import Mapping, Sequence

from unstuck.records.ledger import Ledger
from unstuck.records.measurement import Record
from unstuck.records.names import MILESTONES, MLFLOW_RUN
from unstuck.records.outcome import Outcome, Verdict
from unstuck.records.tracker import Tracker
from unstuck.records.unstick import MilestoneRecord, make_milestone_tags
from unstuck.rl.budget import Budget
from unstuck.sweeps.mirror import open_run
from unstuck.sweeps.screen.progress import Progress
from unstuck.sweeps.stopping.live_trial import LiveTrial


class TrialRecorder:
    """Writer of trials' records to ledger (Optuna), tracker (MLflow) and screen; the ledger comes first.

    Args:
        ledger: Ledger of the sweep.
        tracker: Tracker whose parent run is open.
        progress: Display that is told what happens.
        budget: Length that all trials share in environment steps; None where iterations are counted.
    """

    def __init__(self, ledger: Ledger, tracker: Tracker, progress: Progress, budget: Budget | None) -> None:
        self._ledger, self._tracker, self._progress, self._budget = ledger, tracker, progress, budget

    def open(self, trial: LiveTrial, tags: Mapping[str, str]) -> None:
        """Open a trial's run in MLflow, with tags, and keep the run's id in the ledger."""
        self._open_run(trial)
        if tags:
            self._tracker.tag_trial(trial.number, tags)

    def note(self, number: int, notes: Mapping[str, str]) -> None:
        """Record notes on a trial, by name, as attributes in the ledger and as tags in MLflow."""
        self._ledger.annotate(number, notes)
        self._tracker.tag_trial(number, notes)

    def note_milestones(self, trial: LiveTrial, decided: Sequence[MilestoneRecord]) -> None:
        """Record a trial's milestones; tag and show those that were decided now."""
        self._ledger.annotate(trial.number, {MILESTONES: [one.to_json() for one in trial.milestones]})
        self._tracker.tag_trial(trial.number, make_milestone_tags(decided))
        self._progress.show_milestones(trial.number, decided)

    def show_period(self, trial: LiveTrial, period: Sequence[Record]) -> None:
        """Write a trial's iterations up to an evaluation to MLflow and to the screen."""
        self._tracker.log(trial.number, period)
        self._progress.show_evaluation(trial)

    def finish(self, trial: LiveTrial, verdict: Verdict, value: float | None, numbers: Mapping[str, float]) -> None:
        """Record how a trial ended in the ledger and on the screen; `close_run` does so in MLflow, perhaps later.

        Args:
            trial: The trial.
            verdict: Outcome and reason.
            value: Value of a completed trial; None for others.
            numbers: Metrics of the whole trial.
        """
        self._ledger.finish(trial.number, verdict, value, numbers)
        self._progress.show_end(trial, verdict)

    def close_run(
        self, number: int, verdict: Verdict, numbers: Mapping[str, float], records: Sequence[Record] = ()
    ) -> None:
        """Write to MLflow how a trial ended, and the last iterations, which MLflow does not have yet.

        Metrics of the whole trial are written once, when the trial has ended for good.
        """
        if records:
            self._tracker.log(number, records)
        self._tracker.end_trial(number, verdict, {} if verdict.outcome is Outcome.INTERRUPTED else numbers)

    def refuse(self, trial: LiveTrial, reason: str) -> None:
        """Record a trial whose configuration cannot run as infeasible."""
        self._open_run(trial)
        verdict = Verdict(Outcome.INFEASIBLE, reason)
        self.finish(trial, verdict, None, {})
        self.close_run(trial.number, verdict, {})

    def _open_run(self, trial: LiveTrial) -> None:
        run = open_run(self._tracker, trial.number, trial.values, trial.config, self._budget, trial.is_control)
        if run:
            self._ledger.annotate(trial.number, {MLFLOW_RUN: run})
