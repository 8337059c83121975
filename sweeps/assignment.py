"""What travels between driver and worker: an assignment one way, deliveries the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rl.budget import Budget
from sweeps.config import SweepConfig
from sweeps.record import Record

ASSIGNMENT = "assignment"
"""Key of the one entry in a Tune trial's config."""

DELIVERY = "delivery"
"""Key of a Tune result under which a worker's `Delivery` is."""

CHECKPOINT, RESUMED_FROM, RESUMED_EXACTLY = NOTES = "checkpoint", "resumed_from", "resumed_exactly"
"""Names of a worker's notes: what went wrong with the checkpoint; after which iteration it went on; `false` if not bit
for bit, since lanes had to start anew or libraries are of other versions."""


DISK_FULL = "disk_full"
"""Name of a worker's word that it cannot go on: nothing comes with it, and the sweep has to end."""


@dataclass(frozen=True)
class Assignment:
    """What a worker is given.

    Attributes:
        number: The trial's.
        config: Its complete configuration.
        folder: The sweep's, absolute: below it lies the trial's checkpoint. On a cluster all workers must reach it.
        owner: Of the sweep (`sweeps.lock.owner`) when it was given; once another process runs it, it no longer holds.
        budget: What it shares with the other trials, in environment steps; None: iterations, as its configuration says.
    """

    number: int
    config: SweepConfig
    folder: Path
    owner: str | None = None
    budget: Budget | None = None


@dataclass(frozen=True)
class Delivery:
    """What a worker reports: one object, since Tune takes mappings apart.

    Attributes:
        records: Iterations, oldest first.
        notes: What happened to the trial's checkpoint, by name; they become tags.
    """

    records: Sequence[Record]
    notes: Mapping[str, str]
