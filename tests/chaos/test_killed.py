"""kill -9, of the driver and of workers, at moments drawn from seeds; each followed by a resume and an audit."""

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import psutil
import pytest

from tests.chaos.harness import TINY, TO_THE_END, Counts, Sweep, tiny_by, wait_for
from tests.sweeps_tests.trained import KEEP_STATE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
Maker = Callable[..., Sweep]
OTHERS = ("sb3", "command")
"""Trainers beside ours: `sb3` keeps a trial's state, and trials of a `command` start anew."""


@pytest.fixture(scope="module")
def commits(tmp_path_factory: pytest.TempPathFactory) -> int:
    """How often a sweep that nobody disturbs commits to its databases."""
    folder = tmp_path_factory.mktemp("undisturbed")
    Sweep(folder, Counts(), TINY).start(launcher=("count-commits", str(folder / "count"))).succeed()
    return int((folder / "count").read_text())


def go_on(killed: Sweep) -> None:
    """Resume; a sweep that was killed before it was on record is not there, and starts anew under its name."""
    code, printed = killed.resume().wait()
    if code == 2 and "no sweep named" in printed:
        killed.start().succeed()
    else:
        assert code == 0, printed
        assert "Traceback" not in printed, printed


@pytest.mark.chaos
@pytest.mark.parametrize("moment", range(12))
def test_driver_killed_between_two_commits(sweep: Maker, commits: int, moment: int) -> None:
    """One record has been written, the next has not: anywhere from making the tables to the last word."""
    killed = sweep(*TINY)
    at = random.Random(moment).randint(1, commits)
    code, _ = killed.start(launcher=("kill-at-commit", str(at))).wait()
    assert code in (-signal.SIGKILL, 0)  # 0: fewer commits than the undisturbed one had
    go_on(killed)
    killed.check()


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("trainer", "moment"), [*(("ppo", n) for n in range(8)), *((name, n) for name in OTHERS for n in range(2))]
)
def test_driver_killed_while_it_trains(sweep: Maker, trainer: str, moment: int) -> None:
    killed = sweep(*tiny_by(trainer), "ppo.num_iterations=30")
    kill_somewhen(killed, killed.start(), random.Random(moment))
    go_on(killed)
    killed.check()


def kill_somewhen(killed: Sweep, process, draws: random.Random) -> None:
    killed.wait_for_evaluations(draws.randint(1, 40), process)
    time.sleep(draws.uniform(0, 0.3))
    process.kill()


@pytest.mark.chaos
def test_driver_killed_again_while_it_goes_on(sweep: Maker) -> None:
    """Twice in training, the second time in a resume; the third process ends the sweep."""
    killed, draws = sweep(*TINY, "ppo.num_iterations=30"), random.Random(0)
    process = killed.start()
    killed.wait_for_evaluations(draws.randint(3, 20), process)
    process.kill()
    before = killed.evaluations()
    process = killed.resume()
    killed.wait_for_evaluations(before + draws.randint(1, 20), process)
    process.kill()
    killed.resume().succeed()
    killed.check()


@pytest.mark.chaos
@pytest.mark.parametrize("moment", range(6))
def test_driver_killed_between_two_commits_of_a_resume(sweep: Maker, moment: int) -> None:
    killed, draws = sweep(*TINY), random.Random(moment)
    process = killed.start()
    killed.wait_for_evaluations(draws.randint(1, 8), process)
    process.kill()
    for _ in range(2):
        killed.resume(launcher=("kill-at-commit", str(draws.randint(1, 60)))).wait()
    go_on(killed)
    killed.check()


def kill_workers(killed: Sweep, process, times: int, draws: random.Random) -> None:
    """kill -9 of one worker after another, each while it trains."""
    for _ in range(times):
        before = killed.evaluations()
        killed.wait_for_evaluations(before + draws.randint(1, 6), process)
        wait_for(lambda: bool(process.workers()) or process.popen.poll() is not None)
        assert process.popen.poll() is None, "the sweep ended before all kills; it must be longer"
        with suppress(psutil.NoSuchProcess):
            draws.choice(process.workers()).kill()


def long(trials: int) -> tuple[str, ...]:
    return (*TO_THE_END, "ppo.num_iterations=150", "resources.max_failures=1000")


@pytest.mark.chaos
@pytest.mark.parametrize("trainer", KEEP_STATE)
def test_workers_killed_while_they_train(sweep: Maker, trainer: str) -> None:
    killed = sweep(*(long(2) if trainer == "ppo" else (*tiny_by(trainer), *long(2)[-2:])), num_trials=2)
    process = killed.start()
    kill_workers(killed, process, 2, random.Random(0))
    process.succeed()
    assert killed.outcomes() == {"completed": 2}
    killed.check()


@pytest.mark.chaos
@pytest.mark.parametrize("draws", range(2))
def test_workers_killed_ten_times(sweep: Maker, draws: int) -> None:
    killed = sweep(*long(4), num_trials=4)
    process = killed.start()
    kill_workers(killed, process, 10, random.Random(draws))
    process.succeed()
    assert killed.outcomes() == {"completed": 4}
    killed.check()


@pytest.mark.chaos
def test_worker_killed_more_often_than_allowed(sweep: Maker) -> None:
    killed = sweep(*long(3), "resources.max_failures=0", num_trials=3)
    process = killed.start()
    kill_workers(killed, process, 1, random.Random(0))
    process.succeed()
    assert killed.outcomes() == {"completed": 2, "crashed": 1}
    killed.check()


def check_dead_ray(died: Sweep, daemon: str, evaluations: int = 4) -> None:
    """One of Ray's own processes is killed, as where memory is short; Ray would have let the driver wait."""
    process = died.start()
    died.wait_for_evaluations(evaluations, process)
    (victim,) = process.below(daemon)
    victim.kill()
    code, printed = process.wait()
    assert code == 1, printed
    assert "Ray's own processes have died" in printed
    assert "resume=tiny" in printed
    assert "Traceback" not in printed
    assert died.outcomes()["interrupted"]
    assert not died.outcomes()["crashed"]
    assert died.audit()[0] == 0
    go_on(died)
    died.check()


@pytest.mark.chaos
def test_raylet_killed(sweep: Maker) -> None:
    check_dead_ray(sweep(*TINY, "ppo.num_iterations=60", num_trials=2), "raylet/raylet")


@pytest.mark.chaos
@pytest.mark.parametrize("evaluations", [1, 4, 7])
@pytest.mark.parametrize("daemon", ["raylet/raylet", "gcs/gcs_server"])
def test_daemon_killed(sweep: Maker, daemon: str, evaluations: int) -> None:
    check_dead_ray(sweep(*TINY, "ppo.num_iterations=60", num_trials=3), daemon, evaluations)


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("trainer", "number"),
    [
        *(("ppo", one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)),
        *((name, signal.SIGINT) for name in OTHERS),
    ],
)
def test_signal_and_resume(sweep: Maker, trainer: str, number: int) -> None:
    stopped = sweep(*tiny_by(trainer), "ppo.num_iterations=60")
    process = stopped.start()
    stopped.wait_for_evaluations(4, process)
    os.killpg(process.popen.pid, number)  # as a terminal does: Ray's own processes get it too
    code, printed = process.wait()
    assert code == 130, printed
    assert "stopped by the user" in printed
    assert "resume=tiny" in printed
    assert stopped.audit()[0] == 0  # its open trials are no difference
    go_on(stopped)
    stopped.check()


@pytest.mark.chaos
def test_signal_while_ray_hangs(sweep: Maker) -> None:
    """Its processes live, and answer nothing: the last resort closes the records."""
    stopped = sweep(*TINY, "ppo.num_iterations=60", num_trials=2)
    process = stopped.start()
    stopped.wait_for_evaluations(4, process)
    for daemon in ("gcs/gcs_server", "raylet/raylet"):
        (hanging,) = process.below(daemon)
        hanging.suspend()
    process.popen.send_signal(signal.SIGTERM)
    code, printed = process.wait()
    assert code == 130, printed
    assert "stopped by the user, and Ray no longer answered" in printed
    assert stopped.audit()[0] == 0
    go_on(stopped)
    stopped.check()


@pytest.mark.chaos
@pytest.mark.parametrize("after_s", [0.0, 0.2, 0.5, 2.0])
def test_second_ctrl_c(sweep: Maker, after_s: float) -> None:
    stopped = sweep(*TINY, "ppo.num_iterations=60")
    process = stopped.start()
    stopped.wait_for_evaluations(4, process)
    os.killpg(process.popen.pid, signal.SIGINT)
    time.sleep(after_s)
    if process.popen.poll() is None:
        os.killpg(process.popen.pid, signal.SIGINT)
    code, printed = process.wait()
    assert code in (130, -signal.SIGINT), printed  # a shell calls both 130; the second may come when all is closed
    assert "Traceback" not in printed
    if code == 130:
        assert "resume=tiny" in printed
    go_on(stopped)
    stopped.check()


@pytest.mark.chaos
def test_time_budget_and_resume(sweep: Maker) -> None:
    stopped = sweep(*TO_THE_END, "ppo.num_iterations=400", num_trials=3)
    _, printed = stopped.start("sweep.max_hours=0.005").wait()  # 18 s, most of which Ray takes to start
    assert "time budget" in printed
    assert stopped.audit()[0] == 0
    go_on(stopped)
    stopped.check()
