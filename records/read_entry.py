"""Convert a trial of an Optuna study to the ledger's record of the trial."""

from collections.abc import Mapping
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from unstuck.records.entry import Entry
from unstuck.records.names import (
    CONTROL,
    DECISION,
    MILESTONES,
    MLFLOW_RUN,
    NOTES,
    OUTCOME,
    REASON,
    RUNGS,
    SUMMARY,
    VALUES,
    restore_values,
)
from unstuck.records.outcome import Outcome, Verdict
from unstuck.records.rungs import RungEntry
from unstuck.records.score import compute_value
from unstuck.records.unstick import MilestoneRecord


def read_entry(trial: FrozenTrial, raw: Mapping[str, Any]) -> Entry:
    """Convert an Optuna trial (curve, attributes, raw parameters) to an `Entry`, the ledger's record of a trial."""
    attributes = trial.user_attrs
    outcome = Outcome(attributes[OUTCOME]) if attributes.get(OUTCOME) else None
    decision = attributes.get(DECISION)
    curve = dict(sorted(trial.intermediate_values.items()))
    so_far = compute_value(list(curve.values())) if curve else None
    return Entry(
        number=trial.number,
        outcome=outcome,
        reason=attributes.get(REASON, ""),
        values=restore_values(attributes.get(VALUES, {})),
        value=trial.value if trial.state == TrialState.COMPLETE else so_far,
        curve=curve,
        summary=attributes.get(SUMMARY, {}),
        started=trial.datetime_start,
        state=trial.state.name,
        rungs=tuple(RungEntry(**rung) for rung in attributes.get(RUNGS, ())),
        decision=decision and (decision["iteration"], Verdict(Outcome(decision[OUTCOME]), decision[REASON])),
        notes={name: attributes[name] for name in NOTES if name in attributes},
        run_id=attributes.get(MLFLOW_RUN, ""),
        is_control=attributes.get(CONTROL, False),
        raw=raw,
        milestones=tuple(MilestoneRecord.from_json(kept) for kept in attributes.get(MILESTONES) or ()),
    )
