"""The fixture `command`: what runs in this process behaves as a process of its own."""


def test_a_mistake_is_one_line_and_status_2(command):
    done = command("ppo.lrr=1")
    assert (done.code, done.out) == (2, "")
    assert done.err == "sweep.py: error: unknown setting ppo.lrr; did you mean ppo.lr?\n"
    assert command("format=1").err.startswith("sweep.py: error: format must be left out")
    assert command.sweeps("audit", "nothing").code == 2
    assert command.analysis("diagnose", "nothing").code == 2


def test_a_sweep_of_commit_3fefaf5_has_format_1(old_sweeps):
    from unstuck.sweeps.config.find import load_sweep

    assert load_sweep(old_sweeps / "runs" / "stopped").format == 1
