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
"""Name of the note that a worker cannot go on; the delivery has no records, and the sweep has to end."""


@dataclass(frozen=True)
class Assignment:
    """Message from the driver to a worker process: the trial to train, with configuration, folder and owner.

    Attributes:
        number: Number of the trial.
        config: Complete configuration of the trial.
        folder: Absolute path of the sweep's folder, which holds the trial's checkpoint. On a cluster all workers must
            reach the folder.
        owner: Owner of the sweep (`records.lock.read_owner`) when the trial was assigned; a worker refuses to save once
            another process owns the sweep.
        budget: Budget in environment steps that trials share; None to train the number of iterations in `config`.
        own_modules: Folder of the user's own modules, such as an environment's; None for none.
    """

    number: int
    config: SweepConfig
    folder: Path
    owner: str | None = None
    budget: Budget | None = None
    own_modules: Path | None = None


@dataclass(frozen=True)
class Delivery:
    """Message from a worker process to the driver: metrics of a trial's new iterations, and notes on the checkpoint.

    One object, since Tune takes mappings apart.

    Attributes:
        records: Iterations, oldest first.
        notes: Notes on the trial's checkpoint, by name; notes become tags.
    """

    records: Sequence[Record]
    notes: Mapping[str, str]
