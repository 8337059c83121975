"""Read how many cores and how much memory the process may use, out of all that the machine has."""

import atexit
import gc
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil
from unstuck.rl.wording import pluralize

SLURM = "SLURM_CPUS_PER_TASK"

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables that the libraries below numpy and torch read on loading."""


@dataclass(frozen=True)
class Cores:
    """Number of CPU cores that the process may use, and the limit that sets the number.

    Attributes:
        count: Number of cores, at least 1.
        limit: Name of the limit that sets the number; empty if the process may use all cores of the machine.

    Example:
        >>> print(Cores(2, "cgroup quota"))
        2 cores (cgroup quota)
    """

    count: int
    limit: str = ""

    def __str__(self) -> str:
        return pluralize(self.count, "core") + (f" ({self.limit})" if self.limit else "")


def count_granted_cores(root: Path = Path("/")) -> Cores:
    """Count the CPU cores that the process may use: the least that machine, affinity, cgroup and Slurm allow.

    Args:
        root: Folder that holds `proc` and `sys`.
    """
    found = [Cores(os.cpu_count() or 1)]
    if hasattr(os, "sched_getaffinity"):  # Linux
        found.append(Cores(len(os.sched_getaffinity(0)), "CPU affinity"))
    found += [Cores(max(1, int(quota)), "cgroup quota") for quota in _list_quotas(root)]
    slurm = os.environ.get(SLURM, "")
    if slurm.isdecimal() and int(slurm):
        found.append(Cores(int(slurm), SLURM))
    return min(found, key=lambda cores: cores.count)


def measure_free_memory(root: Path = Path("/")) -> int:
    """Measure how many bytes of memory are free for the process and its children, by machine and cgroup limits.

    Args:
        root: Folder that holds `proc` and `sys`.
    """
    return min([int(psutil.virtual_memory().available), *_memory_left(root)])


def limit_threads() -> None:
    """Limit the threads of numeric libraries to the usable cores, by those variables in `THREADS` not set yet.

    Nothing is set if no limit grants fewer cores than the machine has.
    """
    cores = count_granted_cores()
    if cores.limit:  # without a limit the libraries count cores by themselves
        for name in THREADS:
            os.environ.setdefault(name, str(cores.count))


def collect_garbage_seldom() -> None:
    """Make Python collect garbage after 50,000 new objects instead of 700, and not as the process exits, to save time.

    The libraries of a sweep make a million objects that stay, and each look at them takes time: a tenth of all that a
    process computes, and 3 s of a core at the exit.
    """
    gc.set_threshold(50_000, 20, 20)
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)


def _list_quotas(root: Path) -> Iterator[float]:
    for folder in _list_cgroups(root, "cpu"):
        words = _read_words(folder / "cpu.max") or (
            *_read_words(folder / "cpu.cfs_quota_us"),
            *_read_words(folder / "cpu.cfs_period_us"),
        )
        if len(words) == 2 and all(word.isdecimal() for word in words):  # else `max`, or -1: no limit
            yield int(words[0]) / int(words[1])


def _memory_left(root: Path) -> Iterator[int]:
    for folder in _list_cgroups(root, "memory"):
        limit = _read_words(folder / "memory.max") or _read_words(folder / "memory.limit_in_bytes")
        used = _read_words(folder / "memory.current") or _read_words(folder / "memory.usage_in_bytes")
        if limit and used and limit[0].isdecimal():
            stat = _read_words(folder / "memory.stat")
            cached = dict(zip(stat[::2], stat[1::2], strict=False)).get("inactive_file", "0")  # given back when needed
            yield max(0, int(limit[0]) - int(used[0]) + int(cached))


def _list_cgroups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of the process's cgroups (version 1 or 2), innermost first, for a resource."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # no Linux
        return
    mounts = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            mount = mounts / controllers if (mounts / controllers).is_dir() else mounts / controller
        elif not controllers:
            mount = mounts
        else:
            continue
        inside = PurePosixPath(path.lstrip("/"))
        # In a container the path may be the host's, which is not there: the mount itself is the container's then.
        yield from (mount / level for level in (inside, *inside.parents) if ".." not in level.parts)


def _read_words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []
