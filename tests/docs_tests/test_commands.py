"""Each command in a page is one that works: settings compose, options are known, targets and programs are there."""

import importlib.util
import re
import shlex
from typing import ClassVar

import pytest

from tests.conftest import Command, Done
from tests.docs_tests.pages import PAGES, ROOT, Example, read_commands, read_files, read_page
from unstuck.command_table import COMMANDS, SWEEP, find_parser, list_commands

pytestmark = pytest.mark.timeout(60)

NAMED = {"+experiment=NAME": "+experiment=quickstart", "milestones=NAME": "milestones=improved"}
"""Words of a page that stand for a choice of the reader's, and a choice."""

TARGETS = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)

UNKNOWN = ("python train.py", "python -c")
"""Programs of the reader's own."""

OTHERS = ("mlflow", "optuna-dashboard", "pip", ".ci/run", "export")
"""Programs of others."""


class Checker:
    """Says what is wrong with a command of a page; an empty text for nothing.

    It runs in a folder with the files that the pages tell their readers to write.
    """

    seen: ClassVar[dict[tuple[tuple[str, ...], str], str]] = {}
    """Commands of other pages, with what was wrong."""

    def __init__(self, command: Command) -> None:
        self._command = command

    def __call__(self, example: Example) -> str:
        key = example.words, example.answer
        if key not in self.seen:
            self.seen[key] = self._check(*key)
        return self.seen[key]

    def _check(self, words: tuple[str, ...], answer: str) -> str:
        program, first, *others = words
        if program == "unstuck":
            return self._check_ours(first, others, answer)
        if program == "make":
            return "" if first in TARGETS else f"no target {first}"
        if program != "python":
            return "" if program in OTHERS else f"no program {program}"
        if first == "sweep.py":
            return self._find_fault(self._command(*_choose(others)), answer)
        module, *others = others
        if module.startswith("unstuck") and others:
            return self._check_ours(others[0], others[1:], answer)
        return "" if module.startswith("unstuck") or importlib.util.find_spec(module) else f"no module {module}"

    def _check_ours(self, name: str, words: list[str], answer: str) -> str:
        if name == SWEEP:
            return self._find_fault(self._command.unstuck(SWEEP, *_choose(words)), answer)
        if name not in list_commands():
            return "" if name in ("--help", "--version") else f"no command {name}"
        try:
            if words and words != ["SHELL"]:
                find_parser(name).parse_args(words)
        except SystemExit as end:
            return f"exit code {end.code}" if end.code else ""
        if name == "unstick" and words:
            return self._find_fault(self._command(*_choose(["+experiment=unstick", f"run={words[0]}", *words[1:]])), "")
        return ""

    @staticmethod
    def _find_fault(done: Done, answer: str) -> str:
        if answer:
            said = re.escape(answer).replace(re.escape("..."), ".*")
            return "" if done.code == 2 and re.fullmatch(said, done.err.rstrip("\n")) else f"answers {done.err!r}"
        return done.err if done.code and "choose what to run" not in done.err else ""


def _choose(words: list[str]) -> list[str]:
    return [NAMED.get(word, word) for word in words]


@pytest.fixture
def check(command: Command, monkeypatch: pytest.MonkeyPatch, site: None) -> Checker:
    monkeypatch.setattr("unstuck.sweeps.run.sweep.run_sweep", lambda config, *_: 0)
    for page in PAGES:
        for name, text in read_files(read_page(page)).items():
            (command.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (command.folder / name).write_text(text)
    return Checker(command)


def list_wrong(check: Checker, page: str, text: str) -> list[str]:
    known = [one for one in read_commands(page, text) if not shlex.join(one.words).startswith(UNKNOWN)]
    found = {shlex.join(example.words): check(example) for example in dict.fromkeys(known)}
    return [f"{page}: {line}: {wrong}" for line, wrong in found.items() if wrong]


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if [*read_commands(page, read_page(page))]])
def test_commands_of_a_page_work(check: Checker, page: str) -> None:
    assert list_wrong(check, page, read_page(page)) == []


def test_a_wrong_command_is_found(check: Checker) -> None:
    text = """
`python sweep.py ppo.lrr=1`, `unstuck shwo kdd`, `make tset`, `unstuck list --jsn`, `python -m unstuck.sweeps audit kdd`
```
$ python sweep.py ppo.lr=-1
sweep.py: error: ppo.lr must be positive and finite, got 1.0
$ unstuck sweep ppo.lr=-2
unstuck sweep: error: ppo.lr must be positive and finite, got 1.0
$ unstuck sweep ppo.lr=-3
unstuck sweep: error: ppo.lr must be positive and finite, got -3.0
```
"""
    wrong = list_wrong(check, "p", text)
    assert [line.partition(": ")[2].split(":")[0] for line in wrong] == [
        "python sweep.py ppo.lr=-1",
        "unstuck sweep ppo.lr=-2",
        "python sweep.py ppo.lrr=1",
        "unstuck shwo kdd",
        "make tset",
        "unstuck list --jsn",
    ]


def test_each_command_stands_in_a_page() -> None:
    shown = {
        one.words[1] for page in PAGES for one in read_commands(page, read_page(page)) if one.words[0] == "unstuck"
    }
    assert {name for group in COMMANDS.values() for name in group} <= shown
