"""Messages between driver and worker: an assignment one way, deliveries the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unstuck.records.measurement import Record
from unstuck.rl.budget import Budget
from unstuck.sweeps.config.settings import SweepConfig

ASSIGNMENT = "assignment"
"""Key of the one entry in a Tune trial's config."""

DELIVERY = "delivery"
"""Key of a Tune result under which a worker's `Delivery` is."""

DISK_FULL = "disk_full"
"""Name of a worker's word that it cannot go on: nothing comes with it, and the sweep has to end."""


@dataclass(frozen=True)
class Assignment:
    """What a worker is given.

    Attributes:
        number: The trial's.
        config: Its complete configuration.
        folder: The sweep's, absolute: below it lies the trial's checkpoint. On a cluster all workers must reach it.
        owner: Of the sweep (`records.lock.owner`) when it was given; once another process runs it, it no longer holds.
        budget: What it shares with the other trials, in environment steps; None: iterations, as its configuration says.
    """

    number: int
    config: SweepConfig
    folder: Path
    owner: str | None = None
    budget: Budget | None = None


@dataclass(frozen=True)
class Delivery:
    """The report of a worker, in one object, since Tune takes mappings apart.

    Attributes:
        records: Iterations, oldest first.
        notes: Notes on the trial's checkpoint, by name; they become tags.
    """

    records: Sequence[Record]
    notes: Mapping[str, str]
