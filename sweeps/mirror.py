"""Keep MLflow, and trackers beside it, in step with the ledger: write now, later, or again from the records.

A tracker may fail, and a sweep must not. Of a write that failed, only the trial's number is kept: ledger and
checkpoints hold all that MLflow shows, so the whole trial is written again once the tracker is back. Values that the
trial's run holds already are not written twice.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from unstuck.records.axis import read_last_step
from unstuck.records.entry import Entry
from unstuck.records.errors import TrackingError
from unstuck.records.files import read_records
from unstuck.records.ledger import Ledger
from unstuck.records.measurement import Record
from unstuck.records.mlflow.tracker import MlflowTracker
from unstuck.records.names import CONTROL, DIALECT_TAG, MLFLOW_RUN, PROBED_TAG, flatten
from unstuck.records.outcome import Outcome, Verdict
from unstuck.records.reference import artifacts_folder
from unstuck.records.tracker import NullTracker, SweepHeader, Tracker
from unstuck.records.urls import find_mlflow_url
from unstuck.rl.budget import Budget
from unstuck.rl.errors import CheckpointError, ConfigError
from unstuck.sweeps.config.saved import to_yaml
from unstuck.sweeps.config.settings import SweepConfig, TrackingConfig, TrainerConfig
from unstuck.sweeps.search.parse import build_space
from unstuck.sweeps.search.space import Space
from unstuck.sweeps.trainers.kinds import find_trainer

RETRY_S = (10.0, 30.0, 60.0, 120.0, 300.0)
"""Pauses between attempts. Each attempt may take long: MLflow waits 20 s for a locked database."""


MLFLOW = "MLflow"
"""Name of the tracker that every sweep has unless `tracking` chooses another."""


class TrialSource(Protocol):
    """Interface of a source of trials' data (Optuna study, checkpoints) that can write a trial's MLflow run again."""

    def outcomes(self) -> Mapping[int, str]:
        """Return the outcomes of the ended trials by trial number, e.g. `{7: "completed"}`."""

    def write(self, tracker: Tracker, number: int, last_step: int | None) -> None:
        """Write all recorded data of a trial (settings, curves, notes, outcome) to the tracker, such as MLflow.

        Args:
            tracker: Tracker to write to.
            number: Number of the trial.
            last_step: Last step received of a trial that runs; None for an ended trial.
        """


class Outbox:
    """Tracker that writes to MLflow, remembers the trials for which writing failed, and writes those again later.

    The same holds for any other tracker.

    Args:
        tracker: Tracker behind the outbox.
        source: Records to write a trial again from.
        reopen: Function that connects to the tracker anew.
        say: Function that tells the user.
        name: Name of the tracker, for the user.

    Attributes:
        owed: Numbers of the trials that are not, or not all, written.
        name: Name of the tracker.
    """

    def __init__(
        self,
        tracker: Tracker,
        source: TrialSource,
        reopen: Callable[[], None],
        say: Callable[[str], None],
        name: str = MLFLOW,
    ) -> None:
        self.name = name
        self._tracker, self._source, self._reopen, self._say = tracker, source, reopen, say
        self._last_step_of: dict[int, int] = {}  # trials that run
        self._failures = 0
        self._retry_at = 0.0
        self.owed: set[int] = set()

    def start_sweep(self, sweep: SweepHeader, config_yaml: str, tags: Mapping[str, str]) -> None:
        """Open the sweep's MLflow run; raise `TrackingError` at once if MLflow fails."""
        self._tracker.start_sweep(sweep, config_yaml, tags)

    def start_trial(
        self,
        number: int,
        searched: Mapping[str, Any],
        fixed: Mapping[str, Any],
        tags: Mapping[str, str],
        config_yaml: str,
    ) -> str:
        """Open a trial's MLflow run and return the run's id; if MLflow fails, return "" and try again later.

        See `Tracker.start_trial`.
        """
        self._last_step_of[number] = 0
        ids: list[str] = []
        self._write(number, lambda: ids.append(self._tracker.start_trial(number, searched, fixed, tags, config_yaml)))
        return ids[0] if ids else ""

    def find_incomplete(self, outcomes: Mapping[int, str]) -> list[int]:
        """List the numbers of trials whose MLflow run does not have the given outcome."""
        return self._tracker.find_incomplete(outcomes)

    def log(self, number: int, records: Sequence[Record]) -> None:
        """Write metrics of a trial's new iterations to MLflow; if MLflow fails, write again later."""
        if records and number in self._last_step_of:
            self._last_step_of[number] = records[-1].step
        self._write(number, partial(self._tracker.log, number, records))

    def tag_trial(self, number: int, tags: Mapping[str, str]) -> None:
        """Set tags on a trial's MLflow run; if MLflow fails, set the tags later."""
        self._write(number, partial(self._tracker.tag_trial, number, tags))

    def end_trial(self, number: int, verdict: Verdict, summary: Mapping[str, float]) -> None:
        """Write a trial's outcome to MLflow, and close the trial's run; if MLflow fails, repeat later."""
        self._last_step_of.pop(number, None)
        self._write(number, partial(self._tracker.end_trial, number, verdict, summary))

    def end_sweep(self, outcome: Outcome, tags: Mapping[str, str]) -> None:
        """Close the sweep's MLflow run; raise `TrackingError` at once if MLflow fails."""
        self._tracker.end_sweep(outcome, tags)

    def find_experiment(self) -> str:
        """Return the id of the MLflow experiment that holds the sweep's runs."""
        return self._tracker.find_experiment()

    def attach(
        self, number: int | None, files: Sequence[Path], note: str, figures: Mapping[str, float] | None = None
    ) -> None:
        """Attach report files to an MLflow run; raise `TrackingError` if MLflow fails."""
        self._tracker.attach(number, files, note, figures)

    def catch_up(self) -> None:
        """Write to MLflow all trials for which writing failed earlier; if MLflow fails again, try later.

        Incomplete are runs that an earlier process left unfinished, or that a replaced store lacks.
        """
        try:
            outcomes = {**self._source.outcomes(), **dict.fromkeys(self._last_step_of, "")}
            if self._failures:
                self._reopen()
                # The store may have been replaced meanwhile, and then lacks the last writes of trials that run.
                self.owed |= self._last_step_of.keys()
            for number in sorted({*self.owed, *self._tracker.find_incomplete(outcomes)}):
                self._source.write(self._tracker, number, self._last_step_of.get(number))
                self.owed.discard(number)
        except TrackingError as error:
            self._note_failure(error)
            return
        if self._failures:
            who = "the tracker" if self.name == MLFLOW else f"the tracker {self.name}"
            self._say(f"{who} is back, and has all that it had missed")
        self._failures = 0

    def _write(self, number: int, write: Callable[[], None]) -> None:
        """Call a function that writes part of a trial to MLflow; if MLflow fails, remember the trial to write later."""
        if self._failures:
            self.owed.add(number)
            if time.monotonic() >= self._retry_at:
                self.catch_up()
            return
        try:
            write()
        except TrackingError as error:
            self.owed.add(number)
            self._note_failure(error)

    def _note_failure(self, error: TrackingError) -> None:
        if not self._failures:  # every further attempt fails too, each with a message of its own
            self._say(f"{error}; the sweep goes on, and writes it later")
        self._retry_at = time.monotonic() + RETRY_S[min(self._failures, len(RETRY_S) - 1)]
        self._failures += 1


class Outboxes:
    """Tracker that passes each call to several outboxes (MLflow, TensorBoard ...); returned ids are MLflow's.

    Args:
        first: Outbox of MLflow, or of the tracker that does nothing.
        others: Outboxes of the trackers beside MLflow.

    Attributes:
        all: All outboxes.
    """

    def __init__(self, first: Outbox, others: Sequence[Outbox] = ()) -> None:
        self.all = (first, *others)

    def start_sweep(self, sweep: SweepHeader, config_yaml: str, tags: Mapping[str, str]) -> None:
        """Open the sweep's run in every tracker (MLflow, TensorBoard ...)."""
        for outbox in self.all:
            outbox.start_sweep(sweep, config_yaml, tags)

    def start_trial(
        self,
        number: int,
        searched: Mapping[str, Any],
        fixed: Mapping[str, Any],
        tags: Mapping[str, str],
        config_yaml: str,
    ) -> str:
        """Open a trial's run in every tracker (MLflow, TensorBoard ...), and return the run's id in MLflow."""
        own, *_ = [outbox.start_trial(number, searched, fixed, tags, config_yaml) for outbox in self.all]
        return own

    def find_incomplete(self, outcomes: Mapping[int, str]) -> list[int]:
        """List the numbers of trials that lack the given outcome in any of the trackers (MLflow, TensorBoard ...)."""
        return sorted({number for outbox in self.all for number in outbox.find_incomplete(outcomes)})

    def log(self, number: int, records: Sequence[Record]) -> None:
        """Write metrics of a trial's new iterations to every tracker (MLflow, TensorBoard ...)."""
        for outbox in self.all:
            outbox.log(number, records)

    def tag_trial(self, number: int, tags: Mapping[str, str]) -> None:
        """Set tags on a trial's run in every tracker (MLflow, TensorBoard ...)."""
        for outbox in self.all:
            outbox.tag_trial(number, tags)

    def end_trial(self, number: int, verdict: Verdict, summary: Mapping[str, float]) -> None:
        """Write a trial's outcome to every tracker (MLflow, TensorBoard ...), and close the trial's run."""
        for outbox in self.all:
            outbox.end_trial(number, verdict, summary)

    def end_sweep(self, outcome: Outcome, tags: Mapping[str, str]) -> None:
        """Close the sweep's run in every tracker (MLflow, TensorBoard ...); then raise the first error, if any."""
        failures: list[TrackingError] = []
        for outbox in self.all:
            try:
                outbox.end_sweep(outcome, tags)
            except TrackingError as error:
                failures.append(error)
        for failure in failures:
            raise failure

    def find_experiment(self) -> str:
        """Return the id of the MLflow experiment that holds the sweep's runs."""
        return self.all[0].find_experiment()

    def attach(
        self, number: int | None, files: Sequence[Path], note: str, figures: Mapping[str, float] | None = None
    ) -> None:
        """Attach report files to a run in every tracker (MLflow, TensorBoard ...)."""
        for outbox in self.all:
            outbox.attach(number, files, note, figures)

    def catch_up(self) -> None:
        """Write to each tracker (MLflow, TensorBoard ...) the trials for which writing failed earlier."""
        for outbox in self.all:
            outbox.catch_up()


class RecordedTrials:
    """Source of trials' data to write MLflow runs from, which reads the sweep's Optuna study and checkpoints.

    Args:
        config: Configuration of the sweep.
        space: Search space of the sweep.
        ledger: Ledger of the sweep.
        warn: Function that tells the user of a checkpoint that cannot be read.
        name: Name of the tracker that is written, for the user.
    """

    def __init__(
        self, config: SweepConfig, space: Space, ledger: Ledger, warn: Callable[[str], None], name: str = MLFLOW
    ) -> None:
        self._name = name
        self._config, self._space, self._ledger, self._warn = config, space, ledger, warn

    def outcomes(self) -> dict[int, str]:
        """Return the outcomes of the trials that ended, by trial number, as recorded in the Optuna study."""
        return {entry.number: str(entry.outcome) for entry in self._ledger.entries() if not entry.is_open}

    def write(self, tracker: Tracker, number: int, last_step: int | None) -> None:
        """Write a trial's run to the tracker from Optuna study and checkpoint, up to the step `last_step` if given."""
        entry = next(entry for entry in self._ledger.entries() if entry.number == number)
        runs = last_step is not None and entry.is_open  # of one that has just ended, the end is written a little later
        last = last_step if runs else read_last_step(entry.summary, entry.last_step)
        try:
            records = read_records(self._config.own_folder, number)
        except CheckpointError as error:
            self._warn(f"{self._name} lacks trial {number}'s curves: {error}")
            records = []
        verdict = None if runs or entry.outcome is None else Verdict(entry.outcome, entry.reason)
        known = [record for record in records if record.step <= (last or 0)]
        run = write_run(tracker, self._config, self._space, entry, known, verdict)
        if runs and run and self._name == MLFLOW:
            self._ledger.annotate(number, {MLFLOW_RUN: run})


def make_tracker(config: TrackingConfig, folder: Path) -> Tracker:
    """Make the tracker that writes to MLflow, or for `tracking.name=none` one that does nothing; connect later.

    Args:
        config: Settings `tracking.*`.
        folder: Folder of all sweeps; holds `mlflow.db` unless a URL is set.
    """
    if config.name == "none":
        return NullTracker()
    url = find_mlflow_url(config.mlflow_url, folder)
    return MlflowTracker(url, config.mlflow_experiment, artifacts_folder(folder))


def describe_sweep(config: SweepConfig) -> SweepHeader:
    """Collect the facts about a sweep that a tracker needs: name, id, format, metric, searched settings."""
    study, (space, _) = config.sweep, build_space(config)
    return SweepHeader(str(study.name), str(config.id), config.format, study.metric, study.mode, space.paths)


def open_run(
    tracker: Tracker,
    number: int,
    values: Mapping[str, Any],
    config: SweepConfig,
    budget: Budget | None,
    is_control: bool,
) -> str:
    """Open or reopen a trial's run in the tracker (MLflow), with settings and tags; return the run's id.

    Args:
        tracker: Tracker of the sweep.
        number: Number of the trial.
        values: Values that the sampler chose.
        config: Configuration of the trial; of the sweep for an infeasible trial, which has none of its own.
        budget: Budget that trials share in a sweep that counts environment steps.
        is_control: True for the trial that all others are compared with.
    """
    tags = {"seeds": str(config.sweep.seeds), "seed": str(config.sweep.seed), CONTROL: str(is_control).lower()}
    if config.trainer.name != TrainerConfig().name:
        kind = find_trainer(config.trainer.name)
        tags |= {DIALECT_TAG: kind.name_dialect(config)} | ({PROBED_TAG: kind.program} if kind.program else {})
    return tracker.start_trial(number, values, recorded_settings(config, budget), tags, to_yaml(config, values))


def recorded_settings(config: SweepConfig, budget: Budget | None = None) -> dict[str, Any]:
    """Return the settings to show in a trial's MLflow run, by dotted path: `ppo.*`, `env.*`, `data.*`, length.

    An arm of an unstick shows `branch.*` as well, a sweep with another trainer than ours `trainer.*` and `script.*`.

    With a budget in environment steps, `budget.env_steps` holds the budget, and marks MLflow's steps as environment
    steps.
    """
    groups = ["ppo", "env", "data"]
    groups += ["branch"] if config.run is not None else []
    groups += ["trainer"] if config.trainer != TrainerConfig() else []
    settings = flatten({**{group: asdict(getattr(config, group)) for group in groups}, "script": config.script})
    if budget is None:
        return settings
    return {**settings, "budget.env_steps": budget.steps, "budget.eval_every": budget.eval_every}


def write_run(
    tracker: Tracker,
    config: SweepConfig,
    space: Space,
    entry: Entry,
    records: Sequence[Record],
    verdict: Verdict | None,
) -> str:
    """Write a whole trial (settings, curves, notes, outcome) to the tracker, such as MLflow; return the run's id.

    Values that the run holds already are not written twice.

    Args:
        tracker: Tracker of the sweep.
        config: Configuration of the sweep.
        space: Search space of the sweep.
        entry: Record of the trial in the ledger.
        records: Iterations of the trial.
        verdict: Outcome and reason; None leaves the run open.
    """
    budget = space.budget(config)
    with suppress(ConfigError):  # an infeasible trial has no configuration of its own
        config = space.apply(config, entry.values)
    run = open_run(tracker, entry.number, entry.values, config, budget, entry.is_control)
    tracker.log(entry.number, records)
    if entry.tags:
        tracker.tag_trial(entry.number, entry.tags)
    if verdict:
        tracker.end_trial(entry.number, verdict, {} if entry.is_open else entry.summary)
    return run
