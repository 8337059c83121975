"""Real sweeps in processes of their own, with accidents; and what an audit counts afterwards."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.sweeps_tests.trained import WORDS

ROOT = Path(__file__).parents[2]
PATIENCE_S = 600
"""For whatever is waited for. Generous: what is tested is whether it comes, not when."""

SHORT = (
    "+experiment=quickstart",
    "data.num_flows=2000",
    "ppo.num_iterations=8",
    "ppo.eval_every=2",
    "ppo.num_steps=32",
    "ppo.minibatch_size=64",
    "sweep.seeds=2",
    "resources.cpus=2",
)
TINY = (*SHORT, "scheduler.grace_iterations=2", "health.stuck_grace_iterations=8")
"""A sweep whose trials take a second."""

TO_THE_END = (*SHORT, "scheduler=none", "health=none")
"""The same, but nothing stops its trials."""

ON_GYM = (
    "+experiment=cartpole",
    "env.eval_episodes=2",
    "ppo.num_envs=2",
    "ppo.num_iterations=8",
    "ppo.eval_every=2",
    "ppo.num_steps=32",
    "ppo.minibatch_size=32",
    "scheduler=none",
    "sweep.seeds=2",
    "resources.cpus=2",
)
"""The same in a Gymnasium environment, which `env.id` names."""


def tiny_by(trainer: str) -> tuple[str, ...]:
    """A tiny sweep by a trainer."""
    if trainer == "ppo":
        return TINY
    if trainer == "sb3":
        return (*ON_GYM, "trainer=sb3")
    unreached = ("ppo.normalize_returns=none", "~space.ppo.value_coef", "~space.ppo.entropy_coef")
    return (*ON_GYM, "trainer=command", f'trainer.command="{WORDS}"', "trainer.flags=none", *unreached)


@dataclass
class Process:
    """A running sweep."""

    popen: subprocess.Popen[str]

    def wait(self) -> tuple[int, str]:
        """Its exit code and what it printed."""
        try:
            printed, _ = self.popen.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.popen.pid, signal.SIGKILL)
            printed, _ = self.popen.communicate()
            raise AssertionError(f"the sweep did not end in {PATIENCE_S} s; it had printed:\n{printed}") from None
        return self.popen.returncode, printed

    def succeed(self) -> str:
        """What it printed; it must end well, and without a traceback."""
        return self._end_with(0)

    def complete_none(self) -> str:
        """What it printed; it must end in order, and say that it has no trial to show."""
        return self._end_with(1)

    def _end_with(self, expected: int) -> str:
        code, printed = self.wait()
        assert code == expected, printed
        assert "Traceback" not in printed, printed
        return printed

    def kill(self) -> None:
        """kill -9 of the driver; returns when it is gone."""
        self.popen.send_signal(signal.SIGKILL)
        self.wait()

    def kill_with_workers(self) -> None:
        """kill -9 of the driver; returns when its workers are gone too, which may save one more checkpoint before."""
        workers = self.workers()
        assert workers
        self.kill()
        _, alive = psutil.wait_procs(workers, timeout=PATIENCE_S)
        assert not alive

    def below(self, name: str) -> list[psutil.Process]:
        """The processes below it whose command line holds this."""
        found = []
        with suppress(psutil.Error):  # it has just ended
            for process in psutil.Process(self.popen.pid).children(recursive=True):
                with suppress(psutil.Error):
                    if name in " ".join(process.cmdline()):
                        found.append(process)
        return found

    def workers(self) -> list[psutil.Process]:
        """The workers that train."""
        return self.below("Trainable")


@dataclass
class Counts:
    """What accidents did to the records; all but `sweeps` and `trials` must be 0."""

    sweeps: int = 0
    trials: int = 0
    lost: int = 0
    duplicate: int = 0
    curve: int = 0
    disagreement: int = 0

    def __iadd__(self, other: "Counts") -> "Counts":
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)
        return self


TOTALS: dict[str, Counts] = defaultdict(Counts)
"""What all audits counted, by accident: the name of its test."""


@dataclass
class Sweep:
    """One sweep, over all its processes.

    Attributes:
        folder: Where `runs` is.
        counts: Sums up what audits count.
        settings: Overrides of all its calls.
        name: Its name.
        num_trials: How many trials must have ended in the end.
    """

    folder: Path
    counts: Counts
    settings: tuple[str, ...]
    name: str = "tiny"
    num_trials: int = 6
    _processes: list[Process] = field(default_factory=list)

    def start(self, *settings: str, launcher: tuple[str, ...] = ()) -> Process:
        """Start it."""
        return self._call((*self.settings, f"sweep.name={self.name}", *settings), launcher)

    def resume(self, *settings: str, launcher: tuple[str, ...] = ()) -> Process:
        """Go on with it."""
        return self._call((*self.settings, f"resume={self.name}", *settings), launcher)

    def _call(self, settings: tuple[str, ...], launcher: tuple[str, ...]) -> Process:
        script = (str(ROOT / "tests/chaos/launch.py"), *launcher) if launcher else (str(ROOT / "sweep.py"),)
        popen = subprocess.Popen(
            (sys.executable, *script, f"sweep.num_trials={self.num_trials}", *settings),
            cwd=self.folder,
            env={**os.environ, "COLUMNS": "200", "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._processes.append(Process(popen))
        return self._processes[-1]

    def end(self) -> None:
        """Ends whatever of it still runs."""
        for process in self._processes:
            if process.popen.poll() is None:
                process.kill()

    def audit(self, *options: str) -> tuple[int, str]:
        """Exit code of the audit, and what it printed."""
        done = subprocess.run(
            (sys.executable, "-m", "unstuck.sweeps", "audit", self.name, *options),
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def check(self) -> None:
        """Its records must agree, with all its trials in them, each ended."""
        code, printed = self.audit("--json")
        assert code in (0, 1), printed
        report = json.loads(printed)
        kinds = Counter(finding["kind"] for finding in report["findings"])
        ended = self.outcomes()
        missing = self.num_trials - (sum(ended.values()) - ended["infeasible"])
        self.counts += Counts(
            sweeps=1,
            trials=report["trials"],
            lost=kinds["lost"] + max(0, missing),
            duplicate=kinds["duplicate"] + max(0, -missing),
            curve=kinds["curve"],
            disagreement=kinds["disagreement"],
        )
        assert report["findings"] == [], printed
        assert report["open"] == [], printed
        assert sum(ended.values()) - ended["infeasible"] == self.num_trials, ended

    def outcomes(self) -> Counter[str]:
        """How many trials ended how, by the ledger."""
        rows = self._ask(
            "SELECT value_json FROM trial_user_attributes JOIN trials USING (trial_id) JOIN studies USING (study_id) "
            f"WHERE key = 'outcome' AND study_name = '{self.name}'"
        )
        return Counter(json.loads(value) for (value,) in rows)

    def evaluations(self) -> int:
        """How many evaluations the ledger has; 0 before it is there."""
        rows = self._ask(
            "SELECT count(*) FROM trial_intermediate_values JOIN trials USING (trial_id) JOIN studies USING (study_id) "
            f"WHERE study_name = '{self.name}'"
        )
        return int(rows[0][0]) if rows else 0

    def _ask(self, question: str) -> list[tuple[str]]:
        file = self.folder / "runs/optuna.db"
        try:
            with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
                return database.execute(question).fetchall()
        except sqlite3.OperationalError:  # not there yet, or being made
            return []

    def wait_for_evaluations(self, number: int, process: Process) -> None:
        """Return when the ledger has so many evaluations, or the process has ended."""
        wait_for(lambda: self.evaluations() >= number or process.popen.poll() is not None)


def wait_for(condition: Callable[[], bool]) -> None:
    """Return when it holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)
