"""Sweeps beside each other, in one folder and on one pair of databases."""

from collections.abc import Callable

import pytest

from tests.chaos.harness import TINY, Sweep

pytestmark = [pytest.mark.slow, pytest.mark.chaos, pytest.mark.timeout(1200)]
Maker = Callable[..., Sweep]


def test_two_sweeps_at_once(sweep: Maker) -> None:
    one, other = sweep(*TINY, name="one"), sweep(*TINY, name="other", num_trials=4)
    processes = one.start(), other.start()
    for process in processes:
        process.succeed()
    one.check()
    other.check()


def test_one_of_two_sweeps_killed(sweep: Maker) -> None:
    one, other = sweep(*TINY, "ppo.num_iterations=60", name="one"), sweep(*TINY, name="other")
    killed, unharmed = one.start(), other.start()
    one.wait_for_evaluations(3, killed)
    killed.kill()
    unharmed.succeed()
    one.resume().succeed()
    one.check()
    other.check()


def test_same_name_at_the_same_time(sweep: Maker) -> None:
    wanted = sweep(*TINY)
    ended = [process.wait() for process in (wanted.start(), wanted.start())]
    (refusal,) = (printed for code, printed in ended if code == 2)
    # Who comes second meets the folder, or, a moment earlier, the lock of the process that is about to fill it.
    assert "sweep.name must be new, got 'tiny'" in refusal or "one process at a time" in refusal
    assert sorted(code for code, _ in ended) == [0, 2]
    wanted.check()


def test_a_name_again(sweep: Maker) -> None:
    wanted = sweep(*TINY)
    wanted.start().succeed()
    code, printed = wanted.start().wait()
    assert code == 2
    assert "sweep.name must be new, got 'tiny'" in printed
    wanted.check()


def test_resume_of_a_sweep_that_runs(sweep: Maker) -> None:
    running = sweep(*TINY, "ppo.num_iterations=60")
    process = running.start()
    running.wait_for_evaluations(2, process)
    code, printed = running.resume().wait()
    assert code == 2
    assert "one process at a time" in printed
    process.succeed()
    running.check()
