"""Name the records' fields: attributes in the ledger, tags and statuses in MLflow."""

from collections.abc import Mapping
from typing import Any

from unstuck.records.outcome import Outcome

CHECKPOINT, RESUMED_FROM, RESUMED_EXACTLY = WORKER_NOTES = "checkpoint", "resumed_from", "resumed_exactly"
"""Names of a worker's notes: the fault of the checkpoint; the iteration after which the worker went on; `false` if the
worker went on not bit for bit, since lanes had to start anew or libraries are of other versions."""

OUTCOME, REASON, VALUES, SUMMARY, MLFLOW_RUN = "outcome", "reason", "values", "summary", "mlflow_run"
RUNGS, DECISION, CONTROL = "rungs", "decision", "control"
"""Names of user attributes; `VALUES` holds the searched settings as the learner sees them, `RUNGS` the results that the
scheduler compares by, `DECISION` how the trial ends, written before the curve's last point and the `tell`, `CONTROL`
True for the trial that all others are compared with."""

ID, COPY_OF, FORMAT = "id", "copy_of", "format"
CONFIG, PROVENANCE, DATA = "config", "provenance", "data"
"""Names of attributes of the study: the sweep's own id, the original's id in a copy, the version of the records; the
composed configuration as YAML, the versions of code and machine, the fingerprint of the data."""

PARAMETERS = "parameters"
"""Attribute of the study: names of parameters that are stored as another number than the setting's value, by path; a
sweep of before has none, and names each parameter by the path."""

DIAGNOSIS, FINDINGS = "diagnosis", "findings"
"""Attributes of a trial: the first finding of the diagnosis in words, and the names of all findings."""

TRACEBACK = "traceback"
"""Attribute of a trial that crashed."""

CRASHED_BEFORE = "crashed_before"
"""Attribute: the reason of an earlier crash of a trial that was run again."""

BRANCHED_FROM = "branched_from"
"""Attribute of an arm of an unstick: the state that the arm goes on from, such as `stuck/7 at iteration 220`."""

NOTES = (*WORKER_NOTES, DIAGNOSIS, FINDINGS, CRASHED_BEFORE, BRANCHED_FROM)
"""Attributes that the tracker shows as tags."""

ARMS, PARENT_RUN, STAGES = "arms", "parent_run", "stages"
"""Attributes of an unstick's study: its arms in the order of their trials' numbers, a dict each; the run that is
branched; the stages, as `records.unstick.StageRecord` writes them."""

MILESTONES = "milestones"
"""Attribute of an arm: its decided milestones, as `records.unstick.MilestoneRecord` writes them."""

BRANCHED_FROM_RUN = "branched_from_run"
"""Tag of an unstick's own run in MLflow: the id of the run that is branched."""

SWEEP_TAG, TRIAL_TAG, SEARCHED_TAG, OUTCOME_TAG, REASON_TAG = "sweep", "trial", "searched", "outcome", "reason"
PARENT_TAG, NOTE_TAG = "mlflow.parentRunId", "mlflow.note.content"
ID_TAG, FORMAT_TAG = "sweep_id", "sweep_format"
DIALECT_TAG, PROBED_TAG = "dialect", "probed"
"""Tags of a trial of another trainer than ours: the program whose log its metrics come from, and the program that a
probe of ours measured. Without these tags our learner made the run."""
RUN_ID = "run_id"
"""Name, beside a run's tags, of the run's id in MLflow."""

COMMON_TAGS = ("git.", "mlflow.user", "mlflow.source.", SWEEP_TAG)
"""Prefixes of the tags that a sweep's run and all trials' runs have alike."""
CONFIG_FILE, REPORT = "config.yaml", "report"
RUNNING = "RUNNING"
"""Status of an open run in MLflow."""

_ENDED, _BROKEN, _CUT_SHORT = "FINISHED", "FAILED", "KILLED"
_STATUS = {
    Outcome.COMPLETED: _ENDED,
    Outcome.PRUNED: _ENDED,
    Outcome.STUCK: _ENDED,
    Outcome.DIVERGED: _BROKEN,
    Outcome.INFEASIBLE: _BROKEN,
    Outcome.CRASHED: _BROKEN,
    Outcome.INTERRUPTED: _CUT_SHORT,
}
_STATUS_BEFORE = {**_STATUS, **dict.fromkeys((Outcome.PRUNED, Outcome.STUCK, Outcome.DIVERGED), _CUT_SHORT)}
_FORMAT = 3
"""First format of records in which trials that a rule stopped have another status than trials that were cut short."""


def choose_status(outcome: Outcome, format: int) -> str:
    """Choose the MLflow status of a run (e.g. FINISHED) for a trial's outcome; old sweep formats differ.

    MLflow draws KILLED and FAILED alike, as a red cross.

    Example:
        >>> choose_status(Outcome.PRUNED, format=3), choose_status(Outcome.PRUNED, format=2)
        ('FINISHED', 'KILLED')
    """
    return (_STATUS if format >= _FORMAT else _STATUS_BEFORE)[outcome]


def restore_values(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Convert settings (by dotted path) read from JSON: each list, for which JSON has no tuple, becomes a tuple.

    Example:
        >>> restore_values({"ppo.lr": 0.001, "ppo.hidden_sizes": [64, 64]})
        {'ppo.lr': 0.001, 'ppo.hidden_sizes': (64, 64)}
    """
    return {path: tuple(value) if isinstance(value, list) else value for path, value in kept.items()}


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested settings to one dict by dotted path, e.g. `ppo.lr`; lists stay whole.

    Example:
        >>> flatten({"ppo": {"lr": 1, "hidden_sizes": [64, 64]}, "seed": 0})
        {'ppo.lr': 1, 'ppo.hidden_sizes': [64, 64], 'seed': 0}
    """
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
