"""Whether a sweep's records agree, and what to do where they do not: `python -m sweeps audit NAME`."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sweeps.champion import load_sweep
from sweeps.compare import Finding, compare
from sweeps.config import SweepConfig, check_name
from sweeps.layout import sweep_folder
from sweeps.ledger import Entry, Ledger
from sweeps.lock import is_running
from sweeps.lock import running as held
from sweeps.mlflow_runs import adopt_runs, settle_runs
from sweeps.records import identify
from sweeps.redact import refuse_masked
from sweeps.repair import repair
from sweeps.snapshot import Snapshot, take

SETTLES_S = 2.0
"""For a trial of a running sweep to be written everywhere."""


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        name: The sweep.
        snapshot: What was compared.
        findings: What differs.
        is_running: Whether a process runs the sweep.
    """

    name: str
    snapshot: Snapshot
    findings: list[Finding]
    is_running: bool

    @property
    def is_clean(self) -> bool:
        """Whether nothing differs. Open trials are no difference: a resume goes on with them."""
        return not self.findings

    def describe(self) -> Iterator[str]:
        """In words: a line for each difference and for each open trial, then all in one line."""
        yield from map(str, self.findings)
        for entry in self._open():
            at = self.snapshot.axis.at(entry.last_step) if entry.curve else "its start"
            how = "running" if self.is_running else f"open; resume={self.name} goes on with it"
            yield f"trial {entry.number}: at {at}, {how}"
        outcomes = Counter(str(entry.outcome) for entry in self.snapshot.entries if not entry.is_open)
        counts = [f"{count} {outcome}" for outcome, count in outcomes.most_common()]
        counts += [f"{count} open"] if (count := len(self._open())) else []
        trials = f"{self.name}: {len(self.snapshot.entries)} trials ({', '.join(counts) or 'none'})"
        compared = (
            "the ledger, MLflow and the checkpoints"
            if self.snapshot.runs is not None
            else ("the ledger and the checkpoints (tracking=none)")
        )
        number = len(self.findings)
        verdict = f"{compared} agree" if self.is_clean else f"{number} difference{'s' if number > 1 else ''}"
        yield f"{trials}: {verdict}"

    def as_json(self) -> str:
        """The same for a program."""
        return json.dumps(
            {
                "sweep": self.name,
                "trials": len(self.snapshot.entries),
                "open": [entry.number for entry in self._open()],
                "findings": [asdict(finding) for finding in self.findings],
            },
            indent=2,
        )

    def _open(self) -> list[Entry]:
        return [entry for entry in self.snapshot.entries if entry.is_open]


def find_sweep(name: str, folder: Path, optuna_url: str | None = None, mlflow_url: str | None = None) -> SweepConfig:
    """The configuration of a sweep, with the URLs of its databases.

    Args:
        name: Its name, or its folder.
        folder: Where sweeps are, for a name.
        optuna_url: The ledger, where its URL holds a password (which the sweep's folder does not keep).
        mlflow_url: MLflow, likewise.

    Raises:
        ConfigError: No sweep can have this name.
        SweepError: There is no such sweep; or a password is needed.
    """
    if os.sep not in name:
        check_name("a sweep's name", name)
    config = load_sweep((Path(name) if os.sep in name else folder / name).absolute())
    tracking = replace(
        config.tracking,
        optuna_url=optuna_url or config.tracking.optuna_url,
        mlflow_url=mlflow_url or config.tracking.mlflow_url,
    )
    refuse_masked("--optuna-url", tracking.optuna_url)
    refuse_masked("--mlflow-url", tracking.mlflow_url)
    return replace(config, tracking=tracking)


def audit(config: SweepConfig) -> Audit:
    """Compare all records of a sweep.

    Args:
        config: The sweep's.

    Raises:
        SweepError, TrackingError: A record cannot be read.
    """
    snapshot = take(config)
    findings = compare(snapshot)
    running = is_running(sweep_folder(config))
    if findings and running:  # a trial may have ended while its records were read: what differs still, differs
        time.sleep(SETTLES_S)
        snapshot = take(config)
        findings = [finding for finding in compare(snapshot) if finding in findings]
    return Audit(str(config.sweep.name), snapshot, findings, running)


def mend(config: SweepConfig) -> list[str]:
    """Repair a sweep's records; returns what was done, a line each.

    Raises:
        SweepError: A process runs the sweep; a record cannot be read.
        TrackingError: MLflow cannot be written.
    """
    with held(sweep_folder(config)):
        ledger = Ledger.of(config)
        config = identify(config, ledger)
        if config.format == 1 and config.tracking.name == "mlflow":
            adopt_runs(config, {entry.run_id for entry in ledger.entries()})
        settle_runs(config)
        snapshot = take(config)
        return repair(config, snapshot, compare(snapshot))
