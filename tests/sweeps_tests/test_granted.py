"""What was not granted is refused: cores, and seeds beyond the memory."""

import os

import pytest

from tests.conftest import Command


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set by a command that was granted fewer cores than there are, and afterwards what they were."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")


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
    monkeypatch.setattr("unstuck.sweeps.worker.memory.measure_free_memory", lambda: 10**9)
    most = int(command(*arguments, "sweep.seeds=100000").err.split("at most ")[1].split(",")[0])
    assert 100 < most < 1000  # 760 MB beside the process, 1 to 2 MB a member
    assert f"at most {most}, got {most + 1}" in command(*arguments, f"sweep.seeds={most + 1}").err
    monkeypatch.setattr("unstuck.sweeps.run.sweep.open_records", _reached)
    assert "the records were opened" in command(*arguments, f"sweep.seeds={most}").err


def _reached(*arguments: object, **named: object) -> None:
    raise InterruptedError("the records were opened")
