"""What a report is made of: a few kinds of blocks, written once and shown as text, Markdown or HTML.

Text within blocks is plain, with `code` between backticks as the only mark-up.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the document's title."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """Running text. `lead` sets it apart: the verdict."""

    text: str
    lead: bool = False


@dataclass(frozen=True)
class Bullets:
    """A list, each item a text or a text with a list of its own below it."""

    items: tuple["str | tuple[str, tuple[str, ...]]", ...]


@dataclass(frozen=True)
class Table:
    """A table with a header.

    Attributes:
        caption: What it shows.
        header: Names of the columns.
        rows: Cells as text; the first column names the row.
        numeric: Columns that hold numbers, aligned to the right.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Figure:
    """A picture.

    Attributes:
        name: Of its file, without suffix.
        svg: Its source.
        caption: What it shows, and of which run.
        alt: What it says, in words, for those who do not see it.
    """

    name: str
    svg: str
    caption: str
    alt: str


@dataclass(frozen=True)
class Commands:
    """What to type, a line each."""

    lines: tuple[str, ...]


Block = Heading | Paragraph | Bullets | Table | Figure | Commands


@dataclass(frozen=True)
class Document:
    """A report.

    Attributes:
        title: Of the page.
        blocks: From top to bottom.
    """

    title: str
    blocks: tuple[Block, ...]

    @property
    def lead(self) -> str:
        """The verdict; empty if there is none."""
        return next((block.text for block in self.blocks if isinstance(block, Paragraph) and block.lead), "")
