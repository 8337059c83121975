import io
import re
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from unstuck.records.measurement import Record
from unstuck.records.outcome import Outcome, Verdict
from unstuck.records.unstick import MilestoneRecord, StageRecord
from unstuck.rl.metrics import F1, seed_metric
from unstuck.sweeps.config.settings import StudyConfig, SweepConfig
from unstuck.sweeps.screen import pace as pace_module
from unstuck.sweeps.screen import progress as progress_module
from unstuck.sweeps.screen.progress import Progress, describe_settings
from unstuck.sweeps.stopping.live_trial import LiveTrial

NOW_MS = 10**15
"""Time of a measurement: after the start of any process."""

DONE = Verdict(Outcome.COMPLETED, "reached iteration 200")
PRUNED = Verdict(Outcome.PRUNED, "asha rung 1: 0.2 < 0.8")


def running(
    number: int, value: float | None = None, spread: float = 0.0, step: int = 20, values: dict[str, Any] | None = None
) -> LiveTrial:
    """A trial of two seeds with this value and spread at its last evaluation."""
    config = SweepConfig(sweep=StudyConfig(name="mine", seeds=2))
    trial = LiveTrial(number, config, values or {})
    if value is not None:
        offset = spread / 2**0.5  # the standard deviation of two values is their distance by the root of 2
        of_seeds = {seed_metric(F1, seed): value + sign * offset for seed, sign in enumerate((-1, 1))}
        trial.add([Record(step, NOW_MS, {F1: value, **of_seeds})])
    return trial


class Clock:
    """Time that passes when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        clock = SimpleNamespace(monotonic=lambda: self.now, time=lambda: self.now)
        for module in (progress_module, pace_module):
            monkeypatch.setattr(module, "time", clock)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Plain:
    """A progress that prints lines, and those lines."""

    def __init__(self, num_trials: int = 4, mode: str = "max", max_hours: float | None = None) -> None:
        self._file = io.StringIO()
        config = SweepConfig(sweep=StudyConfig(name="mine", mode=mode, max_hours=max_hours))
        self.progress = Progress(config, num_trials, Console(file=self._file))

    def run(self, number: int, verdict: Verdict, value: float | None, spread: float = 0.0) -> str:
        """Start and end one trial; returns the line that this prints."""
        self.progress.show_start(running(number))
        return self.end(number, verdict, value, spread)

    def end(self, number: int, verdict: Verdict, value: float | None, spread: float = 0.0) -> str:
        before = len(self.lines)
        self.progress.show_end(running(number, value, spread), verdict)
        (line,) = self.lines[before:]
        return line

    @property
    def lines(self) -> list[str]:
        return self._file.getvalue().splitlines()


def test_a_line_for_each_trial_that_ends(clock: Clock) -> None:
    plain = Plain(num_trials=2)
    with plain.progress:
        assert plain.lines == []
        clock.now += 61
        infeasible = Verdict(Outcome.INFEASIBLE, "minibatch_size must divide 1024, got 48")
        assert (
            plain.end(0, infeasible, None)
            == "[1 min 01 s] trial 0 infeasible: minibatch_size must divide 1024, got 48; 0 of 2 done"
        )
        assert plain.run(1, PRUNED, 0.2, 0.1).startswith(
            "[1 min 01 s] trial 1 pruned 0.200 ± 0.100: asha rung 1: 0.2 < 0.8; 1 of 2 done"
        )
        clock.now += 7200
        assert plain.run(2, DONE, 0.75, 0.05) == (
            "[2 h 01 min] trial 2 completed 0.750 ± 0.050: reached iteration 200; "
            "best 0.750 ± 0.050 (trial 2); 2 of 2 done"
        )
    assert len(plain.lines) == 3


@pytest.mark.parametrize(("mode", "bests"), [("max", [0, 1, 1]), ("min", [0, 0, 2])])
def test_the_best_is_a_completed_trial_by_mode(mode: str, bests: list[int]) -> None:
    plain = Plain(num_trials=9, mode=mode)
    for number, value in enumerate((0.5, 0.6, 0.4)):
        line = plain.run(number, DONE, value)
        assert f"(trial {bests[number]})" in line
    extreme = 0.9 if mode == "max" else 0.1
    assert f"(trial {bests[-1]})" in plain.run(3, PRUNED, extreme)


def test_of_equal_trials_the_lowest_number_is_the_best_as_in_the_table() -> None:
    """F1 is 0 for many; with several workers, they do not end in the order of their numbers."""
    plain = Plain(num_trials=9)
    assert "best 0.000 ± 0.000 (trial 2)" in plain.run(2, DONE, 0.0)
    assert "best 0.000 ± 0.000 (trial 1)" in plain.run(1, DONE, 0.0)
    assert "best 0.000 ± 0.000 (trial 1)" in plain.run(3, DONE, 0.0)


def test_time_left_by_the_pace_since_the_first_trial_started(clock: Clock) -> None:
    plain = Plain(num_trials=4)
    clock.now += 500  # Ray starts
    plain.progress.show_start(running(0))
    plain.progress.show_start(running(1))
    clock.now += 120
    plain.progress.show_evaluation(running(1, 0.5, step=100))  # of 200: half a trial
    # 1.5 trials in 120 s: 80 s each. 2.5 are left.
    assert plain.end(0, DONE, 0.5).endswith("1 of 4 done, about 3 min 20 s left")
    clock.now += 30
    plain.progress.show_start(running(2))
    assert plain.progress._format_time_left() == ", about 2 min 50 s left"


def test_time_left_is_never_more_than_the_budget(clock: Clock) -> None:
    plain = Plain(num_trials=100, max_hours=0.05)
    plain.progress.show_start(running(0))
    clock.now += 120
    assert plain.end(0, DONE, 0.5).endswith("1 of 100 done, about 1 min 00 s left")
    clock.now += 120  # trials end a little after it
    assert plain.run(1, DONE, 0.5).endswith("2 of 100 done, about 0 s left")


def test_no_time_left_where_there_is_nothing_to_tell_it_by(clock: Clock) -> None:
    plain = Plain(num_trials=3)
    plain.progress.show_start(running(0))
    clock.now += 60
    assert "left" not in plain.end(0, Verdict(Outcome.INFEASIBLE, "no"), None)  # none of the trials yet
    assert "left" in plain.run(1, DONE, 0.5)
    plain.progress.show_start(running(2))
    plain.progress.show_start(running(3))
    # The sweep ends: these will not be done in this call.
    interrupted = plain.end(2, Verdict(Outcome.INTERRUPTED, "stopped by the user"), 0.5)
    assert interrupted.endswith(
        "trial 2 interrupted 0.500 ± 0.000: stopped by the user; best 0.500 ± 0.000 (trial 1); 1 of 3 done"
    )


def test_what_a_resumed_trial_had_trained_before_is_no_pace(clock: Clock) -> None:
    plain = Plain(num_trials=2)
    trial = running(0)
    plain.progress.show_start(trial)
    clock.now += 10
    measured = {F1: 0.5, seed_metric(F1, 0): 0.4, seed_metric(F1, 1): 0.6}
    trial.add([Record(100, 0, measured)])  # of 200, from the checkpoint
    plain.progress.show_evaluation(trial)
    assert plain.progress._pace.steps_per_second is None
    assert plain.progress._format_time_left() == ""
    clock.now += 10
    trial.add([Record(150, NOW_MS, measured)])
    plain.progress.show_evaluation(trial)
    batch = trial.config.ppo.batch_size
    assert plain.progress._pace.steps_per_second == pytest.approx(1 * batch * 2 / 20)  # one iteration of two seeds
    # A quarter of a trial in 20 s; 1.25 are left.
    assert plain.progress._format_time_left() == ", about 1 min 40 s left"


def test_running_trials_are_told_of_after_half_a_minute_of_silence(clock: Clock) -> None:
    plain = Plain()
    trials = [running(0, 0.1, step=20), running(1, 0.1, step=40), running(2)]
    for trial in trials:
        plain.progress.show_start(trial)
    for trial in trials:  # what they have done is known to the pace
        trial.records[:] = [Record(one.iteration, 0, one.metrics) for one in trial.records]
    clock.now += 20
    plain.progress.show_evaluation(trials[0])
    assert plain.lines == []
    clock.now += 11
    plain.progress.show_evaluation(trials[1])
    assert plain.lines == ["[31 s] running: trial 0 at 20, trial 1 at 40; 0 of 4 done"]
    clock.now += 11
    plain.progress.show_evaluation(trials[0])
    assert len(plain.lines) == 1


def test_a_warning_is_shown_once(clock: Clock) -> None:
    plain = Plain()
    for message in ("no store", "no disk", "no store"):
        plain.progress.warn(message)
    assert plain.lines == ["[0 s] warning: no store", "[0 s] warning: no disk"]


def live(term: str = "xterm", num_trials: int = 12) -> tuple[Progress, io.StringIO]:
    file = io.StringIO()
    console = Console(force_terminal=True, file=file, width=100, height=30, _environ={"TERM": term})
    return Progress(SweepConfig(sweep=StudyConfig(name="mine")), num_trials, console), file


def plain_text(printed: str) -> str:
    """What was printed, without colours and the like, and without blanks at the ends of lines."""
    return re.sub(r" +$", "", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", printed).replace("\r", ""), flags=re.M)


def last_frame(progress: Progress, size: tuple[int, int] = (100, 30)) -> str:
    """The live view as it would be drawn now on a terminal of this size."""
    console = Console(file=io.StringIO(), width=size[0], height=size[1])
    progress._size = console.size
    progress._console.size = console.size
    console.print(progress._draw())
    assert isinstance(console.file, io.StringIO)
    return plain_text(console.file.getvalue())


def test_a_terminal_shows_running_trials_and_above_what_has_happened() -> None:
    progress, file = live()
    with progress:
        values = {"ppo.lr": 3e-4, "ppo.hidden_sizes": (64, 64)}
        progress.show_start(running(0, 0.25, 0.125, step=40, values=values))
        for number in range(1, 10):
            progress.show_start(running(number, values=values))
        for number in range(1, 8):
            progress.show_end(running(number, 0.2, 0.1), PRUNED)
        progress.show_end(running(8, 0.75, 0.05), DONE)
        progress.show_end(running(11), Verdict(Outcome.CRASHED, "OSError: [/dev/x] [bold]" + "long " * 40 + "end"))
        for _ in range(2):
            progress.warn("no store [/y]")
        frame = last_frame(progress, (120, 30))
    lines = frame.splitlines()
    assert re.fullmatch(r"mine +0 s, about 0 s left", lines[1])
    assert lines[2].startswith("9 of 12 done, 1 completed, 7 pruned, 1 crashed  ━━━")
    assert lines[3] == "best eval/f1 0.750 ± 0.050 (trial 8)"
    assert lines[4].split() == ["trial", "iteration", "curve", "eval/f1", "time", "diagnosis", "settings"]
    assert re.fullmatch(r" +0 +40/200 +▁ +0\.250 ± 0\.125 +0:00 +lr=0\.0003 hidden_sizes=\(6.*", lines[5])
    assert re.match(r" +9 +0/200 +0:00 +starting +lr=", lines[6])
    assert len(lines) == 7
    told = plain_text(file.getvalue())
    assert "[0 s] trial 3 pruned 0.200 ± 0.100: asha rung 1: 0.2 < 0.8\n" in told
    assert "OSError: [/dev/x] [bold]long" in told  # nothing is taken for markup
    assert "long end\n" in told  # nothing is cut
    assert told.count("warning: no store [/y]") == 1
    assert file.getvalue().endswith("\x1b[1A\x1b[2K" * 6 + "\x1b[1A\x1b[2K")  # the live view is gone


def test_a_terminal_says_what_starts_before_the_first_trial() -> None:
    progress, _ = live()
    with progress:
        progress.show_phase("starting Ray")
        assert last_frame(progress).splitlines()[-1] == "starting Ray"
        progress.show_start(running(0))
        frame = last_frame(progress)
    assert "starting Ray" not in frame
    assert re.search(r"^ +0 +0/200 +0:00  starting$", frame, re.M)


@pytest.mark.parametrize("size", [(80, 24), (60, 20), (120, 40), (40, 15), (28, 10)])
@pytest.mark.parametrize("num_running", [2, 12, 50])
def test_numbers_are_never_cut_nor_the_screen_overrun(size: tuple[int, int], num_running: int) -> None:
    progress, _ = live(num_trials=1000)
    values = {"ppo.lr": 3e-4, "ppo.hidden_sizes": (64, 64), "ppo.gamma": 0.99}
    for number in range(1000 - num_running, 1000):
        progress.show_start(running(number, 0.25, 0.125, step=200, values=values))
    lines = last_frame(progress, size).splitlines()
    assert max(map(len, lines)) <= size[0]
    assert len(lines) < size[1]
    shown = [line for line in lines if re.match(r" *9\d\d +200/200(  |$)", line)]
    assert len(shown) == num_running or lines[-1] == f"and {num_running - len(shown)} more that run"
    assert len(shown) >= min(num_running, size[1] - 13, 1)
    if size[0] >= 40:
        assert all("0.250 ± 0.125" in line for line in shown)


def test_columns_stand_still_while_numbers_come_and_go() -> None:
    progress, _ = live()
    progress.show_start(running(7))
    before = last_frame(progress, (80, 24)).splitlines()
    progress.show_evaluation(running(7, 0.25, 0.125, step=120))
    after = last_frame(progress, (80, 24)).splitlines()
    assert before[-2] == after[-2]  # the names of the columns
    assert before[-1].index("0:00") == after[-1].index("0:00")
    progress.show_evaluation(running(7, -123.5, 12.25, step=140))  # wider than anything before
    wide = last_frame(progress, (80, 24)).splitlines()
    progress.show_evaluation(running(7, 0.25, 0.125, step=160))
    assert last_frame(progress, (80, 24)).splitlines()[-2] == wide[-2]  # wide it stays


def test_after_a_change_of_size_the_screen_is_cleared_and_the_latest_lines_printed_again() -> None:
    progress, file = live()
    with progress:
        progress.warn("no store")
        file.truncate(0)
        progress._console.size = (60, 20)  # type: ignore[assignment]
        progress._draw()
        assert re.match(r"\0*\x1b\[2J\x1b\[H", file.getvalue())
        assert "warning: no store" in file.getvalue()
        file.truncate(0)
        progress._draw()
        assert "\x1b[2J" not in file.getvalue()


def test_a_terminal_that_cannot_move_its_cursor_gets_lines() -> None:
    progress, file = live("dumb")
    with progress:
        progress.show_end(running(0, 0.5), DONE)
    assert file.getvalue().startswith("[0 s] trial 0 completed 0.500 ± 0.000: reached iteration 200; best")


def test_describe_is_short_and_without_groups() -> None:
    values = {"ppo.lr": 0.00031415, "ppo.gamma": 0.99, "ppo.hidden_sizes": (64, 64), "ppo.target_kl": None}
    assert describe_settings(values) == "lr=0.000314 gamma=0.99 hidden_sizes=(64, 64) target_kl=None"
    assert describe_settings({}) == ""


def test_what_earlier_processes_did_counts_and_says_nothing_of_the_pace(clock: Clock) -> None:
    plain = Plain(num_trials=4)
    plain.progress.recall(0, Outcome.COMPLETED, 0.9, 0.1)
    plain.progress.recall(1, Outcome.INFEASIBLE, None, 0.0)
    assert plain.lines == []
    plain.progress.show_start(running(2))
    clock.now += 60
    line = plain.end(2, DONE, 0.5)
    assert "best 0.900 ± 0.100 (trial 0); 2 of 4 done, about 2 min 00 s left" in line  # one a minute, not two


def test_what_happened_to_a_checkpoint_is_told(clock: Clock) -> None:
    plain = Plain()
    plain.progress.show_notes(3, {"resumed_from": "40"})
    plain.progress.show_notes(4, {"resumed_from": "20", "resumed_exactly": "false"})
    plain.progress.show_notes(5, {"checkpoint": "started anew: cut short"})
    assert [line.partition("] ")[2] for line in plain.lines] == [
        "trial 3 goes on from iteration 40",
        "trial 4 goes on from iteration 20, not bit for bit: see docs/resume.md",
        "warning: trial 5's checkpoint: started anew: cut short",
    ]


def test_milestones_and_stages_are_told_and_more_trials_are_to_come(clock: Clock) -> None:
    plain = Plain(num_trials=2)
    missed = MilestoneRecord(
        number=2, metric="eval/f1", bound="above", limit=0.3, first=1, last=20, iteration=20, value=0.25, passed=False
    )
    plain.progress.show_milestones(1, [missed])
    assert plain.lines[-1] == "[0 s] trial 1 milestone 2 missed: F1 0.25 is not > 0.3 at iteration 20"
    plain.progress.show_start(running(0))
    clock.now += 10
    assert plain.end(0, DONE, 0.5).endswith("1 of 2 done, about 10 s left")
    plain.progress.expect(5)
    plain.progress.show_stage(StageRecord(stage=2, parent=0, why="no arm passed", arms=(2, 3, 4), env_steps=1))
    assert plain.lines[-1] == "[10 s] stage 2: no arm passed"
    assert "2 of 5 done" in plain.run(1, DONE, 0.5)


def test_a_terminal_shows_milestones_and_stages_among_what_has_happened() -> None:
    progress, file = live()
    with progress:
        progress.show_stage(StageRecord(stage=2, parent=0, why="no arm passed", arms=(2,), env_steps=1))
    assert "[0 s] stage 2: no arm passed\n" in plain_text(file.getvalue())
