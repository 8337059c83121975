"""Which signals reach what is started with them blocked. Ray's own: test_sweep.py, tests/chaos/test_killed.py."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from unstuck.sweeps.ray_tune.processes import block_signals

# A process, which starts one of its own, and says when both are there.
NESTED = "import subprocess, sys; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); p.wait()"


def hear() -> None:
    """Whoever runs the tests may ignore it, as nohup does."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def started() -> "subprocess.Popen[str]":
    process = subprocess.Popen((sys.executable, "-c", NESTED), stdout=subprocess.PIPE, text=True, preexec_fn=hear)
    assert process.stdout
    process.stdout.readline()
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_blocked_signal_does_not_end_what_is_started(number: signal.Signals) -> None:
    hearing = started()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with block_signals():
        process = started()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    for each in (hearing, process):
        each.send_signal(number)
    try:
        assert hearing.wait(4) == -number
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
    finally:
        process.kill()
    assert process.wait(4) == -signal.SIGKILL


def test_its_own_children_do_not_hear_either() -> None:
    with block_signals():
        process = subprocess.Popen((sys.executable, "-c", NESTED), stdout=subprocess.PIPE, text=True)
    assert process.stdout
    child = int(process.stdout.readline())
    status = Path(f"/proc/{child}/status").read_text()
    process.kill()
    subprocess.run(("kill", "-9", str(child)), check=True)
    blocked = int(status.partition("SigBlk:")[2].split()[0], 16)
    assert blocked & (1 << (signal.SIGTERM - 1))
