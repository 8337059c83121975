"""Start Ray for one sweep on a cluster that nobody else can reach, or join a cluster that is there already."""

import itertools
import logging
import os
import secrets
import socket
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unstuck.records.errors import SweepError
from unstuck.records.machine import THREADS, Cores
from unstuck.sweeps.config.settings import ResourcesConfig
from unstuck.sweeps.ray_tune.processes import Daemons, block_signals
from unstuck.sweeps.ray_tune.scratch import scratch_folder
from unstuck.sweeps.ray_tune.stop import StopRequest

if TYPE_CHECKING:
    from ray.job_config import JobConfig

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9",  # even "usage reporting is off" is a report of Ray's
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

_JOINING = {  # a cluster that does not let us in is asked once, for some 20 s in all; Ray's own patience is minutes
    "RAY_NUM_REDIS_GET_RETRIES": "1",
    "RAY_py_gcs_connect_timeout_s": "10",
}

_ANSWERS_WITHIN_S = 5.0

RAY_DIED = "Ray's own processes have died (was memory short? was one killed?)"

_QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}


def prepare_environment(resources: ResourcesConfig) -> None:
    """Set the variables that Ray and Tune read, some of them while they are imported."""
    os.environ.update(_ENVIRONMENT)
    if resources.ray_address is None:
        os.environ.update(_CLOSED)
        os.environ.update(dict.fromkeys(THREADS, "1"))  # of a worker: see `rl.threads`
        # Made up, and known to the sweep's own processes alone: Ray's default would lie in ~/.ray, for all to read.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    else:
        os.environ.update(_JOINING)
        if _has_token():  # a cluster without tokens lets us in just the same
            os.environ.setdefault("RAY_AUTH_MODE", "token")


def find_import_path() -> list[str]:
    """Where this process looks for modules before it looks in Python's own library, absolute, in its order."""
    library = Path(sysconfig.get_path("stdlib"))
    zipped = library.parent / f"python{sys.version_info.major}{sys.version_info.minor}.zip"
    own = itertools.takewhile(lambda entry: Path(entry) not in (library, zipped), sys.path)
    return [os.path.abspath(entry) for entry in own]


def _make_job_config() -> "JobConfig":
    """What workers are told of this process: they import what it imports."""
    from ray.job_config import JobConfig

    # Ray puts each in front of those before.
    job = JobConfig(_py_driver_sys_path=find_import_path()[::-1])
    # Else Ray puts the working directory in front of all, and a `rl/` or a `sweeps.py` there would hide ours.
    job._runtime_env_has_working_dir = lambda: True  # type: ignore[method-assign]
    return job


def _has_token() -> bool:
    """True if the user has a token where Ray looks for one."""
    named = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(named) or Path("~/.ray/auth_token").expanduser().exists()


def join_cluster(resources: ResourcesConfig) -> Cores | None:
    """Join the existing cluster that the settings name, if they do: before anything is on record.

    Returns:
        Its cores; None where a sweep has a cluster of its own.

    Raises:
        SweepError: Nothing answers there, or it does not let us in.
    """
    if resources.ray_address is None:
        return None
    host, _, port = resources.ray_address.rpartition(":")
    if host:  # else auto: Ray knows by itself
        try:
            socket.create_connection((host.strip("[]"), int(port)), _ANSWERS_WITHIN_S).close()
        except OSError as error:
            raise _make_cluster_error(resources, error.strerror or str(error)) from error
    prepare_environment(resources)
    import ray

    try:
        with _silence_stderr():  # each of Ray's attempts is a line on the screen, whatever its log level
            ray.init(address=resources.ray_address, job_config=_make_job_config(), **_QUIET)
    except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
        cause = error.__cause__ or error.__context__ or error
        reason = str(cause).strip().splitlines()[-1].rpartition("RpcError: ")[2].rstrip(".")
        raise _make_cluster_error(resources, reason) from None
    known: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return Cores(int(known.get("CPU", 1)), "all of the cluster's")


@contextmanager
def _silence_stderr() -> Iterator[None]:
    """Drop writes to the descriptor 2, also those from outside Python."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def _make_cluster_error(resources: ResourcesConfig, reason: str) -> SweepError:
    return SweepError(
        f"resources.ray_address must be a Ray cluster that lets us in, got {resources.ray_address}: {reason}; "
        "`ray start --head` starts one, and RAY_AUTH_TOKEN is its token"
    )


@contextmanager
def ray_cluster(resources: ResourcesConfig, slots: int, folder: Path, stop: StopRequest) -> Iterator[str]:
    """Ray, up; `join_cluster` and `prepare_environment` come first.

    Args:
        resources: Names the cluster, or none.
        slots: Trials that run at the same time.
        folder: The sweep's.
        stop: Keeps Ray's end from being interrupted; gives up if Ray's own processes die.

    Yields:
        A folder for Tune's own files. It goes with the sweep.

    Raises:
        SweepError: It does not start.
    """
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    # Nobody else gets into it. Ray opens its own folder, sockets and all, to every user: so it lies below this one.
    with scratch_folder(folder) as scratch:
        end = ray.shutdown
        try:
            if resources.ray_address is None:
                _start(slots * resources.cpus_per_trial, f"{scratch}/r")
                end = Daemons(when_dead=lambda: stop.force_exit(RAY_DIED)).end
            yield f"{scratch}/tune"
        finally:
            with stop.ignore_signals():
                end()


def _start(cpus: int, folder: str) -> None:
    import ray

    try:
        with block_signals():
            ray.init(
                address="local",
                num_cpus=cpus,
                _temp_dir=folder,
                include_dashboard=False,
                job_config=_make_job_config(),
                **_QUIET,
            )
    except Exception as error:  # Ray raises no other, where its processes take more than 30 s to answer
        reason = str(error).partition("\n")[0].rstrip(".")
        raise SweepError(f"Ray must start, and did not: {reason}; leave the machine more room") from error
