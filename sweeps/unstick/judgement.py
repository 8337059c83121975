"""Give the verdict of an unstick whose arms have ended, once: train what is missing, and record the values.

The report puts the verdict into words.
"""

from datetime import UTC, datetime

from unstuck.analysis.sweep.verdicts import Reading, add_verdict, read_verdicts
from unstuck.records.entry import Entry
from unstuck.records.ledger import Ledger
from unstuck.records.names import DATA
from unstuck.records.outcome import Outcome
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.search.space import Space
from unstuck.sweeps.unstick.verdict import Means, find_best_arm, train_fresh_runs


def give_verdict(config: SweepConfig, space: Space, ledger: Ledger, means: Means) -> None:
    """Train a stuck run's best branch and the control again, and record which is better, if not yet recorded.

    Args:
        config: Configuration of the unstick, which is the control's.
        space: Space of the arms.
        ledger: Ledger of the unstick, in which all trials have ended.
        means: Flows, cores, and where the progress goes.

    Raises:
        AnalysisError: The file of verdicts holds something else.
        CheckpointError: The run's checkpoint cannot be read.
        SweepError: A process that trained died.
    """
    entries, report = ledger.entries(), config.own_folder / "report"
    best = find_best_arm(config, space, entries)
    readings = read_verdicts(report)
    if best is None or not any(reading.trial == best.number for reading in readings.readings):
        runs = train_fresh_runs(config, space, entries, means)
        if runs is None:
            return
        chosen_among = sum(_could_be_chosen(entry) for entry in entries)
        reading = Reading(
            trial=runs.trial,
            searched=runs.searched,
            arm=runs.arm,
            control=runs.control,
            chosen_among=chosen_among,
            values=_list_changes(config, space, next(entry for entry in entries if entry.number == runs.trial)),
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            data=ledger.attributes.get(DATA),
        )
        add_verdict(report, reading)


def _could_be_chosen(entry: Entry) -> bool:
    return entry.outcome is Outcome.COMPLETED and not entry.is_control


def _list_changes(config: SweepConfig, space: Space, entry: Entry) -> dict[str, object]:
    """Return the settings in which a stuck run's branch (arm) differs from the control, by dotted path."""
    base = space.control_values(config)
    return {path: value for path, value in entry.values.items() if value != base[path]}
