"""What travels between driver and worker: an assignment one way, deliveries the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sweeps.config import SweepConfig
from sweeps.record import Record

ASSIGNMENT = "assignment"
"""Key of the one entry in a Tune trial's config."""

DELIVERY = "delivery"
"""Key of a Tune result under which a worker's `Delivery` is."""


@dataclass(frozen=True)
class Assignment:
    """What a worker is given.

    Attributes:
        number: The trial's.
        config: Its complete configuration.
        folder: The sweep's, absolute: below it lies the trial's checkpoint. On a cluster all workers must reach it.
    """

    number: int
    config: SweepConfig
    folder: Path


@dataclass(frozen=True)
class Delivery:
    """What a worker reports: one object, since Tune takes mappings apart.

    Attributes:
        records: Iterations, oldest first.
        notes: What happened to the trial's checkpoint, by name; they become tags.
    """

    records: Sequence[Record]
    notes: Mapping[str, str]
