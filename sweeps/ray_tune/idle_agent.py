"""Stand in for one of Ray's two agents, which no sweep asks: `python idle_agent.py agent.py --node-id=... ...`.

Ray's raylet starts both agents, waits until each has written the numbers of its ports, and ends with either. One
serves a dashboard, the other makes environments that a worker asks for: sweeps have neither. Each takes a second of a
core while the workers start. The file imports nothing of ours, so that it starts in a moment.
"""

import os
import sys
import time
from pathlib import Path

PORTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
"""Ray's names of the agents' ports."""

NOT_IN_USE = "-1"
"""Port that Ray writes for a service that is not there."""

_PAUSE_S = 0.5


def main() -> None:
    """Write that no port is in use where the raylet looks for ports, then wait until the raylet has ended."""
    told = dict(word.split("=", 1) for word in sys.argv if word.startswith("--") and "=" in word)
    raylet = int(os.environ.get("RAY_RAYLET_PID", os.getppid()))  # which may have ended before this line
    is_for_environments = "--runtime-env-agent-port" in told
    for name in PORTS[3:] if is_for_environments else PORTS[:3]:
        file = Path(told["--session-dir"], f"{name}_{told['--node-id']}")
        temporary = file.with_name(f".{file.name}.{os.getpid()}")
        temporary.write_text(NOT_IN_USE)
        temporary.replace(file)
    while os.getppid() == raylet:
        time.sleep(_PAUSE_S)


if __name__ == "__main__":
    main()
