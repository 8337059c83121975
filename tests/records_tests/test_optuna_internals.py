"""A ledger that fails: waited for, then given up in order. With real databases, locked, taken away and replaced."""

import io
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
from optuna.trial import TrialState
from rich.console import Console
from unstuck.records import optuna_internals as module
from unstuck.records.errors import LedgerError
from unstuck.records.ledger import Ledger
from unstuck.records.measurement import Record
from unstuck.records.outcome import Outcome, Verdict
from unstuck.records.tracker import NullTracker
from unstuck.rl import metrics
from unstuck.rl.config import PPOConfig
from unstuck.sweeps.config.settings import (
    HealthConfig,
    SamplerConfig,
    SchedulerConfig,
    StudyConfig,
    SweepConfig,
    TrackingConfig,
)
from unstuck.sweeps.run.driver import Driver
from unstuck.sweeps.screen.progress import Progress
from unstuck.sweeps.search.kinds import Log
from unstuck.sweeps.search.sampler import create_ledger, reopen_ledger
from unstuck.sweeps.search.space import Space

LR = Space({"ppo.lr": Log(1e-5, 1e-2)})
CONFIG = SweepConfig(
    sweep=StudyConfig(name="mine", seeds=1),
    ppo=PPOConfig(num_iterations=6, eval_every=2),
    scheduler=SchedulerConfig(name="none"),
    health=HealthConfig(enabled=False),
)


class Witness(NullTracker):
    """Notes how trials end."""

    def __init__(self) -> None:
        self.ends: list[tuple[int, Outcome]] = []

    def end_trial(self, number: int, verdict: Verdict, summary: object) -> None:
        self.ends.append((number, verdict.outcome))


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.5)
    monkeypatch.setattr(module, "_PAUSE_S", 0.05)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables, which take a second to make."""
    database = tmp_path_factory.mktemp("made") / "optuna.db"
    create_ledger(f"sqlite:///{database}", StudyConfig(name="first"), SamplerConfig(name="random"), {})
    return database


@pytest.fixture
def database(tmp_path: Path, made: Path) -> Path:
    return Path(shutil.copy(made, tmp_path / "optuna.db"))


def make_ledger(database: Path) -> Ledger:
    # The 5 s that sqlite itself waits for a lock would pass the test by.
    return create_ledger(f"sqlite:///{database}?timeout=0.1", CONFIG.sweep, SamplerConfig(name="random"), {})


def make_driver(ledger: Ledger, tracker: Witness | None = None) -> Driver:
    return Driver(CONFIG, 3, LR, ledger, tracker or Witness(), Progress(CONFIG, 3, Console(file=io.StringIO())))


def period(last: int) -> Iterator[Record]:
    measured = {metrics.F1: 0.5, metrics.EVAL_RETURN: 50.0, metrics.seed_metric(metrics.F1, 0): 0.5}
    yield Record(last - 1, last - 1, {metrics.VALUE_LOSS: 0.5})
    yield Record(last, last, {metrics.VALUE_LOSS: 0.5, **measured})


def lock(database: Path) -> sqlite3.Connection:
    other = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    return other


def test_a_lock_is_waited_for(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 60.0)
    driver = make_driver(make_ledger(database))
    trial = driver.propose()
    assert trial
    other = lock(database)
    threading.Timer(0.4, lambda: other.execute("COMMIT")).start()
    for last in (2, 4, 6):
        driver.judge(trial.number, list(period(last)))
    assert driver.failure is None
    (ended,) = optuna.load_study(study_name="mine", storage=f"sqlite:///{database}").trials
    assert (ended.state, ended.intermediate_values) == (TrialState.COMPLETE, {2: 0.5, 4: 0.5, 6: 0.5})


def _lock(database: Path) -> Callable[[], None]:
    other = lock(database)
    return other.close


def _take_away(database: Path) -> Callable[[], None]:
    away = database.rename(database.with_suffix(".away"))

    def put_back() -> None:
        away.replace(database)

    return put_back


def _replace(database: Path) -> Callable[[], None]:
    shutil.copy(database, database.with_suffix(".new"))
    database.with_suffix(".new").replace(database)
    return lambda: None


@pytest.mark.parametrize(
    ("fail", "reason"),
    [
        pytest.param(_lock, "database is locked", id="locked for good"),
        pytest.param(_take_away, "attempt to write a readonly database|disk I/O error", id="gone"),
        pytest.param(_replace, "attempt to write a readonly database|disk I/O error", id="replaced by a copy"),
    ],
)
def test_a_ledger_that_is_gone_ends_the_sweep_in_order_and_a_resume_goes_on(
    database: Path, fail: Callable[[Path], Callable[[], None]], reason: str
) -> None:
    witness = Witness()
    driver = make_driver(make_ledger(database), witness)
    one, other = driver.propose(), driver.propose()
    assert one
    assert other
    driver.judge(one.number, list(period(2)))
    mend = fail(database)
    assert driver.judge(one.number, list(period(4))) is None
    assert isinstance(driver.failure, LedgerError)
    with pytest.raises(LedgerError, match=f"the ledger must be there and writable, and failed for 0.5 s: .*({reason})"):
        raise driver.failure
    assert driver.propose() is None
    driver.judge(other.number, list(period(2)))  # nothing is raised
    driver.interrupt("the ledger failed")
    assert witness.ends == [(0, Outcome.INTERRUPTED), (1, Outcome.INTERRUPTED)]
    mend()

    tracking = TrackingConfig(optuna_url=f"sqlite:///{database}")
    later = make_driver(reopen_ledger(replace(CONFIG, sampler=SamplerConfig(name="random"), tracking=tracking)))
    assert [later.propose(), later.propose()] == [one, other]
    for number in (0, 1):
        delivered: Sequence[Record] = [record for last in (2, 4, 6) for record in period(last)]
        verdict = later.judge(number, delivered)
        assert verdict == Verdict(Outcome.COMPLETED, "reached iteration 6")
    trials = optuna.load_study(study_name="mine", storage=f"sqlite:///{database}").trials
    assert [trial.intermediate_values for trial in trials] == [{2: 0.5, 4: 0.5, 6: 0.5}] * 2


def test_once_given_up_nobody_waits_again(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = make_ledger(database)
    number, _ = ledger.ask(LR.distributions())
    other = lock(database)
    pauses: list[float] = []
    # Only for this module: a thread of a library may sleep as well, and would spin.
    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=pauses.append, monotonic=time.monotonic))
    with pytest.raises(LedgerError):
        ledger.report(number, 2, 0.5)
    assert pauses
    pauses.clear()
    for _ in range(3):
        with pytest.raises(LedgerError):
            ledger.report(number, 2, 0.5)
    assert pauses == []
    other.close()
    ledger.report(number, 2, 0.5)  # but if it is back, it is


def test_no_password_is_told() -> None:
    error = module._describe_reason(ValueError("no such host 'cret@db'"), "postgresql://me:se:cret@db/runs")
    assert "cret" not in error
