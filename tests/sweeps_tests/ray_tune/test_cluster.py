"""Which door is opened to whom; what really listens is in test_security.py."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from unstuck.records.errors import SweepError
from unstuck.rl.errors import ConfigError
from unstuck.sweeps.config.settings import ResourcesConfig
from unstuck.sweeps.ray_tune import cluster as module
from unstuck.sweeps.ray_tune.cluster import Cluster, join_cluster, prepare_environment
from unstuck.sweeps.ray_tune.stop import StopRequest

ROOT = Path(__file__).parents[3]
CLUSTER = ResourcesConfig(ray_address="192.0.2.1:6379")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Neither a token nor any setting of Ray's; what is set is taken back."""
    monkeypatch.setattr(os, "environ", {"HOME": str(tmp_path), "PATH": os.environ["PATH"]})
    return monkeypatch


def test_a_cluster_of_ones_own_is_closed_whatever_the_user_has_set(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("RAY_AUTH_MODE", "disabled")
    environment.setenv("RAY_USAGE_STATS_ENABLED", "1")
    environment.setenv("RAY_RUNTIME_ENV_HOOK", "mine:hook")
    prepare_environment(ResourcesConfig())
    assert os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] == "0"
    assert "RAY_RUNTIME_ENV_HOOK" not in os.environ
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    assert os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    token = os.environ["RAY_AUTH_TOKEN"]
    prepare_environment(ResourcesConfig(), ["torch", "pandas"])
    assert os.environ["RAY_AUTH_TOKEN"] == token  # Ray keeps the first for as long as the process lives
    assert "torch,pandas" in os.environ.values()


def test_an_existing_cluster_keeps_its_own_settings(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    prepare_environment(CLUSTER)
    assert not {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"} & os.environ.keys()
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("f" * 64)
    prepare_environment(CLUSTER)
    assert os.environ["RAY_AUTH_MODE"] == "token"
    environment.setenv("RAY_AUTH_MODE", "disabled")
    prepare_environment(CLUSTER)
    assert os.environ["RAY_AUTH_MODE"] == "disabled"


def test_a_door_that_nobody_opens_is_told_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        address = f"127.0.0.1:{door.getsockname()[1]}"
    with pytest.raises(SweepError, match=rf"must be a Ray cluster that lets us in, got {address}: Connection refused;"):
        join_cluster(ResourcesConfig(ray_address=address))
    join_cluster(ResourcesConfig())


class Started:
    """What stands in for Ray: which threads have started a cluster, and whether they live."""

    def __init__(self, patch: pytest.MonkeyPatch, error: Exception | None = None) -> None:
        self.threads: list[threading.Thread] = []
        self.folders: list[Path] = []
        self.ends = 0
        self._error = error
        patch.setattr(module, "start_ray", self._start)
        patch.setattr(module, "Daemons", lambda when_dead: SimpleNamespace(end=self._end))

    def _start(self, cpus: int, folder: str) -> None:
        self.threads.append(threading.current_thread())
        self.folders.append(Path(folder).parent)
        if self._error:
            raise self._error

    def _end(self) -> None:
        assert all(one.is_alive() for one in self.threads)  # Linux ends Ray's processes with the thread
        self.ends += 1


@pytest.fixture
def alone(tmp_path: Path, environment: pytest.MonkeyPatch) -> Cluster:
    return Cluster(ResourcesConfig(), 2, tmp_path, StopRequest())


def test_ray_starts_once_in_a_thread_that_lives_until_its_end(alone: Cluster, environment: pytest.MonkeyPatch) -> None:
    ray = Started(environment)
    with alone:
        alone.begin()
        alone.begin()
        assert alone.wait() == f"{ray.folders[0]}/tune"
        assert ray.folders[0].is_dir()
        (thread,) = ray.threads
        assert thread is not threading.main_thread()
        assert thread.is_alive()
    thread.join(5)
    assert not thread.is_alive()
    assert (ray.ends, ray.folders[0].exists()) == (1, False)


def test_ray_ends_where_records_could_not_be_opened_meanwhile(alone: Cluster, environment: pytest.MonkeyPatch) -> None:
    ray = Started(environment)
    with alone:  # nobody waits
        alone.begin()
    assert (ray.ends, ray.folders[0].exists()) == (1, False)


def test_a_ray_that_does_not_start_is_told_where_it_is_waited_for(
    alone: Cluster, environment: pytest.MonkeyPatch
) -> None:
    ray = Started(environment, RuntimeError("The node is full.\nMore lines."))
    alone.begin()
    with pytest.raises(SweepError, match=r"Ray must start, and did not: The node is full; leave the machine"):
        alone.wait()
    alone.end()
    assert (ray.ends, ray.folders[0].exists()) == (0, False)


def test_nothing_ends_where_nothing_began(alone: Cluster, environment: pytest.MonkeyPatch) -> None:
    ray = Started(environment)
    with alone:
        pass
    assert (ray.threads, ray.ends) == ([], 0)


@pytest.mark.slow
@pytest.mark.chaos
@pytest.mark.timeout(200)
def test_one_that_is_no_rays_is_told_in_one_line(tmp_path: Path) -> None:
    """It answers and says nothing. Ray's own lines, and its minutes of patience, are nobody's."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        address = f"127.0.0.1:{door.getsockname()[1]}"
        command = [sys.executable, str(ROOT / "sweep.py"), "+experiment=quickstart", f"resources.ray_address={address}"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=150)
    assert done.returncode == 2
    assert done.stderr == (
        f"sweep.py: error: resources.ray_address must be a Ray cluster that lets us in, got {address}: Timed out while "
        "waiting for GCS to become available; `ray start --head` starts one, and RAY_AUTH_TOKEN is its token\n"
    )
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ["local", "ray://head:10001", "head", "head:", "me:secret@head:1", "::1:6379"])
def test_an_address_is_host_and_port(address: str) -> None:
    with pytest.raises(ConfigError, match=r"^resources\.ray_address must be HOST:PORT, or auto .*, got "):
        ResourcesConfig(ray_address=address)


@pytest.mark.parametrize("address", ["auto", "head:6379", "10.0.0.1:6379", "[::1]:6379", None])
def test_addresses(address: str | None) -> None:
    assert ResourcesConfig(ray_address=address).ray_address == address
