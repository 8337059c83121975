"""Cores and memory that were granted, from files made by hand."""

import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
from unstuck.records import machine
from unstuck.records.machine import (
    Cores,
    collect_garbage_seldom,
    count_granted_cores,
    limit_threads,
    measure_free_memory,
)


def make(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that a command may set are afterwards what they were."""
    for name in machine.THREADS:
        monkeypatch.setenv(name, os.environ.get(name, ""))
        monkeypatch.delenv(name)


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 64 cores, all of which this process may use."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)), raising=False)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)


QUOTA = Cores(2, "cgroup quota")
V1 = "4:memory:/job\n3:cpu,cpuacct:/job\n1:name=systemd:/\n"


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        pytest.param({}, Cores(64), id="no cgroups"),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, QUOTA, id="container"),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, Cores(64), id="no limit"),
        pytest.param(
            {
                "proc/self/cgroup": "0::/slice/job\n",
                "sys/fs/cgroup/slice/job/cpu.max": "max 100000\n",
                "sys/fs/cgroup/slice/cpu.max": "250000 100000\n",
                "sys/fs/cgroup/cpu.max": "max 100000\n",
            },
            QUOTA,
            id="the group above, two cores and a half",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/../../host/path\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"},
            Cores(1, "cgroup quota"),
            id="another namespace, half a core",
        ),
        pytest.param(
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            QUOTA,
            id="version 1",
        ),
        pytest.param(
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            QUOTA,
            id="version 1, the host's path",
        ),
    ],
)
@pytest.mark.usefixtures("many")
def test_a_quota_grants_whole_cores(tmp_path: Path, files: dict[str, str], cores: Cores) -> None:
    assert count_granted_cores(make(tmp_path, files)) == cores


@pytest.mark.usefixtures("many")
def test_the_tightest_limit_counts_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "800000 100000\n"})
    assert str(count_granted_cores(root)) == "8 cores (cgroup quota)"
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "4")
    assert str(count_granted_cores(root)) == "4 cores (SLURM_CPUS_PER_TASK)"
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {5}, raising=False)
    assert str(count_granted_cores(root)) == "1 core (CPU affinity)"


@pytest.mark.usefixtures("many")
def test_libraries_take_no_more_threads_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    limit_threads()
    assert not set(machine.THREADS) & os.environ.keys()
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # by the user
    limit_threads()
    assert [os.environ.get(name) for name in machine.THREADS] == ["2", "3", "3"]


def test_garbage_in_cycles_is_found_seldom_but_found() -> None:
    class Node:
        own: "Node"

    before = gc.get_threshold()
    try:
        collect_garbage_seldom()
        gc.collect()
        node = Node()
        node.own, gone = node, weakref.ref(node)
        del node
        kept: list[list[int]] = []
        while gone() is not None and len(kept) < 200_000:
            kept.append([])
        assert 10_000 < len(kept) < 60_000
    finally:
        gc.set_threshold(*before)


def test_no_garbage_is_looked_for_as_the_process_exits() -> None:
    looked_for = """
class Node:
    def __del__(self):
        print("found")
node = Node()
node.own = node
"""
    found = []
    for first in ("", "from unstuck.records.machine import collect_garbage_seldom; collect_garbage_seldom()"):
        run = subprocess.run([sys.executable, "-c", first + looked_for], capture_output=True, text=True, check=True)
        found.append(run.stdout)
    assert found == ["found\n", ""]


def test_memory_is_what_is_left_to_the_cgroup(tmp_path: Path) -> None:
    v2 = {"memory.max": "1000000\n", "memory.current": "700000\n", "memory.stat": "anon 1\ninactive_file 100000\n"}
    root = make(tmp_path, {"proc/self/cgroup": "0::/\n", **{f"sys/fs/cgroup/{name}": v2[name] for name in v2}})
    assert measure_free_memory(root) == 400_000
    v1 = {"memory.limit_in_bytes": "500000\n", "memory.usage_in_bytes": "200000\n"}
    make(tmp_path, {"proc/self/cgroup": V1, **{f"sys/fs/cgroup/memory/job/{name}": v1[name] for name in v1}})
    assert measure_free_memory(root) == 300_000
