"""Who may import whom, and who may draw random numbers. Read from the source, so late and typing imports count too."""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("sweep", "unstuck", "tests", "benchmarks")

FLOORS = (  # rooms of sweeps, top to bottom: each may import the rooms below
    *("sweeps.__main__", "sweeps.run", "sweeps.audit", "sweeps.catalog", "sweeps.ray_tune", "sweeps.unstick"),
    *("sweeps.explain", "sweeps.mirror", "sweeps.trackers", "sweeps.webhook"),
    *("sweeps.champion", "sweeps.worker", "sweeps.trainers", "sweeps.screen", "sweeps.search", "sweeps.stopping"),
    "sweeps.config",
)
BELOW_SWEEPS = ("analysis", "records", "rl")

OURS_FOR = {  # room: which of ours it may import, without `unstuck.`
    "sweep": ("sweep_command",),
    "__main__": ("command",),
    "command_table": ("sweeps.__main__", "analysis.__main__", "analysis.programs"),
    "command": (
        *(
            "command_line",
            "command_table",
            "sweep_command",
            "sweeps.__main__",
            "analysis.__main__",
            "analysis.programs",
        ),
        *("records.machine", "records.provenance", "rl.wording"),
    ),
    "commands": (
        *("command_line", "commands", "command_table", "sweep_command"),
        *("sweeps.catalog", "sweeps.config", "analysis.programs"),
        *("records.as_json", "records.errors", "records.machine", "records.provenance"),
        *("rl.config", "rl.errors", "rl.machine"),
    ),
    "sweep_command": (
        "analysis.programs",
        "command_line",
        "records.machine",
        "records.provenance",
        "rl.own_modules",
        "sweeps.config",
        "sweeps.run",
    ),
    "rl": ("rl",),
    "records": ("records", "rl.metrics", "rl.errors", "rl.archive", "rl.whole_files", "rl.wording"),
    "analysis": ("analysis", "command_line", "records", "rl.metrics", "rl.wording"),
    "command_line": ("records.errors", "records.provenance", "records.redact", "rl.errors"),
    **{room: (*FLOORS[floor:], *BELOW_SWEEPS) for floor, room in enumerate(FLOORS)},
    "sweeps.__main__": (*FLOORS, *BELOW_SWEEPS, "command_line"),
    "sweeps.trainers": (*FLOORS[FLOORS.index("sweeps.trainers") :], *BELOW_SWEEPS, "probe"),
    "sweeps": (),
    "probe": ("probe", "rl", "analysis.history"),  # its log is written with the names by which logs are read
    # unstuck itself, for type checkers: nothing is loaded before it is used
    "": ("api", "results", "running", "analysis", "records.errors", "probe"),
    "api": ("analysis",),
    "results": ("analysis", "records", "rl.metrics", "sweeps.catalog", "sweeps.config"),
    "running": (
        *("analysis.overrides", "records.errors", "results"),
        *("sweeps.catalog", "sweeps.config", "sweeps.screen"),
    ),
    "sweep_process": ("sweep_command",),
}
LIBRARIES_FOR = {"rl": ("torch", "numpy", "gymnasium")}  # room: all it may import beside the standard library
ONLY_IN = {  # library: who may import it
    "ray": ("sweeps.ray_tune", "sweeps.worker.trainable"),
    "stable_baselines3": ("sweeps.trainers", "probe"),
    "optuna": ("records", "sweeps.search", "analysis.sweep.importance"),
    "mlflow": ("records.mlflow",),
    "tensorboard": ("records.event_files",),
    "wandb": ("records.wandb_files",),
    "hydra": (
        "sweep_command",
        *(f"sweeps.config.{module}" for module in ("command", "compose", "hydra_errors", "schema")),
    ),
    "omegaconf": (
        "sweep_command",
        *(f"sweeps.config.{module}" for module in ("compose", "hydra_errors")),
    ),
}

ALLOWED_OF = {  # module with a global generator: what makes generators of one's own
    "random": ("Random",),
    "numpy.random": ("BitGenerator", "Generator", "PCG64", "SeedSequence", "default_rng"),
    "torch.random": ("fork_rng",),  # draws nothing: keeps what others draw as it was
}
GLOBAL_IN_TORCH = (  # unless it is called with generator=
    *("bernoulli", "multinomial", "normal", "rand", "rand_like", "randint", "randint_like", "randn", "randn_like"),
    *("randperm", "manual_seed", "seed"),
)


class Module(NamedTuple):
    """One of the program's modules: its dotted name without `unstuck.`, the package it lies in, and its source."""

    name: str
    package: str
    tree: ast.Module


def modules(root: Path) -> list[Module]:
    """Every module of `sweep.py`, `unstuck` and the rooms below `root`."""
    found = []
    rooms = ("unstuck", "rl", "records", "sweeps", "analysis")
    for file in [*root.glob("sweep.py"), *(file for room in rooms for file in root.glob(f"{room}/**/*.py"))]:
        *folders, stem = file.relative_to(root).with_suffix("").parts
        folders = folders[1:] if folders[:1] == ["unstuck"] else folders
        package = ".".join(folders)
        name = package if stem == "__init__" else ".".join((*folders, stem))
        found.append(Module(name, package, parse(file, file.stat().st_mtime_ns)))
    return found


@functools.cache
def parse(file: Path, written_ns: int) -> ast.Module:
    """The tree of a module as it was last written, parsed once."""
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def bindings(module: Module) -> Iterator[tuple[str, str]]:
    """What the module's imports import, anywhere in it: the name that each binds, and what that stands for."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name, alias.name
        elif isinstance(node, ast.ImportFrom):
            above = module.package.split(".")[: -node.level + 1 or None] if node.level else []
            above = ["unstuck", *above] if node.level else []
            source = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                yield alias.asname or alias.name, f"{source}.{alias.name}"


def within(name: str, places: tuple[str, ...]) -> bool:
    """Whether a dotted name is one of the places, or lies in one."""
    return any(name == place or name.startswith(f"{place}.") for place in places)


def room_of(importer: str) -> str:
    """The room whose rule holds for a module: one of `sweeps`' rooms, or a package on the ground."""
    parts = importer.split(".")
    return ".".join(parts[:2]) if parts[0] == "sweeps" and len(parts) > 1 else parts[0]


def may_import(importer: str, target: str) -> bool:
    """Whether a module may import what `target` names: a module, or something in one."""
    library = target.partition(".")[0]
    if library in OURS:
        return within(target.removeprefix("unstuck."), OURS_FOR[room_of(importer)]) and library != "tests"
    room = importer.partition(".")[0]
    if room in LIBRARIES_FOR and library not in sys.stdlib_module_names:
        return library in LIBRARIES_FOR[room]
    return library not in ONLY_IN or within(importer, ONLY_IN[library])


def strays(root: Path) -> list[str]:
    """Imports that break a rule, as `importer -> target`."""
    return [
        f"{module.name} -> {target}"
        for module in modules(root)
        for _, target in bindings(module)
        if not may_import(module.name, target)
    ]


def cycle(root: Path) -> list[str]:
    """Modules of ours that import each other in a circle; empty if there are none."""
    known = modules(root)
    names = {module.name for module in known}

    def module_of(target: str) -> str:
        target = target.removeprefix("unstuck.")
        while target and target not in names:
            target = target.rpartition(".")[0]
        return target

    graph = {module.name: {module_of(target) for _, target in bindings(module)} - {""} for module in known}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def missing_names(root: Path) -> list[str]:
    """Imports of ours in the benchmarks that name nothing: types are checked in the product alone, and few run here."""
    known = {module.name: module for module in modules(root)}
    bound = {name: set(_bound_in(module)) for name, module in known.items()}
    missing = []
    for file in sorted(root.glob("benchmarks/**/*.py")):
        module = Module(str(file.relative_to(root)), "", parse(file, file.stat().st_mtime_ns))
        for _, target in bindings(module):
            holder, _, name = target.removeprefix("unstuck.").rpartition(".")
            ours = target.startswith("unstuck.") and target.removeprefix("unstuck.") not in known
            if ours and name not in bound.get(holder, set()):
                missing.append(f"{module.name} -> {target}")
    return missing


def _bound_in(module: Module) -> Iterator[str]:
    yield from (name for name, _ in bindings(module))
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


LENDS_GLOBAL = "sweeps.trainers.global_randomness"
"""Lends the global generators to other people's learners, which draw from nothing else, and takes them back."""


def global_draws(root: Path) -> list[str]:
    """Uses of a global random generator, as `module:line name`."""
    return [
        f"{module.name}:{node.lineno} {name}"
        for module in modules(root)
        if module.name != LENDS_GLOBAL
        for node, name in _uses(module)
        if _is_global(name)
    ]


def _uses(module: Module) -> Iterator[tuple[ast.expr, str]]:
    """Names and attribute chains that start at an import, such as `np.random.rand`, as `numpy.random.rand`."""
    bound = dict(bindings(module))
    calls = [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    own = {call.func for call in calls if any(keyword.arg == "generator" for keyword in call.keywords)}
    for node in ast.walk(module.tree):
        chain: list[str] = []
        inner = node
        while isinstance(inner, ast.Attribute):
            chain.insert(0, inner.attr)
            inner = inner.value
        if isinstance(node, ast.expr) and isinstance(inner, ast.Name) and node not in own:
            yield node, ".".join([bound.get(inner.id, inner.id), *chain])


def _is_global(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    if module in ALLOWED_OF:
        return attribute not in ALLOWED_OF[module]
    return module == "torch" and attribute in GLOBAL_IN_TORCH


def plant(root: Path, file: str, source: str) -> None:
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")


def test_all_rooms_are_read() -> None:
    read = {module.name for module in modules(ROOT)}
    assert {"sweep", "rl", "rl.envs.triage", "records.ledger", "sweeps", "sweeps.run.sweep", "analysis"} <= read
    assert {room_of(name) for name in read if name} <= OURS_FOR.keys()


def test_imports_stay_in_their_rooms() -> None:
    assert strays(ROOT) == []


def test_every_permit_is_used() -> None:
    imported = [(module.name, target) for module in modules(ROOT) for _, target in bindings(module)]
    for library, rooms in ONLY_IN.items():
        for room in rooms:
            used = [name for name, target in imported if target.partition(".")[0] == library and within(name, (room,))]
            assert used, f"{room} may import {library}, and does not"
    commands = ("sweep", "__main__", "command", "command_line", "commands", "sweep_command", "sweep_process")
    rooms = (*commands, "", "api", "results", "running", "probe", *BELOW_SWEEPS)
    for room in rooms:
        for permit in OURS_FOR[room]:
            used = [
                name
                for name, target in imported
                if room_of(name) == room and within(target.removeprefix("unstuck."), (permit,))
            ]
            assert used, f"{room} may import {permit}, and does not"


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert cycle(ROOT) == []


def test_types_are_checked_in_all_that_unstuck_holds() -> None:
    links = {link.name: link.resolve() for link in (ROOT / ".mypy_links/unstuck").iterdir()}
    inside = {path.name: path for path in (ROOT / "unstuck").iterdir() if path.name != "__pycache__"}
    assert links == inside | {room: ROOT / room for room in (*BELOW_SWEEPS, "sweeps", "conf")}


def test_what_the_benchmarks_import_is_there() -> None:
    assert missing_names(ROOT) == []


def test_an_import_of_a_name_that_moved_is_caught(tmp_path: Path) -> None:
    plant(tmp_path, "records/names.py", "def restore(kept): ...")
    plant(
        tmp_path, "benchmarks/study.py", "from unstuck.records import names\nfrom unstuck.records.names import restore"
    )
    assert missing_names(tmp_path) == []
    plant(tmp_path, "benchmarks/study.py", "from unstuck.records.names import restored")
    assert missing_names(tmp_path) == ["benchmarks/study.py -> unstuck.records.names.restored"]


def test_no_global_random_generator_is_used() -> None:
    assert global_draws(ROOT) == []


def test_each_package_says_what_it_is_for() -> None:
    packages = [file for room in (*BELOW_SWEEPS, "sweeps", "unstuck") for file in (ROOT / room).rglob("__init__.py")]
    silent = [str(file.relative_to(ROOT)) for file in packages if not ast.get_docstring(ast.parse(file.read_text()))]
    assert silent == []


@pytest.mark.parametrize(
    ("file", "source", "stray"),
    [
        ("sweep.py", "import unstuck.rl.learner", "sweep -> unstuck.rl.learner"),
        ("sweep.py", "from unstuck.analysis import history", "sweep -> unstuck.analysis.history"),
        ("sweeps/run/driver.py", "import sweep", "sweeps.run.driver -> sweep"),
        ("sweeps/run/driver.py", "def late():\n    from ray import tune", "sweeps.run.driver -> ray.tune"),
        ("sweeps/run/sweep.py", "import optuna.trial as t", "sweeps.run.sweep -> optuna.trial"),
        ("sweeps/mirror.py", "from mlflow import MlflowClient", "sweeps.mirror -> mlflow.MlflowClient"),
        ("sweeps/stopping/health.py", "import hydra", "sweeps.stopping.health -> hydra"),
        ("sweeps/stopping/health.py", "from tests import conftest", "sweeps.stopping.health -> tests.conftest"),
        (
            "sweeps/search/space.py",
            "from unstuck.sweeps.run import driver",
            "sweeps.search.space -> unstuck.sweeps.run.driver",
        ),
        ("records/ledger.py", "from unstuck.sweeps.config import x", "records.ledger -> unstuck.sweeps.config.x"),
        ("records/ledger.py", "from unstuck.analysis import words", "records.ledger -> unstuck.analysis.words"),
        ("analysis/plots.py", "from unstuck.rl import metrics, ppo", "analysis.plots -> unstuck.rl.ppo"),
        ("analysis/plots.py", "import unstuck.rl", "analysis.plots -> unstuck.rl"),
        ("analysis/history.py", "from unstuck.sweeps import mirror", "analysis.history -> unstuck.sweeps.mirror"),
        ("rl/learner.py", "from unstuck.records import errors", "rl.learner -> unstuck.records.errors"),
        ("rl/learner.py", "import pandas as pd", "rl.learner -> pandas"),
        ("rl/envs/gym.py", "if TYPE_CHECKING:\n    import omegaconf", "rl.envs.gym -> omegaconf"),
    ],
)
def test_a_stray_import_is_caught(tmp_path: Path, file: str, source: str, stray: str) -> None:
    plant(tmp_path, file, source)
    assert strays(tmp_path) == [stray]


@pytest.mark.parametrize(
    ("file", "source"),
    [
        (
            "unstuck/sweep_command.py",
            "import hydra\nfrom unstuck.rl.own_modules import x\nfrom unstuck.sweeps.run.sweep import run_sweep",
        ),
        ("sweeps/ray_tune/hooks.py", "import ray.tune, pandas\nfrom unstuck.rl import metrics"),
        ("sweeps/champion/stage.py", "from . import seeds\nimport unstuck.records.files"),
        ("analysis/plots.py", "import plotly\nfrom unstuck.rl import metrics\nfrom unstuck.rl.metrics import F1"),
        ("rl/envs/gym.py", "import json, torch\nfrom gymnasium.spaces import Box\nfrom ..data import types"),
    ],
)
def test_imports_within_the_rules_pass(tmp_path: Path, file: str, source: str) -> None:
    plant(tmp_path, file, source)
    assert strays(tmp_path) == []


def test_a_circle_of_late_typing_and_relative_imports_is_caught(tmp_path: Path) -> None:
    plant(tmp_path, "rl/data/__init__.py", "def late():\n    from unstuck.rl.data.split import cut")
    plant(tmp_path, "rl/data/split.py", "if TYPE_CHECKING:\n    from unstuck.rl.envs import lanes")
    plant(tmp_path, "rl/envs/lanes.py", "import numpy")
    assert cycle(tmp_path) == []
    plant(tmp_path, "rl/envs/lanes.py", "from .. import data")
    assert set(cycle(tmp_path)) == {"rl.data", "rl.data.split", "rl.envs.lanes"}


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import numpy as np\nnp.random.seed(0)", "numpy.random.seed"),
        ("import numpy\nx = numpy.random.randn(3)", "numpy.random.randn"),
        ("import numpy.random\nnumpy.random.shuffle([])", "numpy.random.shuffle"),
        ("from numpy.random import rand\ny = rand()", "numpy.random.rand"),
        ("from numpy import random as r\nr.shuffle([])", "numpy.random.shuffle"),
        ("import random\nx = random.random()", "random.random"),
        ("import torch\ntorch.manual_seed(0)", "torch.manual_seed"),
        ("import torch\ntorch.random.manual_seed(0)", "torch.random.manual_seed"),
        ("from torch import randperm\nrandperm(3)", "torch.randperm"),
    ],
)
def test_a_global_random_generator_is_caught(tmp_path: Path, source: str, name: str) -> None:
    plant(tmp_path, "rl/planted.py", source)
    assert global_draws(tmp_path) == [f"rl.planted:2 {name}"]


def test_generators_of_ones_own_pass(tmp_path: Path) -> None:
    source = """
import random
import numpy as np
import torch
own: np.random.Generator = np.random.default_rng(np.random.SeedSequence(1))
own.random(3), random.Random(1).random(), torch.rand(3, generator=own)
"""
    plant(tmp_path, "rl/planted.py", source)
    assert global_draws(tmp_path) == []


def loaded(module: str, libraries: set[str]) -> set[str]:
    """Which of the libraries a fresh process has loaded after importing a module."""
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return libraries & set(done.stdout.split())


@pytest.mark.parametrize(
    "module",
    [
        *("unstuck", "unstuck.analysis", "unstuck.rl.metrics", "unstuck.sweeps"),
        *("unstuck.records", "unstuck.records.measurement", "unstuck.records.files"),
    ],
)
def test_importing_it_loads_nothing_heavy(module: str) -> None:
    assert loaded(module, {"torch", "ray", "mlflow", "optuna", "hydra"}) == set()


def test_what_an_import_loads_is_seen() -> None:
    assert loaded("unstuck.rl.seeding", {"numpy", "torch"}) == {"numpy"}


DRIVES = """
import sys
from unstuck.sweep_command import main
refused = main("sweep.py", ["+experiment=quickstart", "sweep.folder=/dev/null/runs"])  # after all checks
heavy = sorted({"ray", "mlflow", "pandas", "scipy", "torch"} & set(sys.modules))
import unstuck.sweeps.worker.trainable
from unstuck.rl.config import EnvConfig
from unstuck.sweeps.config.settings import SweepConfig
from unstuck.sweeps.trainers import sb3
if sb3.find_spec("stable_baselines3"):
    sb3.check(SweepConfig(env=EnvConfig(id="CartPole-v1")), None)
print(refused, *heavy, "ray" in sys.modules, "torch" in sys.modules)
"""


def test_a_driver_checks_a_sweep_without_heavy_libraries_and_starts_it_without_torch() -> None:
    done = subprocess.run([sys.executable, "-c", DRIVES], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "sweep.folder must be a folder that can be written to" in done.stderr
    assert done.stdout.split() == ["2", "True", "False"]
