"""One process a sweep, and where its temporary files go, with real processes."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from unstuck.records import lock as lock_module
from unstuck.records.errors import SweepError
from unstuck.records.files import lock_file, scratch_file, stop_file
from unstuck.records.lock import hold_lock, is_running, is_stop_requested, read_holder, read_owner, request_stop
from unstuck.sweeps.ray_tune import scratch
from unstuck.sweeps.ray_tune.scratch import remove_left_behind, scratch_folder

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys, time
from pathlib import Path
from unstuck.sweeps.ray_tune import scratch
from unstuck.records.lock import hold_lock
from unstuck.sweeps.ray_tune.scratch import scratch_folder
scratch._LONGEST_PARENT = 1000
with hold_lock(Path(sys.argv[1])), scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "big").write_text("x")
    print("holds", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sweep's folder; scratch folders of this process and its children lie beside it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(scratch.tempfile, "tempdir", None)
    monkeypatch.setattr(scratch, "_LONGEST_PARENT", 1000)
    folder = tmp_path / "runs" / "mine"
    folder.mkdir(parents=True)
    return folder


def start(folder: Path) -> "subprocess.Popen[str]":
    """Another process that runs the sweep."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, folder], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "holds\n"
    return process


def kill(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def left_behind(folder: Path) -> list[Path]:
    return list(folder.parents[1].glob("unstuck-*"))


def test_a_sweep_that_runs_is_refused_until_its_process_is_gone_however(folder: Path) -> None:
    assert not is_running(folder)
    assert list(folder.iterdir()) == []  # asking makes nothing
    process = start(folder)
    try:
        assert is_running(folder)
        with pytest.raises(SweepError, match=f"process {process.pid} on .* runs mine"), hold_lock(folder):
            pass
        first = read_owner(folder)
    finally:
        kill(process)
    assert not is_running(folder)
    with hold_lock(folder):
        assert is_running(folder)
        assert read_owner(folder) not in (None, first)
        with pytest.raises(SweepError, match=f"process {os.getpid()} "), hold_lock(folder):
            pass
    assert not is_running(folder)


def test_asking_whether_a_sweep_runs_disturbs_neither_another_question_nor_a_sweep_that_starts(folder: Path) -> None:
    with hold_lock(folder):
        pass
    with lock_file(folder).open() as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)  # as `is_running` does, for a moment
        assert not is_running(folder)
        threading.Timer(0.1, fcntl.flock, [asking, fcntl.LOCK_UN]).start()
        with hold_lock(folder):
            assert is_running(folder)


def test_a_request_to_stop_is_for_the_process_that_was_asked_alone(folder: Path) -> None:
    with hold_lock(folder, heeds_stop=True):
        holder = read_holder(folder)
        assert holder is not None
        assert (holder.pid, holder.heeds_stop, holder.owner) == (os.getpid(), True, read_owner(folder))
        assert not is_stop_requested(folder, holder.owner)
        request_stop(folder, holder)
        assert is_stop_requested(folder, holder.owner)
        assert not is_stop_requested(folder, "of another")
    assert not stop_file(folder).exists()
    request_stop(folder, holder)  # too late: the next process does not know the request
    with hold_lock(folder, heeds_stop=True):
        assert not stop_file(folder).exists()
    with hold_lock(folder):
        assert not (read_holder(folder) or holder).heeds_stop


def test_nobody_owned_what_says_nothing(folder: Path) -> None:
    assert read_owner(folder) is None
    lock_file(folder).write_text("half a li")
    assert read_owner(folder) is None
    with hold_lock(folder):
        assert read_owner(folder) is not None


def test_a_scratch_folder_is_closed_to_others_and_goes_with_its_sweep(folder: Path) -> None:
    with scratch_folder(folder) as path:
        assert path.stat().st_mode & 0o777 == 0o700
        assert left_behind(folder) == [path]
        (path / "some").write_text("file")
    assert left_behind(folder) == []
    assert not scratch_file(folder).exists()


def test_what_a_killed_process_left_is_removed_by_its_own_resume_and_by_a_sweep_beside_it(folder: Path) -> None:
    for successor in (folder, folder.parent / "other"):
        kill(start(folder))
        (left,) = left_behind(folder)
        successor.mkdir(exist_ok=True)
        with hold_lock(successor), scratch_folder(successor) as own:
            assert left_behind(folder) == [own] != [left]
        assert left_behind(folder) == []


def test_what_a_running_sweep_uses_is_left_alone(folder: Path) -> None:
    process = start(folder)
    try:
        other = folder.parent / "other"
        other.mkdir()
        remove_left_behind(other)
        assert len(left_behind(folder)) == 1
    finally:
        kill(process)


FOREIGN = {
    "foreign name": "precious",
    "own clone": "unstuck-main",
    "below": "unstuck-0123abcd/x",
    "beside": "runs/mine/unstuck-0123abcd",
}


@pytest.mark.parametrize("kind", [*FOREIGN, "other host", "link", "somebody else's", "no note"])
def test_a_note_cannot_have_anything_else_removed(folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    precious = folder.parents[1] / FOREIGN.get(kind, "unstuck-0123abcd")
    if kind == "link":
        (folder.parents[1] / "precious").mkdir()
        precious.symlink_to(folder.parents[1] / "precious")
    else:
        precious.mkdir(parents=True)
    host = "elsewhere" if kind == "other host" else scratch.socket.gethostname()
    note = {"host": host, "path": str(precious)}
    scratch_file(folder).write_text("[" if kind == "no note" else json.dumps(note))
    if kind == "somebody else's":
        monkeypatch.setattr(scratch.os, "getuid", lambda: os.geteuid() + 1)
    remove_left_behind(folder)
    assert precious.exists()


def full(*args: object, **kwargs: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("opened", [hold_lock, scratch_folder])
def test_a_disk_that_takes_nothing_is_told_in_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, opened: Callable[[Path], AbstractContextManager[object]]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(lock_module.json, "dumps", full)
        with pytest.raises(SweepError, match=r"must be .* written.*: No space left on device; check the disk"):
            opened(folder).__enter__()
    with opened(folder):
        pass
