"""Every command answers an error in one line: the user's with exit code 2, ours with exit code 1 and a file."""

import errno
import io
import re
import sys
import tempfile
from pathlib import Path

import pytest
from unstuck.records.errors import SweepError

from tests.conftest import Command
from unstuck.command_line import answer_errors, explain_refusal

SECRET = "tracking.optuna_url=postgresql://me:s3cret@db/runs"

COMMANDS = {  # command: words that it takes, and a function of ours that it calls
    "sweep": (["sampler=random"], "unstuck.sweep_command.read_arguments"),
    "unstick": (["kdd/7"], "unstuck.sweep_command.read_arguments"),
    "champion": (["kdd"], "unstuck.sweeps.__main__._champion"),
    "audit": (["kdd"], "unstuck.sweeps.__main__._audit"),
    "diagnose": (["kdd/7"], "unstuck.analysis.__main__._check_stores"),
    "compare": (["a", "b"], "unstuck.analysis.__main__._check_stores"),
    "report": (["kdd/7"], "unstuck.analysis.__main__._check_stores"),
    "list": (["--folder", "."], "unstuck.commands.list.list_sweeps"),
    "show": (["kdd"], "unstuck.sweeps.config.find.load_sweep"),
    "ui": (["kdd"], "unstuck.sweeps.config.find.load_sweep"),
    "stop": (["kdd"], "unstuck.sweeps.config.find.load_sweep"),
    "delete": (["kdd"], "unstuck.sweeps.config.find.load_sweep"),
    "doctor": ([], "unstuck.commands.doctor.check_machine"),
}


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files, empty."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def fail(*_: object, **__: object) -> int:
    raise KeyError("eval/f1")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_fault_of_ours_is_one_line_and_a_file(
    command: Command, name: str, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, ours = COMMANDS[name]
    monkeypatch.setattr(ours, fail)
    done = command.unstuck(name, *words)
    (file,) = temporary.glob("unstuck-error-*.txt")
    assert done.err == (
        f"unstuck {name}: error: a fault of Unstuck's: KeyError: 'eval/f1'; please report it as an issue with {file}, "
        "which holds the traceback; --debug shows it too\n"
    )
    assert (done.code, done.out) == (1, "")
    text = file.read_text()
    assert "Traceback (most recent call last)" in text
    assert re.search(r"^command: unstuck .*\b" + re.escape(name), text, re.MULTILINE)
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("place", ["before", "behind"])
def test_debug_shows_the_traceback_before_the_line(command: Command, temporary: Path, place: str) -> None:
    words = ["--debug", "show", "gone"] if place == "before" else ["show", "gone", "--debug"]
    done = command.unstuck(*words)
    assert done.code == 2
    assert done.err.startswith("Traceback (most recent call last)")
    assert done.err.splitlines()[-1].startswith("unstuck show: error: ")
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_debug_in_its_help(command: Command, name: str) -> None:
    assert name == "sweep" or "--debug" in command.unstuck(name, "--help").out


def test_neither_line_nor_file_tells_a_password(temporary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def call() -> int:
        raise RuntimeError("no answer from 's3cret@db'")

    assert answer_errors("unstuck sweep", [SECRET, "--debug"], call) == 1
    (file,) = temporary.iterdir()
    shown = capsys.readouterr().err + file.read_text()
    assert "s3cret" not in shown
    assert "postgresql://***@db/runs" in shown


def test_a_fault_without_a_folder_for_its_file_is_still_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    assert answer_errors("unstuck list", [], fail) == 1
    assert capsys.readouterr().err == (
        "unstuck list: error: a fault of Unstuck's: KeyError: 'eval/f1'; --debug shows the traceback: please report "
        "it as an issue, with the command\n"
    )


@pytest.mark.parametrize(
    ("error", "code"), [(SweepError("x"), 2), (KeyboardInterrupt(), 130), (ValueError("x"), 1), (BrokenPipeError(), 0)]
)
def test_exit_codes(error: BaseException, code: int, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def call() -> int:
        raise error

    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert answer_errors("unstuck list", [], call) == code


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EACCES, "give this user the right to it, or name another"),
        (errno.ENOSPC, "make room on the disk, or name another"),
        (errno.EROFS, "name another, on a disk that can be written"),
    ],
)
def test_errors_of_the_machine_have_a_remedy(number: int, remedy: str) -> None:
    assert str(explain_refusal(OSError(number, "Why", "runs/x"))) == f"runs/x cannot be used: Why; {remedy}"


def test_errors_that_a_bug_makes_too_are_no_refusals() -> None:
    assert explain_refusal(FileNotFoundError(errno.ENOENT, "No such file", "trials/0007")) is None
    assert explain_refusal(ModuleNotFoundError("no", name="unstuck.records.gone")) is None
    assert str(explain_refusal(ModuleNotFoundError("no", name="optuna.trial"))).startswith(
        "package optuna must be installed; pip install optuna"
    )


def test_an_encoding_that_lacks_a_sign_ends_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii", write_through=True))
    assert answer_errors("unstuck list", [], lambda: print("0.5 ± 0.1") or 0) == 0
    assert written.getvalue() == b"0.5 ? 0.1\n"
