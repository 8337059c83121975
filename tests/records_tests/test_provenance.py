import platform
import subprocess
import sys
from pathlib import Path

import pytest
from unstuck.records.machine import count_granted_cores
from unstuck.records.provenance import PACKAGES, collect_provenance, collect_versions, read_git_state


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A committed file in a repository of its own."""
    git(tmp_path, "init", "--quiet")
    file = tmp_path / "code" / "agent.py"
    file.parent.mkdir()
    file.write_text("lr = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    return file


def test_commit_of_a_clean_tree(source: Path) -> None:
    assert read_git_state(source) == {"git.commit": git(source.parent, "rev-parse", "HEAD"), "git.dirty": "false"}


def test_a_changed_file_is_dirty_until_committed(source: Path) -> None:
    first = read_git_state(source)
    source.write_text("lr = 2\n")
    assert read_git_state(source) == {**first, "git.dirty": "true"}
    git(source.parent, "commit", "--quiet", "-am", "two")
    assert read_git_state(source)["git.dirty"] == "false"
    assert read_git_state(source)["git.commit"] != first["git.commit"]


def test_an_untracked_file_is_dirty_wherever_it_lies(source: Path) -> None:
    (source.parent.parent / "mine.yaml").write_text("lr: 3\n")
    assert read_git_state(source)["git.dirty"] == "true"


def test_an_ignored_folder_is_not_dirty(source: Path) -> None:
    (source.parent.parent / ".gitignore").write_text("runs/\n")
    git(source.parent.parent, "add", ".gitignore")
    git(source.parent.parent, "commit", "--quiet", "-m", "two")
    (source.parent.parent / "runs").mkdir()
    (source.parent.parent / "runs" / "mlflow.db").touch()
    assert read_git_state(source)["git.dirty"] == "false"


def test_an_installed_package_is_not_taken_for_the_repository_around_it(source: Path) -> None:
    installed = source.parent.parent / "site-packages" / "agent.py"
    installed.parent.mkdir()
    installed.touch()
    assert read_git_state(installed) == {}


def test_without_repository_or_git_there_is_no_commit(
    source: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "agent.py"
    outside.touch()
    assert read_git_state(outside) == {}
    monkeypatch.setenv("PATH", str(outside.parent))
    assert read_git_state(source) == {}


def test_versions_leaves_out_what_is_not_installed() -> None:
    found = collect_versions(("pytest", "no-such-package-of-anybody"))
    assert found == {"version.python": platform.python_version(), "version.pytest": pytest.__version__}


def test_provenance_is_complete_and_text(source: Path) -> None:
    found = collect_provenance(source)
    expected = {"git.commit", "git.dirty", "version.python", "host.cpus", *(f"version.{name}" for name in PACKAGES)}
    assert found.keys() == expected
    assert found["host.cpus"] == str(count_granted_cores().count)
    assert all(isinstance(value, str) and value for value in found.values())


def test_provenance_loads_none_of_the_packages() -> None:
    code = (
        "import sys; from unstuck.records.provenance import PACKAGES, collect_provenance; "
        "collect_provenance(); print(sorted(sys.modules.keys() & set(PACKAGES)))"
    )
    root = Path(__file__).parents[2]
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert answer.stdout.strip() == "[]"
