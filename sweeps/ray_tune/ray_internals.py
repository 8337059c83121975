"""Start Ray and find Ray's processes, by members of Ray that are private; no other module uses one.

The members are those of Ray 2.60, the minor version to which pyproject.toml is pinned; a test checks each of them.
"""

import itertools
import logging
import os
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess

    from ray.job_config import JobConfig

QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
"""Arguments of `ray.init` by which Ray prints errors alone."""


_UNNEEDED = ("start_api_server", "start_log_monitor", "start_monitor")
"""Methods that start processes of Ray that no sweep needs: each costs a second of a core, and `ray.init` waits for one.

Without the dashboard the API server reports usage alone, which is off; no log goes to the driver; nothing scales.
"""


def find_import_path() -> list[str]:
    """Return the folders of `sys.path` that precede Python's standard library, as absolute paths in order."""
    library = Path(sysconfig.get_path("stdlib"))
    zipped = library.parent / f"python{sys.version_info.major}{sys.version_info.minor}.zip"
    own = itertools.takewhile(lambda entry: Path(entry) not in (library, zipped), sys.path)
    return [os.path.abspath(entry) for entry in own]


def make_job_config() -> "JobConfig":
    """Make Ray's job configuration by which workers import the same modules as the main process."""
    from ray.job_config import JobConfig

    # Ray puts each entry in front of the entries before.
    job = JobConfig(_py_driver_sys_path=find_import_path()[::-1])
    # Else Ray puts the working directory first (ray#17518), where a user's `sweeps.py` would hide this project's.
    job._runtime_env_has_working_dir = lambda: True  # type: ignore[method-assign]
    return job


_IDLE_AGENT = Path(__file__).with_name("idle_agent.py")


def start_ray(cpus: int, folder: str) -> None:
    """Start Ray on the local machine, with Ray's files in the given folder; raise whatever error Ray raises."""
    import ray
    from ray._common.usage import usage_lib
    from ray._private import node, services, worker

    # Nobody is told of usage. As Ray goes through what it has counted, another thread that imports Ray Tune adds to it,
    # which ended the start: "dictionary changed size during iteration".
    worker._post_init_hooks = [one for one in worker._post_init_hooks if one is not usage_lib.put_pre_init_usage_stats]
    for start in _UNNEEDED:
        setattr(node.Node, start, lambda *_, **__: None)
    # Begins the commands of the raylet's two agents, which come before the agents' own files.
    services._build_python_executable_command_memory_profileable = lambda *_, **__: [
        *(sys.executable, "-S", "-E", str(_IDLE_AGENT))
    ]
    # Else Ray prints the log of its raylet into the live view when the raylet dies, which the driver says in a line.
    worker.print_to_stdstream = lambda *_, **__: None
    ray.init(
        address="local",
        num_cpus=cpus,
        _temp_dir=folder,
        include_dashboard=False,
        job_config=make_job_config(),
        **QUIET,
    )


def leave_out_usage() -> None:
    """Keep Ray Tune from importing W&B, Comet and MLflow only to count who uses these libraries."""
    from ray.air._internal import usage

    telemetry: Any = usage
    telemetry.tag_callbacks = lambda callbacks: True


class _PlainClasses:
    """Replacement for Ray Tune's cache of actor classes that adds no environment variables to workers."""

    def get(self, trainable: type) -> Any:
        """Return Ray's actor class for a trainable class, with no environment variables added."""
        import ray

        return ray.remote(trainable)


def use_started_workers() -> None:
    """Make Ray Tune train in the workers that Ray has started already, which Tune would replace by new ones.

    For one machine alone. A placement group, and variables of an actor's own, each ask for new processes.
    """
    from ray.air.execution import FixedResourceManager
    from ray.tune.execution import tune_controller

    controller: Any = tune_controller
    controller.PlacementGroupResourceManager = FixedResourceManager
    controller._ActorClassCache = _PlainClasses


def find_processes() -> "Mapping[str, Sequence[subprocess.Popen[bytes]]]":
    """Return the processes that `start_ray` has started, as lists by Ray's name of the kind, such as `raylet`."""
    from ray._private import worker

    started = worker._global_node.all_processes  # type: ignore[attr-defined]  # typed as None
    return {name: [info.process for info in infos] for name, infos in started.items()}
