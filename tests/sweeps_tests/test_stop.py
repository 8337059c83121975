"""What signals do while a sweep runs."""

import signal

import pytest

from sweeps.stop import StopRequest


def test_first_signal_is_noted_and_a_second_raises() -> None:
    with StopRequest() as stop:
        assert not stop.asked
        signal.raise_signal(signal.SIGTERM)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_what_is_shielded_runs_to_its_end() -> None:
    with StopRequest() as stop:
        with stop.shielded():
            for _ in range(3):
                signal.raise_signal(signal.SIGINT)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with StopRequest() as stop:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as a library may
        stop.rearm()
        signal.raise_signal(signal.SIGTERM)
        assert stop.asked
    assert signal.getsignal(signal.SIGINT) is before
