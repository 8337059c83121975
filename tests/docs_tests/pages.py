"""The pages of the documentation: their fenced blocks, files and commands."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

_AT_THE_ROOT = (
    "README.md",
    "AGENTS.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "benchmarks/RESULTS.md",
    "benchmarks/EARLIER.md",
)

PAGES = sorted(
    str(file.relative_to(ROOT))
    for file in (
        *(ROOT / name for name in _AT_THE_ROOT),
        *(ROOT / "docs").rglob("*.md"),
    )
)
"""Paths of all pages, relative to the repository."""


class Block(NamedTuple):
    """A fenced block of a page: the language after the fence, the text, and the line of text before the fence."""

    language: str
    text: str
    before: str


def read_page(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def read_blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a Markdown text."""
    for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S):
        before = text[: found.start()].rstrip().rpartition("\n")[2]
        yield Block(found[1], found[2], before)


def read_files(text: str) -> dict[str, str]:
    """Files that a page tells its reader to write: each block that a line such as `mygrid.py`: introduces."""
    named = (
        (re.fullmatch(r".*?`([\w/.-]+\.(?:py|yaml|toml|csv))`:", block.before), block) for block in read_blocks(text)
    )
    return {match[1]: block.text for match, block in named if match}


def list_headings(text: str) -> list[str]:
    """Anchors that GitHub makes of a text's headings."""
    plain = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    anchors: list[str] = []
    for heading in re.findall(r"^#{1,6} (.+?)\s*$", plain, re.M):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "").lower()
        slug = re.sub(r"[^\w\- ]", "", shown).replace(" ", "-")
        twins = sum(anchor == slug or re.fullmatch(rf"{re.escape(slug)}-\d+", anchor) is not None for anchor in anchors)
        anchors.append(f"{slug}-{twins}" if twins else slug)
    return anchors


class Example(NamedTuple):
    """A command of a page: its words, and the line that the page says it prints, for one that is refused."""

    page: str
    words: tuple[str, ...]
    answer: str = ""


PROGRAMS = ("unstuck", "python", "make", "mlflow", "optuna-dashboard", ".ci/run", "pip", "export")
_SHELL = ("", "bash", "sh", "console")


def read_commands(page: str, text: str) -> Iterator[Example]:
    """The commands in a page's blocks and in its lines of text, each with the page; templates are left out."""
    for block in read_blocks(text):
        if block.language in _SHELL:
            lines = block.text.replace("\\\n", " ").splitlines()
            for line, after in zip(lines, [*lines[1:], ""], strict=True):
                if ": error: " in line:  # an answer
                    continue
                is_refused = line.startswith("$ ") and ": error: " in after
                yield from _read_line(page, line.removeprefix("$ "), after if is_refused else "")
    for span in re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)):
        yield from _read_line(page, span.replace("\\|", "|"), "")


def _read_line(page: str, line: str, answer: str) -> Iterator[Example]:
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # a line of text with an apostrophe
        return
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words.pop(0)
    if len(words) > 1 and words[0] in PROGRAMS and not _is_template(words):
        ends = [place for place, word in enumerate(words) if word in ("|", ">", "<", "&", "&&", ";")]
        yield Example(page, tuple(words[: ends[0]] if ends else words), answer)


def _is_template(words: list[str]) -> bool:
    return any(word == "..." or word.startswith("[") or "..." in word for word in words) or words[1] in (
        "COMMAND",
        "PATH/TO/CHECKOUT/unstuck",
    )
