"""What the driver does with a trial: proposes it, judges it, records it. Knows no Ray, so it runs without.

The one place that writes to ledger and tracker, and always in this order: what was decided and why, the curve, `tell`,
then MLflow, which is derived and can be replayed (DESIGN D6). A worker has saved its checkpoint before. So whatever
dies when, a fresh driver on the same ledger finds out what comes next: see `docs/resume.md`.
"""

import dataclasses
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from analysis.axis import reached
from rl import metrics
from rl.errors import CheckpointError, ConfigError
from sweeps.asha import Asha, RungEntry
from sweeps.assignment import DISK_FULL, Assignment
from sweeps.config import SweepConfig
from sweeps.diagnoses import Diagnoses
from sweeps.errors import DiskFullError, LedgerError, SweepError
from sweeps.force import mismatch
from sweeps.health import HealthRules
from sweeps.layout import read_records, sweep_folder
from sweeps.ledger import CONTROL, DECISION, MLFLOW_RUN, OUTCOME, REASON, RUNGS, TRACEBACK, VALUES, Entry, Ledger
from sweeps.lock import owner
from sweeps.outcome import Outcome, Verdict
from sweeps.progress import Progress
from sweeps.record import Record
from sweeps.redact import redact_url
from sweeps.replay import open_run, write_run
from sweeps.space import Space
from sweeps.spool import Spool
from sweeps.standing import standing, summary
from sweeps.startup import Startup
from sweeps.tracking import Tracker

MAX_INFEASIBLE_IN_A_ROW = 100
"""Proposals refused one after the other before the space itself is."""


@dataclass
class _Running:
    """A trial that runs.

    Attributes:
        config: What it is to be trained with.
        started: By the monotonic clock.
        is_control: Whether all others are compared with it at the end, so that nothing stops it before.
        before: The numbers written when an earlier process interrupted it.
        on_record: The last step of the sweep's axis that an earlier process judged; it went on from there.
        decision: How it ended by an earlier process that did not get to say so, and at which step.
        last_step: The last that this process has seen.
        rungs: Its results at the scheduler's rungs.
        evaluations: Metrics of its evaluations.
    """

    config: SweepConfig
    started: float
    is_control: bool = False
    before: Mapping[str, float] = field(default_factory=dict)
    on_record: int = 0
    decision: tuple[int, Verdict] | None = None
    last_step: int = 0
    rungs: list[Mapping[str, Any]] = field(default_factory=list)
    evaluations: list[Mapping[str, float]] = field(default_factory=list)


class Driver:
    """The life of every trial of one sweep.

    Args:
        config: The sweep.
        num_trials: Trials to run, those that are infeasible not counted; those that the ledger has are among them.
        space: What is searched.
        ledger: Fresh, or that of the sweep so far: its trials that have not ended go on first.
        tracker: Its parent run is open.
        progress: Is told what happens.
        reopen: Opens the tracker's parent run again, after it has failed.

    Attributes:
        failure: Why the sweep cannot go on, if it cannot.
        completed: Trials that have completed, by earlier processes too.

    Raises:
        SweepError: The ledger's rungs are not those of this configuration.
    """

    def __init__(
        self,
        config: SweepConfig,
        num_trials: int,
        space: Space,
        ledger: Ledger,
        tracker: Tracker,
        progress: Progress,
        reopen: Callable[[], None] | None = None,
    ) -> None:
        self._config, self._num_trials, self._space = config, num_trials, space
        self._ledger, self._tracker, self._progress = ledger, tracker, progress
        self._folder = sweep_folder(config)
        self._owner = owner(self._folder)
        self._axis, self._budget = space.axis(config), space.budget(config)
        self._health = HealthRules(config.health, config.sweep.metric)
        self._asha = Asha(config, self._axis) if config.scheduler.name == "asha" else None
        self._diagnoses = Diagnoses(progress.warn, self._budget)
        self._running: dict[int, _Running] = {}
        self._proposed = 0
        self._spool = Spool(reopen or _nothing, tracker.incomplete, self._outcomes, self._replay, progress.warn)
        self._startup = Startup()
        self.failure: SweepError | None = None
        self.completed = 0
        entries = ledger.entries()
        self._unfinished = deque(entry for entry in entries if entry.is_open)
        self._recall(entries)

    def propose(self) -> Assignment | None:
        """The next trial, on record as running; None when there is nothing left to propose.

        A configuration that cannot run is recorded as infeasible, and the sampler asked again.
        """
        if self.failure:
            return None
        try:
            return self._propose()
        except LedgerError as error:
            self.failure = error
            return None

    def _propose(self) -> Assignment | None:
        while self._unfinished:
            entry = self._unfinished.popleft()
            raw = self._ledger.take_up(entry.number, self._space.distributions())
            assignment, _ = self._start(entry.number, raw, entry)
            if assignment:
                return assignment
        if self._proposed >= self._num_trials:
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

    def receive(self, number: int, records: Sequence[Record], notes: Mapping[str, str] | None = None) -> Verdict | None:
        """Judge and record what a worker delivers of a trial.

        Args:
            number: The trial.
            records: Iterations, oldest first. Those that this process has seen already are skipped; those that an
                earlier one has judged are not judged again.
            notes: What happened to the trial's checkpoint, by name.

        Returns:
            How the trial ended; None: it goes on.
        """
        trial = self._running.get(number)
        if trial is None:
            return None
        if notes and DISK_FULL in notes:
            self.failure = DiskFullError(notes[DISK_FULL])
            return None
        if records:
            self._startup.deliver()
        with self._needing_the_ledger():
            if notes:
                self._ledger.annotate(number, notes)
                self._spool.write(number, lambda: self._tracker.tag_trial(number, notes))
                self._progress.noted(number, notes)
            for period in _periods(record for record in records if record.step > trial.last_step):
                verdict = self._take(number, trial, period)
                if verdict:
                    return verdict
        return None

    def crash(self, number: int, error: str) -> None:
        """Record that a trial's worker died more often than allowed, or raised.

        Args:
            number: The trial.
            error: Its traceback; the last line becomes the reason.
        """
        if number not in self._running:
            return
        error = redact_url(error)
        reason = error.strip().rpartition("\n")[2] or "the worker died"
        with self._needing_the_ledger():
            self._ledger.annotate(number, {TRACEBACK: error})
            self._finish(number, Verdict(Outcome.CRASHED, reason))
            self.failure = self.failure or self._startup.crash(number, reason, self._running)

    def interrupt(self, reason: str) -> None:
        """Record all trials that still run as interrupted; in the tracker alone, if the ledger is gone."""
        verdict = Verdict(Outcome.INTERRUPTED, reason)
        for number in list(self._running):
            with self._needing_the_ledger():
                self._finish(number, verdict)
            if self._running.pop(number, None):
                self._spool.write(number, partial(self._tracker.end_trial, number, verdict, {}))

    def catch_up(self) -> set[int]:
        """Write to the tracker what it lacks, if it is there; returns the trials of which it still lacks something."""
        with self._needing_the_ledger():
            self._spool.catch_up()
        return self._spool.owed

    @contextmanager
    def _needing_the_ledger(self) -> Iterator[None]:
        """Without it nothing is true that happens: the sweep fails, and what it lacks, a resume does again."""
        try:
            yield
        except LedgerError as error:
            self.failure = error

    @property
    def is_finished(self) -> bool:
        """Whether all trials have been proposed and have ended, or none can be proposed."""
        proposed_all = not self._unfinished and self._proposed >= self._num_trials
        return not self._running and (proposed_all or self.failure is not None)

    def _recall(self, entries: Sequence[Entry]) -> None:
        """Take up what the ledger knows: trials that count, results at rungs, and how the ended ones did."""
        ended = [entry for entry in entries if not entry.is_open]
        self._proposed = sum(entry.outcome is not Outcome.INFEASIBLE for entry in ended)
        self.completed = sum(entry.outcome is Outcome.COMPLETED for entry in ended)
        for entry in ended:
            if entry.outcome:
                spread = entry.summary.get(metrics.FINAL_SPREAD) if self._config.sweep.seeds > 1 else None
                self._progress.recall(entry.number, entry.outcome, entry.value, spread)
        if self._asha:
            self._asha.restore(RungEntry(**rung) for entry in entries for rung in _judged_rungs(entry))

    def _start(self, number: int, raw: Mapping[str, Any], entry: Entry | None = None) -> tuple[Assignment | None, str]:
        """Put a trial on record as running, or as infeasible: then there is no assignment, but a reason.

        Args:
            number: The trial's.
            raw: Its parameters in the ledger.
            entry: What the ledger knows of it from an earlier process.
        """
        values = self._space.decode(raw)
        is_control = self._space.is_control(self._config, number, values) or (entry is not None and entry.is_control)
        self._ledger.annotate(number, {VALUES: dict(values)} | ({CONTROL: True} if is_control else {}))
        try:
            config = self._space.apply(self._config, values)
        except ConfigError as error:
            self._refuse(number, values, str(error))
            return None, str(error)
        self._proposed += 1
        self._running[number] = trial = _Running(config, time.monotonic(), is_control)
        self._diagnoses.follow(number, config, entry.notes if entry else {})
        if entry:
            trial.before = entry.summary
            trial.on_record, trial.decision = entry.last_step, entry.decision
            trial.rungs = _judged_rungs(entry)
        self._start_run(number, values, config)
        if entry and entry.notes:  # whoever wrote them may have died before MLflow had them
            self._spool.write(number, lambda: self._tracker.tag_trial(number, entry.notes))
        self._progress.started(number, values)
        return Assignment(number, _for_worker(config), self._folder, self._owner, self._budget), ""

    def _take(self, number: int, trial: _Running, period: Sequence[Record]) -> Verdict | None:
        """Judge and record one evaluation period."""
        trial.last_step = period[-1].step
        metric = self._config.sweep.metric
        evaluated = [record for record in period if metric in record.metrics]
        trial.evaluations += [record.metrics for record in evaluated]
        self._diagnoses.take(number, period)
        verdict = self._verdict(number, trial, period)
        for record in evaluated:
            if record.step > trial.on_record:
                self._ledger.report(number, record.step, record.metrics[metric])
        if verdict or trial.last_step > trial.on_record:
            self._diagnose(number, ended=verdict is not None)
        if verdict:
            self._finish(number, verdict, period)
        else:
            self._spool.write(number, lambda: self._tracker.log(number, period))
            if trial.evaluations:
                self._progress.evaluated(number, trial.last_step, *self._standing(trial))
        return verdict

    def _verdict(self, number: int, trial: _Running, period: Sequence[Record]) -> Verdict | None:
        """How the trial ended with this period, if it did; on record before anything acts on it."""
        step = period[-1].step
        measured = [(record.iteration, record.metrics) for record in period]
        sick = self._health.judge(number, measured, trial.is_control, step // self._axis.scale)
        if trial.decision and step >= trial.decision[0]:
            return trial.decision[1]
        verdict = self._wrong(trial, period)
        if verdict is None and step <= trial.on_record:
            return None  # as an earlier process found: a rung that others have reached since is not judged again
        if sick and sick.outcome is Outcome.STUCK:
            sick = self._diagnoses.found(number).reason(sick)
        verdict = verdict or sick or self._judge_rung(number, trial, period[-1])
        if verdict is None and step >= self._axis.length:
            verdict = Verdict(Outcome.COMPLETED, f"reached {self._axis.at(step)}")
        if verdict:
            decision = {"iteration": step, OUTCOME: str(verdict.outcome), REASON: verdict.reason}
            self._ledger.annotate(number, {DECISION: decision})
        return verdict

    def _diagnose(self, number: int, ended: bool) -> None:
        """Show what the rules say of a trial; it is on record before the trial ends there."""
        found = self._diagnoses.news(number, ended)
        if found:
            self._ledger.annotate(number, found.notes)
            self._spool.write(number, lambda: self._tracker.tag_trial(number, found.notes))
        self._progress.diagnosed(number, self._diagnoses.title(number))  # of a resumed trial, though it is no news

    def _wrong(self, trial: _Running, period: Sequence[Record]) -> Verdict | None:
        differences = (mismatch(record, trial.config.ppo, self._budget) for record in period)
        difference = next(filter(None, differences), "")
        return Verdict(Outcome.CRASHED, difference) if difference else None

    def _judge_rung(self, number: int, trial: _Running, last: Record) -> Verdict | None:
        value = last.metrics.get(self._config.sweep.metric)
        if self._asha is None or value is None:
            return None
        tie_breaker = last.metrics[metrics.EVAL_RETURN]
        entries, verdict = self._asha.judge(number, last.step, value, tie_breaker, trial.is_control)
        if entries:
            trial.rungs += [dataclasses.asdict(entry) for entry in entries]
            self._ledger.annotate(number, {RUNGS: trial.rungs})
        return verdict

    def _finish(self, number: int, verdict: Verdict, records: Sequence[Record] = ()) -> None:
        trial = self._running[number]
        numbers = self._summary(trial)
        value, spread = self._standing(trial) if trial.evaluations else (None, None)
        self._ledger.finish(number, verdict, value if verdict.outcome is Outcome.COMPLETED else None, numbers)
        del self._running[number]
        self.completed += verdict.outcome is Outcome.COMPLETED
        self._health.forget(number)
        self._diagnoses.forget(number)
        self._spool.write(number, lambda: self._tracker.log(number, records))
        shown = {} if verdict.outcome is Outcome.INTERRUPTED else numbers  # written when the trial ends, once
        self._spool.write(number, lambda: self._tracker.end_trial(number, verdict, shown))
        self._progress.ended(number, verdict, value, spread)

    def _refuse(self, number: int, values: Mapping[str, Any], reason: str) -> None:
        verdict = Verdict(Outcome.INFEASIBLE, reason)
        self._start_run(number, values, self._config)
        self._ledger.finish(number, verdict)
        self._spool.write(number, lambda: self._tracker.end_trial(number, verdict, {}))
        self._progress.ended(number, verdict, None, 0.0)

    def _start_run(self, number: int, values: Mapping[str, Any], config: SweepConfig) -> None:
        def start() -> None:
            run = open_run(self._tracker, number, values, config, self._budget)
            self._ledger.annotate(number, {MLFLOW_RUN: run})

        self._spool.write(number, start)

    def _outcomes(self) -> dict[int, str]:
        ended = {entry.number: str(entry.outcome) for entry in self._ledger.entries() if not entry.is_open}
        return {**ended, **dict.fromkeys(self._running, "")}

    def _replay(self, number: int) -> None:
        """Write all of a trial to the tracker, as far as this process, or the ledger, knows of it."""
        entry = next(entry for entry in self._ledger.entries() if entry.number == number)
        running = self._running.get(number)
        last = running.last_step if running else reached(entry.summary, entry.last_step)
        try:
            records = read_records(self._folder, number)
        except CheckpointError as error:
            self._progress.warn(f"MLflow lacks trial {number}'s curves: {error}")
            records = []
        verdict = None if running or entry.outcome is None else Verdict(entry.outcome, entry.reason)
        known = [record for record in records if record.step <= last]
        run = write_run(self._tracker, (self._config, self._space), entry, known, verdict)
        if running:
            self._ledger.annotate(number, {MLFLOW_RUN: run})

    def _standing(self, trial: _Running) -> tuple[float, float | None]:
        return standing(trial.evaluations, self._config.sweep.metric, self._config.sweep.seeds)

    def _summary(self, trial: _Running) -> dict[str, float]:
        seconds = time.monotonic() - trial.started
        last, in_steps = max(trial.last_step, trial.on_record), self._axis.in_env_steps
        return {
            **trial.before,
            metrics.FINAL_ITERATIONS: float(last // trial.config.ppo.batch_size if in_steps else last),
            **({metrics.FINAL_ENV_STEPS: float(last)} if in_steps else {}),
            metrics.FINAL_SECONDS: trial.before.get(metrics.FINAL_SECONDS, 0.0) + seconds,
            **summary(trial.evaluations, self._config.sweep.metric, self._config.sweep.seeds),
        }


def _nothing() -> None:
    """There is no tracker to open again."""


def _periods(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Cut where trials are judged: after each evaluation, and at the end."""
    period: list[Record] = []
    for record in records:
        period.append(record)
        if metrics.EVAL_RETURN in record.metrics:
            yield period
            period = []
    if period:
        yield period


def _for_worker(config: SweepConfig) -> SweepConfig:
    """Without database URLs: a worker needs none, and Tune writes down what it gives to one."""
    return dataclasses.replace(config, tracking=dataclasses.replace(config.tracking, mlflow_url=None, optuna_url=None))


def _judged_rungs(entry: Entry) -> list[Mapping[str, Any]]:
    """Results at rungs that were acted on. One beyond the curve was not, unless the trial's end was decided there."""
    return [rung for rung in entry.rungs if entry.decision or rung["iteration"] <= entry.last_step]
