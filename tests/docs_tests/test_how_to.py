"""The examples of the how-to pages, run as a reader runs them: from an empty folder, with the files of the page."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import gymnasium
import numpy as np
import pytest

from tests.conftest import Command, Done
from tests.docs_tests.pages import PAGES, ROOT, read_blocks, read_commands, read_files, read_page

HOW_TO = [*(page for page in PAGES if page.startswith("docs/how-to/")), "docs/extending.md"]
EXAMPLE = ROOT / "docs" / "examples" / "progress.csv"

TINY = ("sweep.num_trials=2", "sweep.seeds=1", "ppo.num_iterations=6", "ppo.eval_every=1", "data.eval_flows=50")
TINY += ("tracking=none", "scheduler=none", "health=none", "env.eval_episodes=1", "env.flows_per_episode=100")
OF_TRIAGE, OF_OTHERS = ("data.", "env.flows"), ("env.eval",)
"""Beginnings of words of `TINY` that have an effect in triage alone, and in other environments alone."""

SWEEPS = {"docs/how-to/environment.md": 1, "docs/how-to/data.md": 2, "docs/extending.md": 1}
"""Sweeps of a page that `make test` runs, none of other pages; `make test-docs` runs all."""


@pytest.fixture
def reader(command: Command) -> Iterator["Reader"]:
    """A reader whose environments and modules nobody knows afterwards: other tests list the environments there are."""
    environments, modules = set(gymnasium.registry), set(sys.modules)
    yield Reader(command)
    for name in gymnasium.registry.keys() - environments:
        del gymnasium.registry[name]
    for name in sys.modules.keys() - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(command.folder)):
            del sys.modules[name]


class Reader:
    """Someone who reads a page, writes its files into an empty folder and types its commands there."""

    def __init__(self, command: Command) -> None:
        self._command, self.folder = command, command.folder

    def write(self, page: str) -> None:
        for name, text in read_files(read_page(page)).items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)
        if (self.folder / "make_flows.py").exists():
            subprocess.run([sys.executable, "make_flows.py"], cwd=self.folder, check=True)
        shutil.copy(EXAMPLE, self.folder)
        rng = np.random.default_rng(0)
        flows = [
            {"packets": int(rng.integers(100)), "seconds": rng.random(), "proto": "tcp", "attack": number % 4 == 0}
            for number in range(600)
        ]
        (self.folder / "flows.jsonl").write_text("".join(f"{json.dumps(flow)}\n" for flow in flows))

    def type(self, page: str, most_sweeps: int) -> Iterator[tuple[tuple[str, ...], Done]]:
        """The commands of the page's blocks, sweeps made small, with what each prints.

        Sweeps behind the first `most_sweeps` are not run: tests/docs_tests/test_commands.py composes all of them.
        """
        for block in read_blocks(read_page(page)):
            for example in read_commands(page, f"```\n{block.text}```\n") if block.language == "" else ():
                program, name, *words = example.words
                is_run = name == "sweep" and "--cfg" not in words and any("=" in word for word in words)
                if program != "unstuck" or (is_run and most_sweeps == 0) or (name == "champion" and most_sweeps >= 0):
                    continue
                if is_run:
                    most_sweeps -= 1
                    words += self._shrink(words)
                yield (name, *words), self._command.unstuck(name, *words)

    def diagnose(self) -> str:
        return self._command.unstuck("diagnose", "progress.csv").out

    def _shrink(self, words: list[str]) -> list[str]:
        is_own = any(word.startswith(("env.id=", "+experiment=line")) for word in words)
        given = {word.partition("=")[0] for word in words} - {"sweep.num_trials"}
        apart = OF_TRIAGE if is_own else OF_OTHERS
        return [word for word in TINY if not word.startswith(apart) and word.partition("=")[0] not in given]


@pytest.mark.slow
@pytest.mark.usefixtures("without_ray", "undiagnosed")
@pytest.mark.parametrize("page", HOW_TO)
def test_the_examples_of_a_page_run(reader: Reader, page: str, request: pytest.FixtureRequest) -> None:
    if page == "docs/extending.md":
        request.getfixturevalue("site")
    reader.write(page)
    typed = list(reader.type(page, SWEEPS.get(page, 0)))
    wrong = [(words, done.err) for words, done in typed if done.code and "choose what to run" not in done.err]
    assert wrong == []
    if page == "docs/how-to/data.md":
        shown = re.sub(r"\s+", " ", next(one.text for one in read_blocks(read_page(page)) if one.language == "text"))
        for line in typed[0][1].out.splitlines()[:2]:
            assert line in shown
        assert "warning" not in typed[1][1].out
    if page == "docs/how-to/space.md":
        ((_, shown_space),) = [one for one in typed if "--package" in one[0]]
        assert set(re.findall(r"^  (\w+):$", shown_space.out, re.M)) == {"gamma", "lr"}
    if page == "docs/extending.md":
        assert "too quiet" not in typed[0][1].out  # this policy is loud
        quiet = reader.folder / "progress.csv"
        quiet.write_text(re.sub(r"-0\.69\d*", "-0.1", quiet.read_text()))
        assert "The policy is quiet: entropy 0.10" in reader.diagnose()


@pytest.mark.docs
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("page", [page for page in HOW_TO if page != "docs/extending.md"])
def test_every_command_of_a_page_runs_as_it_stands(reader: Reader, page: str) -> None:
    reader.write(page)
    called = reader.folder / "bin" / "unstuck"
    called.parent.mkdir()
    called.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT / "unstuck"} "$@"\n')
    called.chmod(0o755)
    path = os.pathsep.join([str(called.parent), os.environ["PATH"]])
    for block in read_blocks(read_page(page)):
        for example in read_commands(page, f"```\n{block.text}```\n") if block.language == "" else ():
            done = subprocess.run(
                example.words, cwd=reader.folder, env=os.environ | {"PATH": path}, capture_output=True, text=True
            )
            assert done.returncode == 0 or "choose what to run" in done.stderr, (example.words, done.stderr)


def test_an_own_option_with_the_name_of_one_of_ours_is_refused(command: Command) -> None:
    own = command.folder / "mine" / "space" / "horizon.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("ppo: {}\n")
    done = command.unstuck("sweep", "--config-dir", "mine", "+experiment=quickstart", "space=horizon")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "got mine/space/horizon.yaml, in whose place ours would be read; rename the file" in done.err
