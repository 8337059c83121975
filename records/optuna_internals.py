"""Do with Optuna what its interface cannot: retry calls, reopen ended trials, draw a parameter a second time.

Members of Optuna that are private are used here and in no other module. They are those of Optuna 5.0, the minor version
to which pyproject.toml is pinned; a test checks each of them.
"""

import functools
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import Trial, TrialState
from sqlalchemy import delete, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from unstuck.records.errors import LedgerError
from unstuck.records.redact import explain_error

PATIENCE_S = 40.0
"""Seconds for which a call is tried again. Then the sweep must end, since the ledger cannot record the truth."""

_PAUSE_S = 0.5

P = ParamSpec("P")
R = TypeVar("R")


def _retry_calls(call: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Wrap a storage method so that a failing call, one database transaction, is repeated."""

    @functools.wraps(call)
    def attempt(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the wrapped method until the database answers, for `PATIENCE_S` seconds at most."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return call(self, *args, **kwargs)
            except (StorageInternalError, SQLAlchemyError) as error:
                self.given_up |= time.monotonic() > deadline
                if self.given_up:
                    raise LedgerError(_describe_reason(error, self.url)) from error
            time.sleep(_PAUSE_S)

    return attempt


class PatientStorage(RDBStorage):
    """Optuna storage that repeats failed database calls for `PATIENCE_S` seconds; later calls are not repeated.

    A ledger that is locked or away for a moment so ends no sweep.

    Raises:
        LedgerError: A call still fails.
    """

    given_up = False

    create_new_trial = _retry_calls(RDBStorage.create_new_trial)
    set_trial_param = _retry_calls(RDBStorage.set_trial_param)
    set_trial_state_values = _retry_calls(RDBStorage.set_trial_state_values)
    set_trial_intermediate_value = _retry_calls(RDBStorage.set_trial_intermediate_value)
    set_trial_user_attr = _retry_calls(RDBStorage.set_trial_user_attr)
    set_trial_system_attr = _retry_calls(RDBStorage.set_trial_system_attr)
    set_study_user_attr = _retry_calls(RDBStorage.set_study_user_attr)
    set_study_system_attr = _retry_calls(RDBStorage.set_study_system_attr)
    get_trial = _retry_calls(RDBStorage.get_trial)
    get_study_user_attrs = _retry_calls(RDBStorage.get_study_user_attrs)
    get_study_system_attrs = _retry_calls(RDBStorage.get_study_system_attrs)
    get_study_directions = _retry_calls(RDBStorage.get_study_directions)
    # Optuna's cache in front of the storage calls these three instead of the public ones.
    _create_new_trial = _retry_calls(RDBStorage._create_new_trial)
    _set_trial_param = _retry_calls(RDBStorage._set_trial_param)
    _get_trials = _retry_calls(RDBStorage._get_trials)

    @_retry_calls
    def reopen_trials(self, changes: Mapping[int, Mapping[str, Any]]) -> None:
        """Set ended trials, given by Optuna's ids, back to running, with changed attributes, in one transaction.

        Optuna has no call for that, since an ended trial is final there (optuna#3198), so this writes Optuna's tables.
        """
        from optuna.storages._rdb import models

        with Session(self.engine) as session, session.begin():
            for trial_id, attributes in changes.items():
                trial = session.get_one(models.TrialModel, trial_id)
                trial.state, trial._datetime_complete_utc = TrialState.RUNNING, None
                session.execute(
                    delete(models.TrialUserAttributeModel).where(
                        models.TrialUserAttributeModel.trial_id == trial_id,
                        models.TrialUserAttributeModel.key.in_(attributes),
                    )
                )
                session.add_all(
                    models.TrialUserAttributeModel(trial_id=trial_id, key=key, value_json=json.dumps(value))
                    for key, value in attributes.items()
                    if value is not None
                )


def reopen(study: Study, changes: Mapping[int, Mapping[str, Any]]) -> Study:
    """Set ended trials back to running and change their attributes, all or none; return the reloaded study.

    Args:
        study: Study in a `PatientStorage`.
        changes: User attributes to set, or with None to delete, by the trial's number.

    Returns:
        Study, read anew, since Optuna keeps ended trials in memory.
    """
    cached: Any = study._storage
    storage: PatientStorage = cached._backend
    ids = {trial.number: trial._trial_id for trial in study.get_trials(deepcopy=False)}
    storage.reopen_trials({ids[number]: attributes for number, attributes in changes.items()})
    return optuna.load_study(storage=storage, study_name=study.study_name)


def change_attributes(
    study: Study, prefix: str, decide: Callable[[Mapping[str, Any], Mapping[int, int]], Mapping[str, Any]]
) -> None:
    """Change system attributes of an Optuna study in one transaction, all or none; do not repeat a failed call.

    Args:
        study: Study in a `PatientStorage`.
        prefix: Start of the attributes' names.
        decide: Function of the attributes with the prefix, and of Optuna's ids of the trials by number; returns new
            values by name, None for an attribute that is to go.

    Raises:
        LedgerError: The database refused.
    """
    from optuna.storages._rdb import models

    table = models.StudySystemAttributeModel
    cached: Any = study._storage
    storage: PatientStorage = cached._backend
    ids = {trial.number: trial._trial_id for trial in study.get_trials(deepcopy=False)}
    try:
        with Session(storage.engine) as session, session.begin():
            of_study = select(table).where(table.study_id == study._study_id, table.key.startswith(prefix))
            rows = {str(row.key): row for row in session.scalars(of_study)}
            changes = decide({key: json.loads(str(row.value_json)) for key, row in rows.items()}, ids)
            for key, value in changes.items():
                if value is None:
                    session.delete(rows[key])
                elif key in rows:
                    rows[key].value_json = json.dumps(value)
                else:
                    session.add(table(study_id=study._study_id, key=key, value_json=json.dumps(value)))
    except SQLAlchemyError as error:
        raise LedgerError(": ".join(explain_error(error, storage.url))) from error


def delete_study(study: Study) -> None:
    """Delete an Optuna study, with all trials, from its database."""
    optuna.delete_study(study_name=study.study_name, storage=study._storage)


def read_study_id(study: Study) -> int:
    """Return the id of a study in its database, which the dashboard's addresses contain."""
    return int(study._study_id)


def go_on_with_trial(study: Study, number: int) -> Trial:
    """Return another process's running trial as a trial to continue, which Optuna cannot do (optuna#3351)."""
    return Trial(study, study.get_trials(deepcopy=False)[number]._trial_id)


def suggest(trial: Trial, name: str, over: BaseDistribution) -> Any:
    """Return a trial's value of one parameter, as Optuna stores it; let the sampler draw one if there is none.

    A parameter drawn by a process that died is drawn once more, and the result dropped, so that the sampler's generator
    moves on alike.
    """
    if name in trial.distributions:
        is_drawn = not over.single() and not trial._is_fixed_param(name, over)
        if is_drawn and not trial._is_relative_param(name, over):
            trial.study.sampler.sample_independent(trial.study, trial._get_latest_trial(), name, over)
    return trial._suggest(name, over)


def _describe_reason(error: BaseException, url: str) -> str:
    kind, line = explain_error(error, url)
    return (
        f"the ledger must be there and writable, and failed for {PATIENCE_S:g} s: {kind}: {line}; "
        "what it lacks, a resume runs again"
    )
