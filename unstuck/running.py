"""Run and stop sweeps from a program: `unstuck.run_sweep`, `unstuck.stop_sweep`.

A sweep runs in a process of its own. So a script, a notebook and a thread keep their signal handlers, their environment
variables and their own Ray; several sweeps may run at the same time; and nothing that ends a sweep ends the program.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unstuck.analysis.overrides import format_literal
from unstuck.records.errors import SweepError
from unstuck.results import SweepResult, load_sweep

_PROGRAM = "unstuck.run_sweep"
"""Name of the program in messages of the sweep's process."""

Overrides = Sequence[str] | Mapping[str, Any]
"""Words of the command line, such as `sweep.num_trials=4`, or settings by name."""

_REFUSED, _STOPPED = 2, 130
"""Exit codes of a sweep's process."""


def run_sweep(overrides: Overrides, *, show: bool = True) -> SweepResult:
    """Run a sweep to its end, as the command `unstuck sweep` does, and return the result.

    Ctrl-C, or the interrupt of a notebook's kernel, ends the sweep as it does on the command line: records are closed,
    a resume goes on, and the result says so. `unstuck stop NAME` does the same from a terminal, `stop_sweep` from
    another thread.

    Args:
        overrides: Words as on the command line, such as `["+experiment=quickstart", "sweep.num_trials=4"]`, or settings
            by name, such as `{"+experiment": "quickstart", "sweep.num_trials": 4}`.
        show: True to print what the sweep prints.

    Returns:
        How the sweep ended, its trials, curves, figures and verdict.

    Raises:
        SweepError: The sweep was refused, with the reason in one line; or it failed before anything was on record.
    """
    words = _list_words(overrides)
    with tempfile.TemporaryDirectory(prefix="unstuck-") as folder:
        told = Path(folder) / "sweep"
        ran = _run_process(words, told, show)
        place = told.read_text(encoding="utf-8") if told.is_file() else ""
    if ran.code == _REFUSED or not place:
        raise SweepError(ran.error or "run_sweep takes words that run a sweep, such as +experiment=quickstart")
    urls = dict(word.split("=", 1) for word in words if word.startswith("tracking.") and "=" in word)
    try:
        result = load_sweep(
            place,
            optuna_url=urls.get("tracking.optuna_url"),
            mlflow_url=urls.get("tracking.mlflow_url"),
        )
    except SweepError as error:
        raise SweepError(ran.error or str(error)) from error
    return replace(result, ended=_describe_end(ran, result))


def stop_sweep(name: str | os.PathLike[str], folder: str | os.PathLike[str] = "runs") -> bool:
    """Ask a running sweep to end, as Ctrl-C does, and wait until it has; return False if no sweep runs.

    Args:
        name: Name of the sweep, or its folder.
        folder: Folder of all sweeps, for a name.

    Raises:
        SweepError: There is no such sweep, or it has not ended in time.
    """
    from unstuck.sweeps.catalog.stop import stop_sweep as stop
    from unstuck.sweeps.config.find import find_sweep

    return stop(find_sweep(os.fspath(name), Path(folder)).own_folder, lambda _: None)


@dataclass(frozen=True)
class _Ran:
    """Exit code of a sweep's process, and the last line of its error output, without the program's name."""

    code: int
    error: str


def _list_words(overrides: Overrides) -> list[str]:
    if isinstance(overrides, str):
        raise SweepError(f"overrides must be a list of words, got {overrides!r}; write {_split_words(overrides)}")
    if isinstance(overrides, Mapping):
        return [f"{name}={format_literal(value)}" for name, value in overrides.items()]
    return [str(word) for word in overrides]


def _split_words(line: str) -> str:
    """Split a command line as a shell would; return the words as the text of a Python list."""
    try:
        words = shlex.split(line)
    except ValueError:  # a quote that is not closed
        words = line.split()
    return json.dumps(words, ensure_ascii=False)


def _run_process(words: Sequence[str], told: Path, show: bool) -> _Ran:
    """Run a sweep's process to its end; pass its output to the screen, and Ctrl-C to the process.

    Args:
        words: Words of the command line.
        told: File that gets the sweep's folder.
        show: True to print what the process prints.
    """
    is_main = threading.current_thread() is threading.main_thread()
    on_terminal = show and is_main and sys.__stdout__ is sys.stdout is not None and sys.stdout.isatty()
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("sweep_process.py")), _PROGRAM, str(told), *words],
        env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        stdout=None if on_terminal else subprocess.PIPE,  # on a terminal the sweep draws its live view
        stderr=subprocess.PIPE,
        start_new_session=not on_terminal,  # a terminal sends its Ctrl-C to the sweep as well
        encoding="utf-8",
    )
    errors: list[str] = []
    reader = threading.Thread(target=_read_errors, args=(process.stderr or (), errors, show), daemon=True)
    reader.start()
    try:
        has_ended = False  # a process that has ended already may have printed
        while not has_ended:
            try:
                _pass_on(process, show)
                has_ended = True
            except KeyboardInterrupt:
                if not on_terminal:
                    process.send_signal(signal.SIGINT)
    finally:  # e.g. when printing fails
        if process.poll() is None:
            process.terminate()
            process.wait()
        reader.join()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    last = errors[-1].strip() if errors else ""
    written = Path(f"{told}.code")
    code = int(written.read_text()) if written.exists() else process.returncode
    return _Ran(code, last.removeprefix(f"{_PROGRAM}: error: "))


def _pass_on(process: "subprocess.Popen[str]", show: bool) -> None:
    """Print the lines that a sweep's process prints, until the process ends."""
    for line in process.stdout or ():
        if show:
            print(line, end="", flush=True)
    process.wait()


def _read_errors(pipe: Iterable[str], errors: list[str], show: bool) -> None:
    for line in pipe:
        errors.append(line)
        if show and not line.startswith(f"{_PROGRAM}: error: "):  # which will be raised
            print(line, end="", file=sys.stderr, flush=True)


def _describe_end(ran: _Ran, result: SweepResult) -> str:
    """Describe in words how a recorded sweep ended."""
    if ran.code == _STOPPED:
        return "stopped by the user; a resume goes on"
    if ran.code:
        from unstuck.sweeps.screen.summary import explain_failure

        return ran.error or (explain_failure(result.entries) if result.best is None else "failed")
    return "all trials have ended" if result.state == "ended" else "the time budget is used up; a resume goes on"
