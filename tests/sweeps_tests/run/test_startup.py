from unstuck.sweeps.run.startup import Startup


def test_two_that_crash_alike_before_a_first_result_stop_the_sweep() -> None:
    startup = Startup()
    assert startup.crash(0, "OSError: no device (pid 12, 0x7f3a)", running=[]) is None
    error = startup.crash(1, "OSError: no device (pid 977, 0x81bc)", running=[])
    assert str(error) == (
        "the first 2 trials crashed alike, before a first result, so the sweep was stopped: "
        "OSError: no device (pid 977, 0x81bc)"
    )


def test_those_that_were_started_with_the_first_to_crash_are_waited_for() -> None:
    startup = Startup()
    assert startup.crash(1, "no device", running=[0, 2, 3]) is None
    assert startup.crash(0, "no device", running=[2, 3, 4]) is None
    assert startup.crash(3, "no device", running=[2, 4, 5]) is None
    error = startup.crash(2, "no device", running=[4, 5, 6])  # 4 and later were started after the first crash
    assert str(error).startswith("the first 4 trials crashed alike")


def test_a_first_result_says_that_the_sweep_can_run() -> None:
    startup = Startup()
    assert startup.crash(0, "no device", running=[1]) is None
    startup.deliver()
    assert [startup.crash(number, "no device", running=[]) for number in (1, 2, 3)] == [None] * 3


def test_trials_that_crash_each_in_its_way_are_tried_on() -> None:
    startup = Startup()
    reasons = ("layer 3 is too wide", "no device", "no device", "no device")
    assert [startup.crash(number, reason, running=[]) for number, reason in enumerate(reasons)] == [None] * 4
