"""Start Ray for one sweep on a cluster that nobody else can reach, or join a cluster that is there already."""

import logging
import os
import secrets
import socket
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

from unstuck.records.errors import SweepError
from unstuck.records.machine import THREADS, Cores
from unstuck.sweeps.config.settings import ResourcesConfig
from unstuck.sweeps.ray_tune.processes import Daemons, block_signals
from unstuck.sweeps.ray_tune.ray_internals import QUIET, make_job_config, start_ray
from unstuck.sweeps.ray_tune.scratch import scratch_folder
from unstuck.sweeps.ray_tune.stop import StopRequest

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9",  # Ray would report even that usage reporting is off
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # `sweeps.ray_tune.stop` handles signals (ray#50358)
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # no snapshots: a resume starts from the ledger (ray#30838)
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
_CLOSED = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on Linux too: Ray's ports listen on loopback only
    "RAY_AUTH_MODE": "token",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # workers are processes of this environment; no agent makes another
}
"""Variables for a cluster that the sweep starts; an existing cluster keeps the settings it was started with."""

_ASKING = ("RAY_RUNTIME_ENV_HOOK", "RAY_JOB_CONFIG_JSON_ENV_VAR")
"""Variables by which a driver asks a cluster for another environment, as a job of another cluster may have them."""

_IMPORTED_AT_START = "RAY_preload_python_modules"
"""Variable that names modules which workers import as they start; Ray's own spelling."""

_JOINING = {  # by default Ray asks a cluster that refuses the driver for minutes; so for some 20 s in all
    "RAY_NUM_REDIS_GET_RETRIES": "1",
    "RAY_py_gcs_connect_timeout_s": "10",
}

_ANSWERS_WITHIN_S = 5.0

RAY_DIED = "Ray's own processes have died (was memory short? was one killed?)"


def prepare_environment(resources: ResourcesConfig, libraries: Sequence[str] = ()) -> None:
    """Set environment variables for Ray and Ray Tune in `os.environ`; call before the first import of Ray.

    Args:
        resources: Settings that name an existing cluster, or none.
        libraries: Libraries that workers of a cluster of one's own import as they start.
    """
    os.environ.update(_ENVIRONMENT)
    if resources.ray_address is None:
        os.environ.update(_CLOSED)
        for name in _ASKING:
            os.environ.pop(name, None)
        os.environ.update(dict.fromkeys(THREADS, "1"))  # threads of a worker; see `records.machine`
        os.environ[_IMPORTED_AT_START] = ",".join(libraries)
        # A random token that only the sweep's processes know: Ray's default token lies in ~/.ray, for all to read.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    else:
        os.environ.update(_JOINING)
        if _has_token():  # a cluster without tokens ignores the token
            os.environ.setdefault("RAY_AUTH_MODE", "token")


def _has_token() -> bool:
    """True if the user has stored an access token for a Ray cluster where Ray looks for one."""
    named = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(named) or Path("~/.ray/auth_token").expanduser().exists()


def join_cluster(resources: ResourcesConfig) -> Cores | None:
    """Connect to the Ray cluster at `resources.ray_address`; return the cluster's cores, or None if no address is set.

    Args:
        resources: Settings that name the cluster, or none.

    Returns:
        Cores of the cluster; None for a sweep that starts Ray itself.

    Raises:
        SweepError: Nothing answers at the address, or the cluster does not let the driver in.
    """
    if resources.ray_address is None:
        return None
    host, _, port = resources.ray_address.rpartition(":")
    if host:  # else `auto`: Ray finds the address
        try:
            socket.create_connection((host.strip("[]"), int(port)), _ANSWERS_WITHIN_S).close()
        except OSError as error:
            raise _make_cluster_error(resources, error.strerror or str(error)) from error
    prepare_environment(resources)
    import ray

    try:
        with _silence_stderr():  # Ray prints a line for each attempt, at any log level
            ray.init(address=resources.ray_address, job_config=make_job_config(), **QUIET)
    except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
        cause = error.__cause__ or error.__context__ or error
        reason = str(cause).strip().splitlines()[-1].rpartition("RpcError: ")[2].rstrip(".")
        raise _make_cluster_error(resources, reason) from None
    known: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return Cores(int(known.get("CPU", 1)), "all of the cluster's")


@contextmanager
def _silence_stderr() -> Iterator[None]:
    """Hide all that is written to the error output inside the block, also by code outside Python."""
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


class Cluster:
    """Ray cluster for one sweep, started here or joined; shuts Ray down at the end of the `with` block.

    Ray starts in a thread of its own, since starting takes seconds of waiting. The thread lives as long as Ray: Linux
    ends Ray's processes with the thread that started them. `join_cluster` comes first.

    Args:
        resources: Settings that name an existing cluster, or none.
        slots: Number of trials that run at the same time.
        folder: Folder of the sweep.
        stop: Stop request, which shields Ray's shutdown from signals and forces the exit if Ray's processes die.
        libraries: Libraries that Ray's workers import as they start.

    Attributes:
        slots: Number of trials that run at the same time.
        stop: The stop request.
    """

    def __init__(
        self, resources: ResourcesConfig, slots: int, folder: Path, stop: StopRequest, libraries: Sequence[str] = ()
    ) -> None:
        self.slots, self.stop = slots, stop
        self._resources, self._folder, self._libraries = resources, folder, libraries
        self._scratch: Path | None = None
        self._until_end = ExitStack()
        self._started: Future[None] | None = None
        self._is_over = Event()

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self) -> None:
        """Start Ray in a background thread, unless already started; the sweep's folder must be locked.

        Raises:
            SweepError: A folder for temporary files cannot be made.
        """
        if self._scratch is not None:
            return
        prepare_environment(self._resources, self._libraries)
        import ray  # in this thread: two threads that import at once may find each other's modules half made

        logging.getLogger("ray").setLevel(logging.ERROR)
        logging.getLogger("ray.tune.tune").setLevel(logging.CRITICAL)  # lists what crashed, amidst the live view
        # Ray opens its folder, sockets included, to every user (ray#4593); the scratch folder is closed to others.
        self._scratch = self._until_end.enter_context(scratch_folder(self._folder))
        if self._resources.ray_address is not None:
            self._until_end.callback(ray.shutdown)
            return
        self._started = Future()
        self._until_end.callback(self._is_over.set)
        Thread(target=self._start, args=(self._started,), daemon=True).start()

    def wait(self) -> str:
        """Wait until Ray has started, and return the folder for Tune's own files, removed with the sweep.

        Raises:
            SweepError: Ray does not start.
        """
        self.begin()
        if self._started is not None:
            self._started.result()
            self._started = None
            self._until_end.callback(Daemons(when_dead=lambda: self.stop.force_exit(RAY_DIED)).end)
        return f"{self._scratch}/tune"

    def end(self) -> None:
        """Shut Ray down, and remove the folder for temporary files; nothing if Ray does not run."""
        with self.stop.ignore_signals():
            if self._started is not None:  # nobody has waited
                with suppress(SweepError):
                    self._started.result()
                    self._until_end.callback(Daemons(when_dead=lambda: None).end)
                self._started = None
            self._until_end.close()

    def _start(self, started: "Future[None]") -> None:
        """Start Ray in the present thread, report by `started`, and keep the thread alive until Ray ends."""
        try:
            with block_signals():
                start_ray(self.slots * self._resources.cpus_per_trial, f"{self._scratch}/r")
        except Exception as error:  # Ray raises a plain Exception if its processes take more than 30 s to answer
            reason = str(error).partition("\n")[0].rstrip(".")
            wanted = SweepError(f"Ray must start, and did not: {reason}; leave the machine more room")
            wanted.__cause__ = error
            started.set_exception(wanted)
        else:
            started.set_result(None)
        self._is_over.wait()
