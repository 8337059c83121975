"""Rank the arms of an unstick: for the stages, and for the verdict."""

from collections.abc import Sequence

from unstuck.records.entry import Entry
from unstuck.records.files import read_records
from unstuck.records.outcome import Outcome
from unstuck.records.score import compute_value
from unstuck.rl import metrics
from unstuck.rl.errors import CheckpointError
from unstuck.sweeps.config.settings import SweepConfig


def rank_arms(config: SweepConfig, entries: Sequence[Entry]) -> list[Entry]:
    """Sort a stuck run's completed branches by value, best first; order equal values by episode return.

    Arms that did not complete are left out: no state is left to go on from.
    """
    sign = 1 if config.sweep.mode == "max" else -1
    completed = [entry for entry in entries if entry.outcome is Outcome.COMPLETED and entry.value is not None]
    are_tied = len({entry.value for entry in completed}) < len(completed)
    returns = {entry.number: _read_return(config, entry.number) if are_tied else 0.0 for entry in completed}
    return sorted(completed, key=lambda one: (-sign * (one.value or 0.0), -returns[one.number], one.number))


def _read_return(config: SweepConfig, number: int) -> float:
    """Read the mean return of a trial's last evaluations from the checkpoint; minus infinity if there is none."""
    try:
        records = read_records(config.own_folder, number)
    except CheckpointError:
        return float("-inf")
    measured = [record.metrics[metrics.EVAL_RETURN] for record in records if metrics.EVAL_RETURN in record.metrics]
    return compute_value(measured) if measured else float("-inf")
