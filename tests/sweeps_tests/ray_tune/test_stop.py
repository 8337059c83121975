"""What signals do while a sweep runs."""

import os
import signal
import threading
from pathlib import Path

import pytest
from unstuck.records.lock import hold_lock, read_holder, request_stop
from unstuck.sweeps.ray_tune import stop as stop_module
from unstuck.sweeps.ray_tune.stop import NO_ANSWER, StopRequest


def test_first_signal_is_noted_and_a_second_raises() -> None:
    with StopRequest() as stop:
        assert not stop.is_asked
        signal.raise_signal(signal.SIGTERM)
        assert stop.is_asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(("alarm_s", "stays"), [(2.9, False), (3.1, True)])
def test_sigterm_stops_the_alarm_that_rays_handler_has_set(alarm_s: float, stays: bool) -> None:
    """In a process of its own, since it has one alarm alone, which pytest uses."""
    child = os.fork()
    if child == 0:
        with StopRequest() as stop:
            signal.setitimer(signal.ITIMER_REAL, alarm_s)
            signal.raise_signal(signal.SIGTERM)
            os._exit(stop.is_asked + 2 * (signal.getitimer(signal.ITIMER_REAL)[0] > 0))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1 + 2 * stays


@pytest.mark.parametrize(("number", "stays"), [(signal.SIGINT, True), (signal.SIGHUP, True), (signal.SIGTERM, False)])
def test_no_other_signal_stops_an_alarm(number: signal.Signals, stays: bool) -> None:
    child = os.fork()
    if child == 0:
        with StopRequest():
            signal.setitimer(signal.ITIMER_REAL, 2)
            signal.raise_signal(number)
            os._exit(signal.getitimer(signal.ITIMER_REAL)[0] > 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == stays


def test_a_request_by_a_file_is_heeded_like_a_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop_module, "PATIENCE_S", 0.01)
    monkeypatch.setattr(stop_module, "_LOOKS_EVERY_S", 0.01)
    came = threading.Event()
    with hold_lock(tmp_path, heeds_stop=True), StopRequest() as stop:
        stop.watch(tmp_path)
        stop.arm_forced_exit(lambda _: came.set())
        assert not came.wait(0.05)
        assert not stop.is_asked
        holder = read_holder(tmp_path)
        assert holder is not None
        request_stop(tmp_path, holder)
        assert came.wait(4)
        assert stop.is_asked


def test_no_handler_is_set_outside_the_main_thread() -> None:
    """Python would refuse; and a notebook or a script keeps its own."""
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    def use() -> None:
        with StopRequest() as stop:
            stop.rearm()
            seen.append(signal.getsignal(signal.SIGTERM))
            stop.ask()
            seen.append(stop.is_asked)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join(4)
    assert seen == [before, True]


def test_what_is_shielded_runs_to_its_end() -> None:
    with StopRequest() as stop:
        with stop.ignore_signals():
            for _ in range(3):
                signal.raise_signal(signal.SIGINT)
        assert stop.is_asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with StopRequest() as stop:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as a library may
        stop.rearm()
        signal.raise_signal(signal.SIGTERM)
        assert stop.is_asked
    assert signal.getsignal(signal.SIGINT) is before


def test_the_last_resort_comes_where_a_signal_had_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop_module, "PATIENCE_S", 0.01)
    reasons: list[str] = []
    came = threading.Event()
    with StopRequest() as stop:
        stop.arm_forced_exit(lambda why: (reasons.append(why), came.set())[0])
        signal.raise_signal(signal.SIGTERM)
        assert came.wait(4)
        stop.force_exit("again")
    assert reasons == [NO_ANSWER]


def test_nobody_gives_up_what_has_ended() -> None:
    reasons: list[str] = []
    with StopRequest() as stop:
        stop.arm_forced_exit(reasons.append)
        stop.disarm_forced_exit()
        stop.force_exit("too late")
        assert stop.guard(lambda number: number + 1)(2) == 3
    assert reasons == []


def test_a_call_ends_before_the_last_resort_and_none_begins_after_it() -> None:
    """The driver and the last resort write to the same records."""
    happened: list[str] = []
    in_call, go_on, resorted = threading.Event(), threading.Event(), threading.Event()

    def call() -> None:
        happened.append("call begins")
        in_call.set()
        assert go_on.wait(4)
        happened.append("call ends")

    def last_resort(why: str) -> None:
        happened.append(why)
        resorted.set()
        threading.Event().wait()  # in a sweep, the process ends here

    with StopRequest() as stop:
        stop.arm_forced_exit(last_resort)
        guarded = stop.guard(call)
        threading.Thread(target=lambda: (guarded(), guarded(), stop.disarm_forced_exit()), daemon=True).start()
        assert in_call.wait(4)
        threading.Thread(target=stop.force_exit, args=("gives up",), daemon=True).start()
        assert not resorted.wait(0.1)
        go_on.set()
        assert resorted.wait(4)
    assert happened[-1] == "gives up"
    assert happened.count("call begins") == happened.count("call ends")
