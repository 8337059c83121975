"""Ray for the time of a sweep: a cluster of its own that nobody else can reach, or one that is there already."""

import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sweeps.config import ResourcesConfig

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # sweeps.stop has its own
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # a resume starts from the ledger, never from Tune's snapshots
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
_CLOSED = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on Linux too: Ray's ports listen on loopback only
    "RAY_AUTH_MODE": "token",
}
"""For a cluster of one's own; one that is there already has settings of its own."""

_LONGEST_TEMP_DIR = 24
"""A socket's path may hold 107 characters, and Ray's lie 83 below the folder for temporary files."""


def prepare_environment(resources: ResourcesConfig) -> None:
    """Set what Ray and Tune read from the environment, some of it when they are imported."""
    os.environ.update(_ENVIRONMENT)
    if resources.ray_address is None:
        os.environ.update(_CLOSED)
        # Made up, and known to the sweep's own processes alone: Ray's default would lie in ~/.ray, for all to read.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    # Workers start in folders of their own and must find these packages.
    root = str(Path(__file__).parent.parent)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))


@contextmanager
def ray_cluster(resources: ResourcesConfig, slots: int) -> Iterator[str]:
    """Ray, up; `prepare_environment` comes first.

    Args:
        resources: Names the cluster, or none.
        slots: Trials that run at the same time.

    Yields:
        A folder for Tune's own files. It goes with the sweep.
    """
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    # mkdtemp lets nobody else in. Ray opens its own folder, sockets and all, to every user: so it lies below this one.
    scratch = tempfile.mkdtemp(
        prefix="unstuck-", dir=None if len(tempfile.gettempdir()) <= _LONGEST_TEMP_DIR else "/tmp"
    )
    own: dict[str, Any] = {}
    if resources.ray_address is None:
        own = {"num_cpus": slots * resources.cpus_per_trial, "_temp_dir": f"{scratch}/r", "include_dashboard": False}
    try:
        ray.init(address=resources.ray_address or "local", log_to_driver=False, logging_level=logging.ERROR, **own)
        yield f"{scratch}/tune"
    finally:
        ray.shutdown()
        shutil.rmtree(scratch, ignore_errors=True)
