"""README and tutorial show what the program prints now."""

import re
from collections.abc import Iterator

import pytest

from tests.conftest import Command, Done
from tests.docs_tests.pages import ROOT, read_blocks, read_commands, read_page

TINY = ("sweep.num_trials=2", "sweep.seeds=1", "ppo.num_iterations=12", "ppo.eval_every=4", "data.num_flows=1000")
TINY += ("data.eval_flows=50", "env.flows_per_episode=100", "scheduler=none", "health=none")
TINY_UNSTICK = ("unstick.iterations=6", "unstick.max_arms=1", "unstick.stages=1", "unstick.repeats=0")


def find_lines(shown: str, printed: str) -> list[str]:
    """Lines of a page that the program does not print, in the page's order; `...` stands for lines left out."""
    at, missing, lines = 0, [], printed.splitlines()
    for line in shown.splitlines():
        if line.strip() == "...":
            continue
        found = next((number for number in range(at, len(lines)) if lines[number] == line), None)
        if found is None:
            missing.append(line)
        else:
            at = found + 1
    return missing


def test_lines_are_found_in_their_order_alone() -> None:
    assert find_lines("a\n...\nc", "a\nb\nc\n") == []
    assert find_lines("c\na", "a\nb\nc\n") == ["a"]
    assert find_lines("a \nb", "a\nb\n") == ["a "]


def test_the_readme_shows_what_a_diagnosis_prints() -> None:
    page = read_page("README.md")
    assert len(page.splitlines()) <= 80
    shown = next(block.text for block in read_blocks(page) if block.text.startswith("$ unstuck diagnose"))
    line, _, text = shown.partition("\n")
    command = Command(ROOT)
    done = command.unstuck(*line.split()[2:])
    assert (done.code, done.err) == (0, "")
    assert find_lines(text, done.out) == []
    assert 6 <= len([one for one in text.splitlines() if one != "..."]) <= 8


def type_tutorial(command: Command) -> Iterator[tuple[str, Done]]:
    """The tutorial's commands, each made small, with what each prints."""
    for example in read_commands("", re.sub(r"(?<!`)`[^`\n]+`", "", read_page("docs/tutorial.md"))):
        name, *words = example.words[1:]
        small = {"sweep": TINY, "unstick": TINY_UNSTICK, "champion": ("--seeds", "1")}.get(name, ())
        given = {word.partition("=")[0] for word in words}
        added = [word for word in small if word.partition("=")[0] not in given]
        if name not in ("ui", "list"):
            yield name, command.unstuck(name, *words, *added)


@pytest.mark.slow
@pytest.mark.usefixtures("without_ray", "undiagnosed")
def test_the_tutorial_runs_small_from_an_empty_folder(command: Command) -> None:
    done = list(type_tutorial(command))
    assert [name for name, _ in done] == ["sweep", "diagnose", "unstick", "sweep", "champion", "show"]
    assert [(name, one.err) for name, one in done if one.code] == []
    (diagnosed,) = [one.out for name, one in done if name == "diagnose"]
    assert "Updates are too small: KL" in diagnosed
    assert "supported: lr 3e-06 in force" in diagnosed
    (unstuck,) = [one.out for name, one in done if name == "unstick"]
    assert "arm 1: lr 0.0003 (lr 3e-06 is far below what is usual)" in unstuck
    judged = done[4][1].out
    assert re.search(r"^control: eval/f1 .* over 1 fresh seed", judged, re.M)


def mask_numbers(text: str) -> str:
    """Return a text without times, each number as #: processors round differently, so another trial may be the best."""
    return re.sub(r"\d+(\.\d+)?(e-?\d+)?", "#", re.sub(r"\[\d.*?\] ", "", text))


def test_numbers_alone_are_masked() -> None:
    line = "[29 s] trial 3 pruned 0.211 ± 0.004: KL 2.3e-09, lr 3e-06 in force"
    assert mask_numbers(line) == "trial # pruned # ± #: KL #, lr # in force"


@pytest.mark.docs
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_tutorial_says_what_its_commands_print(command: Command) -> None:
    page = read_page("docs/tutorial.md")
    command.starts_ray = True
    printed = ""
    for example in read_commands("", re.sub(r"(?<!`)`[^`\n]+`", "", page)):
        if example.words[1] != "ui":
            done = command.unstuck(*example.words[1:])
            assert (done.code, done.err) == (0, ""), example.words
            printed += done.out
    plain = mask_numbers(printed)
    for block in read_blocks(page):
        for line in block.text.splitlines() if block.language == "text" else ():
            beginning = mask_numbers(line).partition(";")[0].partition("...")[0].rstrip()
            assert beginning in plain, line
