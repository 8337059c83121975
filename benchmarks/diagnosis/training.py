"""Train healthy and faulty runs, and keep the records: one file for each arm, one member for each run.

Scoring reads the files, so that rules can be changed without training anything again.
"""

import hashlib
import inspect
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
from unstuck.analysis.history import History
from unstuck.rl import metrics
from unstuck.rl.config import DataConfig
from unstuck.rl.data import load_flows
from unstuck.rl.data.types import FlowData
from unstuck.rl.learner import Learner
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds

from benchmarks.diagnosis.fault import Form
from benchmarks.diagnosis.faults import FAULTS, OF_STRANGERS
from benchmarks.diagnosis.healthy import VARIANTS
from benchmarks.diagnosis.split import FAULTS_COUNT, HEALTHY_COUNT, RUNS_BY, Candidate, draw_arms
from benchmarks.diagnosis.worlds import SMALL, WORLDS, World
from benchmarks.finished import code_digest

SEEDS, BASE_SEEDS = 3, 4
"""Runs of an arm, and of each world's plain healthy arm, which harm is measured against."""

BASE = "base"
"""Name of the plain healthy arms."""

_OWN = "benchmarks."
"""Begins the name of each module of the benchmarks' own environments."""

MILD = "mild"
"""The form of a fault that may do no harm."""

HEALTHY = "healthy"
"""The form of an arm in which nothing is planted, and what such arms are drawn among."""

FAULTY = "faults"
"""What arms with a planted fault are drawn among."""


@dataclass(frozen=True)
class Arm:
    """Training runs of one fault (or healthy variant) in one world and one form; only the seeds of the runs differ.

    Attributes:
        name: The fault's, or the healthy variant's.
        world: Where it is trained.
        form: `mild`, `strong` or `healthy`.
        planted: What is set or planted.
    """

    name: str
    world: str
    form: str
    planted: Form = field(compare=False)

    @property
    def pair(self) -> str:
        """Name and world as text, `<name> in <world>`."""
        return f"{self.name} in {self.world}"

    @property
    def title(self) -> str:
        """Pair and form as text, `<name> in <world>, <form>`: one entry of the benchmark's halves."""
        return f"{self.pair}, {self.form}"

    @property
    def seeds(self) -> int:
        """Number of runs."""
        return BASE_SEEDS if self.is_healthy and self.name == BASE else SEEDS

    @property
    def is_healthy(self) -> bool:
        """True if no fault is planted in the runs of the arm."""
        return self.form == HEALTHY

    @property
    def setting(self) -> World:
        """World of the arm, changed by the settings that the arm plants."""
        return WORLDS[self.world].changed(self.planted.settings)


@dataclass(frozen=True)
class Run:
    """One run (seed) of an arm: recorded metrics and final score.

    Attributes:
        arm: Whose it is.
        seed: Its number within the arm.
        history: All that it recorded.
        score: Mean of its last three evaluations; the world's worst where its numbers are no longer finite.
    """

    arm: Arm
    seed: int
    history: History
    score: float


def arms() -> list[Arm]:
    """Return all arms of the benchmark: the healthy ones first, then each fault in each world and form."""
    healthy = [
        Arm(name, world, HEALTHY, Form(settings)) for name, (worlds, settings) in VARIANTS.items() for world in worlds
    ]
    faulty = [
        Arm(fault.name, world, form, planted)
        for fault in FAULTS.values()
        for world in fault.worlds
        for form, planted in fault.forms.items()
    ]
    return [*healthy, *faulty]


def draw_kept_out(trained: Iterable[str]) -> list[str]:
    """Draw the half of the ninth draw that is kept out, of arms whose pair no draw had trained, none in mild form.

    The first three draws trained all faults and variants that there were then in all worlds but the small ones, and
    harm has been measured by the plain runs of each world.

    Args:
        trained: Titles of the fourth draw and of later ones.
    """
    pairs = {title.rpartition(", ")[0] for title in trained}
    there = [arm for arm in arms() if arm.world in SMALL or arm.name in OF_STRANGERS]
    fresh = [arm for arm in there if arm.pair not in pairs and arm.form != MILD and arm.name != BASE]
    candidates = [Candidate(arm.name, arm.world, arm.form, _group(arm)) for arm in fresh]
    return draw_arms(candidates, {FAULTY: FAULTS_COUNT, HEALTHY: HEALTHY_COUNT})


def _group(arm: Arm) -> str:
    """Return what an arm is drawn among."""
    return HEALTHY if arm.is_healthy else FAULTY


def train(arm: Arm, seeds: int, drawn_by: int = RUNS_BY) -> dict[str, np.ndarray]:
    """Train all seeds of an arm at once; return each metric as an array `[iterations, seeds]`, NaN where missing."""
    learner = _learner(arm, seeds, drawn_by)
    kept: dict[str, np.ndarray] = {}
    count = learner.config.num_iterations
    for iteration in range(count):
        for name, values in learner.iterate().items():
            kept.setdefault(name, np.full((count, seeds), math.nan))[iteration] = values
    return kept


def records(arm: Arm, folder: Path, seeds: int | None = None, drawn_by: int = RUNS_BY) -> dict[str, np.ndarray]:
    """Load an arm's metrics, each `[iterations, seeds]`, from a file in `folder`; train the arm if there is none.

    Args:
        arm: Whose they are.
        folder: Where they are kept.
        seeds: Number of runs; None: the arm's own.
        drawn_by: Another number is another draw, with other runs.
    """
    seeds = seeds or arm.seeds
    file = find_records(arm, folder, seeds, drawn_by)
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        scratch = file.with_suffix(".tmp.npz")
        np.savez_compressed(scratch, **{_flat(name): values for name, values in train(arm, seeds, drawn_by).items()})
        scratch.replace(file)
    with np.load(file) as saved:
        return {name.replace("|", "/"): saved[name] for name in saved.files}


def find_records(arm: Arm, folder: Path, seeds: int | None = None, drawn_by: int = RUNS_BY) -> Path:
    """Return the place of an arm's records, trained or not; arguments as of `records`."""
    return folder / f"{_slug(arm)}-{_digest(arm, seeds or arm.seeds, drawn_by)}.npz"


def runs(arm: Arm, folder: Path) -> list[Run]:
    """Return an arm's runs, one for each seed; train the arm first if `folder` holds no records of the arm."""
    kept = records(arm, folder)
    return [_run(arm, seed, kept) for seed in range(arm.seeds)]


def _run(arm: Arm, seed: int, kept: Mapping[str, np.ndarray]) -> Run:
    table = table_of({name: values[:, seed] for name, values in kept.items()})
    world = arm.setting
    history = History(f"{arm.pair}, {arm.form}/{seed}", "a run of this benchmark", table, world.settings())
    return Run(arm, seed, history, score_of(table, world))


def score_of(table: pd.DataFrame, world: World) -> float:
    """Compute a run's score: mean of its last three evaluations; the world's worst if its numbers are not finite."""
    whole = len(table) == world.ppo.num_iterations and bool(np.isfinite(table[metrics.VALUE_LOSS].iloc[-1]))
    return float(table[world.score].dropna().iloc[-3:].mean()) if whole else world.worst


def table_of(member: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Build the metrics table of one seed, a row for each iteration, cut at the first row with a NaN or infinity.

    The form is that of a sweep of one seed; a loss that was logged as NaN is infinite, as `History` has it.

    Args:
        member: Metrics `[iterations]`, NaN where an iteration did not measure one, and where it did and got NaN: losses
            are measured in every iteration, gradients in those that evaluate.
    """
    own = {metrics.seed_metric(name, 0): member[name] for name in metrics.PER_SEED if name in member}
    table = pd.DataFrame({**member, **own})
    table.index = pd.Index(range(1, len(table) + 1), name="iteration")
    losses = table[list(metrics.LOSSES)]
    evaluated = table[metrics.EVAL_RETURN].notna()
    broken = np.isinf(table).any(axis=1) | losses.isna().any(axis=1)
    broken |= evaluated & table[metrics.GRAD_NORM_POLICY].isna()
    first = int(broken.to_numpy().argmax()) if broken.any() else len(table) - 1
    table = table.iloc[: first + 1].copy()
    losses = table[list(metrics.LOSSES)]
    table[list(metrics.LOSSES)] = losses.mask(losses.isna(), np.inf)
    return table


def _learner(arm: Arm, count: int, drawn_by: int) -> Learner:
    world = arm.setting
    data = flows(world.data) if world.is_triage else None
    if data is not None and arm.planted.data is not None:
        data = arm.planted.data(data)
    number = crc32(f"{drawn_by} {arm.pair} {arm.form}".encode())  # another draw is of other runs, too
    seeds, judged = make_member_seeds(number, count), make_evaluation_seed(number)
    learner = make_learner(world.ppo, world.env, seeds, judged, data)
    for plant in arm.planted.learner:
        learner = plant(learner)
    return learner


@lru_cache(maxsize=8)
def flows(config: DataConfig) -> FlowData:
    """Load the flows of a data configuration; equal configurations share one cached data set."""
    return load_flows(config)


def _digest(arm: Arm, seeds: int, drawn_by: int) -> str:
    """Return a hash of all that an arm's records depend on: settings, planted faults with code, the learner's code."""
    planted: Sequence[Callable[..., Any]] = (
        *arm.planted.learner,
        *([arm.planted.data] if arm.planted.data is not None else []),
    )
    sources = [inspect.getsource(type(one)) for one in planted]
    parts = [drawn_by, arm.setting.settings(), repr(planted), sources, seeds, code_digest()]
    module = arm.setting.env.id.partition(":")[0]
    if module.startswith(_OWN):
        parts.append(inspect.getsource(import_module(module)))
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def _slug(arm: Arm) -> str:
    return f"{arm.pair} {arm.form}".replace(" ", "-").replace("'", "")


def _flat(name: str) -> str:
    """Return a metric's name with `|` in place of `/`, for use as a name within a file."""
    return name.replace("/", "|")


def prefixes(run: Run, every: int) -> Iterator[int]:
    """Yield the iterations at which a run is diagnosed: each multiple of `every`, then the last iteration."""
    last = run.history.last_iteration
    yield from range(every, last, every)
    yield last
