"""Compare and mend a sweep's records: `python -m unstuck.sweeps audit NAME`."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from unstuck.records.as_json import format_json
from unstuck.records.entry import Entry
from unstuck.records.ledger import Ledger
from unstuck.records.lock import hold_lock, is_running
from unstuck.records.mlflow.runs import adopt_runs, settle_runs
from unstuck.sweeps.audit.compare import Finding, compare_records
from unstuck.sweeps.audit.repair import repair_runs, repair_trackers
from unstuck.sweeps.audit.snapshot import Snapshot, read_snapshot
from unstuck.sweeps.config.identity import identify
from unstuck.sweeps.config.settings import SweepConfig

SETTLES_S = 2.0
"""Seconds after which a trial of a running sweep is written everywhere."""


@dataclass(frozen=True)
class Audit:
    """Result of checking that ledger (Optuna study), MLflow and checkpoints of a sweep agree: records and differences.

    Attributes:
        name: Name of the sweep.
        snapshot: Records that were compared.
        findings: Differences between the records.
        is_running: True if a process runs the sweep.
    """

    name: str
    snapshot: Snapshot
    findings: list[Finding]
    is_running: bool

    @property
    def is_clean(self) -> bool:
        """True if the audit found no difference between the Optuna study, MLflow and the checkpoints.

        Open trials are no difference: a resume goes on with open trials.
        """
        return not self.findings

    def describe(self) -> Iterator[str]:
        """Yield an audit's result as lines of text: each difference, each unfinished trial, counts and a conclusion."""
        yield from map(str, self.findings)
        for entry in self._list_open():
            at = self.snapshot.axis.describe_step(entry.last_step) if entry.curve else "its start"
            how = "running" if self.is_running else f"open; resume={self.name} goes on with it"
            yield f"trial {entry.number}: at {at}, {how}"
        outcomes = Counter(str(entry.outcome) for entry in self.snapshot.entries if not entry.is_open)
        counts = [f"{count} {outcome}" for outcome, count in outcomes.most_common()]
        counts += [f"{count} open"] if (count := len(self._list_open())) else []
        trials = f"{self.name}: {len(self.snapshot.entries)} trials ({', '.join(counts) or 'none'})"
        compared = (
            "the ledger, MLflow and the checkpoints"
            if self.snapshot.runs is not None
            else ("the ledger and the checkpoints (tracking=none)")
        )
        number = len(self.findings)
        verdict = f"{compared} agree" if self.is_clean else f"{number} difference{'s' if number > 1 else ''}"
        yield f"{trials}: {verdict}"

    def to_json(self) -> str:
        """Convert an audit's result to JSON text: the sweep's name, number of trials, open trials, differences."""
        return format_json(
            {
                "sweep": self.name,
                "trials": len(self.snapshot.entries),
                "open": [entry.number for entry in self._list_open()],
                "findings": [asdict(finding) for finding in self.findings],
            }
        )

    def _list_open(self) -> list[Entry]:
        return [entry for entry in self.snapshot.entries if entry.is_open]


def audit_sweep(config: SweepConfig) -> Audit:
    """Compare a sweep's ledger (Optuna study), MLflow runs and checkpoints; return the differences as an `Audit`.

    Args:
        config: Settings of the sweep.

    Raises:
        SweepError, TrackingError: A record cannot be read.
    """
    snapshot = read_snapshot(config)
    findings = compare_records(snapshot)
    running = is_running(config.own_folder)
    if findings and running:  # a trial may have ended while the records were read, so only differences that last count
        time.sleep(SETTLES_S)
        snapshot = read_snapshot(config)
        findings = [finding for finding in compare_records(snapshot) if finding in findings]
    return Audit(str(config.sweep.name), snapshot, findings, running)


def mend_sweep(config: SweepConfig) -> list[str]:
    """Correct a sweep's MLflow runs to agree with Optuna study and checkpoints; return a line of text for each change.

    Trackers beside MLflow get the trials that they lack.

    Raises:
        SweepError: A process runs the sweep; a record cannot be read.
        TrackingError: MLflow cannot be written.
    """
    with hold_lock(config.own_folder):
        ledger = Ledger.open_sweep(config.reference)
        config = identify(config, ledger)
        if config.format == 1 and config.tracking.name == "mlflow":
            adopt_runs(config.reference, {entry.run_id for entry in ledger.entries()})
        settle_runs(config.reference)
        snapshot = read_snapshot(config)
        done = repair_runs(config, snapshot, compare_records(snapshot))
        return [*done, *repair_trackers(config, ledger)]
