"""Sweeps from a script, a notebook or a thread: what is returned, and what ends them."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import unstuck
from tests.sweeps_tests.real import SHORT, count_evaluations
from unstuck import running

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ended_sweep(old_sweeps: Path, monkeypatch: pytest.MonkeyPatch) -> unstuck.SweepResult:
    """A sweep of commit 3fefaf5, read from its folder."""
    monkeypatch.chdir(old_sweeps)
    return unstuck.load_sweep("ended")


def test_trials_and_curves_are_tables(ended_sweep: unstuck.SweepResult) -> None:
    assert (ended_sweep.name, ended_sweep.state, ended_sweep.ended) == ("ended", "ended", "ended")
    trials = ended_sweep.trials
    assert list(trials.index) == [0, 1, 2, 3]
    assert list(trials["outcome"].value_counts().sort_index().items()) == [("completed", 2), ("pruned", 2)]
    assert trials["value"].where(trials["outcome"] == "completed").idxmax() == ended_sweep.best == 1
    assert trials.loc[1, "value"] == pytest.approx(0.3770, abs=1e-4)
    assert {"reason", "spread", "diagnosis", "control", "ppo.lr"} <= set(trials.columns)
    curves = ended_sweep.curves
    assert list(curves.columns) == [0, 1, 2, 3]
    assert curves[1].dropna().tail(3).mean() == pytest.approx(trials.loc[1, "value"])
    pruned = trials.index[trials["outcome"] == "pruned"][0]
    assert curves[pruned].last_valid_index() == trials.loc[pruned, "iterations"] < curves.index[-1]


def test_a_notebook_shows_verdict_trials_and_a_figure(ended_sweep: unstuck.SweepResult) -> None:
    shown = ended_sweep._repr_html_()
    verdict = "Trial 1 cannot be told from the control: eval/f1 0.3583 on 3 fresh seeds"
    assert ended_sweep.verdict.startswith(verdict)
    assert f"<b>{verdict}" in shown
    assert shown.index("<th>1</th>") < shown.index("<th>0</th>")  # the best first
    assert "<svg" in shown
    figure = ended_sweep.figures["ended-curves"]
    assert figure._repr_svg_().startswith("<svg")
    assert str(ended_sweep) == f"ended: ended\n{ended_sweep.verdict}"


def test_a_sweep_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(unstuck.SweepError, match=r"no sweep in .*/none; sweeps in"):
        unstuck.load_sweep("none", tmp_path)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["+experiment=quickstart", "ppo.gama=0.9"], r"^unknown setting ppo\.gama; did you mean ppo\.gamma\?$"),
        ({"+experiment": "quickstart", "ppo.lr": -1.0}, r"^ppo\.lr must be positive and finite, got -1\.0"),
        ([], "^choose what to run, such as .experiment=quickstart; got nothing$"),
        (["--version"], "^run_sweep takes words that run a sweep"),
        ("+experiment=quickstart", r"^overrides must be a list of words, got '\+experiment=quickstart'; write \["),
        ("+experiment=quickstart 'sweep.name=x y'", r'; write \["\+experiment=quickstart", "sweep\.name=x y"\]$'),
        ("sweep.name='x", r"; write \[\"sweep\.name='x\"\]$"),
    ],
)
@pytest.mark.slow
def test_a_mistake_is_raised_in_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: running.Overrides, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(unstuck.SweepError, match=message) as error, contextlib.redirect_stderr(io.StringIO()) as err:
        unstuck.run_sweep(overrides, show=False)
    assert "\n" not in str(error.value)
    assert err.getvalue() == ""
    assert list(tmp_path.iterdir()) == []


PRINTS = "import sys, time; print('one', flush=True); print('oops', file=sys.stderr); {}"
HEEDS = PRINTS.format("\ntry: time.sleep(60)\nexcept KeyboardInterrupt: print('closed'); sys.exit(130)")


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Another program in place of the sweep's process: what `run_sweep` does with any that it starts."""
    program = tmp_path / "sweep_process.py"
    monkeypatch.setattr(running, "__file__", str(tmp_path / "running.py"))
    return program


def test_what_the_sweep_prints_is_passed_on_and_its_last_error_kept(
    child: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    child.write_text(PRINTS.format("print(sys.argv[1] + ': error: no', file=sys.stderr); sys.exit(2)"))
    ran = running._run_process(["a=1"], child, show=True)
    assert ran == running._Ran(2, "no")
    assert capsys.readouterr() == ("one\n", "oops\n")
    assert running._run_process([], child, show=False) == ran
    assert capsys.readouterr() == ("", "")


def test_what_a_sweep_printed_that_has_ended_already_is_passed_on(
    child: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = subprocess.Popen

    def end_at_once(*words: Any, **how: Any) -> "subprocess.Popen[str]":
        process = start(*words, **how)
        process.wait()
        return process

    monkeypatch.setattr(running.subprocess, "Popen", end_at_once)
    child.write_text(PRINTS.format(""))
    assert running._run_process([], child, show=True).code == 0
    assert capsys.readouterr() == ("one\n", "oops\n")


def test_an_interrupt_ends_the_sweep_and_not_the_program(child: Path, capsys: pytest.CaptureFixture[str]) -> None:
    child.write_text(HEEDS)

    def interrupt() -> None:
        while "one" not in printed.getvalue():
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with contextlib.redirect_stdout(io.StringIO()) as printed:
        threading.Thread(target=interrupt).start()
        assert running._run_process([], child, show=True).code == 130
    assert printed.getvalue() == "one\nclosed\n"


PARENT = """
import subprocess, sys
code = "import os, signal, sys, threading, time; sys.path.insert(0, sys.argv[1]); from unstuck import sweep_process;"
code += "signal.signal(signal.SIGHUP, lambda *_: (open(sys.argv[2], 'w').write('ended'), os._exit(0)));"
code += "threading.Thread(target=sweep_process._end_with_parent, args=(os.getppid(),)).start();"
code += "print('runs', flush=True); [(time.sleep(0.05), print('alive', flush=True)) for _ in range(600)]"
child = subprocess.Popen([sys.executable, "-c", code, *sys.argv[1:]], stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print("runs", flush=True)
child.wait()
"""


@pytest.mark.slow
def test_a_sweep_ends_like_one_whose_terminal_is_closed_when_its_program_is_killed(tmp_path: Path) -> None:
    told = tmp_path / "told"
    program = subprocess.Popen([sys.executable, "-c", PARENT, str(ROOT), str(told)], stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    assert program.stdout.readline() == "runs\n"
    program.kill()
    program.communicate()
    while not told.exists() or not told.read_text():
        time.sleep(0.02)
    assert told.read_text() == "ended"


WITHOUT_RAY = """
import sys
sys.path.insert(0, {root!r})
from benchmarks.in_process import no_ray
from unstuck import sweep_process
with no_ray():
    sys.exit(sweep_process.main())
"""


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_sweep_in_a_thread_leaves_the_program_alone_and_ends_when_asked(
    child: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mlflow_tables: Callable[[Path], None]
) -> None:
    """A sweep with Ray: sweeps_tests/run/test_sweep_resume.py, by `make test-chaos`."""
    mlflow_tables(tmp_path / "runs" / "mlflow.db")
    child.write_text(WITHOUT_RAY.format(root=str(ROOT)))
    monkeypatch.chdir(tmp_path)
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)], dict(os.environ)
    found: list[unstuck.SweepResult] = []
    words = [*SHORT, "sweep.name=long", "sweep.num_trials=2", "ppo.num_iterations=100000"]
    thread = threading.Thread(target=lambda: found.append(unstuck.run_sweep(words, show=False)))
    thread.start()
    while not count_evaluations(tmp_path, "long", 0):
        time.sleep(0.2)
    assert unstuck.load_sweep("long").state == "running"
    assert before == ([signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)], os.environ)
    assert unstuck.stop_sweep("long")
    thread.join()
    (result,) = found
    assert (result.name, result.folder) == ("long", tmp_path / "runs" / "long")
    assert (result.state, result.ended, result.best) == ("interrupted", "stopped by the user; a resume goes on", None)
    assert list(result.trials["outcome"]) == ["interrupted"]
    assert len(result.curves) == len(result.curves[0].dropna()) > 0
    assert result.load_run(0).last_iteration >= 2
    assert not unstuck.stop_sweep("long")


@pytest.mark.slow
def test_a_program_that_does_not_wait_for_its_children_learns_how_a_sweep_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system forgets exit codes then
    try:
        ran = running._run_process(["+experiment=quickstart", "ppo.lr=-1"], tmp_path / "told", show=False)
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert (ran.code, "ppo.lr must" in ran.error) == (2, True)
