"""Propose, judge and record the trials of a sweep; the driver imports no Ray, and can run without Ray.

Nothing else writes to ledger and tracker. The order is always the same: decision and reason, the curve, `tell`, then
MLflow, which is derived and can be replayed (docs/design.md, D6). A worker has saved the checkpoint before. So a fresh
driver on the same ledger finds out what comes next, no matter which process dies when: see `docs/resume.md`.
"""

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from unstuck.records.entry import Entry
from unstuck.records.errors import DiskFullError, LedgerError, LibraryError, SweepError
from unstuck.records.ledger import Ledger
from unstuck.records.lock import read_owner
from unstuck.records.measurement import Record
from unstuck.records.names import (
    BRANCHED_FROM,
    CONTROL,
    DECISION,
    OUTCOME,
    PARENT_RUN,
    REASON,
    RUNGS,
    TRACEBACK,
    VALUES,
)
from unstuck.records.outcome import Outcome, Verdict
from unstuck.records.redact import redact_url
from unstuck.records.rungs import RungEntry
from unstuck.records.tracker import Tracker
from unstuck.records.unstick import StageRecord
from unstuck.rl import metrics
from unstuck.rl.errors import ConfigError
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.explain.diagnoses import Diagnoses
from unstuck.sweeps.run.judges import make_judges
from unstuck.sweeps.run.recorder import TrialRecorder
from unstuck.sweeps.run.settings_in_force import SettingsInForce
from unstuck.sweeps.run.startup import Startup
from unstuck.sweeps.screen.progress import Progress
from unstuck.sweeps.search.space import Space
from unstuck.sweeps.stopping.asha import Asha
from unstuck.sweeps.stopping.judge import first_verdict
from unstuck.sweeps.stopping.live_trial import LiveTrial
from unstuck.sweeps.unstick.milestones import MilestoneWatch, read_milestones
from unstuck.sweeps.unstick.stages import Stages, describe_start
from unstuck.sweeps.worker.assignment import DISK_FULL, Assignment

MAX_INFEASIBLE_IN_A_ROW = 100
"""Number of proposals refused in a row after which the space itself is refused."""


class Driver:
    """Driver of a sweep: proposes trials, judges and records the results of workers, and records each trial's end.

    Args:
        config: Settings of the sweep.
        num_trials: Number of trials to run, infeasible ones not counted; trials that the ledger has count. Arms of an
            unstick's later stages come on top.
        space: The search space.
        ledger: A fresh ledger, or the ledger of a sweep that goes on: trials that have not ended go on first.
        tracker: Tracker whose parent run is open; an `Outbox` if the tracker may fail.
        progress: Display that is told what happens.

    Attributes:
        failure: Error because of which the sweep cannot go on; None as long as there is none.
        completed: Number of trials that have completed, in earlier processes too.

    Raises:
        SweepError: The ledger's rungs do not fit the configuration.
        ConfigError, CheckpointError: The milestones of an unstick cannot be set.
    """

    def __init__(
        self,
        config: SweepConfig,
        num_trials: int,
        space: Space,
        ledger: Ledger,
        tracker: Tracker,
        progress: Progress,
    ) -> None:
        self._config, self._num_trials, self._space = config, num_trials, space
        self._ledger, self._tracker, self._progress = ledger, tracker, progress
        self._folder = config.own_folder
        self._owner = read_owner(self._folder)
        self._axis, self._budget = space.axis(config), space.budget(config)
        self._recorder = TrialRecorder(ledger, tracker, progress, self._budget)
        self._judges = make_judges(config, self._axis)
        self._judges_of_replay = [judge for judge in self._judges if isinstance(judge, SettingsInForce)]
        self._asha = next((judge for judge in self._judges if isinstance(judge, Asha)), None)
        self._diagnoses = Diagnoses(progress.warn, self._budget)
        self._milestones = MilestoneWatch(read_milestones(config), self._axis)
        self._stages = Stages(config, space, ledger)
        self._parent_run = ledger.attributes.get(PARENT_RUN, {})
        self._running: dict[int, LiveTrial] = {}
        self._later: deque[Callable[[], None]] = deque()
        self._proposed = 0
        self._startup = Startup()
        self.failure: SweepError | None = None
        self.completed = 0
        entries = ledger.entries()
        self._unfinished = deque(entry for entry in entries if entry.is_open)
        self._recall(entries)
        if not self._unfinished and self._proposed >= self.num_trials:  # a process died before it had decided
            self._open_stage()

    def propose(self) -> Assignment | None:
        """Record the next trial as running, and return the trial as an `Assignment`; None if there is none now.

        More may come while `is_waiting`. A configuration that cannot run is recorded as infeasible, and the sampler is
        asked again. What is left for later, such as MLflow's record of the start, waits as long as a worker does.
        """
        assignment = None
        if self.failure is None:
            with self.note_failure():
                assignment = self._propose()
        if assignment is None:
            self.follow_up()  # no worker waits
        return assignment

    def _propose(self) -> Assignment | None:
        while self._unfinished:
            entry = self._unfinished.popleft()
            raw = self._ledger.reopen_trial(entry.number, self._space.distributions())
            assignment, _ = self._start(entry.number, raw, entry)
            if assignment:
                return assignment
        if self._proposed >= self.num_trials and not self._open_stage():
            return None
        refused = ""
        for _ in range(MAX_INFEASIBLE_IN_A_ROW):
            assignment, refused = self._start(*self._ledger.ask(self._space.distributions()))
            if assignment:
                return assignment
        self.failure = SweepError(
            f"the space must hold configurations that can run; {MAX_INFEASIBLE_IN_A_ROW} proposals in a row could "
            f"not, the last because {refused}; narrow the space"
        )
        return None

    def _open_stage(self) -> bool:
        """Start the next round of branches of a stuck run, if all trials ended; return True if there are new ones."""
        opened = None if self._running else self._stages.open_next()
        if opened is None:
            return False
        self._progress.expect(self.num_trials)
        self._progress.show_stage(opened)
        return opened.is_started

    def judge(self, number: int, records: Sequence[Record], notes: Mapping[str, str] | None = None) -> Verdict | None:
        """Judge a trial's new iterations from a worker; return outcome and reason if it ends, else None.

        What the judgement rests on, and a trial's end in the ledger, is recorded at once; so that no worker waits,
        `follow_up` does the rest.

        Args:
            number: Number of the trial.
            records: Iterations, oldest first. Iterations that the driver has received already are skipped; iterations
                that an earlier process judged are not judged again.
            notes: Notes on the trial's checkpoint, by name.

        Returns:
            Outcome and reason of a trial that has ended; None for a trial that goes on.
        """
        trial = self._running.get(number)
        if trial is None:
            return None
        if notes and DISK_FULL in notes:
            self.failure = DiskFullError(notes[DISK_FULL])
            return None
        if records:
            self._startup.deliver()
        with self.note_failure():
            if notes:
                self.follow_up()  # the run that they are tags of
                self._recorder.note(number, notes)
                self._progress.show_notes(number, notes)
            for period in _split_into_periods(record for record in records if record.step > trial.last_step):
                verdict = self._record(trial, period)
                if verdict:
                    return verdict
        return None

    def follow_up(self) -> None:
        """Diagnose, and write to MLflow, what `propose` and `judge` left for later; nothing if nothing is left."""
        while self._later:
            with self.note_failure():  # of one trial; the others' runs are opened all the same
                self._later.popleft()()

    def crash(self, number: int, error: str) -> None:
        """Record a running trial as crashed with the error text, after the worker raised an error or died too often.

        A trial that could not start for want of a library, before any has delivered, is interrupted instead, and the
        sweep ends: a resume runs it.

        Args:
            number: Number of the trial.
            error: Traceback of the error; the last line becomes the reason.
        """
        self.follow_up()
        trial = self._running.get(number)
        if trial is None:
            return
        error = redact_url(error)
        reason = error.strip().rpartition("\n")[2] or "the worker died"
        kind, _, said = reason.partition(": ")
        if kind.endswith(LibraryError.__name__) and not self._startup.is_over:
            self.failure = LibraryError(f"{said}, then resume={self._config.sweep.name}")
            self.interrupt(said)
            return
        with self.note_failure():
            self._ledger.annotate(number, {TRACEBACK: error})
            self._finish(trial, Verdict(Outcome.CRASHED, reason))
            self.failure = self.failure or self._startup.crash(number, reason, self._running)
        self.follow_up()

    def interrupt(self, reason: str) -> None:
        """Record all running trials as interrupted in Optuna and MLflow; if Optuna fails, in MLflow alone."""
        self.follow_up()
        verdict = Verdict(Outcome.INTERRUPTED, reason)
        for trial in list(self._running.values()):
            with self.note_failure():
                self._finish(trial, verdict)
            if self._running.pop(trial.number, None):
                self._tracker.end_trial(trial.number, verdict, {})
        self.follow_up()

    @contextmanager
    def note_failure(self) -> Iterator[None]:
        """Catch a `LedgerError` inside the block, and store the error in `failure`, which makes the sweep end.

        A resume repeats what the ledger lacks.
        """
        try:
            yield
        except LedgerError as error:
            self.failure = error

    @property
    def num_trials(self) -> int:
        """Number of trials to run, also those added while the sweep runs; infeasible trials do not count."""
        return self._num_trials + self._stages.num_added

    @property
    def stages(self) -> Sequence[StageRecord]:
        """Recorded rounds of branches of a stuck run, the earliest first; empty for an ordinary sweep."""
        return self._stages.records

    @property
    def is_waiting(self) -> bool:
        """True if trials run, all others were proposed, and a stuck run's sweep may add further trials."""
        return bool(self._running) and self._stages.is_open and self.failure is None

    @property
    def is_finished(self) -> bool:
        """True if no trial runs and none will start any more: all were proposed, or the sweep has failed."""
        proposed_all = not self._unfinished and self._proposed >= self.num_trials and not self._stages.is_open
        return not self._running and (proposed_all or self.failure is not None)

    def _recall(self, entries: Sequence[Entry]) -> None:
        """Restore the state of an earlier process from the trials' records: counts, ASHA results, values."""
        ended = [entry for entry in entries if not entry.is_open]
        self._proposed = sum(entry.outcome is not Outcome.INFEASIBLE for entry in ended)
        self.completed = sum(entry.outcome is Outcome.COMPLETED for entry in ended)
        for entry in ended:
            if entry.outcome:
                spread = entry.summary.get(metrics.FINAL_SPREAD) if self._config.sweep.seeds > 1 else None
                self._progress.recall(entry.number, entry.outcome, entry.value, spread)
        self._progress.expect(self.num_trials)
        if self._asha:
            self._asha.restore(rung for entry in entries for rung in _select_judged_rungs(entry))

    def _start(self, number: int, raw: Mapping[str, Any], entry: Entry | None = None) -> tuple[Assignment | None, str]:
        """Record a trial as running; return the assignment, or None and the reason if the configuration cannot run.

        Args:
            number: Number of the trial.
            raw: Parameters of the trial in the ledger.
            entry: Ledger entry of a trial that an earlier process began; None for a new trial.
        """
        values = self._space.decode(raw)
        is_control = self._space.is_control(self._config, number, values) or (entry is not None and entry.is_control)
        self._ledger.annotate(number, {VALUES: dict(values)} | ({CONTROL: True} if is_control else {}))
        try:
            config = self._space.apply(self._config, values)
        except ConfigError as error:
            self._recorder.refuse(LiveTrial(number, self._config, values), str(error))
            return None, str(error)
        if start := describe_start(config, self._parent_run):
            self._ledger.annotate(number, {BRANCHED_FROM: start})
        self._proposed += 1
        self._running[number] = trial = LiveTrial(number, config, values, is_control)
        if entry:
            trial.summary_before, trial.notes_on_record = entry.summary, entry.notes
            trial.last_judged_before_resume, trial.decision = entry.last_step, entry.decision
            trial.rungs, trial.milestones = _select_judged_rungs(entry), entry.milestones
        # Tags of an earlier process: the process may have died before MLflow had them.
        tags = {**(entry.tags if entry else {}), **({BRANCHED_FROM: start} if start else {})}
        self._progress.show_start(trial)
        self._later.append(partial(self._recorder.open, trial, tags))
        return Assignment(number, _drop_urls(config), self._folder, self._owner, self._budget, Path.cwd()), ""

    def _record(self, trial: LiveTrial, period: Sequence[Record]) -> Verdict | None:
        """Judge and record a trial's iterations up to an evaluation; return outcome and reason if it ends."""
        self.follow_up()  # of the period before
        trial.add(period)
        verdict = self._judge(trial, period)
        self._decide_milestones(trial)
        metric = self._config.sweep.metric
        for record in period:
            if metric in record.metrics and record.step > trial.last_judged_before_resume:
                self._ledger.report(trial.number, record.step, record.metrics[metric])
        if verdict:
            self._diagnose(trial, ended=True)
            self._finish(trial, verdict, period)
        else:
            self._later.append(partial(self._show, trial, period))
        return verdict

    def _show(self, trial: LiveTrial, period: Sequence[Record]) -> None:
        """Diagnose a trial that goes on, and write the period's metrics to MLflow and to the screen."""
        if trial.last_step > trial.last_judged_before_resume:
            self._diagnose(trial, ended=False)
        self._recorder.show_period(trial, period)

    def _judge(self, trial: LiveTrial, period: Sequence[Record]) -> Verdict | None:
        """Ask all judges (early-stopping rules) about a trial; record and return the outcome, or None to go on."""
        step, num_rungs = period[-1].step, len(trial.rungs)
        if trial.decision and step >= trial.decision[0]:
            return trial.decision[1]
        # A rung is judged once: more trials may have reached the rung since.
        judged_before = step <= trial.last_judged_before_resume
        verdict = first_verdict(self._judges_of_replay if judged_before else self._judges, trial, period)
        if verdict and verdict.outcome is Outcome.STUCK:
            verdict = self._diagnoses.refresh(trial).explain(verdict)
        if len(trial.rungs) > num_rungs:
            self._ledger.annotate(trial.number, {RUNGS: [dataclasses.asdict(rung) for rung in trial.rungs]})
        if verdict:
            decision = {"iteration": step, OUTCOME: str(verdict.outcome), REASON: verdict.reason}
            self._ledger.annotate(trial.number, {DECISION: decision})
        return verdict

    def _decide_milestones(self, trial: LiveTrial, has_ended: bool = False) -> None:
        """Decide and show a trial's milestones (bounds on metrics) that are due, or all if the trial has ended."""
        if decided := self._milestones.decide(trial, has_ended):
            self._recorder.note_milestones(trial, decided)

    def _diagnose(self, trial: LiveTrial, ended: bool) -> None:
        """Diagnose a trial if it is time to, or if the trial is about to end; record and show the diagnosis."""
        found = self._diagnoses.refresh_if_due(trial, ended)
        if found:
            self._recorder.note(trial.number, found.notes)

    def _finish(self, trial: LiveTrial, verdict: Verdict, records: Sequence[Record] = ()) -> None:
        if verdict.outcome is not Outcome.INTERRUPTED:
            self._decide_milestones(trial, has_ended=True)
        completes = verdict.outcome is Outcome.COMPLETED
        value, _ = trial.score() if completes else (None, None)
        numbers = trial.summary(self._axis)
        self._recorder.finish(trial, verdict, value, numbers)
        self._later.append(partial(self._recorder.close_run, trial.number, verdict, numbers, records))
        del self._running[trial.number]
        self.completed += completes


def _split_into_periods(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Split iterations into periods, each of which ends with an evaluation; the last period may lack an evaluation."""
    period: list[Record] = []
    for record in records:
        period.append(record)
        if metrics.EVAL_RETURN in record.metrics:
            yield period
            period = []
    if period:
        yield period


def _drop_urls(config: SweepConfig) -> SweepConfig:
    """Remove the database URLs, which may hold passwords, from a configuration that workers and Tune's files get."""
    return dataclasses.replace(config, tracking=dataclasses.replace(config.tracking, mlflow_url=None, optuna_url=None))


def _select_judged_rungs(entry: Entry) -> list[RungEntry]:
    """Select a trial's ASHA results that the driver of an earlier process has already acted on.

    A result beyond the recorded curve was not acted on, unless the trial's end was decided there.
    """
    return [rung for rung in entry.rungs if entry.decision or rung.iteration <= entry.last_step]
