"""Cores and memory that were granted: from files made by hand, and through the command line."""

import os
from pathlib import Path

import pytest

from sweeps import machine
from sweeps.machine import Cores, free_memory, granted_cores, limit_threads
from tests.conftest import Command


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
    assert granted_cores(make(tmp_path, files)) == cores


@pytest.mark.usefixtures("many")
def test_the_tightest_limit_counts_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "800000 100000\n"})
    assert str(granted_cores(root)) == "8 cores (cgroup quota)"
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "4")
    assert str(granted_cores(root)) == "4 cores (SLURM_CPUS_PER_TASK)"
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {5}, raising=False)
    assert str(granted_cores(root)) == "1 core (CPU affinity)"


@pytest.mark.usefixtures("many")
def test_libraries_take_no_more_threads_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    limit_threads()
    assert not set(machine.THREADS) & os.environ.keys()
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # by the user
    limit_threads()
    assert [os.environ.get(name) for name in machine.THREADS] == ["2", "3", "3"]


def test_memory_is_what_is_left_to_the_cgroup(tmp_path: Path) -> None:
    v2 = {"memory.max": "1000000\n", "memory.current": "700000\n", "memory.stat": "anon 1\ninactive_file 100000\n"}
    root = make(tmp_path, {"proc/self/cgroup": "0::/\n", **{f"sys/fs/cgroup/{name}": v2[name] for name in v2}})
    assert free_memory(root) == 400_000
    v1 = {"memory.limit_in_bytes": "500000\n", "memory.usage_in_bytes": "200000\n"}
    make(tmp_path, {"proc/self/cgroup": V1, **{f"sys/fs/cgroup/memory/job/{name}": v1[name] for name in v1}})
    assert free_memory(root) == 300_000


def test_cores_beyond_those_granted_are_refused(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    done = command("+experiment=quickstart", "resources.cpus=64")
    assert done.code == 2
    assert done.err == (
        "sweep.py: error: resources.cpus must not exceed the cores that there are for this sweep, 1 core "
        "(SLURM_CPUS_PER_TASK), got 64; leave it out to use them all\n"
    )


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_the_affinity_counts(command: Command) -> None:
    """As under `taskset -c 0`."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        done = command("+experiment=quickstart", "resources.cpus_per_trial=2")
    finally:
        os.sched_setaffinity(0, before)
    assert done.code == 2
    limit = "" if os.cpu_count() == 1 else " (CPU affinity)"
    assert f"for this sweep, 1 core{limit}, got 2; lower it" in done.err


def test_seeds_beyond_the_memory_are_refused_with_the_most_that_fit(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("+experiment=quickstart", "data.num_flows=2000", "resources.cpus=1")
    refused = command(*arguments, "sweep.seeds=100000")
    assert refused.code == 2
    assert refused.err.startswith("sweep.py: error: sweep.seeds must be at most ")
    assert not (command.folder / "runs").exists()
    monkeypatch.setattr("sweeps.memory.free_memory", lambda: 10**9)
    most = int(command(*arguments, "sweep.seeds=100000").err.split("at most ")[1].split(",")[0])
    assert 100 < most < 1000  # 760 MB beside the process, 1 to 2 MB a member
    assert f"at most {most}, got {most + 1}" in command(*arguments, f"sweep.seeds={most + 1}").err
    monkeypatch.setattr("sweeps.run.open_records", _reached)
    with pytest.raises(InterruptedError):
        command(*arguments, f"sweep.seeds={most}")


def _reached(*arguments: object) -> None:
    raise InterruptedError
