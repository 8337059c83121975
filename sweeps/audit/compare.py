"""Compare ledger, MLflow and checkpoints of a sweep: a pure function from a snapshot to a list of differences.

`docs/audit.md` says in words what counts as a difference.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from unstuck.records.axis import Axis, read_last_step
from unstuck.records.entry import Entry
from unstuck.records.files import trial_name
from unstuck.records.ledger import STATES
from unstuck.records.measurement import Record
from unstuck.records.mlflow.client import PARAM_LENGTH, TAG_LENGTH, make_storable
from unstuck.records.mlflow.infinity import to_stored
from unstuck.records.mlflow.names import RENAMED, make_tags, select_written
from unstuck.records.mlflow.runs import TrackedRun
from unstuck.records.names import (
    BRANCHED_FROM,
    CRASHED_BEFORE,
    FORMAT_TAG,
    OUTCOME_TAG,
    REASON_TAG,
    RUNNING,
    choose_status,
    flatten,
)
from unstuck.records.outcome import Outcome
from unstuck.records.unstick import make_milestone_tags
from unstuck.rl import metrics
from unstuck.sweeps.audit.snapshot import SavedTrial, Snapshot

MLFLOW = "MLflow"

REPAIR = "--repair"
REWRITE = f"{REPAIR} writes it again"
RESTORE = "the ledger is the truth and cannot be derived: restore it from a copy"


class Kind(StrEnum):
    """Kinds of difference that an audit finds between a sweep's records; each value is the word that the audit prints.

    Attributes:
        LOST: One record lacks a trial that another has.
        DUPLICATE: One record has a trial twice.
        CURVE: A curve with a gap, or with a step twice.
        DISAGREEMENT: Two records say different things of a trial.
    """

    LOST = "lost"
    DUPLICATE = "duplicate"
    CURVE = "curve"
    DISAGREEMENT = "disagreement"


@dataclass(frozen=True)
class Finding:
    """One difference that an audit found between the records of a sweep: trial, description and remedy.

    Attributes:
        trial: Number of the trial; None for the sweep's own run.
        kind: Sort of the difference.
        what: Text that says what differs, with both sides.
        remedy: Text that says what to do about the difference.

    Example:
        >>> finding = Finding(7, Kind.LOST, "MLflow has no run of it, the ledger says completed", REWRITE)
        >>> str(finding)
        'trial 7: lost: MLflow has no run of it, the ledger says completed; --repair writes it again'
        >>> finding.is_mendable
        True
    """

    trial: int | None
    kind: Kind
    what: str
    remedy: str

    @property
    def is_mendable(self) -> bool:
        """True if `audit --repair` can remove the difference; False if the user has to act."""
        return self.remedy.startswith(REPAIR)

    def __str__(self) -> str:
        whose = "sweep" if self.trial is None else f"trial {self.trial}"
        return f"{whose}: {self.kind}: {self.what}; {self.remedy}"


def compare_records(snapshot: Snapshot) -> list[Finding]:
    """List the differences between a sweep's ledger (Optuna study), MLflow runs and checkpoints; empty if all agree.

    An open trial, which a resume continues, is compared as far as it went: MLflow may be behind the ledger, and may
    show the trial as running.
    """
    found = [*_check_own_run(snapshot), *_list_orphans(snapshot)]
    for number, times in Counter(entry.number for entry in snapshot.entries).items():
        if times > 1:
            found.append(Finding(number, Kind.DUPLICATE, f"the ledger has it {times} times", RESTORE))
    for entry in snapshot.entries:
        found += _check_ledger(entry)
        if snapshot.runs is not None:
            found += _check_mlflow(snapshot, entry, snapshot.runs)
        if snapshot.saved is not None:
            found += _check_checkpoint(snapshot, entry, snapshot.saved.get(entry.number, SavedTrial()))
    return found


def _check_own_run(snapshot: Snapshot) -> Iterator[Finding]:
    """Check that MLflow has one run of the sweep itself, with all trials' runs as its children; yield what is wrong."""
    if snapshot.runs is None:
        return
    own = [run for run in snapshot.runs if run.trial is None and run.parent is None]
    if not own:
        yield Finding(None, Kind.LOST, "MLflow has no run of the sweep itself", REWRITE)
    if len(own) > 1:
        listed = ", ".join(run.id for run in own)
        yield Finding(None, Kind.DUPLICATE, f"MLflow has {len(own)} runs of the sweep itself: {listed}", REWRITE)
    ids = {run.id for run in own}
    for run in snapshot.runs:
        if own and run.trial is not None and run.parent not in ids:
            what = f"MLflow's run {run.id} lies below {run.parent or 'nothing'} instead of the sweep's own run"
            yield Finding(run.trial, Kind.DISAGREEMENT, what, REWRITE)


def _list_orphans(snapshot: Snapshot) -> Iterator[Finding]:
    """Yield a finding for each trial that has an MLflow run or a folder, but no record in the ledger (Optuna study).

    Orphans are never mended: an orphan may be all that is left of a trial.
    """
    known = {entry.number for entry in snapshot.entries}
    for run in snapshot.runs or ():
        if run.trial is not None and run.trial not in known:
            what = f"MLflow has run {run.id} of it, the ledger has no such trial"
            remedy = f"restore the ledger from a copy, or drop the run: mlflow runs delete --run-id {run.id}"
            yield Finding(run.trial, Kind.LOST, what, remedy)
    for number in sorted((snapshot.saved or {}).keys() - known):
        what = f"there is a folder trials/{trial_name(number)}, the ledger has no such trial"
        yield Finding(number, Kind.LOST, what, "restore the ledger from a copy, or delete the folder")


def _check_ledger(entry: Entry) -> Iterator[Finding]:
    """Check that the Optuna study's record of a trial is consistent in itself; yield each fault as a finding."""
    if entry.is_open:
        return
    if entry.outcome is None or entry.outcome not in STATES:
        what = f"in the ledger it ended as {entry.state}, with outcome {entry.outcome or 'none'}"
        yield Finding(entry.number, Kind.DISAGREEMENT, what, RESTORE)
    elif STATES[entry.outcome].name != entry.state:
        what = f"in the ledger it is {entry.outcome}, which is {STATES[entry.outcome].name}, but ended as {entry.state}"
        yield Finding(entry.number, Kind.DISAGREEMENT, what, RESTORE)


def _check_mlflow(snapshot: Snapshot, entry: Entry, runs: Sequence[TrackedRun]) -> Iterator[Finding]:
    """Check that a trial's MLflow run agrees with Optuna study and checkpoint; yield the differences."""
    own = [run for run in runs if run.trial == entry.number]
    if not own:
        if not entry.is_open:
            yield Finding(entry.number, Kind.LOST, f"MLflow has no run of it, the ledger says {entry.outcome}", REWRITE)
        return
    if len(own) > 1:
        listed = ", ".join(run.id for run in own)
        remedy = f"{REPAIR} leaves one, whole"
        yield Finding(entry.number, Kind.DUPLICATE, f"MLflow has {len(own)} runs of it: {listed}", remedy)
        return
    run = own[0]
    yield from _compare_ends(entry, run)
    yield from _compare_parameters(entry, run)
    yield from _find_repeated_steps(entry, run, snapshot.axis)
    yield from _find_gaps(entry, run, snapshot)
    objective = _map_by_step(run, snapshot.metric)
    in_mlflow, in_ledger = _Curve(MLFLOW, objective), _Curve("the ledger", entry.curve)
    yield from _compare_curves(entry, snapshot.metric, snapshot.axis, in_mlflow, in_ledger)
    yield from _compare_history(entry, run, (snapshot.saved or {}).get(entry.number, SavedTrial()), snapshot.axis)


def _compare_ends(entry: Entry, run: TrackedRun) -> Iterator[Finding]:
    """Compare how a trial ended in Optuna and MLflow: status, outcome, reason, milestones, final metrics."""
    status, outcome = run.status, run.tags.get(OUTCOME_TAG)
    format = int(run.tags.get(FORMAT_TAG, 1))
    if entry.is_open:
        # MLflow is written last, so MLflow may lack the end of the trial.
        allowed = [Outcome.INTERRUPTED]
        if CRASHED_BEFORE in entry.notes:
            allowed.append(Outcome.CRASHED)
        statuses = (RUNNING, *(choose_status(each, format) for each in allowed))
        if status not in statuses or outcome not in (None, *allowed):
            what = f"MLflow says {status}, outcome {outcome or 'none'}; in the ledger it is open"
            yield Finding(entry.number, Kind.DISAGREEMENT, what, REWRITE)
        return
    if entry.outcome is None:
        return
    said = f"{status}, outcome {outcome or 'none'}"
    meant = f"{choose_status(entry.outcome, format)}, outcome {entry.outcome}"
    if said != meant:
        yield Finding(entry.number, Kind.DISAGREEMENT, f"MLflow says {said}; by the ledger it is {meant}", REWRITE)
    summary, of_arms = select_written(entry.summary, format), make_milestone_tags(entry.milestones)
    if BRANCHED_FROM in entry.notes:
        of_arms[BRANCHED_FROM] = entry.notes[BRANCHED_FROM]
    pairs: list[tuple[str, object, object]] = [
        (REASON_TAG, run.tags.get(REASON_TAG, ""), make_storable(entry.reason, TAG_LENGTH)),
        *((name, run.tags.get(name), make_storable(text, TAG_LENGTH)) for name, text in of_arms.items()),
        *((name, run.curves[name][-1].value if name in run.curves else None, value) for name, value in summary.items()),
    ]
    for name, theirs, ours in pairs:
        if to_stored(theirs) != to_stored(ours):
            yield Finding(
                entry.number, Kind.DISAGREEMENT, f"MLflow's {name} is {theirs!r}, the ledger's {ours!r}", REWRITE
            )


def _compare_parameters(entry: Entry, run: TrackedRun) -> Iterator[Finding]:
    for name, value in flatten(entry.values).items():
        theirs, ours = run.params.get(name), make_storable(value, PARAM_LENGTH)
        if theirs != ours and not (theirs is None and entry.is_open):
            what = f"MLflow's {name} is {theirs}, the ledger's {ours}"
            yield Finding(entry.number, Kind.DISAGREEMENT, what, REWRITE)


def _find_repeated_steps(entry: Entry, run: TrackedRun, axis: Axis) -> Iterator[Finding]:
    for name, points in run.curves.items():
        times = Counter(point.step for point in points)
        twice = sorted(step for step, count in times.items() if count > 1)
        if twice and not is_summary(name):
            yield Finding(
                entry.number, Kind.CURVE, f"MLflow's {name} has {_list_steps(twice, axis)} more than once", REWRITE
            )
            return  # one metric is enough: a step written twice is written twice for every metric


def _find_gaps(entry: Entry, run: TrackedRun, snapshot: Snapshot) -> Iterator[Finding]:
    """Check that a trial's MLflow run has a value loss for each recorded iteration, and for no other; yield faults."""
    axis, stride = snapshot.axis, snapshot.strides.get(entry.number, 1)
    steps = _map_by_step(run, metrics.VALUE_LOSS).keys()
    last = max(steps, default=0) if entry.is_open else find_last_step(entry)
    whole = range(stride, last + 1, stride)
    if missing := sorted(set(whole) - steps):
        what = f"MLflow's {metrics.VALUE_LOSS} lacks {_list_steps(missing, axis)} of {last}"
        yield Finding(entry.number, Kind.CURVE, what, REWRITE)
    if beyond := sorted(steps - set(whole)):
        what = f"MLflow's {metrics.VALUE_LOSS} has {_list_steps(beyond, axis)}, but the trial ended at {last}"
        yield Finding(entry.number, Kind.CURVE, what, REWRITE)


def _compare_history(entry: Entry, run: TrackedRun, saved: SavedTrial, axis: Axis) -> Iterator[Finding]:
    """Compare each metric's curve in a trial's MLflow run with the curve in the checkpoint; yield the differences."""
    if not has_every_iteration(saved):
        return  # `_check_checkpoint` reports the history
    records = [record for record in saved.records if entry.is_open or record.step <= find_last_step(entry)]
    yield from _compare_settings_in_force(entry, run, records)
    reaches = max((record.step for record in records), default=0)
    history: dict[str, dict[int, float]] = {}
    for record in records:
        for name, value in record.metrics.items():
            history.setdefault(name, {})[record.step] = value
    for name, ours in history.items():
        if is_logged_per_process(name):
            continue
        theirs = {step: value for step, value in _map_by_step(run, name).items() if step <= reaches}
        found = list(_compare_curves(entry, name, axis, _Curve(MLFLOW, theirs), _Curve("its checkpoint", ours)))
        if found:
            yield from found
            return  # one metric is enough: others lack the same steps


def _compare_settings_in_force(entry: Entry, run: TrackedRun, records: Sequence[Record]) -> Iterator[Finding]:
    """Compare a trial's settings as read back from the learner, in MLflow and in the checkpoint; yield faults."""
    if entry.is_open or int(run.tags.get(FORMAT_TAG, 1)) < RENAMED:
        return
    in_force = {n: value for one in records for n, value in one.metrics.items() if is_logged_per_process(n)}
    for name, ours in make_tags(in_force).items():
        if (theirs := run.tags.get(name)) != ours:
            what = f"MLflow's {name} is {theirs}, its checkpoint's {ours}"
            yield Finding(entry.number, Kind.DISAGREEMENT, what, REWRITE)


def has_every_iteration(saved: SavedTrial) -> bool:
    """True if a checkpoint's history has every iteration from 1 to the last, in order, or is empty."""
    return all(record.iteration == place for place, record in enumerate(saved.records, start=1))


def _check_checkpoint(snapshot: Snapshot, entry: Entry, saved: SavedTrial) -> Iterator[Finding]:
    """Check that a trial's checkpoint has all iterations and agrees with the Optuna study; yield faults."""
    number, metric, axis = entry.number, snapshot.metric, snapshot.axis
    steps = [record.step for record in saved.records]
    if saved.error:
        yield Finding(number, Kind.LOST, f"its checkpoint cannot be read: {saved.error}", _choose_remedy(entry))
        return
    if not steps and not entry.is_open:
        return  # the user may have deleted an ended trial's folder to free space
    if not steps and entry.curve:
        yield Finding(
            number,
            Kind.LOST,
            f"its checkpoint is gone, the ledger is at {find_last_step(entry)}",
            _choose_remedy(entry),
        )
        return
    if not has_every_iteration(saved):
        yield Finding(
            number, Kind.CURVE, f"its checkpoint has a history of {_list_steps(steps, axis)}", _choose_remedy(entry)
        )
    theirs = {record.step: record.metrics[metric] for record in saved.records if metric in record.metrics}
    # A record is saved before it is reported: if worker or driver died in between, the checkpoint is ahead.
    if entry.is_open or entry.outcome is Outcome.CRASHED:
        theirs = {step: value for step, value in theirs.items() if step <= find_last_step(entry)}
    elif steps and steps[-1] != find_last_step(entry):
        stands_at, ended_at = axis.describe_step(steps[-1]), find_last_step(entry)
        what = f"its checkpoint stands at {stands_at}, by the ledger it ended at {ended_at}"
        yield Finding(number, Kind.DISAGREEMENT, what, _choose_remedy(entry))
    in_checkpoint, in_ledger = _Curve("its checkpoint", theirs), _Curve("the ledger", entry.curve)
    yield from _compare_curves(entry, metric, axis, in_checkpoint, in_ledger)


def _choose_remedy(entry: Entry) -> str:
    """Return a text that says what the user can do about a trial's checkpoint that cannot be used."""
    if entry.is_open:
        return "a resume trains it from its start"
    return f"delete trials/{trial_name(entry.number)}: ledger and MLflow have all but its weights"


def find_last_step(entry: Entry) -> int:
    """Find the last step (iteration or environment step) of a trial that Optuna records; 0 if there is none."""
    return entry.last_step if entry.is_open else read_last_step(entry.summary, entry.last_step)


class _Curve(NamedTuple):
    """Curve of a metric in one of a trial's records: values by step, and the record's name in words."""

    holder: str
    values: Mapping[int, float]


def _compare_curves(entry: Entry, name: str, axis: Axis, one: _Curve, truth: _Curve) -> Iterator[Finding]:
    """Compare a metric's curve in a record of a trial with the same curve in the record `truth`; yield the differences.

    MLflow's curve of an open trial may lack the last steps.
    """
    (whose, theirs), (who, ours) = one, truth
    in_mlflow = whose == MLFLOW
    remedy = REWRITE if in_mlflow else _choose_remedy(entry)
    upto = max(theirs, default=0) if in_mlflow and entry.is_open else math.inf
    if missing := sorted(step for step in ours.keys() - theirs.keys() if step <= upto):
        yield Finding(
            entry.number, Kind.CURVE, f"{name} lacks {_list_steps(missing, axis)} in {whose}, not in {who}", remedy
        )
    if extra := sorted(theirs.keys() - ours.keys()):
        yield Finding(
            entry.number, Kind.CURVE, f"{name} has {_list_steps(extra, axis)} in {whose}, not in {who}", remedy
        )
    differing = [
        step for step in sorted(theirs.keys() & ours.keys()) if to_stored(theirs[step]) != to_stored(ours[step])
    ]
    if differing:
        step = differing[0]
        what = f"{name} is {theirs[step]} at {_list_steps(differing[:1], axis)} in {whose}, {ours[step]} in {who}"
        if others := len(differing) - 1:
            what += f", and differs at {others} more"
        yield Finding(entry.number, Kind.DISAGREEMENT, what, remedy)


def _map_by_step(run: TrackedRun, name: str) -> dict[int, float]:
    return {point.step: point.value for point in run.curves.get(name, ())}


def is_summary(name: str) -> bool:
    """True if a metric sums up a whole trial (`final/*`): MLflow may hold two values of it after an interruption."""
    return name.startswith(metrics.FINAL_PREFIX)


def is_logged_per_process(name: str) -> bool:
    """True if a metric is a setting read back from the learner (`effective/*`), logged at a trial's start or resume.

    Example:
        >>> is_logged_per_process("effective/lr"), is_logged_per_process("train/value_loss")
        (True, False)
    """
    return name.startswith(metrics.EFFECTIVE_PREFIX)


def _list_steps(steps: Sequence[int], axis: Axis) -> str:
    """Format step numbers as text; of more than four steps, give how many there are, the first and the last."""
    if not steps:
        return f"no {axis.unit}"
    if len(steps) == 1:
        return f"{axis.unit} {steps[0]}"
    if len(steps) <= 4:
        return f"{axis.units} {', '.join(map(str, steps))}"
    return f"{len(steps)} {axis.units} from {steps[0]} to {steps[-1]}"
