"""Stages of an unstick by hand: a driver with two workers, a real sqlite file, and no Ray."""

import copy
import hashlib
import io
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import pytest
from mlflow import MlflowClient
from optuna.storages import BaseStorage, InMemoryStorage
from rich.console import Console
from sqlalchemy import event
from sqlalchemy.engine import Engine
from unstuck.records.ledger import Ledger
from unstuck.records.measurement import Record
from unstuck.records.names import ARMS, PARENT_RUN, STAGES
from unstuck.records.optuna_internals import PatientStorage
from unstuck.records.outcome import Outcome
from unstuck.records.tracker import NullTracker, SweepHeader, Tracker
from unstuck.records.unstick import StageRecord
from unstuck.rl import metrics
from unstuck.rl.config import PPOConfig
from unstuck.sweeps import mirror as mirror_module
from unstuck.sweeps.config.settings import (
    BranchConfig,
    HealthConfig,
    MilestonesConfig,
    SamplerConfig,
    SchedulerConfig,
    StudyConfig,
    SweepConfig,
    TrackingConfig,
    UnstickConfig,
)
from unstuck.sweeps.explain.diagnoses import Diagnoses
from unstuck.sweeps.mirror import Outbox, RecordedTrials, make_tracker
from unstuck.sweeps.run.driver import Driver
from unstuck.sweeps.screen.progress import Progress
from unstuck.sweeps.search import sampler as sampler_module
from unstuck.sweeps.search.kinds import Choice
from unstuck.sweeps.search.space import Space
from unstuck.sweeps.unstick.arm import ArmRecord
from unstuck.sweeps.unstick.stages import Stages, fit_budget, make_first_stage
from unstuck.sweeps.worker.assignment import Assignment

from tests.sweeps_tests.killed import Killed, die_at_each_write, story

START_MS = 1_700_000_000_000
SEEDS, ITERATIONS, BATCH = 2, 4, 1024
ARM_STEPS = SEEDS * ITERATIONS * BATCH
BASE = PPOConfig(num_iterations=ITERATIONS, eval_every=2, lr=1e-3, value_coef=0.5, entropy_coef=0.01)
SPACE = Space(
    {
        "ppo.lr": Choice((1e-3, 1.7e-3, 1.2e-3)),
        "ppo.value_coef": Choice((0.5, 1.0, 1.65)),
        "ppo.entropy_coef": Choice((0.01, 0.004)),
        "ppo.gamma": Choice((0.99, 0.9)),
        "branch.start": Choice(("checkpoint", "anew")),
        "branch.parent": Choice((None, *range(20))),
        "branch.reset": Choice(((), ("value_head",))),
    }
)
CHANGES: Sequence[Mapping[str, Any]] = (
    {},
    {"ppo.lr": 1.7e-3},
    {"ppo.value_coef": 1.0},
    {"ppo.value_coef": 1.65},
    {"ppo.gamma": 0.9, "branch.reset": ("value_head",)},
    {"ppo.entropy_coef": 0.004, "branch.start": "anew"},
)
GAINS = {"ppo.lr": 0.1, "ppo.value_coef": 0.05, "ppo.entropy_coef": 0.02, "ppo.gamma": 0.08}
"""What each change adds to the F1 of 0.2; each stage adds 0.01 more."""


def config_of(
    *, above: float = 0.9, stages: int = 2, max_env_steps: int | None = None, checks: bool = True, **study: Any
) -> SweepConfig:
    check = {"metric": "objective", "above": above, "iterations": [1, None]}
    early = {"metric": "train/value_loss", "below": 1.0, "iterations": [1, 2]}
    return SweepConfig(
        run="stuck/7",
        sweep=StudyConfig(name="mine", seeds=SEEDS, **study),
        ppo=BASE,
        branch=BranchConfig(start="checkpoint"),
        sampler=SamplerConfig(name="points", points=({},)),
        scheduler=SchedulerConfig(name="none"),
        health=HealthConfig(enabled=False),
        unstick=UnstickConfig(
            iterations=ITERATIONS,
            stages=stages,
            max_env_steps=max_env_steps,
            escalation=({"ppo": {"value_coef": 1.65, "lr": 1.2e-3, "entropy_coef": 0.004}},),
        ),
        milestones=MilestonesConfig(checks=(early, check) if checks else ()),
    )


def encode(config: SweepConfig, change: Mapping[str, Any]) -> dict[str, Any]:
    return SPACE.encode({**SPACE.control_values(config), **change})


@dataclass
class World:
    """What outlives a process: the ledger's storage, and how far the workers' checkpoints are."""

    storage: BaseStorage = field(default_factory=InMemoryStorage)
    config: SweepConfig = field(default_factory=config_of)
    changes: Sequence[Mapping[str, Any]] = CHANGES
    saved: dict[int, int] = field(default_factory=dict)
    crashing: Sequence[int] = ()
    printed: io.StringIO = field(default_factory=io.StringIO)
    waited: bool = False

    def begin(self) -> "World":
        """Study and arms of the first stage, as they are when a driver starts first."""
        arms = [ArmRecord(change, "tried", watch="eval/f1").to_json() for change in self.changes]
        stage = make_first_stage(self.config, "stuck/7 at iteration 220", len(arms), 0)
        direction = "maximize" if self.config.sweep.mode == "max" else "minimize"
        ledger = Ledger(optuna.create_study(storage=self.storage, study_name="mine", direction=direction))
        ledger.describe({ARMS: arms, STAGES: [stage.to_json()], PARENT_RUN: {"name": "stuck/7", "iteration": 220}})
        for change in self.changes:
            ledger.enqueue(encode(self.config, change))
        return self

    def open(self, tracker: Tracker | None = None) -> Driver:
        ledger = Ledger(self.study, sampler_module.make_sampler_factory(self.config.sampler, 0))
        progress = Progress(self.config, len(self.changes), Console(file=self.printed))
        trials = RecordedTrials(self.config, SPACE, ledger, progress.warn)
        outbox = Outbox(tracker or NullTracker(), trials, lambda: None, progress.warn)
        driver = Driver(self.config, len(self.changes), SPACE, ledger, outbox, progress)
        outbox.catch_up()
        return driver

    def process(self, tracker: Tracker | None = None) -> "World":
        """One process with two workers, from its start to the sweep's end or its own."""
        driver, running = self.open(tracker), dict[int, Assignment]()
        while True:
            while len(running) < 2 and (assignment := driver.propose()):
                running[assignment.number] = assignment
                if before := self.saved.get(assignment.number):
                    self.deliver(driver, running, assignment, 1, before)
            if not running:
                break
            self.waited |= driver.is_waiting
            assert not driver.is_finished
            for assignment in list(running.values()):
                first = self.saved.get(assignment.number, 0) + 1
                self.saved[assignment.number] = first + 1
                self.deliver(driver, running, assignment, first, first + 1)
        assert driver.is_finished
        assert not driver.is_waiting
        return self

    def deliver(
        self, driver: Driver, running: dict[int, Assignment], assignment: Assignment, first: int, last: int
    ) -> None:
        number = assignment.number
        if number in self.crashing:
            driver.crash(number, "ValueError: planted")
        elif not driver.judge(number, list(trained(assignment.config, first, last))):
            return
        running.pop(number, None)

    @property
    def study(self) -> optuna.Study:
        return optuna.load_study(study_name="mine", storage=self.storage)

    @property
    def stages(self) -> list[StageRecord]:
        return [StageRecord.from_json(kept) for kept in self.study.user_attrs[STAGES]]

    @property
    def story(self) -> dict[str, Any]:
        study = self.study
        return {"trials": [story(trial) for trial in study.trials], **study.user_attrs}

    def values_of(self, stage: int) -> list[dict[str, Any]]:
        """What the trials of a stage changed, in order."""
        base = SPACE.control_values(self.config)
        trials = self.study.trials
        return [
            {path: value for path, value in _read(trials[number].user_attrs["values"]).items() if value != base[path]}
            for number in self.stages[stage - 1].arms
        ]


def _read(values: Mapping[str, Any]) -> dict[str, Any]:
    return {path: tuple(value) if isinstance(value, list) else value for path, value in values.items()}


def f1_of(config: SweepConfig) -> float:
    changed = (path for path in GAINS if getattr(config.ppo, path[4:]) != getattr(BASE, path[4:]))
    return 0.2 + sum(GAINS[path] for path in changed) + (0.01 if config.branch.parent is not None else 0)


def trained(config: SweepConfig, first: int, last: int) -> Iterator[Record]:
    """What training this configuration measures: the same whenever it is done."""
    for iteration in range(first, last + 1):
        values = {metrics.VALUE_LOSS: 0.5}
        if iteration % 2 == 0:
            f1 = f1_of(config)
            values |= {metrics.F1: f1, metrics.EVAL_RETURN: 100 * f1}
            values |= {metrics.seed_metric(metrics.F1, member): f1 for member in range(SEEDS)}
        yield Record(iteration, START_MS + iteration, values)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what takes most of the time here, and no part in it."""
    monkeypatch.setattr(mirror_module, "to_yaml", lambda *_: "")
    monkeypatch.setattr(Diagnoses, "refresh_if_due", lambda *_, **__: None)


def test_the_next_stage_goes_on_from_the_best_arm() -> None:
    world = World().begin().process()
    first, second = world.stages
    assert (first.stage, first.parent, first.arms, first.env_steps) == (1, None, tuple(range(6)), 6 * ARM_STEPS)
    assert first.why == "5 arms beside the untouched control, from stuck/7 at iteration 220"
    assert (second.stage, second.parent, second.arms, second.env_steps) == (2, 1, (6, 7, 8, 9), 4 * ARM_STEPS)
    assert second.why == (
        "no arm of stage 1 passed all its milestones; trial 1 (lr 0.0017) has the best eval/f1 0.300 and passed 1 of "
        "2, so 4 arms go on from its last state"
    )
    best = {"ppo.lr": 1.7e-3, "branch.parent": 1}
    assert world.values_of(2) == [
        best,
        {**best, "ppo.gamma": 0.9, "branch.reset": ("value_head",)},  # 0.28, better than 0.25
        {**best, "ppo.value_coef": 1.0},  # the first of two equal ones; what started anew is not carried over
        {**best, "ppo.value_coef": 1.65, "ppo.entropy_coef": 0.004},  # and its lr stays
    ]
    assert len(world.study.trials) == 10
    assert all(trial.user_attrs["outcome"] == "completed" for trial in world.study.trials)
    assert [trial.user_attrs.get("control", False) for trial in world.study.trials] == [True] + [False] * 9


def test_arms_are_on_record_with_reasons_and_what_they_go_on_from() -> None:
    world = World().begin().process()
    arms = world.study.user_attrs[ARMS]
    assert [arm["stage"] for arm in arms] == [1] * 6 + [2] * 4
    assert [arm["why"] for arm in arms[6:]] == [
        "trial 1 goes on unchanged, as this stage's own control",
        "adds gamma 0.9 of trial 4 to the settings of trial 1",
        "adds value_coef 1.0 of trial 2 to the settings of trial 1",
        "adds value_coef 1.65, entropy_coef 0.004, of a combined change, to the settings of trial 1",
    ]
    carried = "Goes on from the last state of trial 1"
    assert [arm["carried"] for arm in arms[6:8]] == [f"{carried}; nothing is reset.", f"{carried}; value head anew."]
    changed = {"ppo.lr": 1.7e-3, "ppo.gamma": 0.9, "branch.parent": 1, "branch.reset": ("value_head",)}
    assert _read(arms[7]["values"]) == changed
    assert [arm["watch"] for arm in arms[6:]] == ["", "eval/f1", "eval/f1", ""]
    starts = [trial.user_attrs.get("branched_from") for trial in world.study.trials]
    assert starts == ["stuck/7 at iteration 220"] * 5 + [None] + ["trial 1"] * 4


def test_the_driver_waits_for_running_arms_and_says_what_follows() -> None:
    world = World(changes=CHANGES[:5]).begin().process()  # two at a time: the fifth runs alone
    assert world.waited
    printed = world.printed.getvalue()
    assert "stage 2: no arm of stage 1 passed all its milestones; trial 1 (lr 0.0017) has the best" in printed
    assert "trial 0 milestone 1 passed: value loss 0.5 < 1 at iteration 2" in printed
    assert "trial 0 milestone 2 missed: F1 0.2 is not > 0.9 at iteration 4" in printed
    assert "9 of 9 done" in printed


def test_no_stage_follows_an_arm_that_passed() -> None:
    world = World(config=config_of(above=0.29)).begin().process()
    assert len(world.study.trials) == 6
    assert world.stages[1].why == "trial 1 of stage 1 passed all milestones; stage 2 is not started"
    assert world.stages[1].arms == ()
    world.process()  # a resume has nothing left to do
    assert len(world.study.trials) == 6


def test_the_control_can_pass_too() -> None:
    world = World(config=config_of(above=0.1), changes=CHANGES[:1]).begin().process()
    assert world.stages[0].why == "the control, from stuck/7 at iteration 220"
    assert world.stages[1].why == "trial 0 of stage 1 passed all milestones; stage 2 is not started"


def test_without_milestones_nothing_escalates_and_nothing_waits() -> None:
    world = World(config=config_of(checks=False)).begin().process()
    assert [stage.stage for stage in world.stages] == [1]
    assert world.stages[0].why.endswith("; there are no milestones, so no further stage follows")
    assert not world.waited
    assert len(world.study.trials) == 6


def test_stages_are_as_many_as_asked_for() -> None:
    world = World(config=config_of(stages=1)).begin().process()
    assert [stage.stage for stage in world.stages] == [1]
    three = World(config=config_of(stages=3)).begin().process()
    assert [stage.parent for stage in three.stages] == [None, 1, 7]
    assert three.values_of(3)[0] == {"ppo.lr": 1.7e-3, "ppo.gamma": 0.9, "branch.parent": 7}
    # Gamma's part of the state is reset once, when gamma changes; value_coef and entropy_coef are what is left to add.
    assert three.values_of(3)[1] == {**three.values_of(3)[0], "ppo.value_coef": 1.0}


def test_the_best_control_is_followed_by_pairs_of_single_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GAINS, "ppo.lr", -0.01)
    monkeypatch.setitem(GAINS, "ppo.value_coef", -0.02)
    monkeypatch.setitem(GAINS, "ppo.gamma", -0.03)
    world = World(changes=CHANGES[:5]).begin().process()
    assert world.stages[1].parent == 0
    assert "trial 0 (nothing changed) has the best eval/f1 0.200" in world.stages[1].why
    assert world.values_of(2) == [
        {"branch.parent": 0},
        {"branch.parent": 0, "ppo.lr": 1.7e-3, "ppo.value_coef": 1.0},
        {"branch.parent": 0, "ppo.lr": 1.7e-3, "ppo.gamma": 0.9, "branch.reset": ("value_head",)},
        {"branch.parent": 0, "ppo.value_coef": 1.0, "ppo.gamma": 0.9, "branch.reset": ("value_head",)},
        {"branch.parent": 0, "ppo.value_coef": 1.65, "ppo.lr": 1.2e-3, "ppo.entropy_coef": 0.004},
    ]


def test_an_arm_that_started_anew_can_be_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GAINS, "ppo.entropy_coef", 0.5)
    world = World().begin().process()
    assert world.stages[1].parent == 5
    assert "trial 5 (entropy_coef 0.004, started anew) has the best" in world.stages[1].why
    assert world.values_of(2)[0] == {"ppo.entropy_coef": 0.004, "branch.parent": 5}  # its state is carried over now


def test_of_equal_arms_the_one_with_the_higher_return_is_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """F1 0 everywhere, as in the stuck run."""
    monkeypatch.setattr("tests.sweeps_tests.unstick.test_stages.f1_of", lambda _: 0.0)
    monkeypatch.setattr(
        "unstuck.sweeps.unstick.ranking.read_records",
        lambda folder, number: [Record(4, 0, {metrics.EVAL_RETURN: -5.0 if number == 3 else -9.0})],
    )
    world = World().begin().process()
    assert world.stages[1].parent == 3


def test_a_lower_objective_can_be_the_better_one() -> None:
    world = World(config=config_of(mode="min")).begin().process()
    assert world.stages[1].parent == 0


def test_a_crashed_arm_is_nothing_to_go_on_from() -> None:
    world = World(crashing=[1]).begin().process()
    assert world.study.trials[1].user_attrs["outcome"] == Outcome.CRASHED
    said = world.study.trials[1].user_attrs["milestones"]
    assert [(one["passed"], one["value"], one["iteration"]) for one in said] == [(False, None, 0)] * 2
    assert world.stages[1].parent == 4  # gamma, the best of those that completed


def test_arms_that_all_crashed_end_it_until_they_are_tried_again(tmp_path: Path) -> None:
    world = World(PatientStorage(f"sqlite:///{tmp_path / 'optuna.db'}"), changes=CHANGES[:2]).begin()
    driver = world.open()
    assignments = [driver.propose(), driver.propose()]
    for assignment, error in zip(assignments, ("ValueError: one", "TypeError: another"), strict=True):
        assert assignment
        driver.crash(assignment.number, error)
    assert driver.propose() is None
    assert driver.is_finished
    assert world.stages[1].why.endswith("none completed, so there is no state to go on from; stage 2 is not started")
    Ledger(world.study).reopen_crashed()
    assert all(entry.milestones == () for entry in Ledger(world.study).entries()), (
        "missed for no longer than it crashed"
    )
    world.open()  # and died at once
    assert [stage.stage for stage in world.stages] == [1]
    world.process()
    assert [(stage.stage, stage.parent) for stage in world.stages] == [(1, None), (2, 1)]
    decided = [one for entry in Ledger(world.study).entries() for one in entry.milestones]
    assert decided
    assert all(one.value is not None for one in decided)


def test_a_budget_cuts_a_stage_and_says_so() -> None:
    budget = 8 * ARM_STEPS + 1  # 6 arms of the first stage, and two more
    world = World(config=config_of(max_env_steps=budget)).begin().process()
    assert len(world.study.trials) == 8
    assert world.stages[1].env_steps == 2 * ARM_STEPS
    assert world.stages[1].why.endswith(f"; 2 more arms would exceed unstick.max_env_steps = {budget:,}")


def test_a_stage_of_a_control_alone_is_not_started() -> None:
    budget = 8 * ARM_STEPS - 1
    world = World(config=config_of(max_env_steps=budget)).begin().process()
    assert len(world.study.trials) == 6
    assert world.stages[1].why == (
        f"no arm of stage 1 passed all its milestones, but unstick.max_env_steps = {budget:,} leaves no room for two "
        "more arms; stage 2 is not started"
    )


def test_a_first_stage_that_the_budget_cuts_says_so() -> None:
    config = config_of(max_env_steps=3 * ARM_STEPS + 1)
    assert fit_budget(config, [ARM_STEPS] * 6) == 3
    stage = make_first_stage(config, "stuck/7 at iteration 220", num_arms=3, num_cut=3)
    assert stage.env_steps == 3 * ARM_STEPS
    assert stage.why.endswith(f"220; 3 more arms would exceed unstick.max_env_steps = {3 * ARM_STEPS + 1:,}")


def test_an_ordinary_sweep_has_no_stages(tmp_path: Path) -> None:
    config = SweepConfig(sweep=StudyConfig(name="plain"), sampler=SamplerConfig(name="random"))
    ledger = Ledger.create(f"sqlite:///{tmp_path / 'optuna.db'}", "plain", "eval/f1", "max", {})
    stages = Stages(config, SPACE, ledger)
    assert (stages.is_open, stages.num_added, stages.open_next()) == (False, 0, None)
    assert STAGES not in ledger.attributes


@pytest.mark.slow  # some 150 halves of a sweep
def test_killed_before_any_write_and_resumed_is_undisturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    killer, left = die_at_each_write(monkeypatch, InMemoryStorage), list[World]()
    whole = World(changes=CHANGES[:3]).begin()
    killer.keep = lambda: left.append(
        World(copy.deepcopy(whole.storage), changes=whole.changes, saved=dict(whole.saved))
    )
    undisturbed = whole.process().story
    killer.keep = None
    assert [len(stage.arms) for stage in whole.stages] == [3, 3]
    assert len(left) > 100
    for number, world in enumerate(left, 1):
        assert world.process().story == undisturbed, f"killed at write {number}"


@pytest.mark.parametrize("step", [9, 13])
def test_killed_again_and_again_is_undisturbed(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Each process gets a few writes further than the last had come."""
    undisturbed = World(changes=CHANGES[:3]).begin().process().story
    world, deaths = World(changes=CHANGES[:3]).begin(), 0
    killer = die_at_each_write(monkeypatch, InMemoryStorage)
    while deaths < 100:
        killer.at, killer.writes = step + 10, 0  # to take a trial up and to judge it takes about 10
        try:
            world.process()
            break
        except Killed:
            deaths += 1
    assert deaths > 3
    assert world.story == undisturbed


@dataclass
class Death:
    """What a process leaves that dies just before a write: the ledger's file, and the checkpoints."""

    file: Path
    saved: dict[int, int]

    def resume(self, folder: Path, changes: Sequence[Mapping[str, Any]], tracker: Tracker | None = None) -> World:
        folder.mkdir()
        shutil.copy(self.file, folder / "optuna.db")
        storage = PatientStorage(f"sqlite:///{folder / 'optuna.db'}")
        return World(storage, changes=changes, saved=dict(self.saved)).process(tracker)


def collect_deaths(world: World, file: Path, folder: Path) -> list[Death]:
    """Run a world's sweep, and keep what is there before each transaction once the first stage is trained.

    Up to the first result of the second stage, that is: what ends the last arm, the decision, the queue, the start.
    """
    deaths: list[Death] = []
    known = set[str]()
    trained_first = dict.fromkeys(range(len(world.changes)), ITERATIONS)

    def keep(_: Any) -> None:
        left = hashlib.sha256(file.read_bytes()).hexdigest()
        if left not in known and world.saved == trained_first:
            known.add(left)
            deaths.append(Death(folder / f"{len(deaths)}.db", dict(world.saved)))
            shutil.copy(file, deaths[-1].file)

    event.listen(Engine, "commit", keep)
    try:
        world.process()
    finally:
        event.remove(Engine, "commit", keep)
    return deaths


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_killed_at_any_transaction_between_two_stages_a_file_goes_on_with_one_stage(tmp_path: Path) -> None:
    whole = World(PatientStorage(f"sqlite:///{tmp_path / 'optuna.db'}"), changes=CHANGES[:2]).begin()
    deaths = collect_deaths(whole, tmp_path / "optuna.db", tmp_path)
    assert [len(stage.arms) for stage in whole.stages] == [2, 2]
    assert len(deaths) > 20
    undisturbed = whole.story
    for number, death in enumerate(deaths):
        again = death.resume(tmp_path / str(number), whole.changes)
        assert again.story == undisturbed, f"killed before transaction {number}"


@pytest.mark.slow
def test_mlflow_has_milestones_and_starts_after_a_death_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies between a milestone's record in the ledger and its tag; the checkpoint has the iterations."""
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"

    def track() -> Tracker:
        tracker = make_tracker(TrackingConfig(), tmp_path)
        tracker.start_sweep(SweepHeader("mine", "mine", 3, "eval/f1", "max"), "", {})
        return tracker

    def die(*_: Any) -> None:
        raise Killed

    world = World(changes=CHANGES[:2]).begin()
    with monkeypatch.context() as patch:
        patch.setattr("unstuck.sweeps.run.recorder.make_milestone_tags", die)
        with pytest.raises(Killed):
            world.process(track())
    assert [one["number"] for one in world.study.trials[0].user_attrs["milestones"]] == [1]
    world.process(track())
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("unstuck")
    assert experiment is not None
    tags = {run.data.tags.get("trial"): run.data.tags for run in client.search_runs([experiment.experiment_id])}
    assert tags["0"]["milestone_1"] == "passed: value loss 0.5 < 1 at iteration 2"
    assert tags["0"]["milestone_2"] == "missed: F1 0.2 is not > 0.9 at iteration 4"
    assert tags["0"]["branched_from"] == "stuck/7 at iteration 220"
    assert tags["2"]["branched_from"] == "trial 1"
    assert tags["2"]["milestone_2"].startswith("missed: F1 0.31 is not")
