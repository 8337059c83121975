"""Rewrite MLflow's runs from ledger and checkpoints where an audit found differences; never touch the ledger.

A run is kept if what is missing can be added. MLflow can neither take a point back nor change a parameter, so a run
that holds something untrue is deleted and written anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unstuck.records.entry import Entry
from unstuck.records.ledger import Ledger
from unstuck.records.measurement import Record
from unstuck.records.mlflow.client import PARAM_LENGTH, make_storable
from unstuck.records.mlflow.infinity import to_stored
from unstuck.records.mlflow.names import select_written
from unstuck.records.mlflow.runs import TrackedRun, delete_runs
from unstuck.records.names import COMMON_TAGS, FORMAT_TAG, OUTCOME_TAG, REASON_TAG, RUNNING, flatten
from unstuck.records.outcome import Outcome, Verdict
from unstuck.records.tracker import Tracker
from unstuck.sweeps.audit.compare import (
    Finding,
    find_last_step,
    has_every_iteration,
    is_logged_per_process,
    is_summary,
)
from unstuck.sweeps.audit.snapshot import SavedTrial, Snapshot
from unstuck.sweeps.config.saved import to_yaml
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.mirror import RecordedTrials, describe_sweep, make_tracker, write_run
from unstuck.sweeps.screen.summary import NONE_COMPLETED
from unstuck.sweeps.search.parse import build_space
from unstuck.sweeps.search.space import Space
from unstuck.sweeps.trackers import make_trackers

DIED = "the driver died"
"""Reason of an open trial that no process runs any more, unless the ledger has a reason."""


@dataclass(frozen=True)
class _Plan:
    """Plan to correct one trial's record in MLflow: the metrics to write, and the MLflow runs to delete.

    Attributes:
        entry: Ledger entry of the trial.
        records: Iterations of the trial, as far as known.
        source: Words that name the place where the records were found.
        keep: Run to add to; None to write a new one.
        doomed: Runs to delete.
    """

    entry: Entry
    records: Sequence[Record]
    source: str
    keep: TrackedRun | None
    doomed: Sequence[TrackedRun]


def repair_runs(config: SweepConfig, snapshot: Snapshot, findings: Sequence[Finding]) -> list[str]:
    """Add to the MLflow runs that an audit found wrong, or delete and rewrite them; return a line for each change.

    No process may run the sweep meanwhile. Open trials are recorded as interrupted in MLflow.

    Args:
        config: Settings of the sweep.
        snapshot: Records that were compared.
        findings: Differences that were found.

    Returns:
        Lines that say what was done; empty if there was nothing to mend.

    Raises:
        SweepError, TrackingError: MLflow cannot be written.
    """
    runs = snapshot.runs
    if runs is None:
        return []
    own = [run for run in runs if run.trial is None and run.parent is None]
    mendable = {finding.trial for finding in findings if finding.is_mendable}
    plans = [
        _plan_trial(entry, snapshot, own)
        for entry in snapshot.entries
        if entry.number in mendable or (entry.is_open and not _is_closed(entry, runs))
    ]
    if not plans and None not in mendable and not any(run.status == RUNNING for run in own):
        return []
    doomed = [*own[1:], *(run for plan in plans for run in plan.doomed)]
    delete_runs(config.reference, [run.id for run in doomed])
    tracker = make_tracker(config.tracking, Path(config.sweep.folder))
    tracker.start_sweep(describe_sweep(config), to_yaml(config), _copy_tags(own or runs))
    done = [f"deleted MLflow's run {run.id} of {_name_owner(run)}" for run in doomed]
    space, _ = build_space(config)
    done += [_write_trial(tracker, config, space, plan) for plan in plans]
    done.append(_end_sweep_run(tracker, config, snapshot, own))
    return done


def repair_trackers(config: SweepConfig, ledger: Ledger) -> list[str]:
    """Write ended trials again to trackers such as TensorBoard that lack the trials' outcomes; return a line for each.

    Raises:
        SweepError, TrackingError: A tracker cannot be used or written.
    """
    done: list[str] = []
    space, _ = build_space(config)
    for name, tracker in make_trackers(config.tracking.also, config.reference).items():
        tracker.start_sweep(describe_sweep(config), to_yaml(config), {})
        trials = RecordedTrials(config, space, ledger, done.append, name)
        for number in tracker.find_incomplete(trials.outcomes()):
            trials.write(tracker, number, None)
            done.append(f"trial {number}: {name} written from its checkpoint")
    return done


def _name_owner(run: TrackedRun) -> str:
    return "the sweep itself" if run.trial is None else f"trial {run.trial}"


def _is_closed(entry: Entry, runs: Sequence[TrackedRun]) -> bool:
    return any(run.trial == entry.number and run.status != RUNNING for run in runs)


def _plan_trial(entry: Entry, snapshot: Snapshot, own: Sequence[TrackedRun]) -> _Plan:
    runs = [run for run in snapshot.runs or () if run.trial == entry.number]
    records, source = _collect_records(
        entry, (snapshot.saved or {}).get(entry.number, SavedTrial()), runs, snapshot.metric
    )
    true = [run for run in runs if own and run.parent == own[0].id and _is_correct(run, entry, records)]
    keep = true[0] if true else None
    return _Plan(entry, records, source, keep, [run for run in runs if run is not keep])


def _collect_records(
    entry: Entry, saved: SavedTrial, runs: Sequence[TrackedRun], metric: str
) -> tuple[Sequence[Record], str]:
    """Collect a trial's metrics of all iterations from checkpoint or MLflow; return the records and their origin."""
    last = find_last_step(entry)
    if has_every_iteration(saved) and (not last or (saved.records and saved.records[-1].step >= last)):
        return [record for record in saved.records if record.step <= last], "its checkpoint"
    measured: dict[int, dict[str, float]] = {}
    times: dict[int, int] = {}
    for run in runs:
        for name, points in run.curves.items():
            for point in points:
                if point.step <= last and not is_summary(name):
                    measured.setdefault(point.step, {}).setdefault(name, point.value)
                    times.setdefault(point.step, point.timestamp_ms)
    started = int(entry.started.timestamp() * 1000) if entry.started else 0
    for step, value in entry.curve.items():
        measured.setdefault(step, {})[metric] = value
        times.setdefault(step, started + step)
    source = "what MLflow had of it" if runs else "the ledger, which has nothing but its objective"
    return [Record(step, times[step], measured[step]) for step in sorted(measured)], source


def _is_correct(run: TrackedRun, entry: Entry, records: Sequence[Record]) -> bool:
    """True if a trial's MLflow run agrees with the other records: settings, final metrics, and points of the curves."""
    values, summary = flatten(entry.values), select_written(entry.summary, int(run.tags.get(FORMAT_TAG, 1)))
    if any(run.params.get(name) not in (None, make_storable(value, PARAM_LENGTH)) for name, value in values.items()):
        return False
    known = {(name, record.step): value for record in records for name, value in record.metrics.items()}
    for name, points in run.curves.items():
        if is_summary(name):
            ends_with = points[-1].value
            known_to_end = summary.get(name, ends_with)  # an open trial has none on record
            true = points[-1].step < find_last_step(entry) or _are_equal(ends_with, known_to_end)
        else:
            once = len({point.step for point in points}) == len(points)
            true = once and (
                is_logged_per_process(name)
                or all(_are_equal(point.value, known.get((name, point.step))) for point in points)
            )
        if not true:
            return False
    return True


def _are_equal(kept: float, value: float | None) -> bool:
    return to_stored(kept) == to_stored(value)


def _copy_tags(runs: Sequence[TrackedRun]) -> Mapping[str, str]:
    """Return the tags about code, user and machine of earlier MLflow runs of the sweep, to set on new runs."""
    known = runs[0].tags if runs else {}
    return {name: value for name, value in known.items() if name.startswith((*COMMON_TAGS, "version.", "host."))}


def _write_trial(tracker: Tracker, config: SweepConfig, space: Space, plan: _Plan) -> str:
    """Write all of a trial to MLflow: settings, curves and outcome; return a line of text that says what was done."""
    entry = plan.entry
    verdict = Verdict(entry.outcome or Outcome.INTERRUPTED, entry.reason or DIED)
    if entry.is_open:  # the end of an open trial may be half recorded
        verdict = Verdict(Outcome.INTERRUPTED, DIED)
    write_run(tracker, config, space, entry, plan.records, verdict)
    how = "completed" if plan.keep else "written anew"
    return f"trial {entry.number}: MLflow's run {how} from {plan.source}, {verdict.outcome}"


def _end_sweep_run(tracker: Tracker, config: SweepConfig, snapshot: Snapshot, own: Sequence[TrackedRun]) -> str:
    """End the sweep's own MLflow run with the recorded outcome, or else with one that the trials' outcomes imply."""
    ended = [entry for entry in snapshot.entries if not entry.is_open]
    outcome, reason = Outcome.INTERRUPTED, DIED
    if own and own[0].status != RUNNING and OUTCOME_TAG in own[0].tags:
        outcome, reason = Outcome(own[0].tags[OUTCOME_TAG]), own[0].tags.get(REASON_TAG, "")
    elif any(entry.outcome is Outcome.COMPLETED for entry in ended) and len(ended) == len(snapshot.entries):
        outcome, reason = Outcome.COMPLETED, ""
    elif len(ended) == len(snapshot.entries):
        outcome, reason = Outcome.CRASHED, NONE_COMPLETED
    tracker.end_sweep(outcome, {REASON_TAG: reason} if reason else {})
    return f"the sweep's own run: {outcome}"
