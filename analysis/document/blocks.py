"""Blocks of a report: a few kinds, written once and rendered as text, Markdown or HTML.

Text within blocks is plain, with `code` between backticks as the only mark-up.
"""

from dataclasses import dataclass

from unstuck.analysis.plots.canvas import Canvas


@dataclass(frozen=True)
class Heading:
    """A heading of a report; level 1 is the document's title.

    Attributes:
        text: The heading.
        level: 2 for a section, 3 for a part of one.
        folded: True if a page shows the heading alone until a reader opens what stands below.
    """

    text: str
    level: int = 2
    folded: bool = False


@dataclass(frozen=True)
class Paragraph:
    """Paragraph of plain text; `lead` marks the paragraph with the main result."""

    text: str
    lead: bool = False


@dataclass(frozen=True)
class Bullets:
    """List in a report: items are texts, or texts with sub-items; `ordered` items are numbered."""

    items: tuple["str | tuple[str, tuple[str, ...]]", ...]
    ordered: bool = False


@dataclass(frozen=True)
class Table:
    """A table with a header; all cells are text.

    Attributes:
        caption: Content of the table.
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
    """Figure in a report: shapes on a canvas, with file name, caption and a description in words.

    Attributes:
        name: Name of the file, without suffix; unique in a document.
        canvas: Shapes of the picture.
        caption: Content of the picture, and its run.
        alt: The message in words, for readers who do not see the picture.
    """

    name: str
    canvas: Canvas
    caption: str
    alt: str

    @property
    def svg(self) -> str:
        """SVG source for a web page that defines the colours."""
        return self.canvas.svg(self.name, self.caption, self.alt)

    @property
    def whole_svg(self) -> str:
        """SVG source with the colours of light and dark pages, for a file beside a Markdown file."""
        return self.canvas.svg(self.name, self.caption, self.alt, style=True)

    @property
    def paper_svg(self) -> str:
        """SVG source for papers and slides."""
        return self.canvas.paper_svg(self.name, self.caption, self.alt)

    def _repr_svg_(self) -> str:
        return self.paper_svg


@dataclass(frozen=True)
class Commands:
    """A block of shell commands, one on each line."""

    lines: tuple[str, ...]


Block = Heading | Paragraph | Bullets | Table | Figure | Commands


@dataclass(frozen=True)
class Document:
    """A report: a title, and blocks such as headings, paragraphs, tables and figures.

    Attributes:
        title: Title of the page.
        blocks: Blocks from top to bottom.
    """

    title: str
    blocks: tuple[Block, ...]

    @property
    def lead(self) -> str:
        """Text of the paragraph with the main result; empty if no paragraph is marked as `lead`."""
        return next((block.text for block in self.blocks if isinstance(block, Paragraph) and block.lead), "")
