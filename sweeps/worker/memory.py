"""Check that free memory holds all learners that train at the same time."""

from collections.abc import Callable

from unstuck.records.errors import SweepError
from unstuck.records.machine import measure_free_memory
from unstuck.rl.data import FlowData
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.trainers.kinds import find_trainer

PROCESS_BYTES = 230 * 2**20
"""Memory that a worker does not share with other processes before any training."""


def require_memory(
    config: SweepConfig, data: FlowData | None, seeds: int, processes: int = 1, setting: str = "sweep.seeds"
) -> None:
    """Raise `SweepError` if all members (seeds) that train at the same time need more than the free memory.

    Args:
        config: Settings of the sweep.
        data: Flows to train on; None for an environment without.
        seeds: Number of members that train together.
        processes: Number of such groups of members that train at the same time.
        setting: Name of the setting that sets the number of seeds.

    Raises:
        SweepError: The members do not fit; the message has the largest number that fits.
    """
    compute_bytes = _make_estimate(config, data, processes)
    free, takes = measure_free_memory(), compute_bytes(seeds)
    if takes <= free:
        return
    most = seeds + (free - takes) // (takes - compute_bytes(seeds - 1))
    while most > 0 and compute_bytes(most) > free:
        most -= 1
    holds = f"{_format_gigabytes(free)} of memory are free" + (
        f" for {processes} trials at a time" if processes > 1 else ""
    )
    rule = f"{setting} must be at most {most}" if most > 0 else "the memory that is free must hold what trains"
    remedy = f"lower {setting}" if most > 0 else "make room"
    raise SweepError(
        f"{rule}, got {seeds}, for which {_format_gigabytes(takes)} are needed: {holds}; {remedy}"
        + (" or resources.cpus" if processes > 1 else "")
    )


def count_fitting_members(config: SweepConfig, data: FlowData | None, most: int, processes: int) -> int:
    """Count how many members (seeds) can train together in each of several processes; at least those of one trial.

    Args:
        config: Settings of the trial, whose members have trained together before.
        data: Flows to train on; None for an environment without.
        most: Number of members beyond which more are not wanted.
        processes: Number of processes that train at the same time.
    """
    compute_bytes, free = _make_estimate(config, data, processes), measure_free_memory()
    fitting = most
    while fitting > config.sweep.seeds and compute_bytes(fitting) > free:
        fitting -= 1
    return max(fitting, config.sweep.seeds)


def _make_estimate(config: SweepConfig, data: FlowData | None, processes: int) -> Callable[[int], int]:
    """Make a function from number of members (seeds) in each process to the memory in bytes that all processes take."""
    estimate = find_trainer(config.trainer.name).estimate_memory(config, data)
    return lambda members: processes * (PROCESS_BYTES + estimate(members))


def _format_gigabytes(count: int) -> str:
    return f"{count / 1e9:,.1f} GB"
