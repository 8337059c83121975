"""Retry calls of Optuna's storage: a ledger that is locked or away for a moment ends no sweep."""

import functools
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import TrialState
from sqlalchemy import delete
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from unstuck.records.errors import LedgerError
from unstuck.records.redact import redact_error

PATIENCE_S = 40.0
"""Seconds for which a call is tried again. Then the sweep must end, since the ledger cannot record the truth."""

_PAUSE_S = 0.5

_CALLS = (
    *("create_new_trial", "set_trial_param", "set_trial_state_values", "set_trial_intermediate_value"),
    *("set_trial_user_attr", "set_trial_system_attr", "set_study_user_attr", "set_study_system_attr"),
    *("get_trial", "get_study_user_attrs", "get_study_system_attrs", "get_study_directions"),
    *("_create_new_trial", "_set_trial_param", "_get_trials"),  # as Optuna's cache calls them
    "reopen_trials",
)
"""Calls that are tried again. Each is one transaction: a failed call has changed nothing."""


class PatientStorage(RDBStorage):
    """Optuna's database storage that retries a failed call for `PATIENCE_S`; once in vain, later calls run only once.

    Raises:
        LedgerError: A call still fails.
    """

    given_up = False

    def reopen_trials(self, changes: Mapping[int, Mapping[str, Any]]) -> None:
        """Set ended trials back to running in the database, by Optuna's ids, in one transaction; see `reopen`.

        Optuna has no call for that, since an ended trial is final there. The tables are those of Optuna 4.0 to 5.0,
        which a test holds.
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


def _patiently(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def attempt(self: PatientStorage, *args: Any, **kwargs: Any) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return call(self, *args, **kwargs)
            except (StorageInternalError, SQLAlchemyError) as error:
                self.given_up |= time.monotonic() > deadline
                if self.given_up:
                    raise LedgerError(_reason(error, self.url)) from error
            time.sleep(_PAUSE_S)

    return attempt


def reopen(study: Study, changes: Mapping[int, Mapping[str, Any]]) -> Study:
    """Set ended trials back to running, all or none, with changed attributes; return the study, read anew.

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


for _name in _CALLS:
    setattr(PatientStorage, _name, _patiently(_name, getattr(PatientStorage, _name)))


def _reason(error: BaseException, url: str) -> str:
    while error.__cause__ is not None:  # Optuna wraps SQLAlchemy wraps the driver, which says it best
        error = error.__cause__
    line = redact_error(str(error), url).partition("\n")[0]
    return (
        f"the ledger must be there and writable, and failed for {PATIENCE_S:g} s: {type(error).__name__}: {line}; "
        "what it lacks, a resume runs again"
    )
