"""What a tracker misses is written when it is back: by hand with a clock of the test's own, and with real databases."""

import io
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow import MlflowClient
from rich.console import Console
from unstuck.records.errors import TrackingError
from unstuck.records.files import checkpoint_file
from unstuck.records.measurement import Record
from unstuck.records.mlflow.names import to_mlflow
from unstuck.records.outcome import Outcome, Verdict
from unstuck.records.tracker import NullTracker, SweepHeader
from unstuck.rl import checkpoint, metrics
from unstuck.rl.config import EnvConfig, PPOConfig
from unstuck.rl.learner import Learner
from unstuck.rl.make_learner import make_learner
from unstuck.rl.seeding import make_evaluation_seed, make_member_seeds
from unstuck.sweeps import mirror as module
from unstuck.sweeps.config.settings import (
    HealthConfig,
    SamplerConfig,
    SchedulerConfig,
    StudyConfig,
    SweepConfig,
    TrackingConfig,
    TrainerConfig,
)
from unstuck.sweeps.mirror import RETRY_S, Outbox, RecordedTrials, make_tracker, open_run
from unstuck.sweeps.run.driver import Driver
from unstuck.sweeps.screen.progress import Progress
from unstuck.sweeps.search.kinds import Log
from unstuck.sweeps.search.sampler import create_ledger
from unstuck.sweeps.search.space import Space
from unstuck.sweeps.worker.assignment import Assignment

START_MS = 1_700_000_000_000
LR = Space({"ppo.lr": Log(1e-5, 1e-2)})


@dataclass
class Store:
    """A tracker of which one can say when it fails, and what it has of each trial."""

    is_down: bool = False
    opened: int = 1
    has: dict[int, list[str]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    outcomes: dict[int, str] = field(default_factory=dict)
    now: float = 1000.0

    def write(self, number: int, what: str) -> None:
        if self.is_down:
            raise TrackingError(f"no store for {what}")
        self.has.setdefault(number, []).append(what)

    def reopen(self) -> None:
        self.write(-1, "opened")

    def find_incomplete(self, outcomes: Mapping[int, str]) -> list[int]:
        return [number for number in outcomes if number not in self.has]

    # As a tracker:

    def start_trial(self, number: int, *_: Any) -> str:
        self.write(number, "start")
        return f"run {number}"

    def log(self, number: int, records: Sequence[Record]) -> None:
        self.write(number, "log")

    def end_trial(self, number: int, verdict: Verdict, summary: Mapping[str, float]) -> None:
        self.write(number, "end")

    def outbox(self) -> Outbox:
        tracker: Any = self
        source: Any = SimpleNamespace(
            outcomes=lambda: self.outcomes, write=lambda tracker, number, last: self.write(number, f"all to {last}")
        )
        return Outbox(tracker, source, self.reopen, self.said.append)


def start(outbox: Outbox, number: int) -> str:
    return outbox.start_trial(number, {}, {}, {}, "")


def log(outbox: Outbox, number: int, step: int = 1) -> None:
    outbox.log(number, [Record(step, START_MS, {})])


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    store = Store()
    monkeypatch.setattr(module.time, "monotonic", lambda: store.now)
    return store


def test_what_is_missed_is_written_when_the_tracker_is_back_and_told_once(store: Store) -> None:
    outbox = store.outbox()
    assert start(outbox, 0) == "run 0"
    store.is_down = True
    log(outbox, 0, step=5)
    assert start(outbox, 1) == ""  # opened later
    assert outbox.owed == {0, 1}
    store.is_down = False
    log(outbox, 1, step=3)  # not asked again yet
    assert store.has == {0: ["start"]}
    store.now += RETRY_S[0]
    log(outbox, 1, step=6)  # part of all of it
    assert store.has == {0: ["start", "all to 5"], 1: ["all to 6"], -1: ["opened"]}
    assert outbox.owed == set()
    outbox.end_trial(1, Verdict(Outcome.COMPLETED, ""), {})
    assert store.has[1] == ["all to 6", "end"]
    assert store.said == [
        "no store for log; the sweep goes on, and writes it later",
        "the tracker is back, and has all that it had missed",
    ]


def test_a_trial_that_ended_meanwhile_is_written_as_one_that_has_ended(store: Store) -> None:
    outbox = store.outbox()
    start(outbox, 0)
    store.is_down = True
    log(outbox, 0, step=5)
    outbox.end_trial(0, Verdict(Outcome.COMPLETED, ""), {})
    store.is_down = False
    outbox.catch_up()
    assert store.has == {0: ["start", "all to None"], -1: ["opened"]}


def test_a_tracker_that_is_gone_is_asked_less_and_less_often(store: Store) -> None:
    attempts: list[float] = []
    outbox = store.outbox()
    start(outbox, 0)

    def reopen() -> None:
        attempts.append(store.now - 1000)
        store.write(-1, "opened")

    outbox._reopen = reopen
    store.is_down = True
    for second in range(1000):
        store.now = 1000.0 + second
        log(outbox, 0)
    assert attempts == [10, 40, 100, 220, 520, 820]
    assert len(store.said) == 1


def test_what_ended_trials_lack_is_written_first_thing(store: Store) -> None:
    """After a process that died, or in a store that was replaced."""
    store.has[0] = ["whole"]
    store.outcomes = {0: "completed", 1: "pruned", 2: "completed"}
    store.outbox().catch_up()
    assert store.has == {0: ["whole"], 1: ["all to None"], 2: ["all to None"]}
    assert store.said == []


def test_every_trial_that_runs_is_written_again_to_the_store_that_is_back(store: Store) -> None:
    """It may be another one: what trial 1 wrote last may have gone to a store that is no more."""
    outbox = store.outbox()
    start(outbox, 0)
    start(outbox, 1)
    store.is_down = True
    log(outbox, 0)
    store.is_down = False
    outbox.catch_up()
    assert store.has == {0: ["start", "all to 1"], 1: ["start", "all to 0"], -1: ["opened"]}


# With a real MLflow database, which is taken away, locked and replaced while a driver runs.


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Databases with their tables, which take seconds to make."""
    folder = tmp_path_factory.mktemp("made")
    config = SweepConfig(sweep=StudyConfig(name="first"))
    create_ledger(f"sqlite:///{folder / 'optuna.db'}", config.sweep, SamplerConfig(name="random"), {})
    make_tracker(TrackingConfig(), folder).start_sweep(SweepHeader("first", "first", 3, "eval/f1", "max"), "", {})
    return folder


@pytest.fixture(scope="module")
def learner() -> Learner:
    config = PPOConfig(num_envs=1, num_steps=16, minibatch_size=16, hidden_sizes=(4,))
    return make_learner(config, EnvConfig(id="CartPole-v1"), make_member_seeds(0, 1), make_evaluation_seed(0))


@dataclass
class Sweep:
    """A driver with both databases, and workers that save what they deliver."""

    folder: Path
    driver: Driver
    outbox: Outbox
    learner: Learner
    printed: io.StringIO
    histories: dict[int, list[Record]] = field(default_factory=dict)

    def period(self, assignment: Assignment, follows_up: bool = True) -> None:
        """Train a trial for two iterations; record at once what may wait, if `follows_up`."""
        history = self.histories.setdefault(assignment.number, [])
        period = list(_measured(len(history) + 1))
        history += period
        file = checkpoint_file(self.folder / "mine", assignment.number)
        file.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.save(file, self.learner, [record.to_json() for record in history])
        self.driver.judge(assignment.number, period)
        if follows_up:
            self.driver.follow_up()

    def start(self) -> Assignment:
        assignment = self.driver.propose()
        assert assignment is not None
        return assignment

    def shown(self) -> dict[int, tuple[str, list[int], list[int]]]:
        """Outcome and steps of two metrics in MLflow, by trial."""
        client = MlflowClient(f"sqlite:///{self.folder / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("unstuck")
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id], "tags.sweep = 'mine'")
        children = [run for run in runs if "trial" in run.data.tags]
        assert len(children) == len(runs) - 1

        def steps(run: str, name: str) -> list[int]:
            return [point.step for point in client.get_metric_history(run, to_mlflow(name))]

        return {
            int(run.data.tags["trial"]): (
                run.data.tags.get("outcome", ""),
                steps(run.info.run_id, metrics.VALUE_LOSS),
                steps(run.info.run_id, metrics.FINAL_VALUE),
            )
            for run in children
        }


def _measured(first: int) -> Iterator[Record]:
    f1 = {metrics.F1: 0.5, metrics.EVAL_RETURN: 50.0, metrics.seed_metric(metrics.F1, 0): 0.5}
    for iteration in (first, first + 1):
        values = {metrics.VALUE_LOSS: 0.5} | (f1 if iteration % 2 == 0 else {})
        yield Record(iteration, START_MS + iteration, values)


@pytest.fixture
def sweep(tmp_path: Path, made: Path, learner: Learner, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    monkeypatch.setattr(module, "RETRY_S", (0.0,))
    for name in ("optuna.db", "mlflow.db"):
        shutil.copy(made / name, tmp_path / name)
    config = SweepConfig(
        sweep=StudyConfig(name="mine", seeds=1, folder=str(tmp_path)),
        ppo=PPOConfig(num_iterations=6, eval_every=2),
        scheduler=SchedulerConfig(name="none"),
        health=HealthConfig(enabled=False),
    )
    ledger = create_ledger(f"sqlite:///{tmp_path / 'optuna.db'}", config.sweep, SamplerConfig(name="random"), {})
    tracker = make_tracker(config.tracking, tmp_path)

    def open_it() -> None:
        tracker.start_sweep(SweepHeader("mine", "mine", 3, "eval/f1", "max"), "", {})

    open_it()
    printed = io.StringIO()
    progress = Progress(config, 9, Console(file=printed))
    outbox = Outbox(tracker, RecordedTrials(config, LR, ledger, progress.warn), open_it, progress.warn)
    return Sweep(tmp_path, Driver(config, 9, LR, ledger, outbox, progress), outbox, learner, printed)


def _take_away(database: Path) -> None:
    database.rename(database.with_suffix(".away"))


def _put_back(database: Path) -> None:
    database.with_suffix(".away").replace(database)


def _leave(database: Path) -> None:
    """It does not come back: a new one is made."""


def _replace(database: Path) -> None:
    shutil.copy(database, database.with_suffix(".new"))
    database.unlink()


def _put_new(database: Path) -> None:
    database.with_suffix(".new").replace(database)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("fail", "mend"),
    [
        pytest.param(_take_away, _put_back, id="gone for a while"),
        pytest.param(_take_away, _leave, id="gone for good"),
        pytest.param(_replace, _put_new, id="replaced by an older copy"),
    ],
)
def test_mlflow_fails_and_comes_back(
    sweep: Sweep, fail: Callable[[Path], None], mend: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    early = sweep.start()
    for _ in range(3):
        sweep.period(early)
    running = sweep.start()
    sweep.period(running)
    monkeypatch.setattr(module, "RETRY_S", (1000.0,))
    fail(sweep.folder / "mlflow.db")
    sweep.period(running)  # nothing is raised
    during = sweep.start()
    for _ in range(3):
        sweep.period(during)
    assert sweep.printed.getvalue().count("the sweep goes on, and writes it later") == 1
    mend(sweep.folder / "mlflow.db")
    sweep.outbox.catch_up()
    assert sweep.outbox.owed == set()
    sweep.period(running)
    whole, evaluated = [1, 2, 3, 4, 5, 6], [2, 4, 6]
    assert sweep.shown() == {number: ("completed", whole, evaluated) for number in range(3)}


def test_mlflow_is_back_between_a_trials_end_in_the_ledger_and_in_mlflow(sweep: Sweep) -> None:
    """The trial has ended by the ledger, and MLflow's end of it is still to be written when the next trial starts."""
    first, second = sweep.start(), sweep.start()
    sweep.period(first)
    sweep.period(first)
    _take_away(sweep.folder / "mlflow.db")
    sweep.period(second)
    _put_back(sweep.folder / "mlflow.db")
    sweep.period(first, follows_up=False)
    sweep.start()
    sweep.driver.follow_up()
    assert sweep.driver.failure is None
    assert sweep.shown()[first.number] == ("completed", [1, 2, 3, 4, 5, 6], [2, 4, 6])


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_locked_database_is_waited_for(sweep: Sweep) -> None:
    trial = sweep.start()
    other = sqlite3.connect(sweep.folder / "mlflow.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    threading.Timer(2.0, lambda: other.execute("COMMIT")).start()
    for _ in range(3):
        sweep.period(trial)
    assert sweep.shown() == {0: ("completed", [1, 2, 3, 4, 5, 6], [2, 4, 6])}
    assert "warning" not in sweep.printed.getvalue()


class _Noting(NullTracker):
    """A tracker that keeps the tags of the trial that was started last."""

    def start_trial(self, number: int, *about: Any, **named: Any) -> str:
        self.tags = about[2]
        return ""


@pytest.mark.parametrize(
    ("trainer", "expected"),
    [
        (TrainerConfig(), {}),
        (TrainerConfig(name="sb3"), {"dialect": "unstuck", "probed": "sb3"}),
        (TrainerConfig(name="command"), {"dialect": "cleanrl"}),
        (TrainerConfig(name="command", flags="none"), {"dialect": "plain"}),
    ],
)
def test_a_trial_of_another_trainer_says_whose_numbers_its_metrics_are(
    trainer: TrainerConfig, expected: dict[str, str]
) -> None:
    tracker = _Noting()
    open_run(tracker, 0, {}, replace(SweepConfig(), trainer=trainer), None, False)
    assert {name: tracker.tags[name] for name in ("dialect", "probed") if name in tracker.tags} == expected
