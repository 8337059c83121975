"""How much a function may take, and where private members of libraries may be used. Read from the source."""

import ast
import importlib
import inspect
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.test_layering import ROOT, Module, modules, plant

MOST_PARAMETERS = 6

PRIVATE = {  # module: the private members of a library that it alone may use; modules of the library by dotted name
    "records.optuna_internals": {
        *("optuna.storages._rdb", "_backend", "_create_new_trial", "_datetime_complete_utc", "_get_latest_trial"),
        *("_get_trials", "_is_fixed_param", "_is_relative_param", "_set_trial_param", "_storage", "_suggest"),
        *("_study_id", "_trial_id"),
    },
    "records.mlflow.mlflow_internals": {
        *("_check_run_is_active", "_get_run", "_tracking_client", "_update_latest_metrics_if_necessary"),
    },
    "sweeps.ray_tune.ray_internals": {
        *("ray._private", "_global_node", "_py_driver_sys_path", "_runtime_env_has_working_dir", "_temp_dir"),
        *("_ActorClassCache", "_build_python_executable_command_memory_profileable", "ray.air._internal"),
        *("_post_init_hooks", "ray._common.usage"),
    },
    "sweeps.config.compose": {"hydra._internal.hydra"},
    "sweeps.config.command": {"hydra._internal.utils", "_get_value_element_as_str"},
    "rl.compiling": {"torch._inductor"},
    "sweeps.trainers.torch_internals": {"_dynamo"},
    "sweeps.trainers.sb3_member": {  # what `learn` does and saves, an iteration at a time
        *("_current_progress_remaining", "_last_episode_starts", "_last_obs", "_last_original_obs", "_setup_learn"),
        *("_total_timesteps", "_update_current_progress_remaining"),
    },
    "sweeps.run.ending": {"_exit"},  # of os, and documented
}

PINNED = {
    **{"optuna": "5.0", "optuna-dashboard": "0.21", "ray": "2.60", "hydra-core": "1.3", "mlflow": "3.17"},
    "stable-baselines3": "2.9",
}
"""Minor versions whose private members, or tables, were read when the code was written."""


def wide(root: Path) -> list[str]:
    """Functions with too many parameters, as `module.function: number`; `self` and `cls` do not count."""
    found = []
    bench = [(file.stem, ast.parse(file.read_text())) for file in sorted(root.glob("benchmarks/**/*.py"))]
    for name, tree in [*((module.name, module.tree) for module in modules(root)), *bench]:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                others = [one for one in (node.args.vararg, node.args.kwarg) if one]
                count = len([one for one in named if one.arg not in ("self", "cls")]) + len(others)
                if count > MOST_PARAMETERS:
                    found.append(f"{name}.{node.name}: {count}")
    return found


def private(module: Module) -> Iterator[str]:
    """Private members of others that a module names: attributes, keywords and modules that begin with one `_`."""
    nodes = list(ast.walk(module.tree))
    attributes = [node for node in nodes if isinstance(node, ast.Attribute)]
    own = {node.attr for node in attributes if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")}
    yield from (node.attr for node in attributes if is_private(node.attr) and node.attr not in own)
    yield from (node.arg for node in nodes if isinstance(node, ast.keyword) and node.arg and is_private(node.arg))
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module and any(map(is_private, node.module.split("."))):
            yield node.module


def is_private(name: str) -> bool:
    of_named_tuples = ("_asdict", "_fields", "_replace")
    return name.startswith("_") and not name.startswith("__") and name not in of_named_tuples


def test_no_function_takes_more_than_six_parameters() -> None:
    assert wide(ROOT) == []


def test_a_seventh_parameter_is_caught(tmp_path: Path) -> None:
    plant(tmp_path, "rl/wide.py", "def six(self, a, b, c, d, e, *f): ...\ndef seven(a, b, c, d, e, *, f, **g): ...")
    assert wide(tmp_path) == ["rl.wide.seven: 7"]


def test_each_private_member_of_a_library_stands_in_one_module() -> None:
    found = {module.name: set(private(module)) for module in modules(ROOT)}
    assert {name: members for name, members in found.items() if members} == PRIVATE
    members = [member for of_one in PRIVATE.values() for member in of_one]
    assert len(members) == len(set(members))


def test_a_private_member_is_caught(tmp_path: Path) -> None:
    source = (
        "from a._b import c\nclass D:\n    def e(self, f):\n        self._own = f._not(_this=self._own, that=__name__)"
    )
    plant(tmp_path, "rl/nosy.py", source)
    (module,) = modules(tmp_path)
    assert set(private(module)) == {"a._b", "_not", "_this"}


@pytest.mark.parametrize("library", PINNED)
def test_the_range_ends_at_the_version_that_was_read(library: str) -> None:
    """Look at what `PRIVATE` lists, `records.mlflow.place` and `records.dashboard` before another version is let in."""
    assert version(library).startswith(f"{PINNED[library]}.")
    major, minor = PINNED[library].split(".")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [one for extra in project["optional-dependencies"].values() for one in extra]
    wanted = [one for one in [*project["dependencies"], *extras] if one.startswith((f"{library}>", f"{library}["))]
    assert wanted
    assert [one for one in wanted if not one.endswith(f",<{major}.{int(minor) + 1}")] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "owner", "members"),
    [
        ("optuna.storages", "RDBStorage", ("_create_new_trial", "_set_trial_param", "_get_trials")),
        ("optuna.storages._rdb.models", "TrialModel", ("_datetime_complete_utc", "state", "trial_id")),
        ("optuna.storages._rdb.models", "TrialUserAttributeModel", ("trial_id", "key", "value_json")),
        ("optuna.trial", "Trial", ("_get_latest_trial", "_is_fixed_param", "_is_relative_param", "_suggest")),
        ("stable_baselines3", "PPO", ("_setup_learn", "_update_current_progress_remaining", "collect_rollouts")),
        ("ray.job_config", "JobConfig", ("_runtime_env_has_working_dir",)),
        ("ray._private.node", "Node", ("start_api_server", "start_log_monitor", "start_monitor")),
        ("ray._private.services", "_build_python_executable_command_memory_profileable", ("__call__",)),
        ("ray.tune.execution.tune_controller", "_ActorClassCache", ("get",)),
        ("ray.tune.execution.tune_controller", "PlacementGroupResourceManager", ("request_resources",)),
        ("ray.air._internal.usage", "tag_callbacks", ("__call__",)),
        ("torch", "_dynamo", ("disable", "graph_break")),
        ("hydra._internal.hydra", "Hydra", ("get_mode",)),
        ("hydra._internal.utils", "get_args_parser", ("__call__",)),
        ("hydra.core.override_parser.types", "Override", ("_get_value_element_as_str",)),
        ("mlflow.store.tracking.dbmodels.models", "SqlRun", ("__table__", "artifact_uri", "run_uuid")),
        ("mlflow.store.tracking.dbmodels.models", "SqlExperiment", ("__table__", "artifact_location")),
        ("mlflow.store.tracking.sqlalchemy_store", "SqlAlchemyStore", ("create_run",)),
        (
            "mlflow.store.tracking.sqlalchemy_store",
            "SqlAlchemyStore",
            ("_check_run_is_active", "_get_run", "_update_latest_metrics_if_necessary", "sanitize_metric_value"),
        ),
        ("mlflow.utils.validation", "_validate_metric", ("__call__",)),
        ("torch._inductor", "compile", ("__call__",)),
    ],
)
def test_the_members_are_there(module: str, owner: str, members: tuple[str, ...]) -> None:
    found = getattr(importlib.import_module(module), owner)
    assert [member for member in members if not hasattr(found, member)] == []


@pytest.mark.slow
def test_ray_takes_the_arguments() -> None:
    from ray._common.usage import usage_lib
    from ray._private import worker
    from ray.job_config import JobConfig

    assert "_post_init_hooks.append(put_pre_init_usage_stats)" in inspect.getsource(usage_lib)
    assert "in _post_init_hooks:" in inspect.getsource(worker.init) + inspect.getsource(worker.connect)
    assert 'kwargs.pop("_temp_dir"' in inspect.getsource(worker.init)
    assert "_py_driver_sys_path" in inspect.signature(JobConfig).parameters
    assert hasattr(worker, "_global_node")
    assert "print_to_stdstream(" in inspect.getsource(worker.listen_error_messages)
