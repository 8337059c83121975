"""Sections of a report: what the contents list names, and the anchors that its links lead to."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from unstuck.analysis.document.blocks import Block, Document, Heading

LISTED = 2
"""Level of the headings that a contents list names."""

LEAST = 4
"""Sections from which on a report has a contents list: fewer are seen at a glance."""

_DROPPED = re.compile(r"[^\w\- ]")


@dataclass(frozen=True)
class Section:
    """Entry of the contents list: a heading's text, and the anchor for links to the heading."""

    title: str
    anchor: str


def list_sections(document: Document) -> list[Section]:
    """List a document's sections for the contents list; empty if there are few sections."""
    anchors = make_anchors(document.blocks)
    sections = [
        Section(block.text.replace("`", ""), anchors[place])
        for place, block in enumerate(document.blocks)
        if isinstance(block, Heading) and block.level == LISTED
    ]
    return sections if len(sections) >= LEAST else []


def make_anchors(blocks: Sequence[Block]) -> dict[int, str]:
    """Make a unique anchor for each heading, by the heading's position, named as GitHub names anchors.

    Example:
        >>> make_anchors([Heading("What works, and why"), Heading("A"), Heading("A")])
        {0: 'what-works-and-why', 1: 'a', 2: 'a-1'}
    """
    anchors: dict[int, str] = {}
    counts: dict[str, int] = {}
    for place, block in enumerate(blocks):
        if isinstance(block, Heading):
            anchor = _DROPPED.sub("", block.text.lower()).strip().replace(" ", "-") or "section"
            counts[anchor] = counts.get(anchor, -1) + 1
            anchors[place] = f"{anchor}-{counts[anchor]}" if counts[anchor] else anchor
    return anchors


def place_contents(blocks: Sequence[Block]) -> int:
    """Return the index among the blocks at which the contents list belongs: after the main result."""
    leads = [place for place, block in enumerate(blocks) if getattr(block, "lead", False)]
    return leads[0] + 1 if leads else 0
