"""What stands in for Ray's agents writes the ports that the raylet waits for, and ends with the raylet."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from unstuck.sweeps.ray_tune import idle_agent
from unstuck.sweeps.ray_tune.idle_agent import NOT_IN_USE, PORTS

START = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); sys.stdin.read()"


@pytest.mark.parametrize(
    ("words", "ports"), [(["--grpc-port=0"], PORTS[:3]), (["--runtime-env-agent-port=0"], PORTS[3:])]
)
def test_an_idle_agent_writes_its_ports_and_ends_with_the_process_that_started_it(
    words: list[str], ports: tuple[str, ...], tmp_path: Path
) -> None:
    agent = [sys.executable, "-S", "-E", idle_agent.__file__, "agent.py", "--node-id=7", f"--session-dir={tmp_path}"]
    raylet = subprocess.Popen(
        [sys.executable, "-c", START, *agent, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert raylet.stdout
    process = psutil.Process(int(raylet.stdout.readline()))
    expected = {f"{port}_7": NOT_IN_USE for port in ports}
    while {file.name for file in tmp_path.iterdir()} != expected.keys():
        assert process.is_running()
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == expected
    raylet.communicate("")
    process.wait(10)


def test_ray_names_the_ports_so() -> None:
    raylet = pytest.importorskip("ray._raylet")
    names = ("METRICS_AGENT", "METRICS_EXPORT", "DASHBOARD_AGENT_LISTEN", "RUNTIME_ENV_AGENT")
    assert tuple(getattr(raylet, f"{name}_PORT_NAME") for name in names) == PORTS
    assert raylet.get_port_filename("ab" * 28, PORTS[0]) == f"{PORTS[0]}_{'ab' * 28}"
