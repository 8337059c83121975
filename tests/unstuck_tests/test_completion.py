"""Words that a shell completes: what there is, where the user stands, asked by a real bash."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Command
from unstuck.command_table import find_parser, list_commands
from unstuck.commands.completion import SHELLS, complete_line

ROOT = Path(__file__).parents[2]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two sweeps, one of two trials, and an experiment and a space of one's own."""
    for name in ("runs/kdd/trials/0000", "runs/kdd/trials/0011", "runs/web", "mine/experiment", "mine/space"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("runs/kdd/config.yaml", "runs/web/config.yaml", "mine/experiment/mesh.yaml", "mine/space/wide.yaml"):
        (tmp_path / name).write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("unstuck s", ["show", "stop", "sweep"]),
        ("unstuck list --f", ["--folder"]),
        ("unstuck show ", ["kdd", "web"]),
        ("unstuck show kdd/", ["kdd/0", "kdd/11"]),
        ("unstuck audit k", ["kdd"]),
        ("unstuck diagnose ", ["kdd/", "web/"]),
        ("unstuck diagnose kdd/1", ["kdd/11"]),
        ("unstuck show --folder elsewhere ", []),
        ("unstuck sweep +experiment=q", ["+experiment=quickstart"]),
        ("unstuck sweep experiment=q", ["experiment=quickstart"]),
        ("unstuck sweep --config-dir mine +experiment=m", ["+experiment=mesh"]),
        ("unstuck sweep --config-dir mine space=w", ["space=wide"]),
        ("unstuck sweep sampler=", ["sampler=points", "sampler=random", "sampler=tpe"]),
        ("unstuck sweep ppo.l", ["ppo.lr=", "ppo.lr_schedule="]),
        ("unstuck sweep ppo.compile=", ["ppo.compile=false", "ppo.compile=true"]),
        ("unstuck sweep space.ppo.gam", ["space.ppo.gamma."]),
        ("unstuck sweep space.ppo.gamma.l", ["space.ppo.gamma.log="]),
        ("unstuck sweep resume=k", ["resume=kdd"]),
        ("unstuck sweep +experiment=unstick run=kdd/", ["run=kdd/0", "run=kdd/11"]),
        ("unstuck unstick ", ["kdd/", "web/"]),
        ("unstuck unstick kdd/0 unstick.it", ["unstick.iterations="]),
        ("unstuck completion ", ["--help", "bash", "fish", "zsh"]),
        ("unstuck nothing ", []),
    ],
)
def test_words_are_completed(here: Path, line: str, expected: list[str]) -> None:
    assert complete_line(line) == expected


def test_every_command_and_each_of_its_options_is_offered() -> None:
    assert set(list_commands()) <= set(complete_line("unstuck "))
    for name in set(list_commands()) - {"sweep", "completion"}:
        offered = complete_line(f"unstuck {name} -")
        options = set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", find_parser(name).format_help(), re.M))
        assert "--help" in options
        assert options <= set(offered), name
    assert "--config-dir" in complete_line("unstuck sweep --c")


def test_a_shell_must_be_named(command: Command) -> None:
    assert [command.unstuck("completion", shell).out for shell in SHELLS] == [lines for lines, _, _ in SHELLS.values()]
    assert command.unstuck("completion").err.startswith(
        "unstuck completion: error: SHELL must be one of bash, zsh, fish"
    )
    assert command.unstuck("completion", "tcsh").code == 2


def type_in_bash(here: Path, line: str) -> list[str]:
    """Words that bash puts in the place of a line's last word, which for bash begins after the last `=`."""
    called = here / "unstuck"
    called.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT / "unstuck"} "$@"\n')
    called.chmod(0o755)
    script = f"""
        source <(./unstuck completion bash)
        compopt() {{ :; }}
        COMP_LINE='{line}' COMP_POINT={len(line)} COMP_WORDS=(./unstuck)
        _unstuck
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], cwd=here, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_a_real_bash_completes_a_word_after_its_equals_sign(here: Path) -> None:
    assert type_in_bash(here, "unstuck audit k") == ["kdd"]
    assert type_in_bash(here, "unstuck sweep +experiment=qu") == ["quickstart"]
    assert type_in_bash(here, "unstuck sweep ppo.gam") == ["ppo.gamma="]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_take_the_lines(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    options = ["-n"] if shell == "zsh" else ["--no-execute"]
    done = subprocess.run([shell, *options], input=SHELLS[shell][0], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
