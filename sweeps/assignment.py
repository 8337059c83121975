"""What travels between driver and worker: a configuration one way, records the other."""

from dataclasses import dataclass

from sweeps.config import SweepConfig

ASSIGNMENT = "assignment"
"""Key of the one entry in a Tune trial's config."""

RECORDS = "records"
"""Key of a Tune result under which a worker reports its iterations, each a `sweeps.record.Record`."""


@dataclass(frozen=True)
class Assignment:
    """What a worker is given: a trial's number and its complete configuration."""

    number: int
    config: SweepConfig
