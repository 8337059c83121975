"""Keep the ledger: an Optuna study that says which trials exist and how each one ended.

Only the driver writes to the ledger. A finished trial is immutable in Optuna, so reason, curve and attributes are
written before the `tell`; MLflow is written afterwards and can be derived from the ledger again.
"""

import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import Trial, TrialState
from unstuck.records.dashboard import Shown, write_shown
from unstuck.records.entry import Entry
from unstuck.records.errors import MissingLedgerError, MissingStudyError, SweepError
from unstuck.records.identity import Identity, list_study_names
from unstuck.records.ledger_places import SETTINGS, Places, translate_errors
from unstuck.records.names import (
    COPY_OF,
    CRASHED_BEFORE,
    DECISION,
    FORMAT,
    ID,
    MILESTONES,
    OUTCOME,
    PARAMETERS,
    REASON,
    SUMMARY,
    TRACEBACK,
)
from unstuck.records.optuna_internals import (
    PatientStorage,
    delete_study,
    go_on_with_trial,
    read_study_id,
    reopen,
    suggest,
)
from unstuck.records.outcome import Outcome, Verdict
from unstuck.records.read_entry import read_entry
from unstuck.records.reference import SweepReference
from unstuck.records.urls import sqlite_file

_FIXED = "fixed_params"
"""Name of Optuna's system attribute for enqueued parameters."""

_Held = TypeVar("_Held")

_FEASIBLE = "feasible"
"""Name of the constraint: 0 for a configuration that can run, 1 for one that cannot."""

STATES = {
    Outcome.COMPLETED: TrialState.COMPLETE,
    Outcome.PRUNED: TrialState.PRUNED,
    Outcome.STUCK: TrialState.PRUNED,
    Outcome.DIVERGED: TrialState.PRUNED,
    # The sampler would never learn from a trial of state FAIL (optuna#332, optuna#1647).
    Outcome.INFEASIBLE: TrialState.PRUNED,
    Outcome.CRASHED: TrialState.FAIL,
}


class Ledger:
    """Ledger of a sweep: the record of all trials, kept in an Optuna study.

    Made by `create`, `open_sweep` or, for reading alone, `find`.
    """

    def __init__(self, study: optuna.Study, make_sampler: Callable[[int], BaseSampler] | None = None) -> None:
        self._study = study
        self._make_sampler = make_sampler
        self._running: dict[int, Trial] = {}

    @classmethod
    def create(
        cls,
        url: str,
        name: str,
        metric: str,
        mode: str,
        attributes: Mapping[str, Any],
        make_sampler: Callable[[int], BaseSampler] | None = None,
    ) -> "Ledger":
        """Create the Optuna study of a new sweep in the database at `url`, and return it as a ledger.

        If another study has the name, perhaps somebody else's, a part of the sweep's id is added to the new study's
        name.

        Args:
            url: URL of the database.
            name: Name of the sweep.
            metric: Name of the objective.
            mode: `max` or `min`.
            attributes: Attributes of the sweep. Without an id (`ID`) among them, the name must be new.
            make_sampler: Function that returns the sampler for a trial's number.

        Raises:
            SweepError: The database cannot be opened, or holds a study of the name while `attributes` has no id.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        direction: Literal["maximize", "minimize"] = "maximize" if mode == "max" else "minimize"
        with translate_errors(url, SETTINGS):
            make = partial(optuna.create_study, storage=PatientStorage(url), direction=direction)
        own, unique = list_study_names(name, str(attributes.get(ID)))
        try:
            study = make(study_name=own)
        except optuna.exceptions.DuplicatedStudyError as error:
            if ID not in attributes:
                raise SweepError(f"sweep.name must be new without an id, got {own!r}; choose another name") from error
            study = make(study_name=unique)
        ledger = cls(study, make_sampler)
        try:
            ledger.describe(attributes)
            with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
                study.set_metric_names([metric])
        except BaseException:
            ledger.discard()  # without its id nobody would know whose it is
            raise
        return ledger

    @classmethod
    def open_sweep(cls, sweep: SweepReference, make_sampler: Callable[[int], BaseSampler] | None = None) -> "Ledger":
        """Open the ledger (Optuna study) of a recorded sweep, found by the sweep's id, or an old sweep's by name.

        Args:
            sweep: Reference to the sweep.
            make_sampler: Function that returns the sampler for a trial's number; None for a ledger that is only read.

        Raises:
            SweepError: The database cannot be opened, or holds no such study.
        """
        ledger = cls.find(sweep.ledger_url, sweep.folder / sweep.name, Identity(sweep.id, sweep.format))
        ledger._make_sampler = make_sampler
        return ledger

    @classmethod
    def find(cls, url: str, folder: Path, own: Identity | None, places: Places = SETTINGS) -> "Ledger":
        """Open a sweep's ledger (Optuna study) for reading only, found by the sweep's id, or an old sweep's by name.

        Args:
            url: URL of the database.
            folder: Folder of the sweep, whose name is the sweep's.
            own: Identity of the sweep; None without a folder, where the name decides.
            places: Names of the settings that say where the ledger lies, for messages.

        Raises:
            SweepError: The database cannot be opened, or holds no such study.
        """
        name = folder.name
        if own is None or own.id is None:
            ledger = cls.open(url, name, places)
            # A study of format 2 was made when sweeps had ids, so the folder of its sweep would have the id too.
            if own is not None and ledger.attributes.get(FORMAT, 1) != 1:
                raise SweepError(f"the ledger holds another sweep named {name!r}, not that in {folder}")
            return ledger
        for candidate in list_study_names(name, own.id):
            with suppress(MissingStudyError):
                ledger = cls.open(url, candidate, places)
                # COPY_OF matches if a process died while giving a copy an id of its own.
                if own.id in (ledger.attributes.get(ID), ledger.attributes.get(COPY_OF)):
                    return ledger
        raise MissingStudyError(
            f"the ledger must hold the sweep {name!r} with the id {own.id}, and does not; check {places.url}"
        )

    @classmethod
    def open(cls, url: str, name: str, places: Places = SETTINGS) -> "Ledger":
        """Open the ledger kept in the Optuna study called `name`, for reading only.

        Args:
            url: URL of the database.
            name: Name of the study.
            places: Names of the settings that say where the ledger lies, for messages.

        Raises:
            SweepError: The database cannot be opened, or holds no study of this name; the message lists the names
                there.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        file = sqlite_file(url)
        if file is not None and not file.exists():  # sqlite would make the file
            raise MissingLedgerError(f"the ledger must be a database that exists, got {file}; check {places.folder}")
        with translate_errors(url, places):
            storage = PatientStorage(url)
            try:
                return cls(optuna.load_study(storage=storage, study_name=name))
            except KeyError as error:
                names = ", ".join(sorted(optuna.get_all_study_names(storage))) or "none"
                raise MissingStudyError(f"no sweep named {name!r}; there are: {names}") from error

    def discard(self) -> None:
        """Delete the sweep's Optuna study, with all trials, from the database."""
        delete_study(self._study)

    def enqueue(self, raw: Mapping[str, Any]) -> None:
        """Queue a configuration (raw parameters by name), which is tried before the sampler draws others."""
        self._study.enqueue_trial({self._names.get(path, path): value for path, value in raw.items()})

    def describe(self, attributes: Mapping[str, Any]) -> None:
        """Store facts about the sweep in the Optuna study, as attributes by name."""
        for name, value in attributes.items():
            self._study.set_user_attr(name, value)

    def show(self, shown: Shown) -> None:
        """Write the notes and pictures that Optuna's dashboard shows, all or none.

        Raises:
            LedgerError: The database refused; the ledger itself is as it was.
        """
        write_shown(self._study, shown)

    def raw_parameters(self) -> dict[int, Mapping[str, Any]]:
        """Return the parameters of each trial, also of queued ones, by trial number, in the form that Optuna stores."""
        trials = self._study.get_trials(deepcopy=False)
        return {trial.number: self._by_path(trial.system_attrs.get(_FIXED, trial.params)) for trial in trials}

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the range from which Optuna draws each searched setting, by the setting's dotted path."""
        found: dict[str, BaseDistribution] = {}
        for trial in self._study.get_trials(deepcopy=False):
            found |= trial.distributions
        return self._by_path(found)

    def count_trials(self) -> int:
        """Count the trials that have started or are queued, without infeasible ones (whose settings cannot run)."""
        waiting = len(self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))
        return waiting + sum(entry.outcome is not Outcome.INFEASIBLE for entry in self.entries())

    def ask(self, distributions: Mapping[str, BaseDistribution]) -> tuple[int, dict[str, Any]]:
        """Start a new trial; return the trial's number, and the sampler's parameters in the form that Optuna stores.

        Returns:
            Number of the trial, and its raw parameters; `Space.decode` turns raw parameters into settings.
        """
        # The count is the number of the trial, unless the trial is an enqueued one.
        self._seed_sampler(len(self._study.get_trials(deepcopy=False)))
        trial = self._study.ask()
        return trial.number, self._read_parameters(trial, distributions)

    def reopen_trial(self, number: int, distributions: Mapping[str, BaseDistribution]) -> dict[str, Any]:
        """Continue a trial that an earlier process started and did not end; return the trial's parameters.

        Returns:
            Raw parameters, as `ask` returns them. Parameters that the earlier process did not draw are drawn now, to
            the same values.
        """
        self._seed_sampler(number)
        raw = self._read_parameters(go_on_with_trial(self._study, number), distributions)
        self.annotate(number, {OUTCOME: "", REASON: ""})  # the words on the interruption no longer hold
        return raw

    def reopen_crashed(self) -> list[int]:
        """Mark all crashed trials as interrupted, so that a resume runs them again; return the trials' numbers."""
        crashed = [entry for entry in self.entries() if entry.outcome is Outcome.CRASHED and not entry.is_open]
        said = {OUTCOME: str(Outcome.INTERRUPTED), REASON: "it crashed, and is to run again"}
        gone = dict.fromkeys((DECISION, TRACEBACK, MILESTONES))
        changes = {entry.number: {**said, **gone, CRASHED_BEFORE: entry.reason} for entry in crashed}
        self._study = reopen(self._study, changes)
        return list(changes)

    def _seed_sampler(self, number: int) -> None:
        """Give the study a sampler seeded for the trial's number, so that a resumed sweep draws the same values."""
        if self._make_sampler is None:
            raise SweepError("a ledger opened for reading must not be asked for trials; open it by go_on")
        self._study.sampler = self._make_sampler(number)

    def _read_parameters(self, trial: Trial, distributions: Mapping[str, BaseDistribution]) -> dict[str, Any]:
        self._running[trial.number] = trial
        return {path: suggest(trial, self._names.get(path, path), over) for path, over in distributions.items()}

    @cached_property
    def _names(self) -> Mapping[str, str]:
        """Optuna's names of those searched settings whose names differ in Optuna, by dotted path."""
        return dict(self.attributes.get(PARAMETERS, {}))

    def _by_path(self, held: Mapping[str, _Held]) -> dict[str, _Held]:
        """Replace the keys of a dict, Optuna's parameter names, by the settings' dotted paths."""
        paths = {name: path for path, name in self._names.items()}
        return {paths.get(name, name): value for name, value in held.items()}

    def annotate(self, number: int, attributes: Mapping[str, Any]) -> None:
        """Store attributes, by name, with a trial that has not ended."""
        for name, value in attributes.items():
            self._running[number].set_user_attr(name, value)

    def report(self, number: int, step: int, value: float) -> None:
        """Store one evaluation of a trial: the objective's value at a step."""
        self._running[number].report(value, step=step)

    def finish(
        self, number: int, verdict: Verdict, value: float | None = None, summary: Mapping[str, float] | None = None
    ) -> None:
        """Record a trial's end: outcome, reason, value and final metrics; an interrupted trial stays open for a resume.

        Args:
            number: Number of the trial.
            verdict: Outcome and reason.
            value: Objective of a completed trial, finite; None for other outcomes.
            summary: Numbers to keep beside the verdict.
        """
        trial = self._running[number]
        trial.set_user_attr(OUTCOME, str(verdict.outcome))
        trial.set_user_attr(REASON, verdict.reason)
        trial.set_user_attr(SUMMARY, dict(summary or {}))
        if verdict.outcome is not Outcome.INTERRUPTED:
            if _FEASIBLE not in trial.constraints:  # a process that died may have set the constraint
                trial.set_constraint(_FEASIBLE, 1.0 if verdict.outcome is Outcome.INFEASIBLE else 0.0)
            self._study.tell(trial, values=value, state=STATES[verdict.outcome])
        del self._running[number]

    def entries(self) -> list[Entry]:
        """Return a record (`Entry`) of each started trial, in the order of trial numbers."""
        trials = self._study.get_trials(deepcopy=False)
        started = [trial for trial in trials if trial.state != TrialState.WAITING]
        return [read_entry(trial, self._by_path(trial.params)) for trial in started]

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Facts about the sweep by name, such as settings and versions, that the Optuna study stores."""
        return self._study.user_attrs

    @property
    def name(self) -> str:
        """Name of the Optuna study: the sweep's name, extended by a part of its id if the name was taken."""
        return str(self._study.study_name)

    @property
    def dashboard_path(self) -> str:
        """Path of the sweep's page on an Optuna dashboard, to append to the dashboard's address."""
        return f"/dashboard/studies/{read_study_id(self._study)}"
