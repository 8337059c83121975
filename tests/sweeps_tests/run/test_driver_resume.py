"""A sweep whose process dies at any write goes on to what it would have been. Driven by hand, with one worker."""

import copy
import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from mlflow import MlflowClient
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from optuna.trial import TrialState
from rich.console import Console
from unstuck.records.ledger import Ledger
from unstuck.records.measurement import Record
from unstuck.records.mlflow.mlflow_internals import insert_metrics
from unstuck.records.outcome import Outcome
from unstuck.records.tracker import NullTracker, SweepHeader, Tracker
from unstuck.rl import metrics
from unstuck.rl.config import PPOConfig
from unstuck.sweeps import mirror as mirror_module
from unstuck.sweeps.config.settings import (
    HealthConfig,
    SamplerConfig,
    SchedulerConfig,
    StudyConfig,
    SweepConfig,
    TrackingConfig,
)
from unstuck.sweeps.explain.diagnoses import Diagnoses
from unstuck.sweeps.mirror import Outbox, RecordedTrials, make_tracker
from unstuck.sweeps.run.driver import Driver
from unstuck.sweeps.screen.progress import Progress
from unstuck.sweeps.search import sampler as sampler_module
from unstuck.sweeps.search.kinds import Choice, Log
from unstuck.sweeps.search.space import Space
from unstuck.sweeps.stopping.live_trial import LiveTrial, TrialDiagnosis
from unstuck.sweeps.worker.assignment import Assignment

from tests.sweeps_tests.killed import Killed, Killer, die_at_each_write, story

START_MS = 1_700_000_000_000
SPACE = Space({"ppo.lr": Log(1e-5, 1e-1), "ppo.minibatch_size": Choice((48, 64, 128))})
NUM_TRIALS = 7
CONFIG = SweepConfig(
    sweep=StudyConfig(name="mine", seeds=2, seed=2),
    ppo=PPOConfig(num_iterations=8, eval_every=2),
    sampler=SamplerConfig(name="tpe", num_startup_trials=3),
    scheduler=SchedulerConfig(grace_iterations=2, reduction_factor=2, spared_share=0.2),
    health=HealthConfig(enabled=False),
)


@dataclass
class World:
    """What outlives a process: the ledger's storage, and the workers' checkpoints."""

    storage: BaseStorage
    tracker: Callable[[], Tracker] = NullTracker
    saved: dict[int, int] = field(default_factory=dict)
    assigned: dict[int, Assignment] = field(default_factory=dict)
    loses_checkpoints: bool = False
    num_trials: int = NUM_TRIALS

    def process(self) -> None:
        """One process, from its start to the sweep's end or its own."""
        names = optuna.get_all_study_names(self.storage)
        if CONFIG.sweep.name not in names:
            optuna.create_study(storage=self.storage, study_name=CONFIG.sweep.name, direction="maximize")
        study = optuna.load_study(storage=self.storage, study_name=CONFIG.sweep.name)
        ledger = Ledger(study, sampler_module.make_sampler_factory(CONFIG.sampler, CONFIG.sweep.seed))
        control = SPACE.encode({"ppo.lr": 1e-3, "ppo.minibatch_size": 64})
        if control not in ledger.raw_parameters().values():
            ledger.enqueue(control)
        progress = Progress(CONFIG, self.num_trials, Console(file=io.StringIO()))
        trials = RecordedTrials(CONFIG, SPACE, ledger, progress.warn)
        outbox = Outbox(self.tracker(), trials, lambda: None, progress.warn)
        driver = Driver(CONFIG, self.num_trials, SPACE, ledger, outbox, progress)
        outbox.catch_up()  # as a sweep does first
        if self.loses_checkpoints:
            self.saved.clear()
        while assignment := driver.propose():
            self.train(driver, assignment)
        assert driver.is_finished

    def train(self, driver: Driver, assignment: Assignment) -> None:
        """As a worker: what the checkpoint has first, then each period saved before it is delivered."""
        number, ended = assignment.number, False
        self.assigned[number] = assignment
        before = self.saved.get(number, 0)
        if before:
            ended = bool(driver.judge(number, list(trained(assignment, 1, before)), {"resumed_from": str(before)}))
        while not ended:
            first = self.saved.get(number, 0) + 1
            self.saved[number] = first + 1
            ended = bool(driver.judge(number, list(trained(assignment, first, first + 1))))

    def read_checkpoint(self, folder: Path, number: int) -> list[Record]:
        """As `read_records`: what the trial's checkpoint has."""
        done = self.saved.get(number, 0)
        return list(trained(self.assigned[number], 1, done)) if done else []

    def copy(self) -> "World":
        """What a process leaves that dies now."""
        return replace(self, storage=copy.deepcopy(self.storage), saved=dict(self.saved))

    def trials(self) -> list[dict[str, Any]]:
        return [story(trial) for trial in optuna.load_study(storage=self.storage, study_name="mine").trials]


def trained(assignment: Assignment, first: int, last: int) -> Iterator[Record]:
    """What training this configuration measures: the same whenever it is done."""
    lr = assignment.config.ppo.lr
    for iteration in range(first, last + 1):
        values = {metrics.VALUE_LOSS: math.nan if lr > 0.002 and iteration == 3 else 0.5}
        if iteration % 2 == 0:
            f1 = (1 - abs(math.log10(lr) + 3) / 2) * iteration / 8
            values |= {metrics.F1: f1, metrics.EVAL_RETURN: 100 * f1}
            values |= {metrics.seed_metric(metrics.F1, member): f1 + 0.01 * member for member in range(2)}
        yield Record(iteration, START_MS + iteration, values)


@pytest.fixture(autouse=True)
def no_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes most of the time here, and no part in it."""
    monkeypatch.setattr(mirror_module, "to_yaml", lambda *_: "")


@pytest.fixture(scope="module")
def remembered() -> dict[str, TrialDiagnosis]:
    """Diagnoses by what they are made of: hundreds of sweeps here see the same trials."""
    return {}


@pytest.fixture(autouse=True)
def diagnose_once(monkeypatch: pytest.MonkeyPatch, remembered: dict[str, TrialDiagnosis]) -> None:
    original = Diagnoses._diagnose

    def diagnose(diagnoses: Diagnoses, trial: LiveTrial) -> TrialDiagnosis:
        key = repr((trial.number, trial.config, trial.records))
        if key not in remembered:
            remembered[key] = original(diagnoses, trial)
        return remembered[key]

    monkeypatch.setattr(Diagnoses, "_diagnose", diagnose)


@pytest.fixture
def killer(monkeypatch: pytest.MonkeyPatch) -> Killer:
    return die_at_each_write(monkeypatch, InMemoryStorage)


@pytest.fixture
def undisturbed() -> list[dict[str, Any]]:
    world = World(InMemoryStorage())
    world.process()
    return world.trials()


def test_the_sweep_has_every_kind_of_end(undisturbed: list[dict[str, Any]]) -> None:
    outcomes = [trial["attributes"]["outcome"] for trial in undisturbed]
    assert set(outcomes) == {"completed", "pruned", "diverged", "infeasible"}
    assert len(outcomes) - outcomes.count("infeasible") == NUM_TRIALS


@pytest.mark.slow  # some 200 halves of a sweep
@pytest.mark.timeout(180)
def test_killed_at_any_write_and_resumed_is_undisturbed(killer: Killer, undisturbed: list[dict[str, Any]]) -> None:
    left: list[World] = []
    world = World(InMemoryStorage())
    killer.keep = lambda: left.append(world.copy())
    world.process()
    killer.keep = None
    assert len(left) > 100
    for number, again in enumerate(left, 1):
        again.process()
        assert again.trials() == undisturbed, f"killed at write {number}"


@pytest.mark.slow  # some 40 sweeps
@pytest.mark.timeout(180)
def test_killed_and_resumed_without_checkpoints_is_undisturbed(
    killer: Killer, undisturbed: list[dict[str, Any]]
) -> None:
    killer.writes = 0
    World(InMemoryStorage()).process()
    for at in range(1, killer.writes + 1, 5):
        world = World(InMemoryStorage(), loses_checkpoints=True)
        killer.at, killer.writes = at, 0
        with pytest.raises(Killed):
            world.process()
        world.process()
        assert world.trials() == undisturbed, f"killed at write {at}"


@pytest.mark.parametrize("step", [3, 7, 19])
def test_killed_again_and_again_is_undisturbed(killer: Killer, undisturbed: list[dict[str, Any]], step: int) -> None:
    """Each process gets a few writes further than the last had come."""
    world = World(InMemoryStorage())
    deaths = 0
    while deaths < 500:
        killer.at, killer.writes = step + 10, 0  # to take a trial up and to judge it takes about 10
        try:
            world.process()
            break
        except Killed:
            deaths += 1
    assert deaths > 3
    assert world.trials() == undisturbed


def test_an_extended_sweep_is_the_longer_one(undisturbed: list[dict[str, Any]]) -> None:
    world = World(InMemoryStorage(), num_trials=3)
    world.process()
    assert len(world.trials()) < len(undisturbed)
    world.num_trials = NUM_TRIALS
    world.process()
    assert world.trials() == undisturbed
    world.process()  # nothing left to do
    assert world.trials() == undisturbed


def test_a_sampler_that_went_on_would_draw_other_points(
    undisturbed: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wrong variant: seeded once a process."""
    original = sampler_module.make_sampler
    monkeypatch.setattr(sampler_module, "make_sampler", lambda config, seed, number: original(config, seed, 0))
    world = World(InMemoryStorage())
    world.process()
    params = [str(trial["params"]) for trial in world.trials() if trial["attributes"]["outcome"] != "infeasible"]
    assert len(set(params)) < len(params)  # draws its first points again


def test_a_trial_asked_for_and_never_started_runs_under_its_number(undisturbed: list[dict[str, Any]]) -> None:
    world = World(InMemoryStorage())
    study = optuna.create_study(storage=world.storage, study_name="mine", direction="maximize")
    study.enqueue_trial(SPACE.encode({"ppo.lr": 1e-3, "ppo.minibatch_size": 64}))
    study.ask()  # and died: no parameter is drawn, no attribute written
    assert study.trials[0].state == TrialState.RUNNING
    world.process()
    assert world.trials() == undisturbed


def test_what_a_process_decided_holds_whatever_came_after(tmp_path: Path) -> None:
    """Two workers: a trial that had passed its rung is not judged again when others have been there since."""
    del tmp_path
    world = World(InMemoryStorage())
    # By hand: trial 0 passes rung 1 alone, trial 1 does better there; then the process dies.
    optuna.create_study(storage=world.storage, study_name="mine", direction="maximize")
    first = open_driver(world)
    zero, one = first.propose(), first.propose()
    assert zero
    assert one
    assert first.judge(zero.number, list(evaluated(2, 0.2))) is None
    assert first.judge(one.number, list(evaluated(2, 0.8))) is None
    second = open_driver(world)
    assert [second.propose(), second.propose()] == [zero, one]
    assert second.judge(zero.number, list(evaluated(2, 0.2))) is None
    assert second.judge(one.number, list(evaluated(2, 0.8))) is None
    three = second.propose()
    assert three
    verdict = second.judge(three.number, list(evaluated(2, 0.1)))
    assert verdict is not None
    assert verdict.outcome is Outcome.PRUNED
    assert verdict.reason == "asha rung 1: 0.1 < 0.8"  # by the rungs that the first process had filled


LR = Space({"ppo.lr": Log(1e-5, 1e-1)})
NOBODY_SPARED = SchedulerConfig(grace_iterations=2, reduction_factor=2, spared_share=0)


def open_driver(world: World) -> Driver:
    study = optuna.load_study(storage=world.storage, study_name="mine")
    ledger = Ledger(study, sampler_module.make_sampler_factory(SamplerConfig(name="random"), 0))
    config = SweepConfig(sweep=CONFIG.sweep, ppo=CONFIG.ppo, scheduler=NOBODY_SPARED, health=CONFIG.health)
    return Driver(config, 9, LR, ledger, NullTracker(), Progress(config, 9, Console(file=io.StringIO())))


def evaluated(last: int, f1: float) -> Iterator[Record]:
    members = {metrics.seed_metric(metrics.F1, member): f1 for member in range(2)}
    for iteration in range(1, last + 1):
        measured = {metrics.F1: f1, metrics.EVAL_RETURN: f1, **members} if iteration % 2 == 0 else {}
        yield Record(iteration, START_MS + iteration, {metrics.VALUE_LOSS: 0.5, **measured})


def test_a_value_counts_the_evaluations_of_earlier_processes() -> None:
    world = World(InMemoryStorage())
    optuna.create_study(storage=world.storage, study_name="mine", direction="maximize")
    first = open_driver(world)
    trial = first.propose()
    assert trial
    first.judge(trial.number, list(evaluated(6, 0.3)))
    first.interrupt("stopped by the user")
    second = open_driver(world)
    assert second.propose() == trial
    rerun = [Record(r.iteration, r.timestamp_ms + 9999, r.metrics) for r in evaluated(8, 0.3)]  # no checkpoint was left
    verdict = second.judge(trial.number, rerun)
    assert verdict is not None
    (ended,) = optuna.load_study(storage=world.storage, study_name="mine").trials
    assert ended.value == pytest.approx(0.3)
    assert ended.user_attrs["summary"]["final/value/seed_1"] == pytest.approx(0.3)
    assert ended.user_attrs["summary"]["final/iterations"] == 8


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_mlflow_and_a_real_database_tell_the_same_story_after_every_death(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killer = die_at_each_write(monkeypatch, RDBStorage)
    for name in ("create_run", "log_batch", "set_terminated", "update_run", "delete_tag", "log_text"):
        original = getattr(MlflowClient, name)

        def write(self: Any, *args: Any, original: Any = original, **kwargs: Any) -> Any:
            killer()
            return original(self, *args, **kwargs)

        monkeypatch.setattr(MlflowClient, name, write)

    def insert(*args: Any) -> bool:
        killer()
        return insert_metrics(*args)

    monkeypatch.setattr("unstuck.records.mlflow.client.insert_metrics", insert)

    def tracker() -> Tracker:
        tracker = make_tracker(TrackingConfig(), tmp_path)
        tracker.start_sweep(SweepHeader("mine", "mine", 3, "eval/f1", "max"), "", {})
        return tracker

    world = World(RDBStorage(f"sqlite:///{tmp_path / 'optuna.db'}"), tracker)
    monkeypatch.setattr(mirror_module, "read_records", world.read_checkpoint)
    deaths = 0
    while deaths < 100:
        killer.at, killer.writes = 31 + 4 * deaths, 0
        try:
            world.process()
            break
        except Killed:
            deaths += 1
    assert deaths > 3
    reference = World(InMemoryStorage())
    reference.process()
    assert world.trials() == reference.trials()
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("unstuck")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 1 + len(world.trials())
    by_number = {int(run.data.tags["trial"]): run for run in runs if "trial" in run.data.tags}
    for trial in world.trials():
        run = by_number[trial["number"]]
        assert run.data.tags["outcome"] == trial["attributes"]["outcome"]
        assert run.data.tags["reason"] == trial["attributes"]["reason"]
        if trial["attributes"]["outcome"] == "infeasible":
            continue
        curve = client.get_metric_history(run.info.run_id, "progress/f1")
        assert [(point.step, point.value) for point in curve] == list(trial["curve"].items())
        steps = [point.step for point in client.get_metric_history(run.info.run_id, "progress/value_loss")]
        assert steps == list(range(1, int(trial["summary"]["final/iterations"]) + 1))
