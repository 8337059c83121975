from typing import Any

import pytest
from unstuck.sweeps.ray_tune.ray_internals import start_ray


def test_ray_starts_without_going_through_what_it_counts_of_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread that imports Ray Tune adds to that dictionary meanwhile, which ended the start of Ray."""
    import ray
    from ray._common.usage import usage_lib
    from ray._private import node, services, worker

    def count(key: Any, _: str) -> None:
        usage_lib._recorded_extra_usage_tags[f"another of {key}"] = "1"  # as the other thread does

    ran: list[str] = []
    monkeypatch.setattr(worker, "_post_init_hooks", [usage_lib.put_pre_init_usage_stats, lambda: ran.append("other")])
    monkeypatch.setattr(usage_lib, "_internal_kv_initialized", lambda: True)
    monkeypatch.setattr(usage_lib, "_recorded_library_usages", set())
    monkeypatch.setattr(usage_lib, "_recorded_extra_usage_tags", {"one": "1"})
    monkeypatch.setattr(usage_lib, "_put_extra_usage_tag", count)
    monkeypatch.setattr(worker, "print_to_stdstream", worker.print_to_stdstream)
    name = "_build_python_executable_command_memory_profileable"
    monkeypatch.setattr(services, name, getattr(services, name))
    for start in ("start_api_server", "start_log_monitor", "start_monitor"):
        monkeypatch.setattr(node.Node, start, getattr(node.Node, start))
    monkeypatch.setattr(ray, "init", lambda **_: [hook() for hook in worker._post_init_hooks])
    with pytest.raises(RuntimeError, match="dictionary changed size during iteration"):
        ray.init()
    start_ray(1, "folder")
    assert ran == ["other"]
